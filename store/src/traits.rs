//! The trait that every backend implements.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::namespace::{Namespace, Operation};
use crate::{
    Archive, ArchiveInfo, ArchiveKey, Capacity, Changes, EntityTag, Folder, Kept, Key, Name,
    NamespaceKey, Preconditions, Prefix, Result, Segment, Stats, StoreError, Upload, Version,
};

/// A document as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The bytes, exactly as they were put.
    pub body: Bytes,
    /// The tag of this very write; another write of equal bytes has another one.
    pub tag: EntityTag,
    /// When it was written.
    pub modified: Timestamp,
}

/// What a [`Store::put`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The tag of what now stands there.
    pub tag: EntityTag,
    /// Whether nothing stood there before.
    pub created: bool,
    /// The tag of what this very write replaced; `None` where it created.
    pub replaced: Option<EntityTag>,
}

/// What a [`Store::delete_job`] removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedJob {
    /// The tag of the job's own document; `None` where it had none, or none that can be read.
    pub tag: Option<EntityTag>,
}

/// What an [`Edit`] decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Leave everything as it is; nothing is written.
    Keep,
    /// Replace the document, or create it.
    Put(Bytes),
    /// Remove the document.
    Delete,
}

/// Decides what becomes of a document. It may run more than once (a backend may retry a lost
/// race), so it must depend on its argument alone; it runs while no other write to the key does.
pub type Edit = Box<dyn FnMut(Option<&Object>) -> Change + Send>;

/// What a [`Store::update`] saw and left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The document that the decision was taken on.
    pub before: Option<Arc<Object>>,
    /// The document that now stands there; the same as `before` after [`Change::Keep`].
    pub after: Option<Arc<Object>>,
}

/// A change to a namespace: all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// Evaluated against the namespace's version; an untouched namespace stands at version 0.
    pub preconditions: Preconditions,
    /// Applied in order.
    pub operations: Vec<Operation>,
    /// The most bytes that the encoded snapshot may have afterwards; a patch that does not
    /// make it larger is let through even above that.
    pub max_bytes: Option<u64>,
    /// The most keys that the namespace may hold afterwards; the same exception holds.
    pub max_keys: Option<u64>,
    /// Who sends it, for the history.
    pub author: Option<Arc<str>>,
    /// Whether no version before the one that it makes can be read any more.
    pub forgets_history: bool,
}

/// What a [`Store::patch`] did.
#[derive(Debug, Clone)]
pub struct Patched {
    /// The namespace as this patch left it.
    pub namespace: Arc<Namespace>,
    /// Whether the namespace stood at version 0 before.
    pub created: bool,
}

impl Patched {
    /// The tag of what this very patch replaced: a version grows by exactly one.
    #[must_use]
    pub fn replaced(&self) -> EntityTag {
        EntityTag::from_version(self.namespace.version().saturating_sub(1))
    }
}

/// Where the bytes end up, as `X-Storage-Backend` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// A directory, or memory.
    Local,
}

impl BackendKind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
        }
    }
}

