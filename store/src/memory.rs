//! The model: what a store is, without durability. Tests compare every backend with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    BackendKind, Change, Edit, EntityTag, Key, Namespace, NamespaceKey, Object, Patch, Patched,
    Preconditions, Prefix, Put, Result, Store, StoreError, Updated, Verdict,
};

/// A store in memory. It forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    closed: bool,
    documents: BTreeMap<Key, Arc<Object>>,
    namespaces: BTreeMap<NamespaceKey, Arc<Namespace>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(StoreError::Unavailable { reason: "it is shutting down".into() });
        }
        Ok(state)
    }
}

impl State {
    fn check(&self, key: &Key, preconditions: &Preconditions) -> Result<()> {
        let current = self.documents.get(key).map(|object| &object.tag);
        match preconditions.evaluate(current) {
            Verdict::Holds => Ok(()),
            Verdict::MatchFailed | Verdict::NoneMatchFailed => {
                Err(StoreError::PreconditionFailed { current: current.cloned() })
            }
        }
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

    async fn check(&self) -> Result<()> {
        self.state().map(|_| ())
    }

    async fn failed(&self) -> StoreError {
        std::future::pending().await
    }

    async fn shutdown(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}
