//! The rings, and who watches them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{Changed, Ended, What};

/// The most changes in a ring.
const CHANGES_MAX: usize = 1_024;

/// The part of the memory for all rings that one may take, but for its last change.
const RING_PART: u64 = 4;

/// How long a ring outlives its last watcher.
const LINGER: Duration = Duration::from_secs(60);

/// The most rings that nobody watches.
const LINGERING_MAX: usize = 1_024;

/// Up to so many watchers are woken by whom the change came from; more by a task of the runtime.
const WOKEN_AT_ONCE: usize = 32;

/// Everything that is watched. Who publishes and who subscribes hold one lock for both, the
/// store's own.
#[derive(Debug)]
pub(crate) struct Watches {
    /// How many rings there are.
    count: AtomicUsize,
    bytes_max: u64,
    hub: Mutex<Hub>,
}

#[derive(Debug, Default)]
struct Hub {
    topics: HashMap<Arc<str>, Arc<Topic>>,
    /// Those that nobody watches, by when the last watcher left.
    lingering: BTreeMap<(Instant, Arc<str>), Arc<Topic>>,
    /// The memory of all rings.
    bytes: u64,
    /// Grows with each change.
    stamp: u64,
    is_closed: bool,
}

/// One thing that is watched.
#[derive(Debug)]
pub(crate) struct Topic {
    path: Arc<str>,
    ring: Mutex<Ring>,
    arrived: Notify,
    runtime: Option<Handle>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the first change that is kept.
    first: u64,
    changes: VecDeque<Kept>,
    bytes: u64,
    watchers: usize,
    /// When the last watcher left.
    left: Option<Instant>,
    is_closed: bool,
}

#[derive(Debug)]
struct Kept {
    stamp: u64,
    bytes: u64,
    changed: Arc<Changed>,
}

/// The changes of one document or namespace from a moment on.
#[derive(Debug)]
pub struct Changes {
    watches: Arc<Watches>,
    topic: Arc<Topic>,
    /// The number of the change that comes next.
    next: u64,
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.changes.len() as u64
    }

    /// Forgets the first change; gives the memory that it took.
    fn forget(&mut self) -> u64 {
        let Some(kept) = self.changes.pop_front() else { return 0 };
        self.first += 1;
        self.bytes -= kept.bytes;
        kept.bytes
    }
}

impl Topic {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who wait for a change.
    pub(crate) fn wake(self: Arc<Self>) {
        let watchers = self.lock().watchers;
        match &self.runtime {
            Some(runtime) if watchers > WOKEN_AT_ONCE => {
                let topic = Arc::clone(&self);
                runtime.spawn(async move { topic.arrived.notify_waiters() });
            }
            _ => self.arrived.notify_waiters(),
        }
    }
}

impl Watches {
    /// Nothing is watched yet; all rings together will take so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), bytes_max, hub: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a path from now on.
    pub(crate) fn subscribe(self: &Arc<Self>, path: &Arc<str>) -> Changes {
        let mut hub = self.lock();
        hub.sweep(Instant::now());
        let is_closed = hub.is_closed;
        let topic = hub.topics.entry(Arc::clone(path)).or_insert_with(|| {
            Arc::new(Topic {
                path: Arc::clone(path),
                ring: Mutex::new(Ring { is_closed, ..Ring::default() }),
                arrived: Notify::new(),
                runtime: Handle::try_current().ok(),
            })
        });
        let topic = Arc::clone(topic);
        let mut ring = topic.lock();
        ring.watchers += 1;
        let left = ring.left.take();
        let next = ring.end();
        drop(ring);
        if let Some(left) = left {
            hub.lingering.remove(&(left, Arc::clone(path)));
        }
        self.count.store(hub.topics.len(), Ordering::Relaxed);
        drop(hub);
        Changes { watches: Arc::clone(self), topic, next }
    }

