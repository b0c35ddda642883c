//! Which archives are the only ones that stood at their keys within their seconds.
//!
//! A date names a second. It is as good as a tag where it is known that nothing else was published
//! at that key within it (RFC 9110 §8.8.2.2); else who joins parts by it may join those of two.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::ArchiveKey;

/// More keys than that are seldom replaced twice within one second.
const KEYS_MAX: usize = 1_024;

/// What is known since the store was opened.
#[derive(Debug)]
pub(in crate::volume) struct Seconds(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// Of the seconds up to this one nothing is known.
    unknown_up_to: i64,
    /// The last second within which an archive ended that had begun in it.
    ended: HashMap<ArchiveKey, i64>,
}

impl Seconds {
    /// Nothing is known of what was before; of a new directory, there is nothing that was.
    pub(in crate::volume) fn new(is_new: bool, now: Timestamp) -> Self {
        let unknown_up_to = if is_new { i64::MIN } else { now.as_second() };
        Self(Mutex::new(Known { unknown_up_to, ended: HashMap::new() }))
    }

    /// An archive of this time is about to be replaced or removed.
    pub(super) fn ends(&self, key: &ArchiveKey, modified: Timestamp, now: Timestamp) {
        let second = modified.as_second();
        // What follows is not of a second that is over.
        if second < now.as_second() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.ended.len() >= KEYS_MAX && !known.ended.contains_key(key) {
            known.unknown_up_to = known.ended.values().copied().fold(second, i64::max);
            known.ended.clear();
        }
        known.ended.insert(key.clone(), second);
    }

    /// Whether it is known that the archive of this time is the only one of its second.
    pub(super) fn is_only(&self, key: &ArchiveKey, modified: Timestamp) -> bool {
        let second = modified.as_second();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        second > known.unknown_up_to && known.ended.get(key) != Some(&second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Name, NameKind};

    fn key(build: usize) -> ArchiveKey {
        let name = |kind, name: &str| Name::parse(kind, name).unwrap();
        ArchiveKey::new(&name(NameKind::Site, "s"), &name(NameKind::Build, &build.to_string()))
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn one_that_follows_another_of_its_second_is_not_the_only_one() {
        let seconds = Seconds::new(true, at(0));
        assert!(seconds.is_only(&key(1), at(0)), "a new directory holds nothing of before");
        seconds.ends(&key(1), at(100), at(900));
        assert!(!seconds.is_only(&key(1), at(950)), "it came within the same second");
        assert!(seconds.is_only(&key(1), at(1_000)), "it came in the next");
        assert!(seconds.is_only(&key(2), at(950)), "it stands elsewhere");
        seconds.ends(&key(2), at(950), at(1_000));
        assert!(seconds.is_only(&key(2), at(1_000)), "that second was over");
        // Where the clock was set back, times go on from the last one.
        seconds.ends(&key(3), at(5_000), at(1_000));
        assert!(!seconds.is_only(&key(3), at(5_001)));
    }

    #[test]
    fn of_what_was_before_the_start_nothing_is_known() {
        let seconds = Seconds::new(false, at(1_500));
        let is_only = |milliseconds| seconds.is_only(&key(1), at(milliseconds));
        assert_eq!([0, 1_000, 1_999, 2_000].map(is_only), [false, false, false, true]);
    }

    #[test]
    fn what_is_known_is_bounded_and_what_is_forgotten_is_unknown() {
        let seconds = Seconds::new(true, at(0));
        for build in 0..=KEYS_MAX {
            seconds.ends(&key(build), at(500), at(600));
        }
        assert!(seconds.0.lock().unwrap().ended.len() <= KEYS_MAX);
        for build in [0, KEYS_MAX, KEYS_MAX + 1] {
            assert!(!seconds.is_only(&key(build), at(999)), "{build}");
            assert!(seconds.is_only(&key(build), at(1_000)), "{build}");
        }
    }
}
