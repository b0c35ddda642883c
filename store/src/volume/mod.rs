//! A store in a directory: one readable file for each document, namespace and archive, and a
//! journal.
//!
//! The tree is that of [`crate::key`], and beside it the store's own directory:
//! ```text
//! .stowage/lock      locked while the store is open; names the process
//! .stowage/format    the format's version: 5
//! .stowage/journal/  what was acknowledged and may not be in the tree yet, see [`crate::journal`]
//! .stowage/reserve*  room for emptying a full volume
//! .stowage/history/  versions before the current ones
//! .stowage/tmp/      files that are being written; emptied at the start
//! .stowage/snapshot  what a restored directory was restored from
//! ```
//! A document is its bytes, and so is an archive. A namespace is `{"version":"<n>","snapshot":{…}}`.
//!
//! # How a write goes
//! It is decided under a lock, on what was decided last at its path (`decide`), gets its place in
//! the journal, and waits. One thread takes all that waits, writes it in one piece, syncs it once,
//! and only then makes it visible and answers (`commit`). Another brings the tree up to date
//! behind it, and frees what the journal does not need any more (`checkpoint`). A third makes the
//! journal's segments ahead of their use (`allocate`). A start reads the journal and finds out
//! what the tree is missing (`recover`).
//!
//! Readers get what is durable, and nothing that a power cut could take back: from a bounded
//! memory, from what is not in the tree yet, or from the tree (`read`).
//!
//! A write or a sync that fails leaves it unknown what is durable: writes that were under way get
//! [`StoreError::Indeterminate`]. The store then takes no more work, [`Store::failed`] says why,
//! and the process is to exit: a restart finds out. A volume that is full is no such failure.
//! Room is taken only when a segment or a temporary file is made, and a part of the last segment
//! is kept for writes that make room.
//!
//! # Archives
//! They bypass the journal: a temporary file that is made durable, renamed, and its name made
//! durable (`archive`). They leave room on the volume for what the journal makes ahead.
//!
//! # Revisions
//! A document's revision is the modification time that its file has or will have, see
//! [`crate::revision`], and so is an archive's. They grow with every write, over restarts too: the
//! journal keeps the last.
//!
//! What other programs change in the tree while the store is open is seen after its restart. After
//! a crash, a document's file that is later than its last record in the journal is taken for such
//! a change, and served.

mod allocate;
mod archive;
mod cache;
mod checkpoint;
mod commit;
mod contention;
mod decide;
mod delete_job;
mod engine;
mod expire;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod history;
mod inspect;
mod lock;
mod lone;
mod names;
mod namespace_file;
mod open;
mod pin;
mod read;
mod recover;
mod restore;
mod rounds;
mod save;
pub mod snapshot;
mod stage;
mod state;
mod tell;
mod tree;
mod watched;
mod worth;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use self::cache::Entry;
use self::engine::{DEFECT, Engine};
pub use self::inspect::{Cut, InspectError, JournalDamage, Report, repair, verify};
use self::lock::DirectoryLock;
pub use self::open::{FORMAT_FILE, OpenError, RESTORING};
pub use self::pin::{GivenUp, Pin};
pub use self::restore::{MANIFEST, Restore, RestoreError};
pub use self::tree::FILE_BYTES_MAX as DOCUMENT_BYTES_MAX;
use crate::disk::{Disk, OsDisk};
use crate::{
    Archive, ArchiveInfo, ArchiveKey, BackendKind, Capacity, Changes, Edit, EntityTag, Folder,
    HISTORY_MAX, Kept, Key, Name, Namespace, NamespaceKey, Object, Patch, Patched, Preconditions,
    Prefix, Put, RemovedJob, Result, Segment, Stats, Store, StoreError, Updated, Upload, Version,
    WallClock,
};

