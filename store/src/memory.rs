//! The model: what a store is, without durability. Tests compare every backend with it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    Archive, ArchiveContent, ArchiveInfo, ArchiveKey, BackendKind, Change, Edit, EntityTag, Key,
    Name, Namespace, NamespaceKey, Object, Patch, Patched, Preconditions, Prefix, Put, Result,
    Store, StoreError, Updated, Upload,
};

/// A store in memory. It forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

/// What uploads share with the store.
#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    revision: u64,
    closed: bool,
    documents: BTreeMap<Key, Arc<Object>>,
    namespaces: BTreeMap<NamespaceKey, Arc<Namespace>>,
    archives: BTreeMap<ArchiveKey, Archive>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        self.shared.state()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.closed {
            return Err(StoreError::Unavailable { reason: "it is shutting down".into() });
        }
        Ok(state)
    }
}

impl State {
    fn check(&self, key: &Key, preconditions: &Preconditions) -> Result<()> {
        preconditions.require(self.documents.get(key).map(|object| &object.tag))
    }

    fn check_archive(&self, key: &ArchiveKey, preconditions: &Preconditions) -> Result<()> {
        preconditions.require(self.archives.get(key).map(|archive| &archive.info.tag))
    }

    fn write(&mut self, key: &Key, body: Bytes) -> Arc<Object> {
        self.revision += 1;
        let tag = EntityTag::from_version(self.revision);
        let object = Arc::new(Object { body, tag, modified: Timestamp::now() });
        self.documents.insert(key.clone(), Arc::clone(&object));
        object
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> BackendKind {
        BackendKind::Local
    }

    async fn get(&self, key: &Key) -> Result<Option<Arc<Object>>> {
        Ok(self.state()?.documents.get(key).cloned())
    }

    async fn put(&self, key: &Key, body: Bytes, preconditions: Preconditions) -> Result<Put> {
        let mut state = self.state()?;
        state.check(key, &preconditions)?;
        let created = !state.documents.contains_key(key);
        let object = state.write(key, body);
        Ok(Put { tag: object.tag.clone(), created })
    }

    async fn update(
        &self,
        key: &Key,
        preconditions: Preconditions,
        mut edit: Edit,
    ) -> Result<Updated> {
        let mut state = self.state()?;
        state.check(key, &preconditions)?;
        let before = state.documents.get(key).cloned();
        let after = match edit(before.as_deref()) {
            Change::Keep => before.clone(),
            Change::Put(body) => Some(state.write(key, body)),
            Change::Delete => {
                state.documents.remove(key);
                None
            }
        };
        Ok(Updated { before, after })
    }

    async fn delete(&self, key: &Key, preconditions: Preconditions) -> Result<bool> {
        let mut state = self.state()?;
        if !state.documents.contains_key(key) {
            return Ok(false);
        }
        state.check(key, &preconditions)?;
        state.documents.remove(key);
        Ok(true)
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let state = self.state()?;
        let keys = state.documents.keys().filter(|key| key.as_str().starts_with(prefix.as_str()));
        Ok(keys.filter(|key| after.is_none_or(|after| *key > after)).take(limit).cloned().collect())
    }

    async fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>> {
        Ok(self.state()?.namespaces.get(key).cloned().unwrap_or_default())
    }

    async fn patch(&self, key: &NamespaceKey, patch: Patch) -> Result<Patched> {
        let mut state = self.state()?;
        let current = state.namespaces.get(key).cloned().unwrap_or_default();
        let namespace = Arc::new(current.patched(&patch)?);
        state.namespaces.insert(key.clone(), Arc::clone(&namespace));
        Ok(Patched { namespace, created: current.version() == 0 })
    }

    async fn upload(&self, key: &ArchiveKey) -> Result<Box<dyn Upload>> {
        drop(self.state()?);
        let (shared, key) = (Arc::clone(&self.shared), key.clone());
        Ok(Box::new(MemoryUpload { shared, key, content: Vec::new() }))
    }

    async fn archive(&self, key: &ArchiveKey) -> Result<Option<Archive>> {
        Ok(self.state()?.archives.get(key).cloned())
    }

    async fn delete_archive(&self, key: &ArchiveKey, preconditions: Preconditions) -> Result<bool> {
        let mut state = self.state()?;
        if !state.archives.contains_key(key) {
            return Ok(false);
        }
        state.check_archive(key, &preconditions)?;
        state.archives.remove(key);
        Ok(true)
    }

    async fn archives(
        &self,
        site: &Name,
        after: Option<&ArchiveKey>,
        limit: usize,
    ) -> Result<Vec<(ArchiveKey, ArchiveInfo)>> {
        let state = self.state()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let archives = state.archives.range((from, Bound::Unbounded));
        let of_site = archives.filter(|(key, _)| key.site() == site);
        Ok(of_site.take(limit).map(|(key, it)| (key.clone(), it.info.clone())).collect())
    }

    async fn check(&self) -> Result<()> {
        self.state().map(|_| ())
    }

    async fn failed(&self) -> StoreError {
        std::future::pending().await
    }

    async fn shutdown(&self) {
        self.shared.lock().closed = true;
    }
}

/// An archive that is being collected.
struct MemoryUpload {
    shared: Arc<Shared>,
    key: ArchiveKey,
    content: Vec<u8>,
}

/// An archive's bytes.
struct MemoryContent(Bytes);

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        drop(self.shared.state()?);
        self.content.extend_from_slice(&bytes);
        Ok(())
    }

    async fn publish(self: Box<Self>, preconditions: Preconditions) -> Result<Put> {
        let Self { shared, key, content } = *self;
        let mut state = shared.state()?;
        state.check_archive(&key, &preconditions)?;
        state.revision += 1;
        let tag = EntityTag::from_version(state.revision);
        let (length, modified) = (content.len() as u64, Timestamp::now());
        let info = ArchiveInfo { length, tag: tag.clone(), modified };
        let content = Arc::new(MemoryContent(content.into()));
        let created = state.archives.insert(key, Archive { info, content }).is_none();
        Ok(Put { tag, created })
    }
}

#[async_trait]
impl ArchiveContent for MemoryContent {
    async fn read(&self, offset: u64, most: usize) -> Result<Bytes> {
        let length = self.0.len();
        let from = usize::try_from(offset).unwrap_or(length).min(length);
        Ok(self.0.slice(from..length.min(from.saturating_add(most))))
    }
}
