//! What a store does on a file system that it fills with documents so small that the journal holds more
//! of them than the tree has room for.

use std::path::Path;
use std::time::{Duration, Instant};

use stowage_store::{Preconditions, Store, StoreError, VolumeStore};

use crate::keys::document;
use crate::open_uncached;

/// So often the store tries to bring more into the tree before anything is deleted.
const ROUNDS: u64 = 40;

/// How long that may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Fills the file system, starts anew on it, lets the tree take what it can, and deletes all of it, the
/// oldest first.
pub(crate) async fn run(root: &Path) {
    let store = open_uncached(root).expect("a store");
    let mut keys = Vec::new();
    loop {
        let key = document(&format!("small-{}", keys.len()));
        match store.put(&key, "x".repeat(100).into(), Preconditions::none()).await {
            Ok(_) => keys.push(key),
            Err(StoreError::OutOfSpace) => break,
            Err(error) => panic!("expected that the volume is full one day, got {error}"),
        }
        assert!(keys.len() < 10_000, "the volume is never full");
    }
    has_tried(&store).await;
    store.shutdown().await;
    drop(store);

    let store = open_uncached(root).expect("a full volume opens");
    has_tried(&store).await;
    for (number, key) in keys.iter().enumerate() {
        let deleted = store.delete(key, Preconditions::none()).await;
        let of = keys.len();
        let deleted =
            deleted.unwrap_or_else(|error| panic!("delete {number} of {of} goes on: {error}"));
        assert!(deleted.is_some(), "{key} was there");
    }
    store
        .put(&keys[0], "again".into(), Preconditions::none())
        .await
        .expect("writes resume when there is room");
}

/// Waits until some rounds have found no room.
async fn has_tried(store: &VolumeStore) {
    let rounds = || store.stats().expect("a volume has figures").checkpoints.count();
    let (before, deadline) = (rounds(), Instant::now() + PATIENCE);
    while rounds() < before + ROUNDS {
        assert!(
            Instant::now() < deadline,
            "{} of {ROUNDS} rounds in {PATIENCE:?}",
            rounds() - before
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
