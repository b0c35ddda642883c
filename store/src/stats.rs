//! What a backend tells of its work: plain numbers, for whoever turns them into metrics.
//!
//! What is counted while it works is counted without a lock, in [`Counts`]; what stands in memory is
//! looked at when it is asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How an engine stands right now, and what it did since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// How many records each commit wrote and synced as one.
    pub commits: Histogram,
    /// How long each sync of the journal took, in nanoseconds.
    pub syncs: Histogram,
    /// How long each round took that brought the tree up to date, in nanoseconds.
    pub checkpoints: Histogram,
    /// The time since the last of them for which there was room; of the start, where there was none.
    pub since_checkpoint: Duration,
    /// Writes and uploads that were refused because the volume is full.
    pub refused_for_room: u64,
    /// How often versions of a document or a namespace went, or were not kept, because the volume is
    /// full.
    pub history_evictions: u64,
    /// Writes that have their place in the journal and wait to be written to it.
    pub queued: u64,
    /// What the journal takes on the disk.
    pub journal: Usage,
    /// The segments that it is made of.
    pub segments: u64,
    /// The memory that is held by what the tree does not have yet.
    pub dirty: Usage,
    /// How many documents and namespaces that is.
    pub dirty_entries: u64,
    /// The memory that is held by what is read again.
    pub cache: Usage,
    /// How many documents and namespaces that is.
    pub cache_entries: u64,
}

/// How much of something is in use, and how much of it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// In use, in bytes.
    pub bytes: u64,
    /// The bound, in bytes. What is in use may exceed it a little for a while.
    pub limit_bytes: u64,
}

/// How large the medium is, and what of it may still be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// All of it, what is used included, in bytes.
    pub bytes: u64,
    /// What may still be written, in bytes.
    pub available_bytes: u64,
}

/// How often values fell between bounds, each twice the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// The bound and how many values were no greater than it, and greater than the one before it.
    pub buckets: Vec<(u64, u64)>,
    /// How many values were greater than the last bound.
    pub above: u64,
    /// The sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.above + self.buckets.iter().map(|(_, count)| count).sum::<u64>()
    }
}

/// The bounds of a histogram: so many, each twice the one before.
const BOUNDS: usize = 16;

/// A histogram that is added to without a lock. Who looks meanwhile may see a value in its bucket
/// and not in the sum yet.
#[derive(Debug)]
pub(crate) struct AtomicHistogram {
    first: u64,
    buckets: [AtomicU64; BOUNDS],
    above: AtomicU64,
    sum: AtomicU64,
}

impl AtomicHistogram {
    /// An empty one whose first bound is `first`, which is not zero.
    fn new(first: u64) -> Self {
        let (buckets, above, sum) = Default::default();
        Self { first, buckets, above, sum }
    }

    fn add(&self, value: u64) {
        let bucket = self.buckets.get(bucket(value, self.first)).unwrap_or(&self.above);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self) -> Histogram {
        let bounds = (0..BOUNDS).map(|index| self.first << index);
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        Histogram {
            buckets: bounds.zip(counts).collect(),
            above: self.above.load(Ordering::Relaxed),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// The index of the first bound that is no lower than a value.
fn bucket(value: u64, first: u64) -> usize {
    match value.saturating_sub(1) / first {
        0 => 0,
        times => times.ilog2() as usize + 1,
    }
}

/// What an engine counts while it works. A few additions for each commit and none for a reader.
#[derive(Debug)]
pub(crate) struct Counts {
    commits: AtomicHistogram,
    syncs: AtomicHistogram,
    checkpoints: AtomicHistogram,
    refused_for_room: AtomicU64,
    history_evictions: AtomicU64,
    begun: Instant,
    /// Nanoseconds after that.
    last_checkpoint: AtomicU64,
}

/// What of [`Stats`] is counted.
pub(crate) struct Counted {
    pub(crate) commits: Histogram,
    pub(crate) syncs: Histogram,
    pub(crate) checkpoints: Histogram,
    pub(crate) since_checkpoint: Duration,
    pub(crate) refused_for_room: u64,
    pub(crate) history_evictions: u64,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            commits: AtomicHistogram::new(1),
            syncs: AtomicHistogram::new(50_000),
            checkpoints: AtomicHistogram::new(1_000_000),
            refused_for_room: AtomicU64::new(0),
            history_evictions: AtomicU64::new(0),
            begun: Instant::now(),
            last_checkpoint: AtomicU64::new(0),
        }
    }

    /// So many records were written and synced as one.
    pub(crate) fn committed(&self, records: usize) {
        self.commits.add(records as u64);
    }

    /// A sync of the journal took so long.
    pub(crate) fn synced(&self, within: Duration) {
        self.syncs.add(nanoseconds(within));
    }

    /// A round that was to bring the tree up to date took so long.
    pub(crate) fn checkpointed(&self, within: Duration, is_whole: bool) {
        self.checkpoints.add(nanoseconds(within));
        if !is_whole {
            return;
        }
        self.last_checkpoint.store(nanoseconds(self.begun.elapsed()), Ordering::Relaxed);
    }

    /// A write or an upload was refused because the volume is full.
    pub(crate) fn refused_for_room(&self) {
        self.refused_for_room.fetch_add(1, Ordering::Relaxed);
    }

    /// So often versions went, or were not kept, because the volume is full.
    pub(crate) fn evicted(&self, count: u64) {
        self.history_evictions.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counted {
        let last_checkpoint = Duration::from_nanos(self.last_checkpoint.load(Ordering::Relaxed));
        Counted {
            commits: self.commits.read(),
            syncs: self.syncs.read(),
            checkpoints: self.checkpoints.read(),
            since_checkpoint: self.begun.elapsed().saturating_sub(last_checkpoint),
            refused_for_room: self.refused_for_room.load(Ordering::Relaxed),
            history_evictions: self.history_evictions.load(Ordering::Relaxed),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_at_the_first_bound_that_is_no_lower() {
        let bounds: Vec<u64> = (0..BOUNDS).map(|index| 50 << index).collect();
        for value in [0, 1, 49, 50, 51, 99, 100, 101, 200, 201, 50 << 15, (50 << 15) + 1, u64::MAX]
        {
            let expected = bounds.iter().position(|bound| value <= *bound);
            let got = bucket(value, 50);
            assert_eq!((got < BOUNDS).then_some(got), expected, "{value}");
        }
    }

    #[test]
    fn what_is_counted_is_told() {
        let counts = Counts::new();
        for records in [1, 2, 3, 1 << 20] {
            counts.committed(records);
        }
        counts.refused_for_room();
        counts.evicted(2);
        let told = counts.read();
        let commits = &told.commits;
        assert_eq!(commits.buckets[..4], [(1, 1), (2, 1), (4, 1), (8, 0)]);
        assert_eq!((commits.above, commits.count(), commits.sum), (1, 4, 6 + (1 << 20)));
        assert_eq!((told.syncs.count(), told.refused_for_room), (0, 1));
        assert_eq!(told.history_evictions, 2);
        std::thread::sleep(Duration::from_millis(2));
        let before = counts.read().since_checkpoint;
        counts.checkpointed(Duration::from_millis(1), false);
        assert!(counts.read().since_checkpoint >= before, "not all of it fitted");
        counts.checkpointed(Duration::from_millis(2), true);
        let told = counts.read();
        assert!(
            told.since_checkpoint < before,
            "{:?} is not less than {before:?}",
            told.since_checkpoint
        );
        assert_eq!(told.checkpoints.sum, 3_000_000);
    }
}
