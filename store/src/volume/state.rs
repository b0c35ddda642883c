//! What is decided and not in the tree yet, and where the journal goes on. Everything in here is
//! behind one lock, which is held for moments: no file is touched under it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::VolumeOptions;
use super::cache::Entry;
use super::commit::Unconfirmed;
use super::contention::Contention;
use super::history::{Evictions, Unwritten};
use super::lone::Claim;
use super::pin::Pins;
use super::rounds::Rounds;
use crate::history::Written;
use crate::journal::entry::Entry as Record;
use crate::journal::format::{RECORD_HEADER, SEGMENT_HEADER, record_bytes};
use crate::journal::segments::Segment;
use crate::key::jobs::JOBS;
use crate::revision::Clock;
use crate::{Namespace, Result};

/// How many segments are kept ready: making one takes as long as filling one at full speed.
pub(super) const SPARES: usize = 2;

/// Where the result of a commit goes.
pub(super) type Answer = oneshot::Sender<Result<()>>;

/// What waits for the commit thread.
#[derive(Debug)]
pub(super) enum Item {
    /// A record that has its place.
    Record {
        sequence: u64,
        record: Record,
        segment: Arc<Segment>,
        offset: u64,
        /// What it makes visible once it is durable.
        entry: Option<Made>,
        answer: Option<Answer>,
    },
    /// Answered once everything before it is durable.
    Barrier(Answer),
}

/// What a record makes visible.
#[derive(Debug)]
pub(super) enum Made {
    /// What stands at its path.
    Entry(Entry),
    /// That nothing stands at any of these, all at once.
    Removed(Vec<Arc<str>>),
}

/// What is known of a path whose last changes are not in the tree.
#[derive(Debug)]
pub(super) struct Slot {
    /// What stands there by what was decided last; perhaps not durable yet.
    pub(super) decided: Entry,
    pub(super) decided_at: u64,
    /// What stands there, durably; `None` where that is what the tree holds, and nobody has read it.
    pub(super) committed: Option<Entry>,
    /// The record that made it so; `None` where it is in the tree.
    pub(super) committed_at: Option<u64>,
    /// No record of the path before this one is missing in the tree.
    pub(super) oldest: u64,
    /// Since when something is missing in the tree.
    pub(super) since: Instant,
    /// The memory that it holds on to, roughly, in bytes.
    pub(super) pinned: u64,
    /// What its history lacks; boxed, since few stores have one.
    pub(super) kept: Option<Box<Unwritten>>,
    /// Who lost a race here; boxed, since few paths have any.
    pub(super) contention: Option<Box<Contention>>,
}

impl Slot {
    /// Whether a document stands there, durably.
    pub(super) fn has_document(&self) -> bool {
        self.committed.as_ref().is_none_or(|entry| entry.as_document().is_some())
    }
}

/// A segment whose records are not all known to be in the tree, or the current one.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) number: u64,
    pub(super) capacity: u64,
    /// The sequence of its first record, or of the next record where it has none.
    pub(super) first: u64,
}

/// Where records go.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) current: Arc<Segment>,
    pub(super) offset: u64,
    pub(super) spares: VecDeque<Arc<Segment>>,
    /// In the order of their use; the last is the current one.
    pub(super) live: VecDeque<Live>,
    pub(super) next_sequence: u64,
    pub(super) next_number: u64,
    /// Bytes that deletes and the like find in the last segment when nothing else fits.
    pub(super) reserve: u64,
}

/// Whether a write may use the room that is kept back for making room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Growing,
    /// It makes a namespace smaller. That frees room only once there is some for all of the
    /// namespace beside its file, so it must not use up what frees room at once.
    Shrinking,
    /// It removes a document or leaves a namespace empty.
    Freeing,
}

impl Purpose {
    /// That of what makes the one namespace the other.
    pub(super) fn of_patch(current: &Namespace, next: &Namespace) -> Self {
        if next.is_empty() {
            Self::Freeing
        } else if next.snapshot_bytes() < current.snapshot_bytes() {
            Self::Shrinking
        } else {
            Self::Growing
        }
    }
}

/// There is no room for a record of this many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom(pub(super) u64);

