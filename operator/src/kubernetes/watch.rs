//! What is watched.

use k8s_openapi::NamespaceResourceScope;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};

use super::MANAGED;

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
