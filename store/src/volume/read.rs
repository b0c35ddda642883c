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
use crate::revision::{Revision, content_hash};
use crate::{Key, Namespace, Object, Prefix, Result, StoreError};

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
        let committed = self.lock().slots.get(path).map(|slot| slot.committed.clone());
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
        let read = move |engine: &Arc<Self>| {
            let generation = {
                let mut state = engine.lock();
                let load = state.loads.entry(Arc::clone(&path)).or_default();
                load.readers += 1;
                load.generation
            };
            let entry = match engine.read_tree(&path) {
                Ok(entry) => entry,
                Err(error) => {
                    unregister(engine, &path);
                    return Err(error);
                }
            };
            let loaded = Loaded { engine: Arc::clone(engine), path, generation, entry };
            let state = engine.lock();
            // What was committed meanwhile stands in memory already, or did.
            if let Some(entry) = loaded.current(&state)
                && !state.slots.contains_key(&loaded.path)
            {
                engine.cache.insert(&loaded.path, entry.clone());
            }
            drop(state);
            Ok(loaded)
        };
        blocking(self, read).await
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
        // What is not in the tree yet; the first ones are enough.
        let mut keys = BTreeSet::new();
        let in_range = |path: &str| path > after && path.starts_with(prefix.as_str());
        for (path, slot) in self.lock().slots.iter().filter(|(path, _)| in_range(path)) {
            let is_wanted = keys.len() < limit || keys.last().is_some_and(|last| path < last);
            if is_wanted && slot.committed.as_document().is_some() {
                keys.insert(Arc::clone(path));
                if keys.len() > limit {
                    keys.pop_last();
                }
            }
        }
        let mut is_there = |path: &str| {
            let state = self.lock();
            let is_deleted =
                state.slots.get(path).is_some_and(|slot| slot.committed.as_document().is_none());
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
}

/// The document that these bytes are at a revision.
pub(super) fn object(revision: Revision, body: Bytes) -> Object {
    Object { tag: revision.tag(content_hash(&body)), modified: revision.timestamp(), body }
}
