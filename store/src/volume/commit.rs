//! The thread that writes the journal, beside [`lone`](super::lone) writes. It takes everything
//! that waits, writes it in one piece, syncs once, and answers all.
//!
//! Those who were just answered are likely to write again, and a sync costs much the same for one
//! as for many. So it waits for half of those who were under way before, but no longer than a sync
//! takes; where there is one client, it never waits.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::cache::Entry;
use super::engine::Engine;
use super::history;
use super::state::{Item, Made};
use crate::StoreError;
use crate::journal::entry::{Change, Entry as Record};
use crate::journal::format::{RecordKind, append_record};
use crate::journal::segments::Segment;
use crate::watch::{Topic, What};

/// A buffer that one large write has made is not kept.
const BUFFER_KEPT: usize = 4 << 20;

/// However slow a disk is, nobody is waited for longer.
const PATIENCE_MAX: Duration = Duration::from_millis(1);

/// The end of what is durable in the journal, until a confirmation stands there.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    segment: Arc<Segment>,
    offset: u64,
    next: u64,
}

/// What the last batch tells about the next.
struct Pace {
    /// So many items are worth to begin with.
    enough: usize,
    /// For this long they are waited for.
    patience: Duration,
}

/// Works until the store is closed or has failed.
pub(super) fn run(engine: &Engine) {
    let mut buffer = Vec::new();
    let mut pace = Pace { enough: 1, patience: Duration::ZERO };
    while let Some(items) = next(engine, &pace) {
        let under_way = items.len();
        let (tail, waiting) = batch(engine, items, &mut buffer);
        pace.patience = engine.last_sync().min(PATIENCE_MAX);
        pace.enough = (under_way + waiting).div_ceil(2);
        if tail.is_some() {
            engine.lock().unconfirmed = tail;
        }
        buffer.clear();
        buffer.shrink_to(BUFFER_KEPT);
    }
    let mut state = engine.lock();
    state.commits_ended = true;
    drop(state);
    engine.checkpoint.notify_all();
}

/// Writes and syncs a batch, makes it visible, and answers; or fails the store, and refuses. Says
/// where the journal ends by then, where something was written, and how many items wait.
pub(super) fn batch(
    engine: &Engine,
    items: Vec<Item>,
    buffer: &mut Vec<u8>,
) -> (Option<Unconfirmed>, usize) {
    let begun = Instant::now();
    match write(engine, &items, buffer) {
        Ok(tail) => {
            engine.has_synced(begun.elapsed());
            (tail, complete(engine, items))
        }
        Err(error) => {
            engine.fail_io("syncing the journal", &error);
            refuse(engine, items, true);
            (None, 0)
        }
    }
}

/// Writes what is queued after the thread has ended: the last word of the checkpoint thread. The
/// thread must not have ended by a failure.
pub(super) fn finish(engine: &Engine) -> std::io::Result<()> {
    let items = std::mem::take(&mut engine.lock().queue);
    write(engine, &items, &mut Vec::new())?;
    complete(engine, items);
    Ok(())
}