/// How a [`VolumeStore`] uses the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeOptions {
    /// The most memory for documents and namespaces that are read again, in bytes. A store may
    /// be larger.
    pub cache_bytes: u64,
    /// The length of a segment of the journal, in bytes. On a small volume it is shorter; for a
    /// record that does not fit, longer.
    pub segment_bytes: u64,
    /// The most room that the journal takes, in bytes. The longer it may be, the seldomer a
    /// document is written to the tree that changes often, and the longer a start may take.
    pub journal_bytes: u64,
    /// The most memory for what is not in the tree yet, in bytes. Writes then wait for it.
    pub dirty_bytes: u64,
    /// The most room that the journal takes beyond that while a snapshot is taken, in bytes; the
    /// snapshot is given up then.
    pub snapshot_bytes: u64,
    /// A snapshot is given up rather than that less room than this is left on the volume, in
    /// bytes.
    pub room_bytes: u64,
    /// The most memory for changes that are kept for those who watch, in bytes.
    pub watch_bytes: u64,
    /// How many versions of each namespace and document are kept, the current one included; 0 for no
    /// history. At most [`HISTORY_MAX`](crate::HISTORY_MAX).
    pub history: usize,
    /// The clock by which keys of namespaces are over.
    pub clock: WallClock,
    /// For how long a small document may be missing in the tree.
    pub checkpoint_after: Duration,
    /// The length of the pieces in which an archive is written, in bytes. An upload holds two of
    /// them in memory. Only multiples of [`crate::disk::DIRECT_BYTES`] go past the page cache.
    pub archive_piece_bytes: usize,
    /// A write that comes alone blocks its caller until it is synced, where the last sync took no
    /// longer than this: the shortest way, where the caller's runtime has other threads. Zero for
    /// never.
    pub lone_sync_max: Duration,
}

impl Default for VolumeOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            segment_bytes: 16 << 20,
            journal_bytes: 256 << 20,
            dirty_bytes: 64 << 20,
            snapshot_bytes: 1 << 30,
            room_bytes: 256 << 20,
            watch_bytes: 32 << 20,
            history: 0,
            clock: WallClock::System,
            checkpoint_after: Duration::from_secs(1),
            archive_piece_bytes: 1 << 20,
            lone_sync_max: Duration::ZERO,
        }
    }
}

/// The shortest segment, in bytes.
const SEGMENT_BYTES_MIN: u64 = 32 << 10;

impl VolumeOptions {
    /// These options on a volume of so many bytes: the journal takes an eighth of it at most, and
    /// as much again while a snapshot is taken.
    fn fitting(&self, volume: u64) -> Self {
        let segment = self.segment_bytes.min(volume / 128).max(SEGMENT_BYTES_MIN);
        // Whole blocks of the file systems in use.
        let segment_bytes = segment.next_multiple_of(4096);
        let journal_bytes = self.journal_bytes.min(volume / 8).max(4 * segment_bytes);
        let snapshot_bytes = self.snapshot_bytes.min(volume / 8);
        let room_bytes = self.room_bytes.min(volume / 32);
        let history = self.history.min(HISTORY_MAX);
        Self { segment_bytes, journal_bytes, snapshot_bytes, room_bytes, history, ..self.clone() }
    }

    /// The room on the volume that archives leave free, in bytes: that of the segments which are
    /// made ahead.
    fn room_for_journal(&self) -> u64 {
        self.segment_bytes * state::SPARES as u64
    }
}

/// What one of the threads does until the store ends.
type Work = fn(&Arc<Engine>);

/// A store in a directory. See the [module](self) for what it promises.
///
/// Its methods must be called on a Tokio runtime. Dropping it finishes the writes under way, as
/// [`Store::shutdown`] does, and blocks for that long.
#[derive(Debug)]
pub struct VolumeStore {
    engine: Arc<Engine>,
    threads: Vec<JoinHandle<()>>,
    /// Closed once the last thread has ended.
    ended: watch::Receiver<()>,
}

