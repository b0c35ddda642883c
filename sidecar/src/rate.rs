//! How many requests one identity may send in a second, and how many refusals one address may have: a
//! token bucket for each.
//!
//! The bucket holds what a second brings, so a client may send as much at once. It is kept as one
//! number, the time at which it is full again (the generic cell rate algorithm, ITU-T I.371): a
//! bucket that is full need not be kept at all, which is what bounds the memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SECOND_NS: u64 = 1_000_000_000;
/// Requests of different identities seldom wait for each other.
const SHARDS: usize = 16;
/// How many identities of a shard may be known at once to be below their limit.
const BUCKETS_MAX: usize = 4096;
/// How often a full shard is looked through for buckets that have filled up. A bucket takes a
/// second at most.
const SWEEP_NS: u64 = SECOND_NS / 10;

/// The buckets of all that something was taken from lately.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    start: Instant,
    /// Keyed at random, so that nobody can choose a name that meets another one's bucket.
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// When all of them are full again.
    all_full_at: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    /// When the bucket of an identity is full again, in nanoseconds since the start.
    full_at: HashMap<u64, u64>,
    /// The bucket of all those for whom there is no room.
    others_full_at: u64,
    swept_at: u64,
}

impl RateLimiter {
    /// Every bucket is full.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            all_full_at: AtomicU64::new(0),
        }
    }

    /// Takes one out of a bucket.
    ///
    /// # Errors
    /// How long it takes until there is one in it.
    pub(crate) fn take(&self, bucket: impl Hash, rate: NonZeroU32) -> Result<(), Duration> {
        self.take_at(self.hasher.hash_one(bucket), rate, self.now())
    }

    /// Whether there is one in a bucket. That costs next to nothing where all are full.
    ///
    /// # Errors
    /// How long it takes until there is.
    pub(crate) fn look(&self, bucket: impl Hash, rate: NonZeroU32) -> Result<(), Duration> {
        let now = self.now();
        if self.all_full_at.load(Ordering::Relaxed) <= now {
            return Ok(());
        }
        let key = self.hasher.hash_one(bucket);
        let full_at = self.shard(key).full_at(key);
        after(full_at, now, rate).map(|_| ())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        self.shards[key as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_at(&self, key: u64, rate: NonZeroU32, now: u64) -> Result<(), Duration> {
        let mut shard = self.shard(key);
        let full_at = shard.bucket(key, now);
        *full_at = after(*full_at, now, rate)?;
        self.all_full_at.fetch_max(*full_at, Ordering::Relaxed);
        Ok(())
    }
}

impl Shard {
    /// As [`Self::bucket`], of one that is there already.
    fn full_at(&self, key: u64) -> u64 {
        let is_full = self.full_at.len() >= BUCKETS_MAX;
        let others = if is_full { self.others_full_at } else { 0 };
        self.full_at.get(&key).copied().unwrap_or(others)
    }

    fn bucket(&mut self, key: u64, now: u64) -> &mut u64 {
        let is_full = self.full_at.len() >= BUCKETS_MAX;
        if is_full && now >= self.swept_at + SWEEP_NS {
            self.swept_at = now;
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        if self.full_at.len() >= BUCKETS_MAX && !self.full_at.contains_key(&key) {
            return &mut self.others_full_at;
        }
        self.full_at.entry(key).or_default()
    }
}

/// When a bucket is full again once one request is taken out of it; all times in nanoseconds.
///
/// # Errors
/// How long it takes until a request is in it.
fn after(full_at: u64, now: u64, rate: NonZeroU32) -> Result<u64, Duration> {
    let one = SECOND_NS / u64::from(rate.get());
    let full_at = full_at.max(now) + one;
    match full_at.checked_sub(now + one * u64::from(rate.get())) {
        Some(missing @ 1..) => Err(Duration::from_nanos(missing)),
        _ => Ok(full_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Bucket;

    fn rate(rate: u32) -> NonZeroU32 {
        NonZeroU32::new(rate).unwrap()
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn a_bucket_holds_a_second_and_fills_as_time_passes() {
        // When it is full, now, the rate: when it is full then, or how long to wait.
        let table: &[(u64, u64, u32, Result<u64, u64>)] = &[
            (0, 0, 1, Ok(1000 * MS)),
            (1000 * MS, 0, 1, Err(1000 * MS)),
            (1000 * MS, 999 * MS, 1, Err(MS)),
            (1000 * MS, 1000 * MS, 1, Ok(2000 * MS)),
            (0, 5000 * MS, 1, Ok(6000 * MS)),
            (0, 0, 10, Ok(100 * MS)),
            (900 * MS, 0, 10, Ok(1000 * MS)),
            (1000 * MS, 0, 10, Err(100 * MS)),
            (1000 * MS, 50 * MS, 10, Err(50 * MS)),
            (1000 * MS, 100 * MS, 10, Ok(1100 * MS)),
            (0, 0, 3, Ok(333_333_333)),
            (666_666_666, 0, 3, Ok(999_999_999)),
            (999_999_999, 0, 3, Err(333_333_333)),
            (0, 0, 1_000_000, Ok(1000)),
            // The rate has been lowered meanwhile.
            (1000 * MS, 0, 2, Err(500 * MS)),
        ];
        for (full_at, now, per_second, expected) in table {
            let got = after(*full_at, *now, rate(*per_second));
            let expected = expected.map_err(Duration::from_nanos);
            assert_eq!(got, expected, "full at {full_at}, now {now}, {per_second}/s");
        }
    }

    #[test]
    fn a_look_takes_nothing() {
        let limiter = RateLimiter::new();
        for _ in 0..3 {
            assert_eq!(limiter.look("a", rate(1)), Ok(()), "it is full");
        }
        assert_eq!(limiter.take("a", rate(1)), Ok(()));
        assert!(limiter.look("a", rate(1)).is_err(), "it is empty");
        assert_eq!(limiter.look("b", rate(1)), Ok(()), "another one is full");
    }

    #[test]
    fn identities_do_not_share_a_bucket() {
        let limiter = RateLimiter::new();
        let names = [Bucket::Unnamed, Bucket::Token("a"), Bucket::Token("anonymous")];
        for bucket in names {
            assert_eq!(limiter.take(bucket, rate(1)), Ok(()), "{bucket:?}");
            assert!(limiter.take(bucket, rate(1)).is_err(), "{bucket:?}");
        }
    }

    #[test]
    fn memory_is_bounded_and_strangers_do_not_drive_out_who_is_limited() {
        let limiter = RateLimiter::new();
        let of_one_shard = |count: usize| (0..count as u64).map(|i| i * SHARDS as u64);
        let one = 3 * SHARDS as u64;
        let admitted =
            of_one_shard(3 * BUCKETS_MAX).filter(|key| limiter.take_at(*key, rate(1), 0).is_ok());
        assert_eq!(admitted.count(), BUCKETS_MAX + 1, "those without room share a bucket");
        assert!(limiter.take_at(one, rate(1), 1).is_err(), "its bucket is not forgotten");
        let kept = || limiter.shards[0].lock().unwrap().full_at.len();
        assert_eq!(kept(), BUCKETS_MAX);
        let new = 4 * (BUCKETS_MAX * SHARDS) as u64;
        assert_eq!(limiter.take_at(new, rate(1), SECOND_NS), Ok(()));
        assert_eq!(kept(), 1, "full buckets are not kept");
    }
}
