//! A store in memory that can be made to fail, panic, or wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use stowage_store::{
    Archive, ArchiveInfo, ArchiveKey, BackendKind, Changes, Edit, EntityTag, Folder, Kept, Key,
    MemoryStore, Name, Namespace, NamespaceKey, Object, Patch, Patched, Preconditions, Prefix, Put,
    RemovedJob, Result, Segment, Store, StoreError, Updated, Upload, Version,
};
use tokio::sync::{Notify, Semaphore};

/// A real store, with switches.
pub(crate) struct Failing {
    inner: MemoryStore,
    /// How often it was looked at.
    pub(crate) checks: AtomicUsize,
    /// Whether a look finds something in the way.
    pub(crate) unready: AtomicBool,
    /// Whether a write is applied and then answered as if its sync had failed.
    pub(crate) forgets: AtomicBool,
    /// Whether reading a document panics.
    pub(crate) panics: AtomicBool,
    /// Whether it was shut down.
    pub(crate) closed: AtomicBool,
    /// Makes it fail for good.
    pub(crate) fail: Notify,
    /// Each PUT of a document takes one permit; there are more than enough at first.
    pub(crate) gate: Arc<Semaphore>,
    /// Whether the next edit of a document is held until [`Self::goes_on`].
    pub(crate) holds: AtomicBool,
    /// Lets the edit that is held go on.
    pub(crate) goes_on: Notify,
    /// How many PUTs have come so far.
    pub(crate) puts: AtomicUsize,
}

impl Default for Failing {
    fn default() -> Self {
        Self {
            inner: MemoryStore::new(),
            checks: AtomicUsize::new(0),
            unready: AtomicBool::new(false),
            forgets: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            fail: Notify::new(),
            gate: Arc::new(Semaphore::new(1_000_000)),
            holds: AtomicBool::new(false),
            goes_on: Notify::new(),
            puts: AtomicUsize::new(0),
        }
    }
}

impl Failing {
    /// One whose PUTs wait until the gate gets permits.
    pub(crate) fn gated() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::default() }
    }

    /// The answer to a write that was applied.
    fn written<T>(&self, answer: T) -> Result<T> {
        if self.forgets.load(Ordering::Relaxed) {
            return Err(StoreError::Indeterminate { reason: "/srv did not sync".into() });
        }
        Ok(answer)
    }
}

#[async_trait]
impl Store for Failing {
    fn kind(&self) -> BackendKind {
        self.inner.kind()
    }

    async fn get(&self, key: &Key) -> Result<Option<Arc<Object>>> {
        assert!(!self.panics.load(Ordering::Relaxed), "the test wants it to panic");
        self.inner.get(key).await
    }

    async fn put_by(
        &self,
        key: &Key,
        body: Bytes,
        preconditions: Preconditions,
        author: Option<Arc<str>>,
    ) -> Result<Put> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.gate.acquire().await.expect("an open gate").forget();
        self.written(self.inner.put_by(key, body, preconditions, author).await?)
    }

    async fn update_by(
        &self,
        key: &Key,
        preconditions: Preconditions,
        edit: Edit,
        author: Option<Arc<str>>,
    ) -> Result<Updated> {
        if self.holds.swap(false, Ordering::Relaxed) {
            self.goes_on.notified().await;
        }
        self.written(self.inner.update_by(key, preconditions, edit, author).await?)
    }

    fn history_length(&self) -> usize {
        self.inner.history_length()
    }

    async fn history(&self, key: &Key) -> Result<Vec<Version>> {
        self.inner.history(key).await
    }

    async fn version(&self, key: &Key, version: &Version) -> Result<Option<Arc<Object>>> {
        self.inner.version(key, version).await
    }

    async fn namespace_history(&self, key: &NamespaceKey) -> Result<Vec<Version>> {
        self.inner.namespace_history(key).await
    }

    async fn namespace_version(
        &self,
        key: &NamespaceKey,
        version: u64,
    ) -> Result<Option<Arc<Namespace>>> {
        self.inner.namespace_version(key, version).await
    }

    async fn namespace_changes(
        &self,
        key: &NamespaceKey,
        after: u64,
        up_to: u64,
        bytes: u64,
    ) -> Result<Option<Vec<Kept>>> {
        let changes = self.inner.namespace_changes(key, after, up_to, bytes);
        changes.await
    }

    async fn delete(&self, key: &Key, preconditions: Preconditions) -> Result<Option<EntityTag>> {
        self.written(self.inner.delete(key, preconditions).await?)
    }

    async fn delete_job(
        &self,
        job: &Segment,
        preconditions: Preconditions,
    ) -> Result<Option<RemovedJob>> {
        self.written(self.inner.delete_job(job, preconditions).await?)
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(prefix, after, limit).await
    }

    async fn directories(
        &self,
        folder: &Folder,
        after: Option<&Segment>,
        limit: usize,
    ) -> Result<Vec<Segment>> {
        self.inner.directories(folder, after, limit).await
    }

    async fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>> {
        self.inner.namespace(key).await
    }

    async fn patch(&self, key: &NamespaceKey, patch: Patch) -> Result<Patched> {
        self.written(self.inner.patch(key, patch).await?)
    }

    async fn watch(&self, key: &Key) -> Result<(Option<Arc<Object>>, Changes)> {
        self.inner.watch(key).await
    }

    async fn watch_namespace(&self, key: &NamespaceKey) -> Result<(Arc<Namespace>, Changes)> {
        self.inner.watch_namespace(key).await
    }

    async fn upload(&self, key: &ArchiveKey) -> Result<Box<dyn Upload>> {
        let inner = self.inner.upload(key).await?;
        let forgets = self.forgets.load(Ordering::Relaxed);
        Ok(if forgets { Box::new(Forgetful(inner)) } else { inner })
    }

    async fn archive(&self, key: &ArchiveKey) -> Result<Option<Archive>> {
        self.inner.archive(key).await
    }

    async fn delete_archive(
        &self,
        key: &ArchiveKey,
        preconditions: Preconditions,
    ) -> Result<Option<EntityTag>> {
        self.written(self.inner.delete_archive(key, preconditions).await?)
    }

    async fn archives(
        &self,
        site: &Name,
        after: Option<&ArchiveKey>,
        limit: usize,
    ) -> Result<Vec<(ArchiveKey, ArchiveInfo)>> {
        self.inner.archives(site, after, limit).await
    }

    async fn check(&self) -> Result<()> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        if self.unready.load(Ordering::Relaxed) {
            let source = std::io::Error::other("/srv is not mounted");
            return Err(StoreError::Io(source));
        }
        self.inner.check().await
    }

    async fn failed(&self) -> StoreError {
        self.fail.notified().await;
        StoreError::Unavailable { reason: "the disk is gone".into() }
    }

    async fn shutdown(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.inner.shutdown().await;
    }
}

/// An upload that is published and then answered as if its sync had failed.
struct Forgetful(Box<dyn Upload>);

#[async_trait]
impl Upload for Forgetful {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.write(bytes).await
    }

    async fn publish(self: Box<Self>, preconditions: Preconditions) -> Result<Put> {
        self.0.publish(preconditions).await?;
        Err(StoreError::Indeterminate { reason: "/srv did not sync".into() })
    }
}