/// Waits for work; `None` once there will be none.
fn next(engine: &Engine, pace: &Pace) -> Option<Vec<Item>> {
    let deadline = Instant::now() + pace.patience;
    let mut state = engine.lock();
    loop {
        if state.is_claimed {
            state = engine.wait(&engine.work, state);
            continue;
        }
        // From here on nobody claims the queue, until this waits.
        state.wake_commits_at = None;
        if engine.has_failed() {
            let items = std::mem::take(&mut state.queue);
            state.is_closed = true;
            drop(state);
            refuse(engine, items, false);
            return None;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let is_enough = state.queue.len() >= pace.enough || left.is_zero() || state.is_closed;
        if !state.queue.is_empty() && is_enough {
            return Some(std::mem::take(&mut state.queue));
        }
        if !is_enough {
            state.wake_commits_at = Some(pace.enough);
            let waited = engine.work.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        if let Some(tail) = state.unconfirmed.take() {
            drop(state);
            confirm(engine, &tail);
            state = engine.lock();
            continue;
        }
        if state.is_closed {
            return None;
        }
        state.wake_commits_at = Some(1);
        state = engine.wait(&engine.work, state);
    }
}

/// Writes what is in a row in one segment, and syncs it; then what is in the next.
fn write(
    engine: &Engine,
    items: &[Item],
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Unconfirmed>> {
    let mut records = items.iter().filter_map(|item| match item {
        Item::Record { sequence, record, segment, offset, .. } => {
            Some((*sequence, record, segment, *offset))
        }
        Item::Barrier(_) => None,
    });
    let mut tail = None;
    let mut next = records.next();
    while let Some((batch, _, segment, start)) = next {
        buffer.clear();
        let mut last = batch;
        let mut count = 0;
        while let Some((sequence, record, of, _)) = next
            && of.number == segment.number
        {
            append_record(buffer, segment.seed, record.kind(), (sequence, batch), |out| {
                record.write(out);
            });
            last = sequence;
            count += 1;
            next = records.next();
        }
        segment.file.write_all_at(buffer, start)?;
        let begun = Instant::now();
        segment.file.sync_data()?;
        engine.counts.synced(begun.elapsed());
        engine.counts.committed(count);
        let offset = start + buffer.len() as u64;
        tail = Some(Unconfirmed { segment: Arc::clone(segment), offset, next: last + 1 });
    }
    Ok(tail)
}

/// Makes what is durable visible, then answers. Says how many items wait by then.
///
/// The lock is taken for each item anew: nobody who decides is to wait for a whole batch.
fn complete(engine: &Engine, items: Vec<Item>) -> usize {
    let mut answers = Vec::with_capacity(items.len());
    let mut watched: Vec<Arc<Topic>> = Vec::new();
    for item in items {
        match item {
            Item::Barrier(answer) => answers.push(answer),
            Item::Record { sequence, record, entry, answer, .. } => {
                // What stood there before is dropped without the lock.
                let _before = match entry {
                    Some(Made::Removed(paths)) => remove(engine, sequence, &paths, &mut watched),
                    Some(Made::Entry(entry)) => {
                        let before = commit(engine, sequence, record, Some(entry), &mut watched);
                        before.into_iter().collect()
                    }
                    None => {
                        commit(engine, sequence, record, None, &mut watched).into_iter().collect()
                    }
                };
                answers.extend(answer);
            }
        }
    }
    let state = engine.lock();
    let waiting = state.queue.len();
    let wakes_checkpoints = state.checkpointer_is_idle || state.checkpoint_is_due(&engine.options);
    drop(state);
    if wakes_checkpoints {
        engine.checkpoint.notify_one();
    }
    for answer in answers {
        // Whoever asked may be gone.
        let _ = answer.send(Ok(()));
    }
    watched.dedup_by(|one, other| Arc::ptr_eq(one, other));
    watched.into_iter().for_each(Topic::wake);
    waiting
}

/// Makes one record visible; gives what stood at its path.
///
/// Who watches is told last: watchers take what is published without the lock, as readers do what
/// is in the cache, and what a watcher was told must be what it reads from then on.
fn commit(
    engine: &Engine,
    sequence: u64,
    record: Record,
    entry: Option<Entry>,
    watched: &mut Vec<Arc<Topic>>,
) -> Option<Entry> {
    let mut state = engine.lock();
    state.durable = sequence;
    let (Some(entry), Record::Change { path, change }) = (entry, record) else { return None };
    let kept = engine.keeps(&path).then(|| history::written(sequence, &entry, &change));
    if let Some(load) = state.loads.get_mut(&path) {
        load.generation += 1;
    }
    engine.note_expiry(&path, &entry);
    engine.cache.insert(&path, entry.clone());
    let mut before = None;
    if let Some(slot) = state.slots.get_mut(&path) {
        slot.committed_at = Some(sequence);
        if let Some(contention) = &mut slot.contention {
            contention.committed();
        }
        before = slot.committed.replace(entry.clone());
        if let Some(written) = kept {
            state.keep(&path, (sequence, written), before.as_ref(), engine.options.history);
        }
    }
    watched.extend(engine.watches.publish(&path, || what(&entry, change)));
    before
}

/// The change as those see it who watch.
fn what(entry: &Entry, change: Change) -> What {
    match (entry, change) {
        (Entry::Namespace(_), Change::Patch { version, operations, note }) => {
            let forgets = note.is_some_and(|note| note.forgets);
            What::Namespace { version, operations, forgets }
        }
        (entry, _) => What::Document(entry.as_document().cloned()),
    }
}

/// Makes a removal visible, of all its paths at once; gives what stood there.
///
/// Readers look into the cache without the lock. It forgets the paths, and is not told that nothing
/// stands there: so they learn that under the lock alone, when all of the paths are gone.
fn remove(
    engine: &Engine,
    sequence: u64,
    paths: &[Arc<str>],
    watched: &mut Vec<Arc<Topic>>,
) -> Vec<Entry> {
    let mut state = engine.lock();
    state.durable = sequence;
    let mut before = Vec::new();
    for path in paths {
        if let Some(load) = state.loads.get_mut(path) {
            load.generation += 1;
        }
        engine.cache.remove(path);
        let Some(slot) = state.slots.get_mut(path) else { continue };
        slot.committed_at = Some(sequence);
        if let Some(contention) = &mut slot.contention {
            contention.committed();
        }
        before.extend(slot.committed.replace(Entry::Document(None)));
    }
    for path in paths {
        watched.extend(engine.watches.publish(path, || What::Document(None)));
    }
    before
}

/// Answers what will not be done. Of what was being written it is unknown.
fn refuse(engine: &Engine, items: Vec<Item>, is_written: bool) {
    let reason = match engine.status.borrow().error() {
        Some(StoreError::Unavailable { reason }) => reason,
        _ => super::engine::DEFECT.to_owned(),
    };
    for item in items {
        let (answer, is_record) = match item {
            Item::Record { answer, .. } => (answer, true),
            Item::Barrier(answer) => (Some(answer), false),
        };
        let reason = reason.clone();
        let error = if is_written && is_record {
            StoreError::Indeterminate { reason }
        } else {
            StoreError::Unavailable { reason }
        };
        if let Some(answer) = answer {
            let _ = answer.send(Err(error));
        }
    }
}

/// Says behind the last batch that it is durable; a batch that comes next overwrites it.
pub(super) fn confirm(engine: &Engine, tail: &Unconfirmed) {
    let mut mark = Vec::new();
    let sequence = (tail.next, tail.next);
    append_record(&mut mark, tail.segment.seed, RecordKind::Confirmation, sequence, |_| {});
    if let Err(error) = tail.segment.file.write_all_at(&mark, tail.offset) {
        engine.fail_io("writing the journal", &error);
    }
}
