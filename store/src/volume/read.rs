//! Reading what is committed: from memory, from what is not in the tree yet, from the tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::blocking;
use super::cache::Entry;
use super::engine::{DEFECT, Engine};
use super::namespace_file;
use super::state::State;
use crate::key::NAMESPACES;
use crate::key::jobs::JOBS;
use crate::revision::{Revision, content_hash};
use crate::{Folder, Key, Namespace, Object, Prefix, Result, Segment, StoreError};

/// Behind a directory's name, it is greater than every path through the directory, and lower than
/// every other that is.
const LAST: char = '0';

/// What was read from the tree. It is current until something is committed at its path.
#[derive(Debug)]
pub(super) struct Loaded {
    engine: Arc<Engine>,
    path: Arc<str>,
    generation: u64,
    entry: Entry,
}

impl Loaded {
    /// The entry, unless something was committed at the path since it was read.
    pub(super) fn current(&self, state: &State) -> Option<&Entry> {
        let load = state.loads.get(&self.path)?;
        (load.generation == self.generation).then_some(&self.entry)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        unregister(&self.engine, &self.path);
    }
}

fn unregister(engine: &Engine, path: &str) {
    let mut state = engine.lock();
    if let Some(load) = state.loads.get_mut(path) {
        load.readers -= 1;
        if load.readers == 0 {
            state.loads.remove(path);
        }
    }
}

impl Engine {
    /// What is committed at a path.
    pub(super) async fn read(self: &Arc<Self>, path: &str) -> Result<Entry> {
        self.available()?;
        if let Some(entry) = self.cache.get(path) {
            return Ok(entry);
        }
        let committed = self.lock().slots.get(path).and_then(|slot| slot.committed.clone());
        if let Some(entry) = committed {
            return Ok(entry);
        }
        let loaded = self.load(&path.into()).await?;
        // A store that failed meanwhile does not know what of the tree is durable.
        self.available()?;
        Ok(loaded.entry.clone())
    }

    /// Reads a path from the tree, on a thread that may block, and remembers it.
    pub(super) async fn load(self: &Arc<Self>, path: &Arc<str>) -> Result<Loaded> {
        let path = Arc::clone(path);
        blocking(self, move |engine| engine.load_now(&path)).await
    }

    /// Reads a path from the tree, and remembers it; blocks.
    pub(super) fn load_now(self: &Arc<Self>, path: &Arc<str>) -> Result<Loaded> {
        let generation = {
            let mut state = self.lock();
            let load = state.loads.entry(Arc::clone(path)).or_default();
            load.readers += 1;
            load.generation
        };
        let entry = match self.read_tree(path) {
            Ok(entry) => entry,
            Err(error) => {
                unregister(self, path);
                return Err(error);
            }
        };
        let (engine, path) = (Arc::clone(self), Arc::clone(path));
        let loaded = Loaded { engine, path, generation, entry };
        let state = self.lock();
        // What was committed meanwhile stands in memory already, or did.
        if let Some(entry) = loaded.current(&state)
            && !state.slots.contains_key(&loaded.path)
        {
            self.note_expiry(&loaded.path, entry);
            self.cache.insert(&loaded.path, entry.clone());
        }
        drop(state);
        Ok(loaded)
    }

    /// What the tree holds at a path; blocks.
    pub(super) fn read_tree(&self, path: &str) -> Result<Entry> {
        let file = self.tree.read(path)?;
        if !path.starts_with(NAMESPACES) {
            let object = file.map(|(revision, bytes)| Arc::new(object(revision, bytes.into())));
            return Ok(Entry::Document(object));
        }
        let namespace = match file {
            None => Namespace::default(),
            Some((_, bytes)) => namespace_file::decode(&bytes).map_err(|damage| {
                StoreError::Corrupt { key: path.into(), reason: damage.to_string() }
            })?,
        };
        Ok(Entry::Namespace(Arc::new(namespace)))
    }

