//! The labels of children, by the names that Kubernetes recommends.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>

use std::collections::BTreeMap;

use super::short_digest;

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

/// The API server's bound of a label's value.
const VALUE_BYTES_MAX: usize = 63;

/// A resource's name as the value of a label. A name may be longer than that; then it is known by
/// its beginning and its digest.
#[must_use]
pub fn label_value(name: &str) -> String {
    shortened(name, VALUE_BYTES_MAX)
}

/// A name of at most `bytes_max`: that of an object is ASCII.
#[must_use]
pub fn shortened(name: &str, bytes_max: usize) -> String {
    if name.len() <= bytes_max {
        return name.to_owned();
    }
    let digest = short_digest(name);
    let kept: String = name.chars().take(bytes_max - digest.len() - 1).collect();
    format!("{}-{digest}", kept.trim_end_matches(['-', '.']))
}

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
        (INSTANCE.into(), label_value(instance)),
        ("app.kubernetes.io/component".into(), component.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_and_two_that_begin_alike_are_told_apart() {
        assert_eq!(label_value("cart"), "cart");
        assert_eq!(label_value(&"x".repeat(63)), "x".repeat(63));
        let [a, b] = ["a", "b"].map(|end| label_value(&("x".repeat(100) + end)));
        assert!(a.len() <= 63 && a != b, "{a} {b}");
        let cut = shortened(&format!("{}-.-{}", "a".repeat(41), "b".repeat(40)), 60);
        assert!(cut.starts_with(&format!("{}-", "a".repeat(41))) && !cut.contains('.'), "{cut}");
    }
}
