//! What a store does on a file system that it fills with the versions of a few documents: they make
//! way for whatever else is written.

use std::fs;
use std::path::Path;
use std::time::Duration;

use stowage_store::{Preconditions, Store, StoreError, VolumeOptions, VolumeStore};

use crate::archives::{archive, content, upload};
use crate::keys::document;

/// The file system has twice of that, or more, and files enough for twice of that.
const HALF: u64 = 4 << 20;

const LENGTH: usize = 20_000;

/// So many documents have all the versions.
const WRITTEN_AGAIN: usize = 30;

/// Fills half of the file system with versions, and the rest, and more, with something else: with an
/// archive, then with documents.
pub(crate) async fn run(root: &Path) {
    let options = VolumeOptions {
        cache_bytes: 0,
        history: 1_000,
        checkpoint_after: Duration::from_millis(1),
        ..VolumeOptions::default()
    };
    let store = VolumeStore::open(root, &options).expect("a store");
    fill(&store, root).await;
    let before = bytes_of(root);
    let mut too_long = store.upload(&archive("s", "b")).await.expect("an upload");
    let refused = too_long.announce(8 * HALF).await;
    assert!(matches!(refused, Err(StoreError::OutOfSpace)), "{refused:?}");
    drop(too_long);
    assert!(bytes_of(root) >= before, "nothing is evicted for what does not fit anyway");
    let (key, bytes) = (archive("s", "b"), content(HALF as usize, 1));
    let pieces = bytes.chunks(100_000).map(|piece| bytes.slice_ref(piece));
    let uploaded = upload(&store, &key, pieces, Preconditions::none()).await;
    uploaded.expect("versions make way for an archive");
    assert!(store.delete_archive(&key, Preconditions::none()).await.expect("a delete").is_some());

    fill(&store, root).await;
    let mut count = 0;
    let refused = loop {
        match put(&store, &format!("new-{count}"), count).await {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
        assert!(count < 10_000, "the volume is never full");
    };
    assert_eq!(refused.to_string(), "the volume is full");
    let (taken, versions) = ((count * LENGTH) as u64, bytes_of(root));
    assert!(taken > HALF, "{count} documents fitted, of {taken} bytes; versions take {versions}");
    assert!(versions < HALF / 4, "versions take {versions} bytes, and a write was refused");
    let evictions = store.stats().expect("a volume has figures").history_evictions;
    assert!(evictions > 0, "expected that some histories were evicted");
    store.shutdown().await;
    drop(store);

    let store = VolumeStore::open(root, &options).expect("a full volume opens");
    for number in 0..count {
        let object = store.get(&document(&format!("new-{number}"))).await.expect("a read");
        assert!(object.expect("it was acknowledged").body == body(number), "document {number}");
    }
    let deleted = store.delete(&document("new-0"), Preconditions::none()).await;
    assert!(deleted.expect("a delete").is_some());
}

/// Writes the same documents again until their versions fill half of the file system.
async fn fill(store: &VolumeStore, root: &Path) {
    for number in 0.. {
        if number % WRITTEN_AGAIN == 0 && bytes_of(root) > HALF {
            return;
        }
        let put = put(store, &format!("again-{}", number % WRITTEN_AGAIN), number).await;
        put.expect("no write is refused for versions");
        assert!(number < 10_000, "versions never take more than {} bytes", bytes_of(root));
    }
}

fn body(number: usize) -> Vec<u8> {
    let mut body = number.to_string().into_bytes();
    body.resize(LENGTH, b'x');
    body
}

async fn put(store: &VolumeStore, name: &str, number: usize) -> Result<(), StoreError> {
    let body = body(number).into();
    store.put(&document(name), body, Preconditions::none()).await.map(drop)
}

/// What the versions take. What goes away meanwhile takes nothing.
fn bytes_of(root: &Path) -> u64 {
    let mut left = vec![root.join(".stowage/history")];
    let mut bytes = 0;
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => left.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}
