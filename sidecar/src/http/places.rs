//! Places that clients hold for a while: so many in all, and so many of them for one identity, so that
//! nobody takes all of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::auth::Bucket;

/// How many places are taken, and whose they are.
#[derive(Debug)]
pub(crate) struct Places {
    all_max: u32,
    /// Keyed at random, so that nobody can choose a name that counts with another one's.
    hasher: RandomState,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    /// By whose they are; nobody stands here without one.
    by: HashMap<u64, u32>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Nobody gets one.
    All,
    /// This identity has as many as it may have.
    Own,
}

impl Places {
    /// So many in all, of which none is taken.
    pub(crate) fn new(all_max: u32) -> Self {
        Self { all_max, hasher: RandomState::new(), taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(crate) fn all_max(&self) -> u32 {
        self.all_max
    }

    /// What an identity is counted by.
    pub(crate) fn key(&self, bucket: Bucket<'_>) -> u64 {
        self.hasher.hash_one(bucket)
    }

    /// Takes a place for who is counted by this and may have so many.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn take(&self, by: u64, own_max: u32) -> Result<u64, Full> {
        let mut taken = self.taken();
        if taken.all >= self.all_max {
            return Err(Full::All);
        }
        let own = taken.by.get(&by).copied().unwrap_or_default();
        if own >= own_max {
            return Err(Full::Own);
        }
        taken.all += 1;
        taken.by.insert(by, own + 1);
        Ok(by)
    }

    /// Gives back a place that was taken.
    pub(crate) fn give_back(&self, by: u64) {
        let mut taken = self.taken();
        taken.all -= 1;
        if let Some(own) = taken.by.get_mut(&by) {
            *own -= 1;
            if *own == 0 {
                taken.by.remove(&by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_for_each_and_for_all() {
        let places = Places::new(10);
        let (a, b) = (places.key(Bucket::Token("a")), places.key(Bucket::Subject(Some("a"))));
        let unnamed = places.key(Bucket::Unnamed);
        let first = places.take(a, 2).expect("the first");
        places.take(a, 2).expect("the second");
        assert_eq!(places.take(a, 2), Err(Full::Own));
        places.give_back(first);
        places.take(a, 2).expect("one was given back");
        let others: Vec<_> = (2..10).map(|_| places.take(b, u32::MAX).expect("a place")).collect();
        assert_eq!(places.take(unnamed, u32::MAX), Err(Full::All));
        for by in others.into_iter().chain([first, first]) {
            places.give_back(by);
        }
        let taken = places.taken();
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
