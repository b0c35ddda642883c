//! When keys of a namespace are over, and the clock that says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use imbl::{OrdMap, OrdSet};

use crate::MemberKey;

/// A moment on the wall clock, in milliseconds since 1970: from then on a key is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry(u64);

impl Expiry {
    /// So many milliseconds after 1970.
    #[must_use]
    pub fn at_milliseconds(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// In milliseconds since 1970.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        self.0
    }

    /// Later by so much.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }

    /// How long it is until then, from a moment on; zero once it is over.
    pub(crate) fn left(self, now: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }
}

/// The clock that keys are over by. It may be set back: what is gone stays gone.
#[derive(Debug, Clone, Default)]
pub enum WallClock {
    /// The machine's.
    #[default]
    System,
    /// One that shows what it was set to, in milliseconds since 1970; for tests.
    Manual(Arc<AtomicU64>),
}

impl WallClock {
    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Expiry {
        match self {
            Self::System => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                Expiry(0).after(now.unwrap_or_default())
            }
            Self::Manual(milliseconds) => Expiry(milliseconds.load(Ordering::SeqCst)),
        }
    }
}

impl PartialEq for WallClock {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::System, Self::System) => true,
            (Self::Manual(one), Self::Manual(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for WallClock {}

/// When keys of a namespace are over, by key and by time. Shared with the versions before and
/// after but for what differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expiries {
    by_key: OrdMap<MemberKey, Expiry>,
    by_time: OrdSet<(Expiry, MemberKey)>,
}

impl Expiries {
    pub(crate) fn set(&mut self, key: &MemberKey, expiry: Expiry) {
        self.remove(key);
        self.by_key.insert(key.clone(), expiry);
        self.by_time.insert((expiry, key.clone()));
    }

    pub(crate) fn remove(&mut self, key: &MemberKey) {
        if let Some(before) = self.by_key.remove(key) {
            self.by_time.remove(&(before, key.clone()));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The first.
    pub(crate) fn earliest(&self) -> Option<Expiry> {
        self.by_time.get_min().map(|(expiry, _)| *expiry)
    }

    /// The keys that are over, the first first.
    pub(crate) fn due(&self, now: Expiry) -> impl Iterator<Item = &MemberKey> {
        self.by_time.iter().take_while(move |(expiry, _)| *expiry <= now).map(|(_, key)| key)
    }

    /// All of them, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&MemberKey, Expiry)> {
        self.by_key.iter().map(|(key, expiry)| (key, *expiry))
    }
}
