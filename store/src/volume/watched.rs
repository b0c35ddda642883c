//! Watching what is committed at a path.

use std::sync::Arc;

use super::cache::Entry;
use super::engine::Engine;
use super::read::Loaded;
use crate::{Changes, Result};

impl Engine {
    /// What is committed at a path, and the changes that are committed there from then on: both
    /// under the lock that commits take.
    pub(super) async fn watch(self: &Arc<Self>, path: &str) -> Result<(Entry, Changes)> {
        let path: Arc<str> = path.into();
        let mut loaded: Option<Loaded> = None;
        loop {
            {
                let state = self.lock();
                self.available()?;
                let slot = state.slots.get(&path);
                let entry = slot.and_then(|slot| slot.committed.clone());
                let entry = entry.or_else(|| self.cache.get(&path));
                let loaded = loaded.as_ref().and_then(|loaded| loaded.current(&state)).cloned();
                if let Some(entry) = entry.or(loaded) {
                    // Its watchers are told when keys are over, without anybody who reads.
                    self.note_expiry(&path, &entry);
                    return Ok((entry, self.watches.subscribe(&path)));
                }
            }
            loaded = Some(self.load(&path).await?);
        }
    }
}