impl Layout {
    /// Gives a record its place, and its sequence.
    pub(super) fn place(
        &mut self,
        record: &Record,
        purpose: Purpose,
    ) -> Result<(u64, Arc<Segment>, u64), NoRoom> {
        let bytes = record_bytes(record.payload_bytes());
        // Behind each batch there is room for a confirmation.
        let needed = bytes + RECORD_HEADER as u64;
        let kept = match purpose {
            Purpose::Growing => self.reserve,
            Purpose::Shrinking => self.reserve / 2,
            Purpose::Freeing => 0,
        };
        let reserve = |is_last: bool| if is_last { kept } else { 0 };
        if self.offset + needed + reserve(self.spares.is_empty()) > self.current.capacity {
            let fits = |(index, spare): (usize, &Arc<Segment>)| {
                let is_last = index + 1 == self.spares.len();
                SEGMENT_HEADER + needed + reserve(is_last) <= spare.capacity
            };
            let skipped = self
                .spares
                .iter()
                .enumerate()
                .position(fits)
                .ok_or(NoRoom(needed + self.reserve))?;
            for _ in 0..=skipped {
                self.move_on();
            }
        }
        let offset = self.offset;
        let sequence = self.next_sequence;
        self.offset += bytes;
        self.next_sequence += 1;
        Ok((sequence, Arc::clone(&self.current), offset))
    }

    fn move_on(&mut self) {
        let Some(spare) = self.spares.pop_front() else { return };
        let Segment { number, capacity, .. } = *spare;
        self.live.push_back(Live { number, capacity, first: self.next_sequence });
        self.current = spare;
        self.offset = SEGMENT_HEADER;
    }

    /// What the journal takes on the disk, in bytes, without what waits to be used again.
    pub(super) fn bytes(&self) -> u64 {
        let spares = self.spares.iter().map(|spare| spare.capacity);
        self.live.iter().map(|live| live.capacity).chain(spares).sum()
    }

    /// The segments before the current one in the order in which they are freed: how long each is,
    /// and the first record of the next.
    pub(super) fn freed_in_turn(&self) -> Vec<(u64, u64)> {
        let firsts = self.live.iter().skip(1).map(|live| live.first);
        self.live.iter().map(|live| live.capacity).zip(firsts).collect()
    }

    /// Takes out the segments that hold nothing but what is in the tree: every record up to
    /// `saved`. The one before the current stays until a record of that is durable, so that a
    /// start can tell a torn first batch from damage.
    pub(super) fn release(&mut self, saved: u64, durable: u64) -> Vec<Live> {
        let mut released = Vec::new();
        while let Some(next) = self.live.get(1)
            && next.first <= saved + 1
            && next.first <= durable
        {
            released.extend(self.live.pop_front());
        }
        released
    }
}

/// What a slot takes beside its content, roughly, in bytes: its place in the map, its path, two
/// entries.
const SLOT_BYTES: u64 = 400;

/// A path that somebody reads from the tree.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) readers: usize,
    /// Grows with each commit there, and with each change of the file.
    pub(super) generation: u64,
}

