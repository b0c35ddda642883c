//! The labels of children, by the names that Kubernetes recommends.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>

use std::collections::BTreeMap;

/// Says who manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The name of the resource that an object is a part of.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Selects everything that the operator manages.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=stowage-operator";
/// What is a part of a Store.
pub const COMPONENT_STORE: &str = "store";
/// What is a part of a StoreNamespace.
pub const COMPONENT_NAMESPACE: &str = "namespace";
/// What is a part of a RuntimeConfigSource.
pub const COMPONENT_SYNC: &str = "sync";

/// The labels of a child. Those of the resource itself are not copied: they belong to whoever
/// wrote it, and tools that select by them would take the child for theirs.
#[must_use]
pub fn labels(component: &str, instance: &str) -> BTreeMap<String, String> {
    let mut labels = selector(component, instance);
    labels.insert(MANAGED_BY.into(), crate::kubernetes::FIELD_MANAGER.into());
    labels
}

/// The labels that select the pods of one resource; part of [`labels`], and never to change, since
/// the selector of a StatefulSet cannot.
#[must_use]
pub fn selector(component: &str, instance: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".into(), "stowage".into()),
        (INSTANCE.into(), instance.into()),
        ("app.kubernetes.io/component".into(), component.into()),
    ])
}
