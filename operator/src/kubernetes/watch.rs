//! What is watched, and what is said where that fails.

use k8s_openapi::NamespaceResourceScope;
use kube::core::PartialObjectMeta;
use kube::runtime::{controller, watcher};
use kube::{Api, Client, Resource};

use super::words::{innermost, of_watch};
use super::{Failure, MANAGED};

/// The objects of a kind in one namespace, or in all.
#[must_use]
pub fn in_scope<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// As [`in_scope`], their metadata alone: the API server sends nothing else, so that memory and
/// traffic do not grow with what others keep in their Secrets.
#[must_use]
pub fn metadata_in_scope<K>(client: &Client, namespace: Option<&str>) -> Api<PartialObjectMeta<K>>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    in_scope(client, namespace)
}

/// Of a kind, what the operator manages.
#[must_use]
pub fn managed() -> watcher::Config {
    watcher::Config::default().labels(MANAGED)
}

/// What a controller does with each of its outcomes: says that a watch failed. It begins it again
/// by itself, waiting longer each time, and acts on nothing new until then.
pub fn log_failed_watch<T>(
    controller: &'static str,
    outcome: Result<T, controller::Error<Failure, watcher::Error>>,
) -> std::future::Ready<()> {
    let error = match outcome {
        // A failure was logged where it is tried again; an object that is gone is none.
        Ok(_)
        | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {
            None
        }
        // The API server forgets what is older than some minutes: everybody's watches see that.
        Err(controller::Error::QueueError(watcher::Error::WatchError(status)))
            if status.code == 410 =>
        {
            None
        }
        Err(controller::Error::QueueError(error)) => Some(of_watch(&error)),
        Err(controller::Error::RunnerError(error)) => Some(innermost(&error)),
    };
    if let Some(error) = error {
        tracing::warn!(controller, error, "a watch failed and is begun again");
    }
    std::future::ready(())
}