/// Everything that the lock is for.
#[derive(Debug)]
pub(super) struct State {
    pub(super) slots: HashMap<Arc<str>, Slot>,
    /// The paths of those below [`JOBS`], in order: a list of one run's events must not cost what
    /// all others write.
    pub(super) in_jobs: BTreeSet<Arc<str>>,
    pub(super) queue: Vec<Item>,
    pub(super) layout: Layout,
    pub(super) clock: Clock,
    pub(super) loads: HashMap<Arc<str>, Load>,
    /// The sum over the slots, and what they keep.
    pub(super) pinned: u64,
    /// How many slots are those of deleted documents.
    pub(super) deletes: usize,
    /// The last record that is durable.
    pub(super) durable: u64,
    /// The last record up to which everything is in the tree, as the journal says it.
    pub(super) saved: u64,
    /// The last record that a checkpoint has said to be in the tree.
    pub(super) told: u64,
    /// Freed segments, number and capacity, to be used again.
    pub(super) freed: Vec<(u64, u64)>,
    /// What is kept of the journal for snapshots.
    pub(super) pins: Pins,
    /// The segment that somebody waits for: how long a record has to fit.
    pub(super) wanted: Option<u64>,
    /// The same of those who make room.
    pub(super) wanted_freeing: Option<u64>,
    /// Whether the last attempt to make a segment found the volume full.
    pub(super) is_full: bool,
    /// How many rounds of checkpoints had begun when the volume was found full; the end of one
    /// more is waited for, because those may have begun before what makes room was decided.
    pub(super) full_since: Option<u64>,
    /// How often the tree was brought up to date, and which waiting writes were refused.
    pub(super) rounds: Rounds,
    /// Whether the last round found no room for something, and the next one will not make some.
    pub(super) is_short_of_room: bool,
    /// Whether the last attempt to make a segment of the common length found no room.
    pub(super) lacks_segment: bool,
    /// Whether the tree is to be brought up to date now.
    pub(super) checkpoint_now: bool,
    /// What segments and uploads wait for that histories take.
    pub(super) evictions: Evictions,
    /// The length of the queue at which the commit thread is to be woken, where it waits.
    pub(super) wake_commits_at: Option<usize>,
    /// Where the journal ends, until a confirmation stands there.
    pub(super) unconfirmed: Option<Unconfirmed>,
    /// Whether a caller commits what is queued, see [`lone`](super::lone).
    pub(super) is_claimed: bool,
    /// For who holds the lock.
    pub(super) claim: Option<Claim>,
    /// Whether the checkpoint thread waits for a commit.
    pub(super) checkpointer_is_idle: bool,
    pub(super) is_closed: bool,
    pub(super) commits_ended: bool,
}

fn is_delete(entry: &Entry) -> bool {
    matches!(entry, Entry::Document(None))
}

impl State {
    /// Takes a decided change: `next` is to stand at the path.
    pub(super) fn accept(
        &mut self,
        path: &Arc<str>,
        current: &Entry,
        next: Entry,
        record: Record,
        purpose: Purpose,
        answer: Answer,
    ) -> Result<(), NoRoom> {
        let growth = record.payload_bytes();
        let (sequence, segment, offset) = self.layout.place(&record, purpose)?;
        let in_jobs = &mut self.in_jobs;
        let slot = self.slots.entry(Arc::clone(path)).or_insert_with_key(|path| {
            if path.starts_with(JOBS) {
                in_jobs.insert(Arc::clone(path));
            }
            Slot {
                decided: current.clone(),
                decided_at: sequence,
                committed: Some(current.clone()),
                committed_at: None,
                oldest: sequence,
                since: Instant::now(),
                pinned: 0,
                kept: None,
                contention: None,
            }
        });
        // Of a document the last content is held, of a namespace what each patch brought.
        let pinned = match next {
            Entry::Document(_) => SLOT_BYTES + growth,
            Entry::Namespace(_) => slot.pinned.max(SLOT_BYTES) + growth,
        };
        self.pinned = self.pinned - slot.pinned + pinned;
        slot.pinned = pinned;
        // A new slot has what stands in the tree yet.
        let was_delete = slot.decided_at != sequence && is_delete(&slot.decided);
        self.deletes = self.deletes + usize::from(is_delete(&next)) - usize::from(was_delete);
        slot.decided = next.clone();
        slot.decided_at = sequence;
        let entry = Some(Made::Entry(next));
        let answer = Some(answer);
        self.queue.push(Item::Record { sequence, record, segment, offset, entry, answer });
        Ok(())
    }

    /// Takes a decided removal of all these documents at once.
    pub(super) fn accept_removal(
        &mut self,
        paths: Vec<Arc<str>>,
        mut in_tree: BTreeSet<Arc<str>>,
        record: Record,
        answer: Answer,
    ) -> Result<(), NoRoom> {
        let (sequence, segment, offset) = self.layout.place(&record, Purpose::Freeing)?;
        self.slots.reserve(paths.len());
        for path in &paths {
            let slot = self.slots.entry(Arc::clone(path)).or_insert_with(|| Slot {
                decided: Entry::Document(None),
                decided_at: sequence,
                committed: None,
                committed_at: None,
                oldest: sequence,
                since: Instant::now(),
                pinned: 0,
                kept: None,
                contention: None,
            });
            let was_delete = slot.decided_at != sequence && is_delete(&slot.decided);
            self.deletes += usize::from(!was_delete);
            self.pinned = self.pinned - slot.pinned + SLOT_BYTES;
            slot.pinned = SLOT_BYTES;
            slot.decided = Entry::Document(None);
            slot.decided_at = sequence;
        }
        // Each of them has a slot by now; those that are not in the tree have been there before.
        self.in_jobs.append(&mut in_tree);
        let (entry, answer) = (Some(Made::Removed(paths)), Some(answer));
        self.queue.push(Item::Record { sequence, record, segment, offset, entry, answer });
        Ok(())
    }