    /// Whether the store can be read and written right now, see [`crate::Store::check`].
    pub(super) async fn check(self: &Arc<Self>) -> Result<()> {
        // The threads answer.
        let answered = {
            let mut state = self.lock();
            self.available()?;
            if state.is_closed { None } else { Some(self.barrier(&mut state)) }
        };
        let stopped = || StoreError::Unavailable { reason: DEFECT.into() };
        answered.ok_or_else(stopped)?.await.map_err(|_| stopped())??;
        // The disk takes a file. One that is full passes.
        let probe = |engine: &Arc<Self>| match engine.stage.write(b"probe", None) {
            Ok((path, file)) => {
                let synced = file.sync();
                engine.stage.discard(path);
                Ok(synced?)
            }
            Err(StoreError::OutOfSpace) => Ok(()),
            Err(error) => Err(error),
        };
        blocking(self, probe).await
    }

    /// The keys below a prefix, see [`crate::Store::list`]; blocks.
    pub(super) fn list(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let after = after.map_or("", Key::as_str);
        let names = self.names.steady();
        let mut keys = self.unsaved(prefix.as_str(), after, limit);
        let mut is_there = |path: &str| {
            let state = self.lock();
            let is_deleted = state.slots.get(path).is_some_and(|slot| !slot.has_document());
            if is_deleted || Key::from_path(path).is_none() {
                return false;
            }
            keys.insert(path.into());
            true
        };
        let directory = prefix.as_str().trim_end_matches('/');
        names.files_after(&*self.disk, directory, after, limit, &mut is_there)?;
        Ok(keys.iter().filter_map(|path| Key::from_path(path)).take(limit).collect())
    }

    /// The first documents of a range that are perhaps not in the tree yet.
    fn unsaved(&self, prefix: &str, after: &str, limit: usize) -> BTreeSet<Arc<str>> {
        let state = self.lock();
        if prefix.starts_with(JOBS) {
            let slots = state.job_slots(prefix, after);
            let there = slots.filter(|(_, slot)| slot.has_document());
            return there.take(limit).map(|(path, _)| Arc::clone(path)).collect();
        }
        let mut keys = BTreeSet::new();
        let in_range = |path: &str| path > after && path.starts_with(prefix);
        for (path, slot) in state.slots.iter().filter(|(path, _)| in_range(path)) {
            let is_wanted = keys.len() < limit || keys.last().is_some_and(|last| path < last);
            if is_wanted && slot.has_document() {
                keys.insert(Arc::clone(path));
                if keys.len() > limit {
                    keys.pop_last();
                }
            }
        }
        keys
    }

    /// The first directory behind a path that holds a document which is perhaps not in the tree yet.
    fn unsaved_below(&self, folder: &str, behind: &str) -> Option<String> {
        let state = self.lock();
        let mut slots = state.job_slots(folder, behind);
        let (path, _) = slots.find(|(_, slot)| slot.has_document())?;
        path.get(folder.len()..)?.split('/').next().map(str::to_owned)
    }

    /// The directories in a folder, see [`crate::Store::directories`]; blocks.
    pub(super) fn directories(
        &self,
        folder: &Folder,
        after: Option<&Segment>,
        limit: usize,
    ) -> Result<Vec<Segment>> {
        let folder = folder.as_str();
        let names = self.names.steady();
        // With its slash, as it stands in the paths.
        let mut found = BTreeSet::new();
        // What is in the directory before sorts below this.
        let mut behind = after.map_or_else(String::new, |after| format!("{folder}{after}{LAST}"));
        while found.len() < limit {
            let Some(name) = self.unsaved_below(folder, &behind) else { break };
            behind = format!("{folder}{name}{LAST}");
            found.insert(name + "/");
        }
        let directory = folder.trim_end_matches('/');
        let after = after.map(Segment::as_str);
        let in_tree = names.directories_after(&*self.disk, directory, after, limit)?;
        found.extend(in_tree.into_iter().map(|name| name + "/"));
        let names = found.iter().filter_map(|name| Segment::found(name.trim_end_matches('/')));
        Ok(names.take(limit).collect())
    }
}

/// The document that these bytes are at a revision.
pub(super) fn object(revision: Revision, body: Bytes) -> Object {
    Object { tag: revision.tag(content_hash(&body)), modified: revision.timestamp(), body }
}
