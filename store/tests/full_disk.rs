//! A volume that is full, and one that is read-only: file systems of this test's own, in a mount
//! namespace of its own. That needs root, or a kernel that gives a user its own namespaces.

#[path = "support/keys.rs"]
mod keys;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::FutureExt;
use stowage_store::{
    Key, OpenError, Operation, Patch, Preconditions, Store, StoreError, VolumeOptions, VolumeStore,
};
use tempfile::TempDir;

use keys::{document, namespace, set};

const DIRECTORY: &str = "STOWAGE_TEST_DIRECTORY";

/// Runs a test of this program with a file system of these options mounted on a directory that
/// only it sees.
fn with_a_file_system(options: &str, test: &str) {
    let directory = TempDir::new().expect("a temporary directory");
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .args(["--mount", "--", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o "$1" stowage-test "$2" && shift 2 && exec "$@""#)
        .args(["sh", options])
        .arg(directory.path())
        .arg(env::current_exe().expect("this program"))
        .args(["--exact", "--ignored", "--nocapture", test])
        .env(DIRECTORY, directory.path())
        .output()
        .expect("unshare, of the package util-linux");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "a file system of the test's own needs root or user namespaces; {}:\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_full_volume_refuses_writes_and_serves_the_rest() {
    with_a_file_system("size=1m,mode=700", "on_a_full_volume");
}

#[test]
fn a_volume_without_free_files_refuses_creates_and_serves_the_rest() {
    with_a_file_system("size=16m,nr_inodes=24,mode=700", "on_a_full_volume");
}

#[test]
fn a_read_only_volume_is_refused() {
    with_a_file_system("size=1m,mode=700", "on_a_read_only_volume");
}

fn directory() -> PathBuf {
    env::var_os(DIRECTORY).expect("the tests above set it").into()
}

/// Nothing is served from memory, so that it shows what is on the disk.
fn open(path: &Path) -> Result<VolumeStore, OpenError> {
    VolumeStore::open(path, &VolumeOptions { cache_bytes: 0, ..VolumeOptions::default() })
}

async fn put(store: &VolumeStore, key: &Key, length: usize) -> Result<(), StoreError> {
    let body = "x".repeat(length);
    store.put(key, body.into(), Preconditions::none()).await.map(drop)
}

/// Creates documents until there is no room; their keys.
async fn fill(store: &VolumeStore, name: &str, length: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    loop {
        let key = document(&format!("{name}-{}", keys.len()));
        match put(store, &key, length).await {
            Ok(()) => keys.push(key),
            Err(StoreError::OutOfSpace) => return keys,
            Err(error) => panic!("expected that the volume is full, got {error}"),
        }
        assert!(keys.len() < 1_000, "the volume is never full");
    }
}

#[tokio::test]
#[ignore = "runs on a file system that the tests above mount"]
async fn on_a_full_volume() {
    let root = directory();
    let store = open(&root).expect("a store");
    let (kept, shared) = (document("kept"), namespace("shared"));
    let none = Preconditions::none;
    put(&store, &kept, 1_000).await.expect("there is room");
    let patch = |length: usize| Patch {
        operations: vec![set("k", &format!("\"{}\"", "x".repeat(length)))],
        ..Patch::default()
    };
    store.patch(&shared, patch(1_000)).await.expect("there is room");
    let before = store.get(&kept).await.expect("a get").expect("the document");

    let mut fillers = fill(&store, "large", 100_000).await;
    fillers.extend(fill(&store, "small", 100).await);
    let error = put(&store, &document("more"), 100_000).await.expect_err("it is full");
    assert_eq!(error.to_string(), "the volume is full");
    let large = 20_000_000;
    let refusals = [
        put(&store, &kept, large).await,
        store.patch(&shared, patch(large)).await.map(drop),
        store
            .update(
                &kept,
                none(),
                Box::new(move |_| stowage_store::Change::Put(vec![b'y'; large].into())),
            )
            .await
            .map(drop),
    ];
    for (i, refused) in refusals.into_iter().enumerate() {
        assert!(matches!(refused, Err(StoreError::OutOfSpace)), "write {i}: {refused:?}");
    }
    let left = root.join(".stowage/tmp").read_dir().expect("it is there").count();
    assert_eq!(left, 0, "what was written in vain is removed");

    // Everything is as it was, and a full volume is no failure.
    assert_eq!(store.get(&kept).await.expect("a get").expect("the document"), before);
    assert_eq!(store.namespace(&shared).await.expect("it is served").version(), 1);
    store.check().await.expect("it serves reads and deletes");
    assert!(store.failed().now_or_never().is_none(), "a full volume is no failure");
    store.shutdown().await;
    let store = open(&root).expect("a full volume opens");
    assert_eq!(store.get(&kept).await.expect("a get").expect("the document"), before);

    // A namespace is emptied by a write, and that is the way out where there is nothing else.
    let clear = || Patch { operations: vec![Operation::Clear], ..Patch::default() };
    for version in 2..=3 {
        let cleared = store.patch(&shared, clear()).await.expect("deletes go on");
        assert_eq!((cleared.namespace.version(), cleared.namespace.len()), (version, 0));
    }
    let again = put(&store, &document("again"), 100_000).await;
    assert!(matches!(again, Err(StoreError::OutOfSpace)), "nobody else gets that room: {again:?}");

    for key in &fillers {
        assert!(store.delete(key, none()).await.expect("deletes go on"), "{key} was there");
    }
    put(&store, &kept, 2_000).await.expect("writes resume when there is room");
    let patched = store.patch(&shared, patch(2_000)).await.expect("patches too");
    assert_eq!(patched.namespace.version(), 4);
}

#[tokio::test]
#[ignore = "runs on a file system that the tests above mount"]
async fn on_a_read_only_volume() {
    let root = directory();
    let store = open(&root).expect("a store");
    put(&store, &document("a"), 10).await.expect("a put");
    let remount = |option: &str| {
        let status = Command::new("mount").args(["-o", option]).arg(&root).status();
        assert!(status.expect("mount").success(), "mount -o {option}");
    };
    store.shutdown().await;
    drop(store);
    remount("remount,bind,ro");
    let error = open(&root).expect_err("nothing can be written");
    assert!(matches!(error, OpenError::NoPermission { .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("own it, on a file system that is mounted for writing"),
        "{error}"
    );
    remount("remount,bind,rw");
    let store = open(&root).expect("a store");
    assert!(store.get(&document("a")).await.expect("a get").is_some());
}
