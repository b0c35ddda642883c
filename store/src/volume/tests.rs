//! What the engine does when a sync fails or takes its time; the rest is tested from outside.

mod failed_sync;

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tempfile::TempDir;

use super::disk::{OsSync, Sync};
use super::{VolumeOptions, VolumeStore};
use crate::{
    Change, Key, MemberKey, Name, NameKind, NamespaceKey, Operation, Patch, Preconditions, Store,
    StoreError,
};

/// Syncs that fail, or wait, when a test says so.
#[derive(Clone, Default)]
struct TestSync(Arc<Switches>);

#[derive(Default)]
struct Switches {
    fail_file: AtomicBool,
    fail_directory: AtomicBool,
    panic_directory: AtomicBool,
    panic_file: AtomicBool,
    /// What a directory's sync announces itself on, and waits for.
    gate: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

/// What becomes of a directory's sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    Fails,
    Panics,
}

impl TestSync {
    /// Decides on the syncs of directories from now on.
    fn decide_on_directories(&self, fate: Fate) {
        self.0.fail_directory.store(fate == Fate::Fails, Ordering::SeqCst);
        self.0.panic_directory.store(fate == Fate::Panics, Ordering::SeqCst);
    }

    /// The next sync of a directory says so on the first channel and waits for the second.
    fn hold_directory(&self) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (announce, announced) = mpsc::channel();
        let (release, released) = mpsc::channel();
        *self.0.gate.lock().unwrap() = Some((announce, released));
        (announced, release)
    }
}

impl Sync for TestSync {
    fn file(&self, file: &File) -> io::Result<()> {
        if self.0.fail_file.load(Ordering::SeqCst) {
            return Err(io::Error::other("planted"));
        }
        assert!(!self.0.panic_file.load(Ordering::SeqCst), "planted");
        OsSync.file(file)
    }

    fn directory(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        if let Some((announce, released)) = self.0.gate.lock().unwrap().take() {
            announce.send(()).unwrap();
            released.recv_timeout(DEADLINE).expect("the test releases the sync in time");
        }
        if self.0.fail_directory.load(Ordering::SeqCst) {
            return Err(io::Error::other("planted"));
        }
        assert!(!self.0.panic_directory.load(Ordering::SeqCst), "planted");
        OsSync.directory(directory)
    }
}

const DEADLINE: Duration = Duration::from_secs(30);

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("an answer before the deadline")
}

struct Bench {
    directory: TempDir,
    sync: TestSync,
    store: Arc<VolumeStore>,
}

fn bench(options: &VolumeOptions) -> Bench {
    let directory = TempDir::new().unwrap();
    let sync = TestSync::default();
    let store = VolumeStore::open_with(directory.path(), options, Box::new(sync.clone())).unwrap();
    Bench { directory, sync, store: Arc::new(store) }
}

/// Nothing is answered from memory.
fn uncached() -> VolumeOptions {
    VolumeOptions { cache_bytes: 0, ..VolumeOptions::default() }
}

fn document() -> Key {
    Key::default_run_store()
}

fn namespace() -> NamespaceKey {
    NamespaceKey::shared(&Name::parse(NameKind::Namespace, "cart").unwrap())
}

fn patch(value: &'static str) -> Patch {
    let key = MemberKey::new("k").unwrap();
    Patch { operations: vec![Operation::Set { key, value: value.into() }], ..Patch::default() }
}

