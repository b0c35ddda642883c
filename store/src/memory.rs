//! The model: what a store is, without durability. Tests compare every backend with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::history::{Place, operations_bytes, timestamp};
use crate::key::has_history;
use crate::watch::Watches;
use crate::{
    Archive, ArchiveContent, ArchiveInfo, ArchiveKey, BackendKind, Change, Changes, Edit,
    EntityTag, Folder, HISTORY_MAX, Kept, Key, Name, Namespace, NamespaceKey, Object, Operation,
    Patch, Patched, Preconditions, Prefix, Put, RemovedJob, Result, Segment, Store, StoreError,
    Updated, Upload, Version, WallClock, What,
};

/// A store in memory. It forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

/// The most memory for changes that are kept for those who watch, in bytes.
const WATCH_BYTES: u64 = 32 << 20;

/// What uploads share with the store.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    watches: Arc<Watches>,
    clock: WallClock,
    /// How many versions are kept of each namespace and document.
    versions: usize,
}

impl Default for Shared {
    fn default() -> Self {
        let (state, clock) = (Mutex::default(), WallClock::System);
        Self { state, watches: Watches::new(WATCH_BYTES), clock, versions: 0 }
    }
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    closed: bool,
    documents: BTreeMap<Key, Arc<Object>>,
    namespaces: BTreeMap<NamespaceKey, Arc<Namespace>>,
    archives: BTreeMap<ArchiveKey, Archive>,
    /// The versions of each path, the first first.
    history: BTreeMap<Box<str>, VecDeque<Past>>,
}

/// One version.
#[derive(Debug)]
struct Past {
    version: Version,
    /// The document, where it is one.
    object: Option<Arc<Object>>,
    /// The namespace, where it is one of a namespace.
    namespace: Arc<Namespace>,
    /// What led there from the version before; `None` where that cannot be read.
    operations: Option<Vec<Operation>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store whose keys are over by this clock.
    #[must_use]
    pub fn with_clock(clock: WallClock) -> Self {
        Self { shared: Arc::new(Shared { clock, ..Shared::default() }) }
    }

    /// An empty store whose keys are over by this clock, and that keeps so many versions of each
    /// namespace and document, [`HISTORY_MAX`] at most.
    #[must_use]
    pub fn with_history(clock: WallClock, versions: usize) -> Self {
        let versions = versions.min(HISTORY_MAX);
        Self { shared: Arc::new(Shared { clock, versions, ..Shared::default() }) }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        self.shared.state()
    }

    /// Takes a version into its history.
    fn keep(&self, state: &mut State, path: &str, past: impl FnOnce() -> Past) {
        if self.shared.versions == 0 || !has_history(path) {
            return;
        }
        let history = state.history.entry(path.into()).or_default();
        let past = past();
        if past.operations.is_none() {
            history.clear();
        }
        history.push_back(past);
        if history.len() > self.shared.versions {
            history.pop_front();
        }
    }

    fn keep_document(
        &self,
        state: &mut State,
        key: &Key,
        object: &Arc<Object>,
        author: Option<Arc<str>>,
    ) {
        self.keep(state, key.as_str(), || {
            let (tag, time) = (object.tag.clone(), Some(object.modified));
            let version = Version { tag, time, author, place: Place::Memory };
            let (object, namespace) = (Some(Arc::clone(object)), Arc::default());
            Past { version, object, namespace, operations: Some(Vec::new()) }
        });
    }

    fn keep_namespace(
        &self,
        state: &mut State,
        key: &NamespaceKey,
        namespace: &Arc<Namespace>,
        (operations, author): (Option<&[Operation]>, Option<Arc<str>>),
    ) {
        self.keep(state, key.as_str(), || {
            let (tag, time) = (namespace.tag(), timestamp(self.shared.clock.now()));
            let version = Version { tag, time, author, place: Place::Namespace };
            let operations = operations.map(<[Operation]>::to_vec);
            Past { version, object: None, namespace: Arc::clone(namespace), operations }
        });
    }

    /// The namespace at a key without the keys that are over. Here they go when somebody looks.
    fn current(&self, state: &mut State, key: &NamespaceKey) -> Result<Arc<Namespace>> {
        let mut current = state.namespaces.get(key).cloned().unwrap_or_default();
        while current.is_due(&self.shared.clock) {
            let operations = current.expired(self.shared.clock.now());
            current = Arc::new(current.next(&operations)?);
            state.namespaces.insert(key.clone(), Arc::clone(&current));
            self.keep_namespace(state, key, &current, (Some(&operations), None));
            let version = current.version();
            self.publish(key.as_str(), || What::Namespace { version, operations, forgets: false });
        }
        Ok(current)
    }

