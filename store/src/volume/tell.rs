//! What the engine tells of itself, see [`crate::stats`].

use std::sync::Arc;

use super::blocking;
use super::engine::Engine;
use crate::stats::{Capacity, Counted, Stats, Usage};
use crate::{Result, StoreError};

impl Engine {
    /// How the engine stands, see [`crate::Store::stats`]. The lock is held for a few sums.
    pub(super) fn stats(&self) -> Stats {
        let counted = self.counts.read();
        let Counted { commits, syncs, checkpoints, since_checkpoint, .. } = counted;
        let state = self.lock();
        let queued = state.queue.len() as u64;
        let journal =
            Usage { bytes: state.layout.bytes(), limit_bytes: self.options.journal_bytes };
        let segments = (state.layout.live.len() + state.layout.spares.len()) as u64;
        let dirty = Usage { bytes: state.pinned, limit_bytes: self.options.dirty_bytes };
        let dirty_entries = state.slots.len() as u64;
        drop(state);
        let (cache, cache_entries) = (self.cache.usage(), self.cache.entries());
        Stats {
            commits,
            syncs,
            checkpoints,
            since_checkpoint,
            refused_for_room: counted.refused_for_room,
            history_evictions: counted.history_evictions,
            queued,
            journal,
            segments,
            dirty,
            dirty_entries,
            cache,
            cache_entries,
        }
    }

    /// How full the volume is, see [`crate::Store::capacity`].
    pub(super) async fn capacity(self: &Arc<Self>) -> Result<Option<Capacity>> {
        blocking(self, |engine| {
            let (bytes, available_bytes) = (engine.disk.size()?, engine.disk.available()?);
            Ok(Some(Capacity { bytes, available_bytes }))
        })
        .await
    }

    /// Passes a result on, and counts it where the volume was too full for it.
    pub(super) fn told<T>(&self, result: Result<T>) -> Result<T> {
        if matches!(result, Err(StoreError::OutOfSpace)) {
            self.counts.refused_for_room();
        }
        result
    }
}