/// Durable documents, namespaces and archives under conditional writes.
///
/// Every method may be called by any number of tasks at once. A write that returns `Ok` is
/// applied as a whole, visible to every later read, and on stable storage. One that returns
/// [`StoreError::Indeterminate`] may or may not have been applied, as a whole; one that returns
/// any other error was not. Of two writes that demand the same state, exactly one succeeds.
/// Dropping a write's future does not undo it: the write may or may not be applied, as a whole.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What `X-Storage-Backend` says.
    fn kind(&self) -> BackendKind;

    /// The document at a key, `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Io`], [`StoreError::Unavailable`].
    async fn get(&self, key: &Key) -> Result<Option<Arc<Object>>>;

    /// Replaces the document at a key, or creates it, if the preconditions hold. The history tells
    /// who did.
    ///
    /// # Errors
    /// Every variant but [`StoreError::QuotaExceeded`].
    async fn put_by(
        &self,
        key: &Key,
        body: Bytes,
        preconditions: Preconditions,
        author: Option<Arc<str>>,
    ) -> Result<Put>;

    /// [`Self::put_by`] nobody who is known.
    ///
    /// # Errors
    /// As there.
    async fn put(&self, key: &Key, body: Bytes, preconditions: Preconditions) -> Result<Put> {
        self.put_by(key, body, preconditions, None).await
    }

    /// Reads, decides and writes with no other write to the key in between. The history tells who
    /// did.
    ///
    /// # Errors
    /// Every variant but [`StoreError::QuotaExceeded`].
    async fn update_by(
        &self,
        key: &Key,
        preconditions: Preconditions,
        edit: Edit,
        author: Option<Arc<str>>,
    ) -> Result<Updated>;

    /// [`Self::update_by`] nobody who is known.
    ///
    /// # Errors
    /// As there.
    async fn update(&self, key: &Key, preconditions: Preconditions, edit: Edit) -> Result<Updated> {
        self.update_by(key, preconditions, edit, None).await
    }

    /// Removes the document at a key if the preconditions hold, and its history; gives the tag of
    /// what it removed, `None` where there was nothing.
    /// Where there is none, the preconditions are not evaluated (RFC 9110 §13.2.1: the answer
    /// would be neither 2xx nor 412).
    ///
    /// # Errors
    /// Every variant but [`StoreError::QuotaExceeded`] and [`StoreError::OutOfSpace`].
    async fn delete(&self, key: &Key, preconditions: Preconditions) -> Result<Option<EntityTag>>;

    /// Removes every document of a job at once if the preconditions hold for the job itself,
    /// [`Key::job`]; `None` where there was none, and then the preconditions are not evaluated, as
    /// for [`Self::delete`]. What is put afterwards stays.
    ///
    /// # Errors
    /// Every variant but [`StoreError::QuotaExceeded`] and [`StoreError::OutOfSpace`].
    async fn delete_job(
        &self,
        job: &Segment,
        preconditions: Preconditions,
    ) -> Result<Option<RemovedJob>>;

    /// The keys of documents below a prefix, in byte order, at most `limit`, those after
    /// `after` only.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Unavailable`].
    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>>;

    /// The directories right in a folder that hold documents, in byte order of the paths that lead
    /// through them, at most `limit`, those after `after` only. One whose documents were deleted
    /// may be among them. What is below the directories does not matter to the cost.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Unavailable`].
    async fn directories(
        &self,
        folder: &Folder,
        after: Option<&Segment>,
        limit: usize,
    ) -> Result<Vec<Segment>>;

    /// The namespace at a key; one that was never written is empty, at version 0.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Io`], [`StoreError::Unavailable`].
    async fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>>;

    /// Applies a patch to a namespace; its version grows by exactly one.
    ///
    /// # Errors
    /// Every variant; [`StoreError::PreconditionFailed`] always carries the current tag.
    async fn patch(&self, key: &NamespaceKey, patch: Patch) -> Result<Patched>;

    /// How many versions of each namespace and document are kept, the current one included; 0 where
    /// there is no history.
    fn history_length(&self) -> usize;

    /// The versions of a document that can be read, the last first: the current one, and those
    /// before that are kept. Empty where there is no document, or no history.
    ///
    /// # Errors
    /// As for [`Self::get`].
    async fn history(&self, key: &Key) -> Result<Vec<Version>>;

    /// A version of a document that its [`Self::history`] named; `None` once it is not kept any
    /// more.
    ///
    /// # Errors
    /// As for [`Self::get`].
    async fn version(&self, key: &Key, version: &Version) -> Result<Option<Arc<Object>>>;

    /// The versions of a namespace that can be read, the last first: the current one, and those
    /// before that are kept. Empty where nothing was ever written, or where there is no history.
    ///
    /// # Errors
    /// As for [`Self::namespace`].
    async fn namespace_history(&self, key: &NamespaceKey) -> Result<Vec<Version>>;

    /// The namespace as it was at a version, keys included whose time is over since then; `None`
    /// where that is not kept, or was never reached.
    ///
    /// # Errors
    /// As for [`Self::namespace`].
    async fn namespace_version(
        &self,
        key: &NamespaceKey,
        version: u64,
    ) -> Result<Option<Arc<Namespace>>>;

    /// What led from a version of a namespace to later ones, up to one of them: the first of the
    /// changes, so many bytes of them, but one at least. `None` where they are not all kept.
    ///
    /// # Errors
    /// As for [`Self::namespace`].
    async fn namespace_changes(
        &self,
        key: &NamespaceKey,
        after: u64,
        up_to: u64,
        bytes: u64,
    ) -> Result<Option<Vec<Kept>>>;

    /// The document at a key, and every durable change of it from then on, none missed and none
    /// twice.
    ///
    /// # Errors
    /// As for [`Self::get`].
    async fn watch(&self, key: &Key) -> Result<(Option<Arc<Object>>, Changes)>;

    /// The namespace at a key, and every durable change of it from then on, none missed and none
    /// twice.
    ///
    /// # Errors
    /// As for [`Self::namespace`].
    async fn watch_namespace(&self, key: &NamespaceKey) -> Result<(Arc<Namespace>, Changes)>;

    /// Begins to write an archive. Nothing is to be seen of it until [`Upload::publish`].
    ///
    /// # Errors
    /// [`StoreError::OutOfSpace`], [`StoreError::Io`], [`StoreError::Unavailable`].
    async fn upload(&self, key: &ArchiveKey) -> Result<Box<dyn Upload>>;

    /// The archive at a key, open for reading; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Io`], [`StoreError::Unavailable`].
    async fn archive(&self, key: &ArchiveKey) -> Result<Option<Archive>>;

    /// Removes the archive at a key if the preconditions hold; gives the tag of what it removed,
    /// `None` where there was nothing, and then the preconditions are not evaluated, as for
    /// [`Self::delete`]. Who has it open reads on.
    ///
    /// # Errors
    /// Every variant but [`StoreError::QuotaExceeded`] and [`StoreError::OutOfSpace`].
    async fn delete_archive(
        &self,
        key: &ArchiveKey,
        preconditions: Preconditions,
    ) -> Result<Option<EntityTag>>;

    /// The archives of a site in byte order of their keys, at most `limit`, those after `after`
    /// only. What is published or removed meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Unavailable`].
    async fn archives(
        &self,
        site: &Name,
        after: Option<&ArchiveKey>,
        limit: usize,
    ) -> Result<Vec<(ArchiveKey, ArchiveInfo)>>;

    /// Whether the store can be read and written right now; writes and removes a probe. One that
    /// is full passes: it serves reads and deletes, and a delete is the way out.
    ///
    /// # Errors
    /// What stands in the way; never [`StoreError::Indeterminate`], a probe is no write.
    async fn check(&self) -> Result<()>;

    /// How the engine stands, and what it did so far; `None` where there is nothing to tell. Looks at
    /// what is in memory alone.
    fn stats(&self) -> Option<Stats> {
        None
    }

    /// How full the medium is; `None` where that is not known. It may take as long as the medium does.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    async fn capacity(&self) -> Result<Option<Capacity>> {
        Ok(None)
    }

    /// Waits until the store has failed for good and says why, as the [`StoreError::Unavailable`]
    /// that later operations get; pending as long as it is sound.
    /// The process should then exit: only a restart finds out what is durable.
    async fn failed(&self) -> StoreError;

    /// Finishes the writes under way and takes no more.
    async fn shutdown(&self);
}