impl VolumeStore {
    /// Opens a directory, and makes it where its parent exists. Blocks.
    ///
    /// # Errors
    /// [`OpenError`], each variant a sentence that says what to do.
    pub fn open(path: &Path, options: &VolumeOptions) -> Result<Self, OpenError> {
        let lock = open::lock(path)?;
        let disk = OsDisk::open(path).map_err(|error| OpenError::from_io(path, error))?;
        Self::start(Arc::new(disk), path, options, Some(lock))
    }

    /// Opens a disk that nobody else uses. Blocks.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_on(disk: Arc<dyn Disk>, options: &VolumeOptions) -> Result<Self, OpenError> {
        Self::start(disk, Path::new("the disk"), options, None)
    }

    fn start(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: &VolumeOptions,
        lock: Option<DirectoryLock>,
    ) -> Result<Self, OpenError> {
        let engine = Arc::new(open::open(disk, path, options)?);
        let (end, ended) = watch::channel(());
        // Held until the last of the threads is done with the directory.
        let held = Arc::new((lock, end));
        let works: [(&str, Work); 4] = [
            ("stowage-commit", |engine| commit::run(engine)),
            ("stowage-tree", |engine| checkpoint::run(engine)),
            ("stowage-segment", |engine| allocate::run(engine)),
            ("stowage-expiry", expire::run),
        ];
        let mut store = Self { engine, threads: Vec::new(), ended };
        for (name, work) in works {
            let (engine, held) = (Arc::clone(&store.engine), Arc::clone(&held));
            let run = move || {
                if catch_unwind(AssertUnwindSafe(|| work(&engine))).is_err() {
                    engine.fail(DEFECT.into());
                }
                engine.finish_archives();
                drop(held);
            };
            let thread = thread::Builder::new()
                .name(name.into())
                .spawn(run)
                .map_err(|error| OpenError::from_io(path, error))?;
            store.threads.push(thread);
        }
        Ok(store)
    }
}

