//! A process that may open few files. The limit is the process's, so this is the only test here.

#[path = "support/keys.rs"]
#[expect(dead_code, reason = "others use the rest")]
mod keys;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stowage_store::{Preconditions, Store, StoreError, VolumeOptions, VolumeStore};
use tempfile::TempDir;

use keys::document;

/// What the process may open, and many more documents.
const OPEN_FILES: u64 = 64;
const DOCUMENTS: usize = 1_000;

/// The tree is brought up to date late, and then all at once.
fn options(dirty_bytes: u64) -> VolumeOptions {
    VolumeOptions {
        dirty_bytes,
        checkpoint_after: Duration::from_secs(3_600),
        ..VolumeOptions::default()
    }
}

fn open(path: &Path, dirty_bytes: u64) -> VolumeStore {
    VolumeStore::open(path, &options(dirty_bytes)).unwrap_or_else(|error| panic!("{error}"))
}

/// Copies what a kill would leave: the journal alone.
fn copy(from: &Path, to: &Path) {
    for _ in 0..100 {
        let copied = Command::new("cp").arg("-a").args([from, to]).output().expect("cp");
        if copied.status.success() {
            return;
        }
        // A segment was made ready meanwhile, and got its name.
        fs::remove_dir_all(to).expect("a part of a copy");
    }
    panic!("{} cannot be copied", from.display());
}

async fn has_all(store: &VolumeStore) {
    for number in 0..DOCUMENTS {
        let found = store.get(&document(&number.to_string())).await.expect("a read");
        assert!(found.is_some(), "document {number}");
    }
}

/// While others hold all that the process may open, writes to what is in memory are taken; they come
/// into the tree once files can be opened again.
async fn goes_on_without_descriptors(path: &Path) {
    let options = VolumeOptions {
        checkpoint_after: Duration::from_millis(1),
        segment_bytes: 1,
        ..VolumeOptions::default()
    };
    let store = VolumeStore::open(path, &options).unwrap_or_else(|error| panic!("{error}"));
    let key = |number: usize| document(&number.to_string());
    let put = async |number: usize| {
        let key = key(number);
        let put = store.put(&key, vec![b'2'; 300].into(), Preconditions::none());
        let put = tokio::time::timeout(Duration::from_secs(60), put).await.expect("in time");
        put.unwrap_or_else(|error| panic!("write {number}: {error}"));
    };
    put(0).await;
    let mut held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    for _ in 0..40 {
        put(0).await;
    }
    // What is not in memory cannot be looked up.
    let unknown = store.put(&key(1), vec![b'2'; 300].into(), Preconditions::none()).await;
    assert!(matches!(unknown, Err(StoreError::Io(_))), "{unknown:?}");
    // One more at a time, so that each step of a checkpoint is the first to find too few. No more
    // writes than the journal takes without a new segment: with too few files there is none.
    for _ in 0..10 {
        held.pop();
        for _ in 0..3 {
            put(0).await;
        }
    }
    drop(held);
    // More than the segments that were ready take.
    for number in 1..400 {
        put(number).await;
    }
    store.shutdown().await;
    drop(store);
    let files = fs::read_dir(path.join("run-stores")).expect("a directory").count();
    assert_eq!(files, 400, "files in the tree after the end");
    let left = fs::read_dir(path.join(".stowage/tmp")).expect("a directory").count();
    assert_eq!(left, 0, "temporary files after the end");
}

#[tokio::test]
async fn more_documents_come_into_the_tree_than_a_process_may_open() {
    let limit = Rlimit { current: Some(OPEN_FILES), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).expect("a limit");
    let directory = TempDir::new().expect("a directory");
    let (served, killed) = (directory.path().join("served"), directory.path().join("killed"));
    fs::create_dir(&served).expect("a directory");

    let store = open(&served, 1 << 30);
    let puts = (0..DOCUMENTS).map(|number| {
        let (store, key) = (&store, document(&number.to_string()));
        async move { store.put(&key, vec![b'1'; 2_000].into(), Preconditions::none()).await }
    });
    for put in join_all(puts).await {
        put.expect("a write");
    }
    copy(&served, &killed);
    assert!(!killed.join("run-stores").exists(), "nothing is in the tree yet");

    store.shutdown().await;
    drop(store);
    let files = fs::read_dir(served.join("run-stores")).expect("a directory").count();
    assert_eq!(files, DOCUMENTS, "files in the tree after the end");

    goes_on_without_descriptors(&directory.path().join("starved")).await;

    // With little memory a start brings them into the tree on the way, hundreds at a time.
    let store = open(&killed, 1 << 20);
    has_all(&store).await;
    drop(store);
    has_all(&open(&killed, 1 << 20)).await;
}
