//! What a store does on a file system that archives fill.

use std::path::Path;

use stowage_store::{Preconditions, Put, Store, StoreError, VolumeStore};

use crate::archives::{archive, content, site, upload};
use crate::keys::{document, namespace, set};
use crate::open_uncached;

const LENGTH: usize = 50_000;

/// More than any of the file systems holds.
const LARGE: usize = 20_000_000;

/// Fills the file system with archives, looks at what goes on, and makes room again.
pub(crate) async fn run(root: &Path) {
    let store = open_uncached(root).expect("a store");
    put(&store, "before").await.expect("there is room");
    let mut archives = 0;
    let refused = loop {
        match publish(&store, archives, LENGTH).await {
            Ok(_) => archives += 1,
            Err(error) => break error,
        }
        assert!(archives < 1_000, "the volume is never full");
    };
    assert_eq!(refused.to_string(), "the volume is full");
    assert!(archives > 1, "only {archives} archives fit");
    let large = publish(&store, 0, LARGE).await;
    assert!(matches!(large, Err(StoreError::OutOfSpace)), "{large:?}");
    let left = root.join(".stowage/tmp").read_dir().expect("it is there");
    let left: Vec<_> = left.map(|entry| entry.expect("an entry").path()).collect();
    assert!(left.is_empty(), "what was written in vain is removed: {left:?}");

    // Everything else goes on, after a restart too.
    for round in 0..3 {
        put(&store, "after").await.expect("archives leave room for the journal");
        let operations = vec![set("k", &round.to_string())];
        let patch = stowage_store::Patch { operations, ..Default::default() };
        store.patch(&namespace("n"), patch).await.expect("a patch");
    }
    store.check().await.expect("a full volume is no failure");
    let listed = store.archives(&site("s"), None, 1_000).await.expect("a list");
    assert_eq!(listed.len(), archives);
    store.shutdown().await;
    let store = open_uncached(root).expect("a full volume opens");
    let read = store.archive(&archive("s", "0")).await.expect("a read").expect("it is there");
    let bytes = read.content.read(0, LENGTH).await.expect("its bytes");
    assert!(bytes == content(LENGTH, 0), "a refused replacement leaves what was there");
    let deleted = store.delete(&document("before"), Preconditions::none()).await;
    assert!(deleted.expect("a delete").is_some());

    for number in 0..archives {
        let key = archive("s", &number.to_string());
        let deleted = store.delete_archive(&key, Preconditions::none()).await;
        assert!(deleted.expect("deletes go on").is_some(), "{key} was there");
    }
    drop(read);
    publish(&store, 0, LENGTH).await.expect("uploads resume when there is room");
}

async fn publish(store: &VolumeStore, number: usize, length: usize) -> Result<Put, StoreError> {
    let content = content(length, number as u8);
    let pieces = content.chunks(10_000).map(|piece| content.slice_ref(piece));
    upload(store, &archive("s", &number.to_string()), pieces, Preconditions::none()).await
}

async fn put(store: &VolumeStore, name: &str) -> Result<(), StoreError> {
    let body = "x".repeat(1_000);
    store.put(&document(name), body.into(), Preconditions::none()).await.map(drop)
}
