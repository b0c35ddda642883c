//! The thread that brings the tree up to date behind the journal.
//!
//! A round takes what is due and saves it (`save`). So a start may trust a file by its time. Then
//! the journal is told how far the tree has come, and what it does not need any more is freed.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::VolumeOptions;
use super::cache::Entry;
use super::commit;
use super::engine::Engine;
use super::pin::GivenUp;
use super::rounds::Without;
use super::save::{Due, Saver};
use super::state::{Item, Live, Purpose, Slot};
use super::worth::worth_the_room;
use crate::error::is_out_of_files;
use crate::journal::entry::Entry as Record;
use crate::journal::segments;
use crate::{Result, StoreError};

/// The most files of a round: what waits for room gets some sooner.
const FILES_MAX: usize = 8_192;

/// How long a full volume is left alone where somebody waits.
const ALONE_MIN: Duration = Duration::from_millis(20);

/// A file is rewritten so seldom that it costs no more than this many bytes a second.
const REWRITE_BYTES_PER_SECOND: u64 = 4 << 20;

/// Works until the store is closed, and once more then, or until it has failed.
pub(super) fn run(engine: &Engine) {
    let Engine { disk, stage, names, options, started_at, .. } = engine;
    let saver = Saver::new(&**disk, stage, names, options, *started_at);
    let mut checkpointer = Checkpointer { engine, saver };
    let mut found_full = None;
    loop {
        let is_last = checkpointer.wait(found_full);
        if engine.has_failed() {
            break;
        }
        match checkpointer.round(is_last) {
            Ok(true) => found_full = None,
            // What does not fit now is tried again after a while.
            Ok(false) => found_full = Some(Instant::now()),
            // Neither does this last, and the journal has everything.
            Err(StoreError::Io(error)) if is_out_of_files(&error) => {
                let mut state = engine.lock();
                state.rounds.begun = state.rounds.ended;
                found_full = Some(Instant::now());
            }
            Err(error) => engine.fail(format!("the tree cannot be brought up to date: {error}")),
        }
        if is_last {
            break;
        }
    }
}

/// How long a path may be missing in the tree: the longer, the more it costs to write it.
fn patience(slot: &Slot, options: &VolumeOptions) -> Duration {
    let bytes = slot.committed.as_ref().and_then(Entry::file_bytes).unwrap_or(0);
    options.checkpoint_after.max(Duration::from_millis(bytes * 1_000 / REWRITE_BYTES_PER_SECOND))
}

struct Checkpointer<'a> {
    engine: &'a Engine,
    saver: Saver<'a>,
}

