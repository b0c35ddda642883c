//! Revisions: the modification times of document files.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::EntityTag;

const NANOSECONDS: i128 = 1_000_000_000;

/// The coarsest step that a file system in use keeps for a modification time: two seconds (FAT).
const COARSEST_STEP: i128 = 2 * NANOSECONDS;

/// A modification time, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Revision(i128);

impl Revision {
    fn now() -> Self {
        let nanoseconds = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
        Self(match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanoseconds(after),
            Err(before) => -nanoseconds(before.duration()),
        })
    }

    /// The revision that a file carries.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let seconds = i128::from(metadata.mtime());
        Ok(Self(seconds * NANOSECONDS + i128::from(metadata.mtime_nsec())))
    }

    /// The tag of these bytes at this revision: both are in it, so that neither a time that came
    /// back nor a coarse one lets two contents share a tag.
    pub(super) fn tag(self, body: &[u8]) -> EntityTag {
        let hash = Sha256::digest(body).iter().take(8).fold(0, |n, byte| n << 8 | u64::from(*byte));
        EntityTag::from_revision(self.0, hash)
    }

    /// The revision of a document that was modified at this time.
    pub(super) fn at(modified: Timestamp) -> Self {
        Self(modified.as_nanosecond())
    }

    /// The same instant for people; one that no calendar holds becomes the nearest that it does.
    pub(super) fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }

    fn after(self, step: i128) -> Self {
        Self(self.0.saturating_add(step))
    }

    /// Sets this revision on a file and reads back what the file system kept of it.
    fn set_on(self, file: &File) -> io::Result<Self> {
        let distance = Duration::from_nanos_u128(self.0.unsigned_abs());
        let time = if self.0 < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        };
        file.set_modified(time.ok_or_else(times_are_not_kept)?)?;
        Self::of(file)
    }
}

/// Hands out revisions, each later than every earlier one and than the one it replaces.
#[derive(Debug)]
pub(super) struct Clock {
    last: Revision,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { last: Revision(i128::MIN) }
    }

    /// Gives a file that is about to replace `current` its revision: the present time, or the
    /// next instant that the file system can tell from the last revision.
    pub(super) fn stamp(&mut self, file: &File, current: Option<Revision>) -> io::Result<Revision> {
        let now = Revision::now();
        let floor = current.map_or(self.last, |current| current.max(self.last));
        let mut kept = now.max(floor.after(1)).set_on(file)?;
        if kept <= floor {
            kept = floor.after(COARSEST_STEP).set_on(file)?;
        }
        if kept <= floor {
            return Err(times_are_not_kept());
        }
        // A document that somebody dated into the future moves on from there alone.
        if current.is_none_or(|current| current <= self.last.max(now)) {
            self.last = kept;
        }
        Ok(kept)
    }
}

fn times_are_not_kept() -> io::Error {
    io::Error::other("the file system does not keep the modification time that was set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_grow_past_the_last_one_and_past_the_replaced_one() {
        let file = tempfile::tempfile().unwrap();
        let mut clock = Clock::new();
        let mut last = clock.stamp(&file, None).unwrap();
        for _ in 0..1_000 {
            let next = clock.stamp(&file, None).unwrap();
            assert!(next > last, "{next:?} follows {last:?}");
            assert_eq!(Revision::of(&file).unwrap(), next);
            last = next;
        }
        let future = last.after(3_600 * NANOSECONDS);
        assert_eq!(clock.stamp(&file, Some(future)).unwrap(), future.after(1));
        let next = clock.stamp(&file, None).unwrap();
        assert!(next > last && next < future, "a document of the future takes no other along");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_revision_twice() {
        let file = tempfile::tempfile().unwrap();
        let ahead = Revision::now().after(3_600 * NANOSECONDS);
        let mut clock = Clock { last: ahead };
        assert_eq!(clock.stamp(&file, None).unwrap(), ahead.after(1));
        assert_eq!(clock.stamp(&file, None).unwrap(), ahead.after(2));
    }

    #[test]
    fn a_tag_tells_contents_apart_at_one_revision_and_revisions_at_one_content() {
        let revision = Revision(0x1234);
        let tag = revision.tag(b"{}");
        assert_eq!(tag.opaque(), "1234-44136fa355b3678a", "hex time, hex SHA-256 prefix");
        assert_ne!(tag, revision.tag(b"[]"));
        assert_ne!(tag, revision.after(1).tag(b"{}"));
    }

    #[test]
    fn times_before_1970_are_revisions_too() {
        let file = tempfile::tempfile().unwrap();
        let early = Revision(-1_500_000_000);
        assert_eq!(early.set_on(&file).unwrap(), early);
        assert_eq!(early.timestamp().to_string(), "1969-12-31T23:59:58.5Z");
    }
}
