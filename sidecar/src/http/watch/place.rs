//! The places of those who watch: so many in all, and so many of them for one identity, so that nobody takes
//! all of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stowage_config::Limits;

use super::Access;
use crate::auth::Bucket;
use crate::http::app::App;
use crate::http::metrics::Counted;
use crate::http::problem::Problem;

/// How many streams and held answers there are, and whose they are.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
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
enum Full {
    /// Nobody gets one.
    All,
    /// This identity has as many as it may have.
    Own,
}

impl Watchers {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an identity is counted by.
    pub(super) fn key(&self, bucket: Bucket<'_>) -> u64 {
        self.hasher.hash_one(bucket)
    }

    /// Takes a place for who is counted by this and may have so many.
    fn take(&self, by: u64, own_max: u32) -> Result<u64, Full> {
        let mut taken = self.taken();
        if taken.all >= Limits::WATCHES {
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

    fn give_back(&self, by: u64) {
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

/// A place among those who watch, until it is dropped.
pub(super) struct Place {
    app: Arc<App>,
    by: u64,
    _counted: Counted,
}

impl Place {
    /// Takes one.
    ///
    /// # Errors
    /// 429 where the client has as many as it may have, 503 where all are taken.
    pub(super) fn take(app: &Arc<App>, access: &Access) -> Result<Self, Problem> {
        let (by, own_max) = match access.counted_with {
            None => (0, Limits::WATCHES),
            Some(by) => (by, app.settings.borrow().limits.watches_max()),
        };
        let by = app.watchers.take(by, own_max).map_err(|full| match full {
            Full::Own => Problem::too_many_watches(own_max),
            Full::All => {
                Problem::unavailable("as many clients watch as this server takes; try again later")
            }
        })?;
        Ok(Self { app: Arc::clone(app), by, _counted: app.metrics.watcher() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.watchers.give_back(self.by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_for_each_and_for_all() {
        let watchers = Watchers::default();
        let (a, b) = (watchers.key(Bucket::Token("a")), watchers.key(Bucket::Subject(Some("a"))));
        let unnamed = watchers.key(Bucket::Unnamed);
        let first = watchers.take(a, 2).expect("the first");
        watchers.take(a, 2).expect("the second");
        assert_eq!(watchers.take(a, 2), Err(Full::Own));
        watchers.give_back(first);
        watchers.take(a, 2).expect("one was given back");
        let others: Vec<_> =
            (2..Limits::WATCHES).map(|_| watchers.take(b, u32::MAX).expect("a place")).collect();
        assert_eq!(watchers.take(unnamed, u32::MAX), Err(Full::All));
        for by in others.into_iter().chain([first, first]) {
            watchers.give_back(by);
        }
        let taken = watchers.taken();
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
