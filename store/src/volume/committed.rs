//! What is committed, as readers see it: from memory, or from the tree while no change to it is
//! between its rename and the sync of its directory.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use tokio::sync::watch;

use super::cache::{Cache, Entry};
use super::namespace_file;
use super::revision::Revision;
use super::tree::{Tree, Visit};
use crate::{Key, Namespace, NamespaceKey, Object, Prefix, Result, StoreError};

/// What happened where a panic ended a change.
pub(super) const DEFECT: &str = "the writer has stopped because of a defect";

/// Whether the store answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    /// It was told to shut down.
    Closed,
    /// It cannot say any more what is durable, and why.
    Failed(String),
}

impl Status {
    /// The error that an operation gets in this state.
    pub(super) fn error(&self) -> Option<StoreError> {
        let reason = match self {
            Self::Open => return None,
            Self::Closed => "it is shutting down".to_owned(),
            Self::Failed(reason) => reason.clone(),
        };
        Some(StoreError::Unavailable { reason })
    }

    /// The error, if the store has failed.
    pub(super) fn failure(&self) -> Option<StoreError> {
        matches!(self, Self::Failed(_)).then(|| self.error()).flatten()
    }
}

/// Paths share locks, so that there is a bounded number of them.
const LOCKS: usize = 64;

/// The committed state. Only the writer changes it; everybody reads it.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) tree: Tree,
    pub(super) status: watch::Sender<Status>,
    cache: Cache,
    locks: [RwLock<()>; LOCKS],
    hasher: RandomState,
}

impl Committed {
    pub(super) fn new(tree: Tree, cache_bytes: u64) -> Self {
        Self {
            tree,
            status: watch::Sender::new(Status::Open),
            cache: Cache::new(cache_bytes),
            locks: std::array::from_fn(|_| RwLock::new(())),
            hasher: RandomState::new(),
        }
    }

    fn lock_of(&self, path: &str) -> &RwLock<()> {
        let hash = self.hasher.hash_one(path);
        // The remainder is below LOCKS, so the cast loses nothing.
        &self.locks[(hash % LOCKS as u64) as usize]
    }

    /// Keeps readers away from what stands at a path, or on the disk at it, for the time
    /// between a rename and the sync of its directory.
    pub(super) fn exclude_readers(&self, path: &str) -> RwLockWriteGuard<'_, ()> {
        self.lock_of(path).write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses where a panic ended a change: what it left may not be durable.
    fn exclude_changes(lock: &RwLock<()>) -> Result<RwLockReadGuard<'_, ()>> {
        lock.read().map_err(|_| StoreError::Unavailable { reason: DEFECT.into() })
    }

    /// Takes a change into memory; the caller holds [`Self::exclude_readers`] for the path.
    pub(super) fn remember(&self, path: &str, entry: Entry) {
        self.cache.insert(path, entry);
    }

    /// Refuses while the store does not answer.
    pub(super) fn available(&self) -> Result<()> {
        self.status.borrow().error().map_or(Ok(()), Err)
    }

    /// Takes note that the store was told to shut down.
    pub(super) fn close(&self) {
        self.status.send_if_modified(|status| {
            let is_open = *status == Status::Open;
            if is_open {
                *status = Status::Closed;
            }
            is_open
        });
    }

    /// Ends the store's service for good.
    pub(super) fn fail(&self, reason: String) {
        self.status.send_replace(Status::Failed(reason));
    }

    /// A document, if memory holds it or knows that there is none.
    pub(super) fn cached_document(&self, key: &Key) -> Option<Option<Arc<Object>>> {
        self.cache.get(key.as_str())?.document()
    }

    /// A namespace, if memory holds it.
    pub(super) fn cached_namespace(&self, key: &NamespaceKey) -> Option<Arc<Namespace>> {
        self.cache.get(key.as_str())?.namespace()
    }

    /// A document from memory or disk; blocks.
    pub(super) fn document(&self, key: &Key) -> Result<Option<Arc<Object>>> {
        let path = key.as_str();
        let _guard = Self::exclude_changes(self.lock_of(path))?;
        if let Some(document) = self.cached_document(key) {
            return Ok(document);
        }
        let document = match self.tree.read(path)? {
            None => None,
            Some((file, bytes)) => Some(Arc::new(object(Revision::of(&file)?, bytes.into()))),
        };
        self.cache.insert(path, Entry::Document(document.clone()));
        Ok(document)
    }

    /// A namespace from memory or disk; blocks.
    pub(super) fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>> {
        let path = key.as_str();
        let _guard = Self::exclude_changes(self.lock_of(path))?;
        if let Some(namespace) = self.cached_namespace(key) {
            return Ok(namespace);
        }
        let namespace = match self.tree.read(path)? {
            None => Namespace::default(),
            Some((_, bytes)) => namespace_file::decode(&bytes).map_err(|damage| {
                StoreError::Corrupt { key: path.into(), reason: damage.to_string() }
            })?,
        };
        let namespace = Arc::new(namespace);
        self.cache.insert(path, Entry::Namespace(Arc::clone(&namespace)));
        Ok(namespace)
    }

    /// The keys below a prefix, see [`crate::Store::list`]; blocks.
    pub(super) fn list(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let _guards: Vec<_> =
            self.locks.iter().map(Self::exclude_changes).collect::<Result<_>>()?;
        let mut keys = BTreeSet::new();
        self.tree.walk(prefix.as_str(), &mut |visit| {
            let Visit::File(path) = visit else { return Ok(()) };
            let key = Key::from_path(path).filter(|key| after.is_none_or(|after| key > after));
            keys.extend(key);
            if keys.len() > limit {
                keys.pop_last();
            }
            Ok(())
        })?;
        Ok(keys.into_iter().collect())
    }
}

/// The document that these bytes are at a revision.
pub(super) fn object(revision: Revision, body: Bytes) -> Object {
    Object { tag: revision.tag(&body), modified: revision.timestamp(), body }
}
