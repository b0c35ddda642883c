//! The thread that makes segments ahead of their use, so that a write need not wait for one.

use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::engine::Engine;
use super::pin::GivenUp;
use super::rounds::Without;
use super::state::State;
use crate::StoreError;
use crate::error::is_out_of_files;
use crate::journal::format::SegmentHeader;
use crate::journal::segments;

/// How soon a full journal is looked at again, should nobody say that it is not full any more.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Freed segments are kept up to this share of the journal. A checkpoint frees those of a second at once.
const KEPT_SHARE: u64 = 4;

/// What is to be done next.
enum Job {
    /// If it can be, out of the file of one that was freed.
    Make {
        header: SegmentHeader,
        freed: Option<u64>,
    },
    Discard {
        freed: u64,
        capacity: u64,
    },
}

impl Job {
    /// The freed segment that it takes, with its length.
    fn freed(&self) -> Option<(u64, u64)> {
        match *self {
            Self::Make { ref header, freed } => freed.map(|freed| (freed, header.capacity)),
            Self::Discard { freed, capacity } => Some((freed, capacity)),
        }
    }
}

/// Works until the store is closed or has failed.
pub(super) fn run(engine: &Engine) {
    while let Some(job) = next(engine) {
        let freed = job.freed();
        match work(engine, job) {
            // It passes.
            Err(error) if is_out_of_files(&error) => {
                let mut state = engine.lock();
                state.freed.extend(freed);
                let waited = engine.allocate.wait_timeout(state, LOOK_AGAIN);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            Err(error) => engine.fail_io("making a segment of the journal", &error),
            Ok(()) => {}
        }
    }
}

fn work(engine: &Engine, job: Job) -> io::Result<()> {
    let (header, freed) = match job {
        Job::Make { header, freed } => (header, freed),
        Job::Discard { freed, .. } => return segments::discard(&*engine.disk, freed),
    };
    // The last file that the volume takes is for the tree: without it, nothing would ever come
    // there, and no segment be freed.
    let reserved = if freed.is_none() { engine.stage.require_reserve() } else { Ok(()) };
    let made = reserved.and_then(|()| segments::make(&*engine.disk, &header, freed));
    let mut state = engine.lock();
    let is_long = header.capacity > engine.options.segment_bytes;
    match made {
        Ok(segment) => {
            let State { wanted, wanted_freeing, .. } = &mut *state;
            for wanted in [wanted, wanted_freeing] {
                wanted.take_if(|wanted| *wanted <= header.capacity);
            }
            state.is_full = false;
            state.lacks_segment = false;
            state.full_since = None;
            // Only now: a number that is left out would look like a segment that is lost.
            state.layout.next_number += 1;
            state.layout.spares.push_back(Arc::new(segment));
        }
        Err(error) => match StoreError::from_io(error) {
            // A round is tried first: it removes from the tree what was deleted, frees what a
            // snapshot held back on the disk, and evicts histories.
            StoreError::OutOfSpace
                if state.pins.give_up(GivenUp::NoRoom)
                    || (!state.slots.is_empty() || engine.options.history > 0)
                        && state.full_since.is_none() =>
            {
                if engine.options.history > 0 {
                    state.evictions.ask(header.capacity);
                }
                state.full_since = Some(state.rounds.begun);
            }
            // What is kept to be used again is of another length.
            StoreError::OutOfSpace if !state.freed.is_empty() => {
                let mut freed = std::mem::take(&mut state.freed);
                drop(state);
                while let Some((number, _)) = freed.last() {
                    if let Err(error) = segments::discard(&*engine.disk, *number) {
                        engine.lock().freed.extend(freed);
                        return Err(error);
                    }
                    freed.pop();
                }
                return Ok(());
            }
            StoreError::OutOfSpace => {
                state.lacks_segment |= !is_long;
                let begun = state.full_since.take().unwrap_or(state.rounds.begun);
                // What makes room needs less of it, and is not refused together with what grows; nor
                // is what grows by little together with what does by much.
                let without = if state.wanted <= state.wanted_freeing {
                    state.wanted_freeing = None;
                    Without::All
                } else if is_long {
                    Without::Long
                } else {
                    Without::Growing
                };
                state.rounds.refuse(without, begun);
                state.is_full = state.wanted_freeing.is_none();
                state.wanted = state.wanted_freeing;
            }
            StoreError::Io(error) => return Err(error),
            other => return Err(io::Error::other(other)),
        },
    }
    drop(state);
    engine.room.notify_waiters();
    Ok(())
}

/// Waits for something to do.
fn next(engine: &Engine) -> Option<Job> {
    let mut state = engine.lock();
    loop {
        if state.is_closed || engine.has_failed() {
            return None;
        }
        if let Some(job) = job(engine, &mut state) {
            return Some(job);
        }
        state = if state.wants_segment(&engine.options) {
            let waited = engine.allocate.wait_timeout(state, LOOK_AGAIN);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            engine.wait(&engine.allocate, state)
        };
    }
}

fn job(engine: &Engine, state: &mut MutexGuard<'_, State>) -> Option<Job> {
    let options = &engine.options;
    if !state.wants_segment(options) {
        // Some are kept for the next time: what has to be written with zeros first costs as much as
        // what it is for.
        let kept: u64 = state.freed.iter().map(|(_, capacity)| capacity).sum();
        let left = options.journal_bytes.saturating_sub(state.layout.bytes());
        let is_much = kept > left.min(options.journal_bytes / KEPT_SHARE);
        return (is_much && state.freed.len() > 1).then(|| {
            let (freed, capacity) = state.freed.remove(0);
            Job::Discard { freed, capacity }
        });
    }
    if state.full_since.is_some_and(|begun| state.rounds.ended <= begun) {
        state.checkpoint_now = true;
        engine.checkpoint.notify_one();
        return None;
    }
    let wanted = state.wanted.map_or(0, segments::capacity_for);
    let capacity = options.segment_bytes.max(wanted);
    let is_common = capacity == options.segment_bytes;
    // One more than the current segment there may always be, however long that is.
    let is_last = state.layout.live.len() == 1 && state.layout.spares.is_empty();
    let is_long = state.layout.bytes() + capacity > options.journal_bytes;
    // The tree has left room for one more, with which deletes make room for it.
    let may_be_longer = state.is_short_of_room && state.wanted_freeing.is_some();
    if is_common && !is_last && is_long && !may_be_longer {
        // The tree has to come first.
        state.checkpoint_now = true;
        engine.checkpoint.notify_one();
        return None;
    }
    let fits = |(_, freed): &(u64, u64)| *freed == capacity;
    let freed = state.freed.iter().position(fits).map(|index| state.freed.remove(index).0);
    let number = state.layout.next_number;
    // What is only decided may never come to be, and its sequences are given again.
    let (sequence, clock) = (state.durable + 1, state.clock.last());
    Some(Job::Make { header: SegmentHeader { number, capacity, sequence, clock }, freed })
}