    /// The slots of the jobs' tree whose paths are greater than `after` and begin with `prefix`.
    pub(super) fn job_slots(
        &self,
        prefix: &str,
        after: &str,
    ) -> impl Iterator<Item = (&Arc<str>, &Slot)> {
        let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let paths = self.in_jobs.range::<str, _>((from, Bound::Unbounded));
        let paths = paths.take_while(move |path| path.starts_with(prefix));
        paths.filter_map(|path| Some((path, self.slots.get(path)?)))
    }

    /// Takes a durable write into the history of its path, or the end of that.
    pub(super) fn keep(
        &mut self,
        path: &str,
        written: (u64, Option<Written>),
        before: Option<&Entry>,
        most: usize,
    ) {
        let Some(slot) = self.slots.get_mut(path) else { return };
        let kept = slot.kept.get_or_insert_default();
        self.pinned -= kept.bytes();
        kept.take(written, before, most);
        self.pinned += kept.bytes();
    }

    /// Takes note that what the record of this sequence made stands in the tree: this entry.
    pub(super) fn has_saved(&mut self, path: &str, sequence: u64, made: &Entry) {
        let Some(slot) = self.slots.get_mut(path) else { return };
        if let Some(kept) = &mut slot.kept {
            self.pinned -= kept.bytes();
            kept.has_saved(sequence, made);
            self.pinned += kept.bytes();
            slot.kept.take_if(|kept| kept.is_empty());
        }
        // Whoever read the tree before this change of it holds something older.
        if let Some(load) = self.loads.get_mut(path) {
            load.generation += 1;
        }
        if slot.decided_at == sequence {
            self.pinned -= slot.pinned;
            self.deletes -= usize::from(is_delete(&slot.decided));
            self.slots.remove(path);
            if path.starts_with(JOBS) {
                self.in_jobs.remove(path);
            }
            return;
        }
        if slot.committed_at == Some(sequence) {
            slot.committed_at = None;
        }
        slot.oldest = sequence + 1;
        slot.since = Instant::now();
        // What the later patches brought is not told apart; it is little, and counted from here.
        if matches!(slot.decided, Entry::Namespace(_)) {
            self.pinned -= slot.pinned;
            slot.pinned = 0;
        }
    }

    /// Puts the clock into the journal, and nothing else; `None` where there is no room.
    pub(super) fn mark_clock(&mut self) -> Option<oneshot::Receiver<Result<()>>> {
        let record = Record::Checkpoint { sequence: self.told, clock: self.clock.last() };
        let (sequence, segment, offset) = self.layout.place(&record, Purpose::Freeing).ok()?;
        let (answer, answered) = oneshot::channel();
        let answer = Some(answer);
        self.queue.push(Item::Record { sequence, record, segment, offset, entry: None, answer });
        Some(answered)
    }

    /// Whether there is something for the thread that makes segments.
    pub(super) fn wants_segment(&self, options: &VolumeOptions) -> bool {
        let Layout { current, offset, spares, .. } = &self.layout;
        let is_in_use = *offset > current.capacity / 4;
        let is_short = is_in_use && spares.len() < SPARES && !self.is_full;
        self.wanted.is_some()
            || is_short && self.layout.bytes() + options.segment_bytes <= options.journal_bytes
    }

    /// Whether there is something for the checkpoint thread that should not wait.
    pub(super) fn checkpoint_is_due(&self, options: &VolumeOptions) -> bool {
        self.checkpoint_now
            || self.evictions.is_asked()
            || self.pinned > options.dirty_bytes / 2
            || self.layout.bytes() > options.journal_bytes / 4 * 3
    }

    /// The first record that is not known to be in the tree.
    pub(super) fn first_unsaved(&self) -> u64 {
        let oldest = self.slots.values().map(|slot| slot.oldest).min();
        oldest.unwrap_or(self.layout.next_sequence)
    }
}