    /// Takes a change in, where its path is watched; gives who is to be woken for it.
    pub(crate) fn publish(&self, path: &str, what: impl FnOnce() -> What) -> Option<Arc<Topic>> {
        // The lock that both sides hold has made the last subscription visible.
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut hub = self.lock();
        if !hub.lingering.is_empty() {
            hub.sweep(Instant::now());
            self.count.store(hub.topics.len(), Ordering::Relaxed);
        }
        let topic = Arc::clone(hub.topics.get(path)?);
        let changed = Arc::new(Changed::new(what()));
        hub.stamp += 1;
        let kept = Kept { stamp: hub.stamp, bytes: changed.bytes(), changed };
        let mut ring = topic.lock();
        hub.bytes += kept.bytes;
        ring.bytes += kept.bytes;
        ring.changes.push_back(kept);
        while ring.changes.len() > CHANGES_MAX
            || ring.bytes > self.bytes_max / RING_PART && ring.changes.len() > 1
        {
            hub.bytes -= ring.forget();
        }
        drop(ring);
        hub.make_room(self.bytes_max);
        Some(topic)
    }

    /// Ends every watch, once it has taken what is there.
    pub(crate) fn close(&self) {
        let mut hub = self.lock();
        hub.is_closed = true;
        for topic in hub.topics.values() {
            topic.lock().is_closed = true;
            topic.arrived.notify_waiters();
        }
    }

    /// Whether somebody watches a path.
    pub(crate) fn is_watched(&self, path: &str) -> bool {
        self.lock().topics.get(path).is_some_and(|topic| topic.lock().watchers > 0)
    }

    fn leave(&self, topic: &Arc<Topic>) {
        let mut hub = self.lock();
        let now = Instant::now();
        let mut ring = topic.lock();
        ring.watchers -= 1;
        if ring.watchers == 0 {
            ring.left = Some(now);
            hub.lingering.insert((now, Arc::clone(&topic.path)), Arc::clone(topic));
        }
        drop(ring);
        hub.sweep(now);
        self.count.store(hub.topics.len(), Ordering::Relaxed);
    }
}

impl Hub {
    /// Forgets the rings that nobody has watched for long.
    fn sweep(&mut self, now: Instant) {
        while let Some(((left, path), topic)) = self.lingering.first_key_value()
            && (now.saturating_duration_since(*left) >= LINGER
                || self.lingering.len() > LINGERING_MAX)
        {
            self.topics.remove(path);
            self.bytes -= topic.lock().bytes;
            self.lingering.pop_first();
        }
    }

    /// Forgets the oldest changes of all where together they take too much. It looks at every
    /// ring, and so makes more room than is needed now.
    fn make_room(&mut self, bytes_max: u64) {
        while self.bytes > bytes_max {
            let rings = self.topics.values().map(|topic| topic.lock());
            let oldest = rings.filter_map(|ring| Some(ring.changes.front()?.stamp)).min();
            let Some(oldest) = oldest else { return };
            let up_to = oldest + (self.stamp - oldest) / 2;
            for topic in self.topics.values() {
                let mut ring = topic.lock();
                while ring.changes.front().is_some_and(|kept| kept.stamp <= up_to) {
                    self.bytes -= ring.forget();
                }
            }
        }
    }
}

