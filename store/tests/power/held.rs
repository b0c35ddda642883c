//! What others get while a name is on its way to the disk: a disk that stops there until it is
//! told to go on.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use stowage_store::disk::{Access, Disk, DiskFile, Kind};
use stowage_store::{
    EntityTag, Preconditions, Put, Result, Store, StoreError, VolumeOptions, VolumeStore,
};
use tokio::task::JoinHandle;

use crate::clients::in_time;
use crate::content::{ARCHIVES, archive_key, body, body_name, document_key, site};
use crate::disk::{SimDisk, Survival};
use crate::places;

const ONE: usize = ARCHIVES.start;
const OTHER: usize = ARCHIVES.start + 1;

/// Where the next sync of the directory stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// The next one stops.
    Armed,
    /// One has stopped.
    Holds,
    /// The one that has stopped goes on, and fails.
    Fails(ErrorKind),
}

#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) disk: SimDisk,
    /// The directory's path ends with it.
    directory: &'static str,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

impl Held {
    pub(crate) fn at(directory: &'static str) -> Self {
        let gate = Arc::new((Mutex::new(Gate::Open), Condvar::new()));
        Self { disk: SimDisk::new(), directory, gate }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, gate: Gate) {
        *self.gate() = gate;
        self.gate.1.notify_all();
    }

    pub(crate) async fn holds(&self) {
        let wait = async {
            while *self.gate() != Gate::Holds {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        in_time("the directory is synced", wait).await;
    }
}

impl Disk for Held {
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(path)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path, access)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        self.disk.make_directory(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.disk.remove_directory(path)
    }

    fn entries(&self, path: &str) -> io::Result<Vec<(String, Kind)>> {
        self.disk.entries(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let mut gate = self.gate();
        if path.ends_with(self.directory) && *gate == Gate::Armed {
            *gate = Gate::Holds;
            while *gate == Gate::Holds {
                gate = self.gate.1.wait(gate).unwrap_or_else(PoisonError::into_inner);
            }
            if let Gate::Fails(kind) = *gate {
                return Err(io::Error::new(kind, "a sync that failed"));
            }
        }
        drop(gate);
        self.disk.sync_directory(path)
    }

    fn sync_everything(&self) -> io::Result<()> {
        self.disk.sync_everything()
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.size()
    }

    fn available(&self) -> io::Result<u64> {
        self.disk.available()
    }
}

/// A store with one archive, whose next change stops half way.
async fn armed() -> (Held, Arc<VolumeStore>, EntityTag) {
    let disk = Held::at("/artifacts");
    let store = VolumeStore::open_on(Arc::new(disk.clone()), &VolumeOptions::default());
    let store = Arc::new(store.expect("a store"));
    let put = places::put(&*store, ONE, body(1), Preconditions::none()).await;
    disk.set(Gate::Armed);
    (disk, store, put.expect("an upload").tag)
}

fn put(store: &Arc<VolumeStore>, write: u64, demand: Preconditions) -> JoinHandle<Result<Put>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { places::put(&*store, ONE, body(write), demand).await })
}

fn delete(store: &Arc<VolumeStore>) -> JoinHandle<Result<bool>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { places::delete(&*store, ONE, Preconditions::none()).await })
}

/// A change of the archive, one way or the other.
fn change(store: &Arc<VolumeStore>, deletes: bool) -> JoinHandle<Result<()>> {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        if deletes {
            delete(&store).await.expect("no panic").map(drop)
        } else {
            put(&store, 2, Preconditions::none()).await.expect("no panic").map(drop)
        }
    })
}

/// What is read and listed is what this write made.
async fn stands(store: &VolumeStore, write: u64, tag: &EntityTag) {
    let read = in_time("a read", places::get(store, ONE)).await.expect("a read");
    assert_eq!(read, Some((body_name(write), tag.opaque().to_owned())));
    let listed = in_time("a list", store.archives(&site(), None, 10)).await.expect("a list");
    let listed: Vec<_> = listed.into_iter().map(|(key, info)| (key, info.tag)).collect();
    assert_eq!(listed, [(archive_key(ONE), tag.clone())]);
}

