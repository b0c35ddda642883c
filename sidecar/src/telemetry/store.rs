//! A store whose work is a part of the traces of those who wait for it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use stowage_store::{
    Archive, ArchiveInfo, ArchiveKey, BackendKind, Capacity, Changes, Edit, EntityTag, Folder,
    Kept, Key, Name, Namespace, NamespaceKey, Object, Patch, Patched, Preconditions, Prefix, Put,
    RemovedJob, Result, Segment, Stats, Store, StoreError, Updated, Upload, Version,
};

use super::request::Step;

/// Passes everything on, and takes the time of what a request waits for.
pub(super) struct Traced {
    inner: Arc<dyn Store>,
}

impl Traced {
    pub(super) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

/// Does some work as a step of the request that waits for it.
async fn step<T>(name: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let step = Step::begin(name);
    let result = work.await;
    if let (Some(mut step), Err(error)) = (step, &result)
        && let Some(word) = word(error)
    {
        step.fails(word);
    }
    result
}

/// What went wrong, in a word; a lost race is what preconditions are for.
fn word(error: &StoreError) -> Option<&'static str> {
    Some(match error {
        StoreError::PreconditionFailed { .. } => return None,
        StoreError::QuotaExceeded { .. } => "quota_exceeded",
        StoreError::OutOfSpace => "out_of_space",
        StoreError::Corrupt { .. } => "damaged",
        StoreError::Unavailable { .. } => "unavailable",
        StoreError::Indeterminate { .. } => "indeterminate",
        StoreError::Io(_) => "io",
    })
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Traced {
    fn kind(&self) -> BackendKind {
        self.inner.kind()
    }

    async fn get(&self, key: &Key) -> Result<Option<Arc<Object>>> {
        step("store.get", self.inner.get(key)).await
    }

    async fn put(&self, key: &Key, body: Bytes, preconditions: Preconditions) -> Result<Put> {
        step("store.put", self.inner.put(key, body, preconditions)).await
    }

    async fn update(&self, key: &Key, preconditions: Preconditions, edit: Edit) -> Result<Updated> {
        step("store.update", self.inner.update(key, preconditions, edit)).await
    }

    async fn put_by(
        &self,
        key: &Key,
        body: Bytes,
        preconditions: Preconditions,
        author: Option<Arc<str>>,
    ) -> Result<Put> {
        step("store.put", self.inner.put_by(key, body, preconditions, author)).await
    }

    async fn update_by(
        &self,
        key: &Key,
        preconditions: Preconditions,
        edit: Edit,
        author: Option<Arc<str>>,
    ) -> Result<Updated> {
        step("store.update", self.inner.update_by(key, preconditions, edit, author)).await
    }

    fn history_length(&self) -> usize {
        self.inner.history_length()
    }

    async fn history(&self, key: &Key) -> Result<Vec<Version>> {
        step("store.history", self.inner.history(key)).await
    }

    async fn version(&self, key: &Key, version: &Version) -> Result<Option<Arc<Object>>> {
        step("store.version", self.inner.version(key, version)).await
    }

    async fn namespace_history(&self, key: &NamespaceKey) -> Result<Vec<Version>> {
        step("store.namespace_history", self.inner.namespace_history(key)).await
    }

    async fn namespace_version(
        &self,
        key: &NamespaceKey,
        version: u64,
    ) -> Result<Option<Arc<Namespace>>> {
        step("store.namespace_version", self.inner.namespace_version(key, version)).await
    }

    async fn namespace_changes(
        &self,
        key: &NamespaceKey,
        after: u64,
        up_to: u64,
        bytes: u64,
    ) -> Result<Option<Vec<Kept>>> {
        let changes = self.inner.namespace_changes(key, after, up_to, bytes);
        step("store.namespace_changes", changes).await
    }

    async fn delete(&self, key: &Key, preconditions: Preconditions) -> Result<Option<EntityTag>> {
        step("store.delete", self.inner.delete(key, preconditions)).await
    }

    async fn delete_job(
        &self,
        job: &Segment,
        preconditions: Preconditions,
    ) -> Result<Option<RemovedJob>> {
        step("store.delete_job", self.inner.delete_job(job, preconditions)).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        step("store.list", self.inner.list(prefix, after, limit)).await
    }

    async fn directories(
        &self,
        folder: &Folder,
        after: Option<&Segment>,
        limit: usize,
    ) -> Result<Vec<Segment>> {
        step("store.directories", self.inner.directories(folder, after, limit)).await
    }

    async fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>> {
        step("store.namespace", self.inner.namespace(key)).await
    }

    async fn patch(&self, key: &NamespaceKey, patch: Patch) -> Result<Patched> {
        step("store.patch", self.inner.patch(key, patch)).await
    }

    async fn watch(&self, key: &Key) -> Result<(Option<Arc<Object>>, Changes)> {
        step("store.watch", self.inner.watch(key)).await
    }

    async fn watch_namespace(&self, key: &NamespaceKey) -> Result<(Arc<Namespace>, Changes)> {
        step("store.watch_namespace", self.inner.watch_namespace(key)).await
    }

    async fn upload(&self, key: &ArchiveKey) -> Result<Box<dyn Upload>> {
        let upload = step("store.upload", self.inner.upload(key)).await?;
        Ok(Box::new(TracedUpload(upload)))
    }

    async fn archive(&self, key: &ArchiveKey) -> Result<Option<Archive>> {
        step("store.archive", self.inner.archive(key)).await
    }

    async fn delete_archive(
        &self,
        key: &ArchiveKey,
        preconditions: Preconditions,
    ) -> Result<Option<EntityTag>> {
        step("store.delete_archive", self.inner.delete_archive(key, preconditions)).await
    }

    async fn archives(
        &self,
        site: &Name,
        after: Option<&ArchiveKey>,
        limit: usize,
    ) -> Result<Vec<(ArchiveKey, ArchiveInfo)>> {
        step("store.archives", self.inner.archives(site, after, limit)).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    fn stats(&self) -> Option<Stats> {
        self.inner.stats()
    }

    async fn capacity(&self) -> Result<Option<Capacity>> {
        self.inner.capacity().await
    }

    async fn failed(&self) -> StoreError {
        self.inner.failed().await
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

/// An upload whose end is a step of its own; what comes before it is the client's time.
struct TracedUpload(Box<dyn Upload>);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Upload for TracedUpload {
    async fn announce(&mut self, length: u64) -> Result<()> {
        self.0.announce(length).await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.write(bytes).await
    }

    async fn publish(self: Box<Self>, preconditions: Preconditions) -> Result<Put> {
        step("store.publish", self.0.publish(preconditions)).await
    }
}
