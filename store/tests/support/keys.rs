//! Keys and operations, shortly.

use stowage_store::{Key, MemberKey, Name, NameKind, NamespaceKey, Operation};

/// A document of the run store.
pub(crate) fn document(name: &str) -> Key {
    Key::run_store(&Name::parse(NameKind::RunStore, name).expect("a name"))
}

/// A shared namespace.
pub(crate) fn namespace(name: &str) -> NamespaceKey {
    NamespaceKey::shared(&Name::parse(NameKind::Namespace, name).expect("a name"))
}

/// Sets a key to a JSON text.
pub(crate) fn set(key: &str, value: &str) -> Operation {
    Operation::Set { key: MemberKey::new(key).expect("a key"), value: value.to_owned().into() }
}