    /// Tells those who watch what stands at a key now; the caller holds the state.
    fn publish(&self, path: &str, what: impl FnOnce() -> What) {
        if let Some(topic) = self.shared.watches.publish(path, what) {
            topic.wake();
        }
    }

    fn publish_document(&self, state: &State, key: &Key) {
        self.publish(key.as_str(), || What::Document(state.documents.get(key).cloned()));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// A document goes with its history.
    fn remove(&mut self, key: &Key) {
        self.documents.remove(key);
        self.history.remove(key.as_str());
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

    async fn put_by(
        &self,
        key: &Key,
        body: Bytes,
        preconditions: Preconditions,
        author: Option<Arc<str>>,
    ) -> Result<Put> {
        let mut state = self.state()?;
        state.check(key, &preconditions)?;
        let replaced = state.documents.get(key).map(|before| before.tag.clone());
        let object = state.write(key, body);
        self.keep_document(&mut state, key, &object, author);
        self.publish_document(&state, key);
        Ok(Put { tag: object.tag.clone(), created: replaced.is_none(), replaced })
    }

    async fn update_by(
        &self,
        key: &Key,
        preconditions: Preconditions,
        mut edit: Edit,
        author: Option<Arc<str>>,
    ) -> Result<Updated> {
        let mut state = self.state()?;
        state.check(key, &preconditions)?;
        let before = state.documents.get(key).cloned();
        let change = edit(before.as_deref());
        let after = match change {
            Change::Keep => return Ok(Updated { after: before.clone(), before }),
            Change::Put(body) => {
                let object = state.write(key, body);
                self.keep_document(&mut state, key, &object, author);
                Some(object)
            }
            Change::Delete => {
                state.remove(key);
                None
            }
        };
        if before.is_some() || after.is_some() {
            self.publish_document(&state, key);
        }
        Ok(Updated { before, after })
    }

    async fn delete(&self, key: &Key, preconditions: Preconditions) -> Result<Option<EntityTag>> {
        let mut state = self.state()?;
        let Some(before) = state.documents.get(key).cloned() else { return Ok(None) };
        state.check(key, &preconditions)?;
        state.remove(key);
        self.publish_document(&state, key);
        Ok(Some(before.tag.clone()))
    }

    async fn delete_job(
        &self,
        job: &Segment,
        preconditions: Preconditions,
    ) -> Result<Option<RemovedJob>> {
        let mut state = self.state()?;
        let is_of_job = |key: &Key| key.job_of().is_some_and(|of| of == *job);
        let keys: Vec<Key> = state.documents.keys().filter(|key| is_of_job(key)).cloned().collect();
        if keys.is_empty() {
            return Ok(None);
        }
        let own = Key::job(job);
        state.check(&own, &preconditions)?;
        let tag = state.documents.get(&own).map(|before| before.tag.clone());
        for key in keys {
            state.remove(&key);
            self.publish_document(&state, &key);
        }
        Ok(Some(RemovedJob { tag }))
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let state = self.state()?;
        let keys = state.documents.keys().filter(|key| key.as_str().starts_with(prefix.as_str()));
        Ok(keys.filter(|key| after.is_none_or(|after| *key > after)).take(limit).cloned().collect())
    }

    async fn directories(
        &self,
        folder: &Folder,
        after: Option<&Segment>,
        limit: usize,
    ) -> Result<Vec<Segment>> {
        let state = self.state()?;
        // With its slash, as it stands in the paths.
        let names = state.documents.keys().filter_map(|key| {
            key.as_str().strip_prefix(folder.as_str())?.split_inclusive('/').next()
        });
        let names: BTreeSet<&str> = names.filter(|name| name.ends_with('/')).collect();
        let after = after.map(|after| format!("{after}/"));
        let names = names.into_iter().filter(|name| after.as_deref().is_none_or(|it| *name > it));
        Ok(names
            .filter_map(|name| Segment::found(name.trim_end_matches('/')))
            .take(limit)
            .collect())
    }

    async fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>> {
        self.current(&mut *self.state()?, key)
    }

    async fn patch(&self, key: &NamespaceKey, patch: Patch) -> Result<Patched> {
        let mut state = self.state()?;
        let current = self.current(&mut state, key)?;
        let namespace = Arc::new(current.patched(&patch)?);
        state.namespaces.insert(key.clone(), Arc::clone(&namespace));
        let operations = (!patch.forgets_history).then_some(&*patch.operations);
        self.keep_namespace(&mut state, key, &namespace, (operations, patch.author));
        let version = namespace.version();
        let Patch { operations, forgets_history: forgets, .. } = patch;
        self.publish(key.as_str(), || What::Namespace { version, operations, forgets });
        Ok(Patched { namespace, created: current.version() == 0 })
    }

    fn history_length(&self) -> usize {
        self.shared.versions
    }

    async fn history(&self, key: &Key) -> Result<Vec<Version>> {
        let state = self.state()?;
        let history = state.history.get(key.as_str()).into_iter().flatten();
        Ok(history.rev().map(|past| past.version.clone()).collect())
    }

    async fn version(&self, key: &Key, version: &Version) -> Result<Option<Arc<Object>>> {
        let state = self.state()?;
        let mut history = state.history.get(key.as_str()).into_iter().flatten();
        Ok(history
            .find(|past| past.version.tag == version.tag)
            .and_then(|past| past.object.clone()))
    }

    async fn namespace_history(&self, key: &NamespaceKey) -> Result<Vec<Version>> {
        let mut state = self.state()?;
        self.current(&mut state, key)?;
        let history = state.history.get(key.as_str()).into_iter().flatten();
        Ok(history.rev().map(|past| past.version.clone()).collect())
    }

    async fn namespace_version(
        &self,
        key: &NamespaceKey,
        version: u64,
    ) -> Result<Option<Arc<Namespace>>> {
        let mut state = self.state()?;
        let current = self.current(&mut state, key)?;
        if self.shared.versions > 0 && current.version() == version {
            return Ok(Some(current));
        }
        let mut history = state.history.get(key.as_str()).into_iter().flatten();
        let past = history.find(|past| past.namespace.version() == version);
        Ok(past.map(|past| Arc::clone(&past.namespace)))
    }

    async fn namespace_changes(
        &self,
        key: &NamespaceKey,
        after: u64,
        up_to: u64,
        bytes: u64,
    ) -> Result<Option<Vec<Kept>>> {
        let state = self.state()?;
        let history: Vec<&Past> = state.history.get(key.as_str()).into_iter().flatten().collect();
        let place = |at: u64| history.iter().position(|past| past.namespace.version() == at);
        let (Some(first), Some(last)) = (place(after), place(up_to)) else { return Ok(None) };
        let mut taken = 0;
        let Some(range) = history.get(first + 1..=last) else { return Ok(None) };
        let change = |past: &&Past| {
            let (version, operations) = (past.namespace.version(), past.operations.clone()?);
            Some(Kept { version, operations })
        };
        let Some(all) = range.iter().map(change).collect::<Option<Vec<Kept>>>() else {
            return Ok(None);
        };
        let is_wanted = |change: &Kept| {
            let is_wanted = taken < bytes || taken == 0;
            taken += operations_bytes(&change.operations).max(1);
            is_wanted
        };
        Ok(Some(all.into_iter().take_while(is_wanted).collect()))
    }

    async fn watch(&self, key: &Key) -> Result<(Option<Arc<Object>>, Changes)> {
        let state = self.state()?;
        let changes = self.shared.watches.subscribe(&key.as_str().into());
        Ok((state.documents.get(key).cloned(), changes))
    }

    async fn watch_namespace(&self, key: &NamespaceKey) -> Result<(Arc<Namespace>, Changes)> {
        let mut state = self.state()?;
        let namespace = self.current(&mut state, key)?;
        Ok((namespace, self.shared.watches.subscribe(&key.as_str().into())))
    }

    async fn upload(&self, key: &ArchiveKey) -> Result<Box<dyn Upload>> {
        drop(self.state()?);
        let (shared, key) = (Arc::clone(&self.shared), key.clone());
        Ok(Box::new(MemoryUpload { shared, key, content: Vec::new() }))
    }

    async fn archive(&self, key: &ArchiveKey) -> Result<Option<Archive>> {
        Ok(self.state()?.archives.get(key).cloned())
    }

    async fn delete_archive(
        &self,
        key: &ArchiveKey,
        preconditions: Preconditions,
    ) -> Result<Option<EntityTag>> {
        let mut state = self.state()?;
        if !state.archives.contains_key(key) {
            return Ok(None);
        }
        state.check_archive(key, &preconditions)?;
        Ok(state.archives.remove(key).map(|before| before.info.tag))
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
        self.shared.watches.close();
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
        let before = state.archives.get(&key).map(|before| before.info.modified.as_second());
        let has_own_second = before != Some(modified.as_second());
        let archive = Archive { info, has_own_second, content };
        let replaced = state.archives.insert(key, archive).map(|before| before.info.tag);
        Ok(Put { tag, created: replaced.is_none(), replaced })
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
