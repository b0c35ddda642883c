//! What an engine tells of its work.

#[path = "support/deadline.rs"]
mod deadline;
#[path = "support/keys.rs"]
mod keys;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use stowage_store::{MemoryStore, Patch, Preconditions, Stats, Store, VolumeOptions, VolumeStore};
use tempfile::TempDir;

use deadline::in_time;
use keys::{document, namespace, set};

const WRITES: u64 = 200;
const BODY: Bytes = Bytes::from_static(&[b'1'; 1_000]);

fn stats(store: &dyn Store) -> Stats {
    store.stats().expect("a volume tells")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_counted_and_what_is_held_is_told() {
    let directory = TempDir::new().expect("a temporary directory");
    let options =
        VolumeOptions { checkpoint_after: Duration::from_secs(3600), ..VolumeOptions::default() };
    let store = VolumeStore::open(directory.path(), &options).expect("a store");
    let new = stats(&store);
    assert_eq!((new.commits.count(), new.syncs.count(), new.checkpoints.count()), (0, 0, 0));
    assert_eq!((new.queued, new.dirty.bytes, new.cache.bytes), (0, 0, 0));

    let key = |number| document(&format!("d{number}"));
    let keys: Vec<_> = (0..WRITES).map(key).collect();
    let puts = keys.iter().map(|key| store.put(key, BODY, Preconditions::none()));
    join_all(puts).await.into_iter().for_each(|put| drop(put.expect("a put")));
    let patch = Patch { operations: vec![set("k", "1")], ..Patch::default() };
    store.patch(&namespace("n"), patch).await.expect("a patch");

    let told = stats(&store);
    assert_eq!(told.commits.sum, WRITES + 1, "every record is of one commit: {told:?}");
    assert!(told.commits.count() < WRITES, "many came in one: {told:?}");
    assert_eq!(told.commits.count(), told.syncs.count(), "each is synced: {told:?}");
    assert!(told.syncs.sum > 0, "{told:?}");
    assert_eq!(told.dirty_entries, WRITES + 1, "{told:?}");
    assert!(told.dirty.bytes > WRITES * BODY.len() as u64, "{told:?}");
    assert_eq!(told.cache_entries, WRITES + 1, "{told:?}");
    assert!(told.cache.bytes > WRITES * BODY.len() as u64, "{told:?}");
    assert!(told.journal.bytes > told.dirty.bytes / 2, "{told:?}");
    assert!(told.segments >= 1 && told.queued == 0 && told.refused_for_room == 0, "{told:?}");
    for usage in [told.journal, told.dirty, told.cache] {
        assert!(usage.bytes <= usage.limit_bytes, "{told:?}");
    }
    let capacity = store.capacity().await.expect("an answer").expect("a volume has a size");
    assert!(capacity.available_bytes <= capacity.bytes && capacity.bytes > 0, "{capacity:?}");
}

#[tokio::test]
async fn a_checkpoint_is_counted_and_takes_what_waited() {
    let directory = TempDir::new().expect("a temporary directory");
    let options =
        VolumeOptions { checkpoint_after: Duration::from_millis(5), ..VolumeOptions::default() };
    let store = VolumeStore::open(directory.path(), &options).expect("a store");
    store.put(&document("a"), BODY, Preconditions::none()).await.expect("a put");
    let settled = async {
        while stats(&store).dirty_entries > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time("the tree comes up to date", settled).await;
    let told = stats(&store);
    assert_eq!(told.dirty.bytes, 0, "{told:?}");
    assert!(told.checkpoints.count() >= 1 && told.checkpoints.sum > 0, "{told:?}");
}

#[test]
fn a_store_in_memory_has_nothing_to_tell() {
    assert_eq!(MemoryStore::new().stats(), None);
}
