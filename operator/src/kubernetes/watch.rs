//! What is watched, what is said where that fails, and how it ends.

use std::hash::Hash;

use futures_util::{FutureExt, Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{Lookup, Store};
use kube::runtime::{controller, watcher};
use kube::{Api, Client, Resource};
use tokio_util::sync::CancellationToken;

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

/// Runs a controller to its end. It is told of `shutdown` itself, and finishes what is under way;
/// but while its first list is still to come it would wait for that first, and nothing is under way.
///
/// `objects` is what the controller knows of its kind.
pub async fn run_to_end<K, T>(
    controller: &'static str,
    outcomes: impl Stream<Item = Result<T, controller::Error<Failure, watcher::Error>>>,
    objects: Store<K>,
    shutdown: CancellationToken,
) where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let told_too_early = async move {
        shutdown.cancelled().await;
        if objects.wait_until_ready().now_or_never().is_some() {
            std::future::pending::<()>().await;
        }
    };
    let outcomes = outcomes.take_until(told_too_early);
    outcomes
        .for_each(|outcome| {
            log_failed_watch(controller, outcome);
            std::future::ready(())
        })
        .await;
}

/// Says that a watch failed. The controller begins it again by itself, waiting longer each time, and
/// acts on nothing new until then.
fn log_failed_watch<T>(
    controller: &'static str,
    outcome: Result<T, controller::Error<Failure, watcher::Error>>,
) {
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
}