impl Drop for VolumeStore {
    fn drop(&mut self) {
        self.engine.close();
        for thread in self.threads.drain(..) {
            // A panic has been told to every caller.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Store for VolumeStore {
    fn kind(&self) -> BackendKind {
        BackendKind::Local
    }

    async fn get(&self, key: &Key) -> Result<Option<Arc<Object>>> {
        match self.engine.read(key.as_str()).await? {
            Entry::Document(document) => Ok(document),
            Entry::Namespace(_) => Err(StoreError::Unavailable { reason: DEFECT.into() }),
        }
    }

    async fn put_by(
        &self,
        key: &Key,
        body: Bytes,
        preconditions: Preconditions,
        author: Option<Arc<str>>,
    ) -> Result<Put> {
        self.engine.put(key, body, &preconditions, author).await
    }

    async fn update_by(
        &self,
        key: &Key,
        preconditions: Preconditions,
        edit: Edit,
        author: Option<Arc<str>>,
    ) -> Result<Updated> {
        self.engine.update(key, &preconditions, edit, author).await
    }

    async fn delete(&self, key: &Key, preconditions: Preconditions) -> Result<Option<EntityTag>> {
        self.engine.delete(key, &preconditions).await
    }

    async fn delete_job(
        &self,
        job: &Segment,
        preconditions: Preconditions,
    ) -> Result<Option<RemovedJob>> {
        self.engine.delete_job(job, preconditions).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.engine.available()?;
        let (prefix, after) = (prefix.clone(), after.cloned());
        blocking(&self.engine, move |engine| engine.list(&prefix, after.as_ref(), limit)).await
    }

    async fn directories(
        &self,
        folder: &Folder,
        after: Option<&Segment>,
        limit: usize,
    ) -> Result<Vec<Segment>> {
        self.engine.available()?;
        let (folder, after) = (folder.clone(), after.cloned());
        let list = move |engine: &Arc<Engine>| engine.directories(&folder, after.as_ref(), limit);
        blocking(&self.engine, list).await
    }

    async fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>> {
        match self.engine.read(key.as_str()).await? {
            Entry::Namespace(namespace) => {
                self.engine.without_expired(key.as_str(), namespace).await
            }
            Entry::Document(_) => Err(StoreError::Unavailable { reason: DEFECT.into() }),
        }
    }

    async fn patch(&self, key: &NamespaceKey, patch: Patch) -> Result<Patched> {
        self.engine.patch(key, &patch).await
    }

    fn history_length(&self) -> usize {
        self.engine.options.history
    }

    async fn history(&self, key: &Key) -> Result<Vec<Version>> {
        self.engine.history(key).await
    }

    async fn version(&self, key: &Key, version: &Version) -> Result<Option<Arc<Object>>> {
        self.engine.version(key, version).await
    }

    async fn namespace_history(&self, key: &NamespaceKey) -> Result<Vec<Version>> {
        self.engine.namespace_history(key).await
    }

    async fn namespace_version(
        &self,
        key: &NamespaceKey,
        version: u64,
    ) -> Result<Option<Arc<Namespace>>> {
        self.engine.namespace_version(key, version).await
    }

    async fn namespace_changes(
        &self,
        key: &NamespaceKey,
        after: u64,
        up_to: u64,
        bytes: u64,
    ) -> Result<Option<Vec<Kept>>> {
        self.engine.namespace_changes(key, (after, up_to), bytes).await
    }

    async fn watch(&self, key: &Key) -> Result<(Option<Arc<Object>>, Changes)> {
        match self.engine.watch(key.as_str()).await? {
            (Entry::Document(document), changes) => Ok((document, changes)),
            (Entry::Namespace(_), _) => Err(StoreError::Unavailable { reason: DEFECT.into() }),
        }
    }

    async fn watch_namespace(&self, key: &NamespaceKey) -> Result<(Arc<Namespace>, Changes)> {
        loop {
            let (entry, changes) = self.engine.watch(key.as_str()).await?;
            let Entry::Namespace(namespace) = entry else {
                return Err(StoreError::Unavailable { reason: DEFECT.into() });
            };
            if !namespace.is_due(&self.engine.options.clock) {
                return Ok((namespace, changes));
            }
            self.engine.without_expired(key.as_str(), namespace).await?;
        }
    }

    async fn upload(&self, key: &ArchiveKey) -> Result<Box<dyn Upload>> {
        archive::begin(&self.engine, key).await
    }

    async fn archive(&self, key: &ArchiveKey) -> Result<Option<Archive>> {
        self.engine.archive(key).await
    }

    async fn delete_archive(
        &self,
        key: &ArchiveKey,
        preconditions: Preconditions,
    ) -> Result<Option<EntityTag>> {
        self.engine.delete_archive(key, preconditions).await
    }

    async fn archives(
        &self,
        site: &Name,
        after: Option<&ArchiveKey>,
        limit: usize,
    ) -> Result<Vec<(ArchiveKey, ArchiveInfo)>> {
        self.engine.archives(site, after, limit).await
    }

    async fn check(&self) -> Result<()> {
        self.engine.check().await
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.engine.stats())
    }

    async fn capacity(&self) -> Result<Option<Capacity>> {
        self.engine.capacity().await
    }

    async fn failed(&self) -> StoreError {
        let mut status = self.engine.status.subscribe();
        loop {
            if let Some(error) = status.borrow_and_update().failure() {
                return error;
            }
            if status.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn shutdown(&self) {
        self.engine.close();
        // Nothing is ever sent: it ends when the threads do.
        let _ = self.ended.clone().changed().await;
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    engine: &Arc<Engine>,
    work: impl FnOnce(&Arc<Engine>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let engine = Arc::clone(engine);
    match tokio::task::spawn_blocking(move || work(&engine)).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => Err(StoreError::Unavailable { reason: "it is shutting down".into() }),
    }
}