#[tokio::test]
async fn a_replacement_is_seen_and_decided_on_once_it_is_durable() {
    let (disk, store, old) = armed().await;
    let new = put(&store, 2, Preconditions::matches(&old));
    disk.holds().await;
    stands(&store, 1, &old).await;
    let mut rival = put(&store, 3, Preconditions::matches(&old));
    let other = places::put(&*store, OTHER, body(4), Preconditions::none());
    in_time("another archive does not wait", other).await.expect("an upload");
    places::delete(&*store, OTHER, Preconditions::none()).await.expect("a delete");
    assert!((&mut rival).now_or_never().is_none(), "a rival waits for its turn");
    stands(&store, 1, &old).await;
    disk.set(Gate::Open);
    let new = in_time("it is published", new).await.expect("no panic").expect("an upload").tag;
    match in_time("the rival ends", rival).await.expect("no panic") {
        Err(StoreError::PreconditionFailed { current }) => assert_eq!(current, Some(new.clone())),
        other => panic!("expected a lost race, got {other:?}"),
    }
    stands(&store, 2, &new).await;
    assert_eq!(
        crate::session::temporary_files(&disk.disk),
        Vec::<String>::new(),
        "the loser leaves nothing"
    );
}

#[tokio::test]
async fn a_removal_is_seen_once_it_is_durable() {
    let (disk, store, tag) = armed().await;
    let removed = delete(&store);
    disk.holds().await;
    stands(&store, 1, &tag).await;
    disk.set(Gate::Open);
    assert!(in_time("it is removed", removed).await.expect("no panic").expect("a delete"));
    assert_eq!(places::get(&*store, ONE).await.expect("a read"), None);
    assert!(store.archives(&site(), None, 10).await.expect("a list").is_empty());
}

#[tokio::test]
async fn a_name_that_cannot_be_made_durable_ends_the_service() {
    for deletes in [false, true] {
        let (disk, store, old) = armed().await;
        let change = change(&store, deletes);
        disk.holds().await;
        stands(&store, 1, &old).await;
        let waiting = put(&store, 3, Preconditions::none());
        disk.set(Gate::Fails(ErrorKind::Other));
        let expected = "naming an archive failed (a sync that failed), and only a restart finds \
                        out what is durable";
        match in_time("it fails", change).await.expect("no panic") {
            Err(StoreError::Indeterminate { reason }) => assert_eq!(reason, expected),
            other => panic!("expected that the outcome is unknown, got {other:?}"),
        }
        let failure = in_time("it fails", store.failed()).await;
        assert_eq!(failure.to_string(), format!("the store takes no more work: {expected}"));
        let results = [
            in_time("a waiting upload", waiting).await.expect("no panic").map(drop),
            places::get(&*store, ONE).await.map(drop),
            places::delete(&*store, ONE, Preconditions::none()).await.map(drop),
            places::put(&*store, ONE, body(4), Preconditions::none()).await.map(drop),
            store.archives(&site(), None, 10).await.map(drop),
        ];
        for result in results {
            assert!(matches!(result, Err(StoreError::Unavailable { .. })), "{result:?}");
        }
        in_time("a shutdown", store.shutdown()).await;
    }
}

/// The system tells one of those who sync that it failed, and forgets what was to be written. Who
/// syncs the same directory afterwards hears of nothing.
#[tokio::test]
async fn a_name_is_not_acknowledged_once_another_sync_has_failed() {
    for deletes in [false, true] {
        let (disk, store, _) = armed().await;
        let change = change(&store, deletes);
        disk.holds().await;
        let fail = async {
            loop {
                let next = disk.disk.operations();
                disk.disk.change_faults(|faults| faults.failed_sync = Some(next));
                // Some syncs are those of what is set aside, and may fail.
                if store.put(&document_key(1), body(3), Preconditions::none()).await.is_err() {
                    return store.failed().await;
                }
            }
        };
        let failure = in_time("the store fails", fail).await;
        disk.set(Gate::Open);
        match in_time("it ends", change).await.expect("no panic") {
            Err(StoreError::Indeterminate { reason }) => {
                assert_eq!(failure.to_string(), format!("the store takes no more work: {reason}"));
            }
            other => panic!("expected that the outcome is unknown, got {other:?}"),
        }
        in_time("a shutdown", store.shutdown()).await;
    }
}