fn temporary_files(bench: &Bench) -> usize {
    bench.directory.path().join(".stowage/tmp").read_dir().unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_see_a_write_before_it_is_durable() {
    let bench = bench(&VolumeOptions::default());
    let store = &bench.store;
    let before = store.put(&document(), "1".into(), Preconditions::none()).await.unwrap();

    let (announced, release) = bench.sync.hold_directory();
    let writer = Arc::clone(store);
    let write =
        tokio::spawn(
            async move { writer.put(&document(), "2".into(), Preconditions::none()).await },
        );
    tokio::task::spawn_blocking(move || announced.recv_timeout(DEADLINE)).await.unwrap().unwrap();
    let on_disk = std::fs::read(bench.directory.path().join("run-store.json")).unwrap();
    assert_eq!(on_disk, b"2", "the rename has happened, the sync of the directory has not");
    let seen = in_time(store.get(&document())).await.unwrap().unwrap();
    assert_eq!(seen.tag, before.tag, "memory answers with what is durable");

    release.send(()).unwrap();
    let after = in_time(write).await.unwrap().unwrap();
    let seen = in_time(store.get(&document())).await.unwrap().unwrap();
    assert_eq!(seen.tag, after.tag);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_the_disk_wait_until_a_write_is_durable() {
    for fate in [Fate::Works, Fate::Fails, Fate::Panics] {
        let bench = bench(&uncached());
        let store = &bench.store;
        store.put(&document(), "1".into(), Preconditions::none()).await.unwrap();

        let (announced, release) = bench.sync.hold_directory();
        bench.sync.decide_on_directories(fate);
        let writer = Arc::clone(store);
        let write = tokio::spawn(async move {
            writer.put(&document(), "2".into(), Preconditions::none()).await
        });
        let announced = move || announced.recv_timeout(DEADLINE);
        tokio::task::spawn_blocking(announced).await.unwrap().unwrap();
        let reader = Arc::clone(store);
        let mut read = tokio::spawn(async move { reader.get(&document()).await });
        let lister = Arc::clone(store);
        let prefix = crate::Prefix::run_stores();
        let mut list = tokio::spawn(async move { lister.list(&prefix, None, 10).await });
        // Long enough for a reader that does not wait to give itself away.
        let moment = Duration::from_millis(50);
        let early = tokio::time::timeout(moment, &mut read).await;
        assert!(early.is_err(), "a read came back before the sync: {early:?}");
        let early = tokio::time::timeout(moment, &mut list).await;
        assert!(early.is_err(), "a list came back before the sync: {early:?}");

        release.send(()).unwrap();
        let written = in_time(write).await.unwrap();
        let read = in_time(read).await.unwrap();
        let list = in_time(list).await.unwrap();
        if fate == Fate::Works {
            written.unwrap();
            assert_eq!(&read.unwrap().unwrap().body[..], b"2");
        } else {
            assert!(matches!(written, Err(StoreError::Indeterminate { .. })), "{written:?}");
            assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{fate:?}: {read:?}");
            assert!(matches!(list, Err(StoreError::Unavailable { .. })), "{fate:?}: {list:?}");
        }
    }
}

#[tokio::test]
async fn a_panic_in_a_decision_is_its_callers() {
    let bench = bench(&VolumeOptions::default());
    let store = Arc::clone(&bench.store);
    let update = tokio::spawn(async move {
        store.update(&document(), Preconditions::none(), Box::new(|_| panic!("planted"))).await
    });
    assert!(in_time(update).await.unwrap_err().is_panic(), "the caller's task panics");

    let edit = Box::new(|_: Option<&crate::Object>| Change::Put("1".into()));
    let updated = bench.store.update(&document(), Preconditions::none(), edit).await.unwrap();
    assert!(updated.before.is_none() && updated.after.is_some(), "the writer goes on: {updated:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_what_is_queued_and_refuses_the_rest() {
    let bench = bench(&VolumeOptions { queue_length: 2, ..VolumeOptions::default() });
    let (announced, release) = bench.sync.hold_directory();
    let writes: Vec<_> = (0..8)
        .map(|i| {
            let store = Arc::clone(&bench.store);
            tokio::spawn(async move {
                store.put(&document(), format!("{i}").into(), Preconditions::none()).await
            })
        })
        .collect();
    tokio::task::spawn_blocking(move || announced.recv_timeout(DEADLINE)).await.unwrap().unwrap();
    let closing: Vec<_> = (0..2)
        .map(|_| {
            let store = Arc::clone(&bench.store);
            tokio::spawn(async move { store.shutdown().await })
        })
        .collect();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while bench.store.committed.available().is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "the shutdown begins");
        tokio::task::yield_now().await;
    }
    assert!(closing.iter().all(|task| !task.is_finished()), "a write is still under way");
    release.send(()).unwrap();
    for task in closing {
        in_time(task).await.unwrap();
    }

    let mut acknowledged = 0;
    for write in writes {
        match in_time(write).await.unwrap() {
            Ok(_) => acknowledged += 1,
            Err(StoreError::Unavailable { reason }) => assert_eq!(reason, "it is shutting down"),
            Err(other) => panic!("expected that it is unavailable, got {other}"),
        }
    }
    assert!(acknowledged >= 1, "the write under way is finished");
    let store = VolumeStore::open(bench.directory.path(), &VolumeOptions::default());
    store.expect("the lock is free once a shutdown has returned");
}