impl Checkpointer<'_> {
    /// Waits until something is due; says whether it is for the last time. A volume that was found
    /// full is left alone for a while.
    fn wait(&self, found_full: Option<Instant>) -> bool {
        let engine = self.engine;
        let mut state = engine.lock();
        loop {
            if engine.has_failed() || state.commits_ended {
                return true;
            }
            let left = |at: Instant| at.saturating_duration_since(Instant::now());
            let is_pressing = state.checkpoint_is_due(&engine.options) || state.pins.has_free();
            let alone = if is_pressing { ALONE_MIN } else { engine.options.checkpoint_after };
            let pause = found_full.map_or(Duration::ZERO, |found| left(found + alone));
            let due = if is_pressing {
                Some(Duration::ZERO)
            } else {
                let slots = state.slots.values().filter(|slot| slot.committed_at.is_some());
                slots.map(|slot| left(slot.since + patience(slot, &engine.options))).min()
            };
            state = match due.map(|due| due.max(pause)) {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    let waited = engine.checkpoint.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                // Every commit of what is not in the tree wakes this thread.
                None => {
                    state.checkpointer_is_idle = true;
                    let mut state = engine.wait(&engine.checkpoint, state);
                    state.checkpointer_is_idle = false;
                    state
                }
            };
        }
    }

    /// Brings into the tree what is due; says whether all of it fitted.
    fn round(&mut self, is_last: bool) -> Result<bool> {
        let engine = self.engine;
        let begun = Instant::now();
        let (due, (evictions, evict_bytes)) = self.due(is_last)?;
        let wanted = due.len();
        let saved = self.saver.save(due, evict_bytes)?;
        engine.counts.evicted(self.saver.take_evicted());
        let all_fit = saved.len() == wanted;
        engine.stage.refill();
        self.settle(&saved)?;
        engine.counts.checkpointed(begun.elapsed(), all_fit);
        let mut state = engine.lock();
        state.rounds.ended += 1;
        state.evictions.has_done(evictions);
        // Unless the next round makes room: what was deleted meanwhile is not in this one.
        let makes_room = |slot: &Slot| matches!(slot.decided, Entry::Document(None));
        state.is_short_of_room = !all_fit
            && !state.pins.give_up(GivenUp::NoRoom)
            && !state.slots.values().any(makes_room);
        if state.is_short_of_room && saved.is_empty() {
            let before = state.rounds.begun - 1;
            state.rounds.refuse(Without::Growing, before);
        }
        drop(state);
        engine.allocate.notify_one();
        engine.room.notify_waiters();
        Ok(all_fit)
    }

    /// What is to come into the tree, and what is to be evicted beside it: up to which number it was
    /// asked for, and the bytes.
    fn due(&self, is_last: bool) -> Result<(Vec<Due>, (u64, u64))> {
        let options = &self.engine.options;
        let available = self.engine.disk.available()?;
        let mut state = self.engine.lock();
        let is_forced = is_last || state.checkpoint_is_due(options);
        state.checkpoint_now = false;
        state.rounds.begun += 1;
        let evictions = state.evictions.due();
        let first = state.first_unsaved();
        let is_due = |slot: &Slot| is_forced || slot.since.elapsed() >= patience(slot, options);
        let mut due: Vec<(u64, Due)> = state
            .slots
            .iter()
            .filter(|(_, slot)| is_due(slot))
            .filter_map(|(path, slot)| {
                let (path, entry) = (Arc::clone(path), slot.committed.clone()?);
                let (sequence, may_take_room) = (slot.committed_at?, false);
                let kept = slot.kept.clone();
                Some((slot.oldest, Due { path, entry, sequence, may_take_room, kept }))
            })
            .collect();
        let is_whole = due.len() == state.slots.len();
        let segments = state.layout.freed_in_turn();
        let lacks_segment = state.lacks_segment;
        drop(state);
        // The oldest first: they hold on to the journal.
        due.sort_unstable_by_key(|(oldest, _)| *oldest);
        let missing = due.iter().map(|(oldest, due)| (*oldest, due.entry.file_bytes()));
        let worth = if is_whole { worth_the_room(missing, segments, available) } else { 0 };
        let is_room_gone = lacks_segment || available < options.segment_bytes;
        for (oldest, due) in &mut due {
            due.may_take_room = *oldest < worth || is_room_gone && *oldest == first;
        }
        if !is_last {
            due.truncate(FILES_MAX);
        }
        Ok((due.into_iter().map(|(_, due)| due).collect(), evictions))
    }

    /// Forgets what is in the tree, tells the journal so, and frees what it does not need.
    fn settle(&self, saved: &[Due]) -> Result<()> {
        let engine = self.engine;
        let mut state = engine.lock();
        // A record after one that could not be written would say that it was.
        if engine.has_failed() {
            return Ok(());
        }
        for due in saved {
            state.has_saved(&due.path, due.sequence, &due.entry);
        }
        let up_to = state.first_unsaved() - 1;
        if up_to > state.saved {
            let clock = state.clock.last();
            let record = Record::Checkpoint { sequence: up_to, clock };
            // Without room it is not told, and a start does some of the work again.
            if let Ok((sequence, segment, offset)) = state.layout.place(&record, Purpose::Freeing) {
                state.saved = sequence;
                state.told = up_to;
                let (entry, answer) = (None, None);
                let item = Item::Record { sequence, record, segment, offset, entry, answer };
                state.queue.push(item);
                engine.wake_commits(&state);
            }
        }
        if state.commits_ended {
            drop(state);
            commit::finish(engine)?;
            state = engine.lock();
        }
        let durable = state.durable;
        let released = state.layout.release(up_to, durable);
        drop(state);
        engine.free_segments(released)
    }
}

/// Takes a segment out of the journal.
pub(super) fn free(engine: &Engine, segment: &Live) -> Result<()> {
    segments::free(&*engine.disk, segment.number)?;
    let mut state = engine.lock();
    state.freed.push((segment.number, segment.capacity));
    state.is_full = false;
    state.lacks_segment = false;
    drop(state);
    engine.allocate.notify_one();
    Ok(())
}
