//! Who works on archives right now, and what readers get meanwhile.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::volume::engine::{DEFECT, Engine};
use crate::{Archive, ArchiveKey, Name, Result, StoreError};

/// The turns of all keys, and the permits of all who use the disk.
#[derive(Debug, Default)]
pub(in crate::volume) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether no more permits are given.
    is_closed: bool,
    permits: usize,
    keys: HashMap<ArchiveKey, Stage>,
    /// The temporary files of uploads.
    temporary: BTreeSet<String>,
    /// The directories of archives that are durable.
    directories: HashSet<String>,
}

/// How far somebody's turn is.
#[derive(Debug)]
enum Stage {
    Deciding,
    /// What the tree shows may not be durable; this stood there, durably, before.
    Changing(Option<Archive>),
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What readers get of a key that is being changed.
    pub(super) fn before(&self, key: &ArchiveKey) -> Option<Option<Archive>> {
        match self.lock().keys.get(key) {
            Some(Stage::Changing(before)) => Some(before.clone()),
            Some(Stage::Deciding) | None => None,
        }
    }

    /// The keys of a site that are being changed.
    pub(super) fn changing(&self, site: &Name) -> Vec<ArchiveKey> {
        let state = self.lock();
        state.keys.keys().filter(|key| key.site() == site).cloned().collect()
    }

    /// Gives no more permits, waits until all are back, and hands out the temporary files that
    /// are left.
    pub(in crate::volume) fn close(&self) -> BTreeSet<String> {
        let mut state = self.lock();
        state.is_closed = true;
        while state.permits > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut state.temporary)
    }

    pub(super) fn has_made(&self, temporary: &str) {
        self.lock().temporary.insert(temporary.to_owned());
    }

    /// Whether a directory is known to be there durably.
    pub(super) fn knows(&self, directory: &str) -> bool {
        self.lock().directories.contains(directory)
    }

    pub(super) fn has_made_way(&self, directory: &str) {
        self.lock().directories.insert(directory.to_owned());
    }

    /// A directory is missing that was there.
    pub(super) fn has_lost_ways(&self) {
        self.lock().directories.clear();
    }

    pub(super) fn has_removed(&self, temporary: &str) {
        self.lock().temporary.remove(temporary);
    }
}

/// Allows changing archives on the disk: the directory stays locked, and a shutdown waits. So it
/// is only ever held by work that needs nobody to go on.
#[derive(Debug)]
pub(super) struct Permit(Arc<Engine>);

impl Permit {
    /// # Errors
    /// [`StoreError::Unavailable`] once the store is closed or has failed.
    pub(super) fn take(engine: &Arc<Engine>) -> Result<Self> {
        let mut state = engine.turns.lock();
        engine.available()?;
        if state.is_closed {
            return Err(StoreError::Unavailable { reason: DEFECT.into() });
        }
        state.permits += 1;
        Ok(Self(Arc::clone(engine)))
    }

    /// Waits for the key's turn; blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the store fails.
    pub(super) fn turn<'a>(&'a self, key: &'a ArchiveKey) -> Result<Turn<'a>> {
        let turns = &self.turns;
        let mut state = turns.lock();
        while state.keys.contains_key(key) {
            state = turns.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.sound()?;
        state.keys.insert(key.clone(), Stage::Deciding);
        Ok(Turn { turns, key })
    }

    /// Refuses once the store has failed; one that is closing finishes its work.
    pub(super) fn sound(&self) -> Result<()> {
        self.status.borrow().failure().map_or(Ok(()), Err)
    }
}

impl Deref for Permit {
    type Target = Arc<Engine>;

    fn deref(&self) -> &Arc<Engine> {
        &self.0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.turns.lock().permits -= 1;
        self.turns.changed.notify_all();
    }
}

/// The right to change one key. Dropping it shows what the tree holds to readers again.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    key: &'a ArchiveKey,
}

impl Turn<'_> {
    /// From now on readers get what stood there before.
    pub(super) fn change(&self, before: Option<Archive>) {
        self.turns.lock().keys.insert(self.key.clone(), Stage::Changing(before));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // What stood there before is dropped without the lock.
        let _before = self.turns.lock().keys.remove(self.key);
        self.turns.changed.notify_all();
    }
}