/// What others have put into the directory may be lost with it.
#[tokio::test]
async fn a_directory_on_the_way_that_is_full_when_it_is_synced_ends_the_service() {
    let disk = Held::at("/s");
    let store = VolumeStore::open_on(Arc::new(disk.clone()), &VolumeOptions::default());
    let store = Arc::new(store.expect("a store"));
    disk.set(Gate::Armed);
    let first = put(&store, 1, Preconditions::none());
    disk.holds().await;
    disk.set(Gate::Fails(ErrorKind::StorageFull));
    let failure = in_time("the store fails", store.failed()).await.to_string();
    let answer = in_time("the upload ends", first).await.expect("no panic");
    let refused = answer.expect_err("an upload without its directory").to_string();
    assert_eq!(refused, failure);
    in_time("a shutdown", store.shutdown()).await;
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_being_published_and_gives_up_the_rest() {
    let (disk, store, _) = armed().await;
    let mut begun = store.upload(&archive_key(OTHER)).await.expect("an upload");
    begun.write(body(5)).await.expect("a write");
    let new = put(&store, 2, Preconditions::none());
    disk.holds().await;
    let mut shutdown = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.shutdown().await })
    };
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut shutdown).await;
    assert!(waits.is_err(), "a shutdown waits for it");
    let refused = async {
        while begun.write(body(6)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    in_time("an upload is refused", refused).await;
    disk.set(Gate::Open);
    in_time("a shutdown", shutdown).await.expect("no panic");
    in_time("it is published", new).await.expect("no panic").expect("an upload");
    match begun.publish(Preconditions::none()).await {
        Err(StoreError::Unavailable { reason }) => assert_eq!(reason, "it is shutting down"),
        other => panic!("expected that it is refused, got {other:?}"),
    }
    assert_eq!(
        crate::session::temporary_files(&disk.disk),
        Vec::<String>::new(),
        "nothing is left"
    );
    drop(store);
    let store = VolumeStore::open_on(Arc::new(disk), &VolumeOptions::default()).expect("a store");
    let read = places::get(&store, ONE).await.expect("a read").map(|(body, _)| body);
    assert_eq!(read, Some(body_name(2)));
    assert_eq!(places::get(&store, OTHER).await.expect("a read"), None);
}

#[tokio::test]
async fn a_checkpoint_that_outlasts_a_failed_write_leaves_the_journal_alone() {
    for _ in 0..100 {
        match outlast_a_failed_write().await {
            Err(StoreError::Indeterminate { .. }) => return,
            // The write that failed was the confirmation of the one before: once more.
            Err(StoreError::Unavailable { .. }) => {}
            other => panic!("expected a failed write, got {other:?}"),
        }
    }
    panic!("the write that fails is never that of the record");
}

/// Holds a checkpoint in its last sync while the next write to the journal fails; the result of
/// that, once a start has found everything else.
async fn outlast_a_failed_write() -> Result<Put> {
    let disk = Held::at("run-stores");
    let options = || VolumeOptions { checkpoint_after: Duration::ZERO, ..VolumeOptions::default() };
    let store = VolumeStore::open_on(Arc::new(disk.clone()), &options()).expect("a store");
    disk.set(Gate::Armed);
    let (kept, failed) = (document_key(1), document_key(2));
    store.put(&kept, body(1), Preconditions::none()).await.expect("a put");
    disk.holds().await;
    let next = disk.disk.operations();
    disk.disk.change_faults(|faults| faults.failed_write = Some(next));
    let outcome = store.put(&failed, body(2), Preconditions::none()).await;
    disk.set(Gate::Open);
    in_time("a shutdown", store.shutdown()).await;
    drop(store);
    // What was being written is lost, and what came after it would show that it is missing.
    let after = disk.disk.power_cut(Survival::Lost, 0);
    let store = VolumeStore::open_on(Arc::new(after), &options()).expect("the journal is sound");
    let read = store.get(&kept).await.expect("a read").map(|object| object.body.clone());
    assert_eq!(read, Some(body(1)), "what was acknowledged");
    assert_eq!(store.get(&failed).await.expect("a read"), None);
    outcome
}
