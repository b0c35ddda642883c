//! What a store does on a file system that it fills.

use std::future::ready;
use std::path::Path;

use stowage_store::{Change, Key, Operation, Patch, Preconditions, Store, StoreError, VolumeStore};

use crate::keys::{document, namespace, set};
use crate::open_uncached;

/// More than any of the file systems holds.
const LARGE: usize = 20_000_000;

/// Fills the file system, looks at what is refused and what is served, and makes room again.
pub(crate) async fn run(root: &Path) {
    let store = open_uncached(root).expect("a store");
    let (kept, shared) = (document("kept"), namespace("shared"));
    put(&store, &kept, 1_000).await.expect("there is room");
    store.patch(&shared, patch(1_000)).await.expect("there is room");
    let before = store.get(&kept).await.expect("a get").expect("the document");

    let mut fillers = fill(&store, "large", 100_000).await;
    fillers.extend(fill(&store, "small", 100).await);
    refuses_what_does_not_fit(&store).await;

    // Everything is as it was, and a full volume is no failure.
    assert_eq!(store.get(&kept).await.expect("a get").expect("the document"), before);
    assert_eq!(store.namespace(&shared).await.expect("it is served").version(), 1);
    store.check().await.expect("it serves reads and deletes");
    tokio::select! {
        biased;
        error = store.failed() => panic!("a full volume is no failure: {error}"),
        () = ready(()) => {}
    }
    store.shutdown().await;
    let left = root.join(".stowage/tmp").read_dir().expect("it is there").count();
    assert_eq!(left, 0, "what was written in vain is removed");
    let store = open_uncached(root).expect("a full volume opens");
    assert_eq!(store.get(&kept).await.expect("a get").expect("the document"), before);

    // A namespace is emptied by a write, and that is the way out where there is nothing else.
    for version in 2..=3 {
        let clear = Patch { operations: vec![Operation::Clear], ..Patch::default() };
        let cleared = store.patch(&shared, clear).await.expect("deletes go on");
        assert_eq!((cleared.namespace.version(), cleared.namespace.len()), (version, 0));
    }
    // The journal gives room back that it does not need any more, so this may fit by now.
    match put(&store, &document("again"), 100_000).await {
        Ok(()) => fillers.push(document("again")),
        Err(StoreError::OutOfSpace) => {}
        Err(error) => panic!("expected that it fits or that the volume is full, got {error}"),
    }

    for key in &fillers {
        let deleted = store.delete(key, Preconditions::none()).await;
        assert!(deleted.expect("deletes go on").is_some(), "{key} was there");
    }
    put(&store, &kept, 2_000).await.expect("writes resume when there is room");
    let patched = store.patch(&shared, patch(2_000)).await.expect("patches too");
    assert_eq!(patched.namespace.version(), 4);
}

async fn refuses_what_does_not_fit(store: &VolumeStore) {
    let kept = document("kept");
    let edit = Box::new(|_: Option<&_>| Change::Put(vec![b'y'; LARGE].into()));
    let refusals = [
        put(store, &kept, LARGE).await,
        store.patch(&namespace("shared"), patch(LARGE)).await.map(drop),
        store.update(&kept, Preconditions::none(), edit).await.map(drop),
    ];
    for (i, refused) in refusals.into_iter().enumerate() {
        assert!(matches!(refused, Err(StoreError::OutOfSpace)), "write {i}: {refused:?}");
    }
}

/// Creates documents until there is no room; their keys.
async fn fill(store: &VolumeStore, name: &str, length: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    loop {
        let key = document(&format!("{name}-{}", keys.len()));
        match put(store, &key, length).await {
            Ok(()) => keys.push(key),
            Err(error) => {
                assert_eq!(error.to_string(), "the volume is full");
                return keys;
            }
        }
        assert!(keys.len() < 1_000, "the volume is never full");
    }
}

async fn put(store: &VolumeStore, key: &Key, length: usize) -> Result<(), StoreError> {
    let body = "x".repeat(length);
    store.put(key, body.into(), Preconditions::none()).await.map(drop)
}

fn patch(length: usize) -> Patch {
    let operations = vec![set("k", &format!("\"{}\"", "x".repeat(length)))];
    Patch { operations, ..Patch::default() }
}
