//! A store in a directory, and the common steps with it.

use std::path::Path;

use stowage_store::{
    EntityTag, Key, OpenError, Patch, Preconditions, Store, VolumeOptions, VolumeStore,
};
use tempfile::TempDir;

use crate::keys::set;

pub(crate) fn open(path: &Path) -> Result<VolumeStore, OpenError> {
    VolumeStore::open(path, &VolumeOptions::default())
}

/// A store in a new directory, and where that is.
pub(crate) fn new_store() -> (TempDir, VolumeStore) {
    let directory = TempDir::new().expect("a temporary directory");
    let store = open(directory.path()).expect("a store in a new directory");
    (directory, store)
}

pub(crate) async fn put(store: &VolumeStore, key: &Key, body: &'static str) -> EntityTag {
    store.put(key, body.into(), Preconditions::none()).await.expect("a put").tag
}

pub(crate) async fn get(store: &VolumeStore, key: &Key) -> Option<(String, EntityTag)> {
    let object = store.get(key).await.expect("a get")?;
    Some((String::from_utf8_lossy(&object.body).into_owned(), object.tag.clone()))
}

pub(crate) fn patch(key: &str, value: &str) -> Patch {
    Patch { operations: vec![set(key, value)], ..Patch::default() }
}