impl Changes {
    /// Waits for the next change and takes it. May be dropped while it waits, and called again.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn next(&mut self) -> Result<Arc<Changed>, Ended> {
        loop {
            let arrived = self.topic.arrived.notified();
            tokio::pin!(arrived);
            // Before the look, so that no wake-up between the two is missed.
            arrived.as_mut().enable();
            if let Some(next) = self.look() {
                self.next += u64::from(next.is_ok());
                return next;
            }
            arrived.await;
        }
    }

    fn look(&self) -> Option<Result<Arc<Changed>, Ended>> {
        let ring = self.topic.lock();
        let Some(place) = self.next.checked_sub(ring.first) else {
            return Some(Err(Ended::Behind));
        };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        match ring.changes.get(place) {
            Some(kept) => Some(Ok(Arc::clone(&kept.changed))),
            None if ring.is_closed => Some(Err(Ended::Closed)),
            None => None,
        }
    }

    /// Whether changes that were not taken yet have left the ring.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.next < self.topic.lock().first
    }

    /// Goes back to what came after the last kept change of which this holds; says whether there
    /// is one, behind which nothing was deleted.
    pub fn resume_after(&mut self, seen: impl Fn(&Changed) -> bool) -> bool {
        let ring = self.topic.lock();
        let up_to = usize::try_from(self.next.saturating_sub(ring.first)).unwrap_or(usize::MAX);
        let kept = ring.changes.iter().take(up_to).map(|kept| Arc::clone(&kept.changed));
        let kept: Vec<Arc<Changed>> = kept.collect();
        // Who writes waits for the ring, and the look may take long.
        drop(ring);
        for (place, changed) in kept.iter().rev().enumerate() {
            if seen(changed) {
                self.next -= place as u64;
                return true;
            }
            if changed.what.forgets() {
                return false;
            }
        }
        false
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.watches.leave(&self.topic);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{MemberKey, Operation};

    fn patch(bytes: usize) -> What {
        let key = MemberKey::new("k").expect("a key");
        let value = Bytes::from(vec![b'1'; bytes]);
        What::Namespace {
            version: 1,
            operations: vec![Operation::Set { key, value }],
            forgets: false,
        }
    }

    fn kept(watches: &Watches) -> u64 {
        let hub = watches.lock();
        let rings: u64 = hub.topics.values().map(|topic| topic.lock().bytes).sum();
        assert_eq!(hub.bytes, rings, "the sum is that of the rings");
        rings
    }

    #[tokio::test]
    async fn all_rings_together_stay_within_their_bound_and_the_oldest_changes_go_first() {
        const MAX: u64 = 1 << 20;
        let watches = Watches::new(MAX);
        let paths: Vec<Arc<str>> = (0..64).map(|i| format!("kv/{i}.json").into()).collect();
        let mut changes: Vec<_> = paths.iter().map(|path| watches.subscribe(path)).collect();
        for round in 0..20 {
            for path in &paths {
                watches.publish(path, || patch(1_000 * (round % 7))).expect("a ring");
                assert!(kept(&watches) <= MAX);
            }
        }
        assert!(kept(&watches) > MAX / 4, "there is something left");
        let last = changes.pop().expect("the last");
        assert!(last.topic.lock().changes.len() > 1, "the youngest are kept");
        // One that is larger than all of that cannot be told to anybody.
        watches.publish(&paths[0], || patch(1 << 20)).expect("a ring");
        assert!(kept(&watches) <= MAX);
        let behind = changes[0].next().await.map(drop);
        assert_eq!(behind, Err(Ended::Behind));
    }

    #[tokio::test]
    async fn one_ring_keeps_a_part_of_the_memory_and_so_many_changes() {
        let watches = Watches::new(4 << 20);
        let path: Arc<str> = "kv/a.json".into();
        let changes = watches.subscribe(&path);
        for _ in 0..CHANGES_MAX + 10 {
            watches.publish(&path, || patch(0)).expect("a ring");
        }
        assert_eq!(changes.topic.lock().changes.len(), CHANGES_MAX);
        for _ in 0..100 {
            watches.publish(&path, || patch(10_000)).expect("a ring");
        }
        assert!(kept(&watches) <= (4 << 20) / RING_PART, "{} bytes", kept(&watches));
    }

    #[tokio::test]
    async fn a_ring_outlives_its_last_watcher_for_a_while() {
        let watches = Watches::new(1 << 20);
        let path: Arc<str> = "kv/a.json".into();
        assert!(watches.publish(&path, || patch(1)).is_none(), "nobody watches");
        let (one, other) = (watches.subscribe(&path), watches.subscribe(&path));
        drop(one);
        drop(other);
        watches.publish(&path, || patch(1)).expect("it is kept");
        let back = watches.subscribe(&path);
        let soon = Instant::now() + LINGER;
        watches.lock().sweep(soon);
        watches.publish(&path, || patch(1)).expect("it is watched again");
        drop(back);
        watches.lock().sweep(Instant::now() + LINGER);
        assert_eq!(watches.lock().topics.len(), 0, "nobody has watched for long");
        assert_eq!(watches.lock().bytes, 0);

        let _kept = watches.subscribe(&"kv/kept.json".into());
        drop(watches.subscribe(&path));
        for _ in 0..LINGERING_MAX + 5 {
            drop(watches.subscribe(&"kv/busy.json".into()));
        }
        assert_eq!(watches.lock().topics.len(), 3, "who comes and goes drives nobody out");

        for i in 0..LINGERING_MAX + 5 {
            drop(watches.subscribe(&format!("kv/{i}.json").into()));
        }
        assert_eq!(watches.lock().topics.len(), LINGERING_MAX + 1, "so many, and no more");
    }
}
