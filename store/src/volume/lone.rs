//! A write that comes alone is committed by whom it came from.
//!
//! Two hand-overs, to the commit thread and back, take about as long as a fast disk takes to sync.
//! Where the commit thread has nothing to do, and the last sync was short, the caller writes and
//! syncs itself. What comes meanwhile is queued, and the commit thread is woken for it afterwards.
//!
//! The caller is blocked for the length of a sync, so who embeds the store has to allow it
//! ([`VolumeOptions::lone_sync_max`](super::VolumeOptions)): one thread of several can wait.

use super::commit;
use super::engine::Engine;
use super::state::State;

/// The queue is one caller's: the commit thread leaves it alone.
#[derive(Debug)]
pub(super) struct Claim;

/// Claims the queue for the caller, where the commit thread waits for the first item, and this is
/// it. It is to be taken out of the state before that is unlocked, and used afterwards.
pub(super) fn claim(engine: &Engine, state: &mut State) {
    let is_alone = state.wake_commits_at == Some(1) && state.queue.len() == 1;
    if is_alone && engine.last_sync() < engine.options.lone_sync_max {
        state.is_claimed = true;
        state.wake_commits_at = None;
        // The record goes where the confirmation would.
        state.unconfirmed = None;
        state.claim = Some(Claim);
    }
}

impl Claim {
    /// Commits what is queued.
    pub(super) fn commit(self, engine: &Engine) {
        // It gives the queue back in any case: a panic must not stop the commit thread as well.
        let _held = Held(engine);
        let items = std::mem::take(&mut engine.lock().queue);
        let (tail, waiting) = commit::batch(engine, items, &mut Vec::new());
        match tail {
            Some(tail) if waiting == 0 => commit::confirm(engine, &tail),
            // The commit thread's next batch says it.
            tail => engine.lock().unconfirmed = tail,
        }
    }
}

struct Held<'a>(&'a Engine);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_claimed = false;
        if state.queue.is_empty() && !state.is_closed && !self.0.has_failed() {
            // The commit thread still waits.
            state.wake_commits_at = Some(1);
        } else {
            self.0.work.notify_one();
        }
    }
}
