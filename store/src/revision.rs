//! Revisions: the modification times of document files.
//!
//! A document's revision is its file's modification time in nanoseconds. `tar` and `rsync` keep
//! it, and a file that a person edits while the store is stopped has another one. The entity tag
//! is the revision and 64 bits of the content's SHA-256: A→B→A has three tags, and an edit that
//! keeps the time has its own. An archive's tag has its length in the place of the hash: it is not
//! read through to be served.

use std::io;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::EntityTag;
use crate::disk::DiskFile;

const NANOSECONDS: i128 = 1_000_000_000;

/// A modification time, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Revision(i128);

impl Revision {
    pub(crate) fn from_nanoseconds(nanoseconds: i128) -> Self {
        Self(nanoseconds)
    }

    pub(crate) fn nanoseconds(self) -> i128 {
        self.0
    }

    fn now() -> Self {
        let nanoseconds = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
        Self(match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanoseconds(after),
            Err(before) => -nanoseconds(before.duration()),
        })
    }

    /// The tag of a document of this [`content_hash`] at this revision: both are in it, so that
    /// neither a time that came back nor a coarse one lets two contents share a tag. Of an archive
    /// it is the length.
    pub(crate) fn tag(self, hash: u64) -> EntityTag {
        EntityTag::from_revision(self.0, hash)
    }

    /// The revision of a document that was modified at this time.
    pub(crate) fn at(modified: Timestamp) -> Self {
        Self(modified.as_nanosecond())
    }

    /// The same instant for people; one that no calendar holds becomes the nearest that it does.
    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

/// The first 64 bits of a content's SHA-256.
pub(crate) fn content_hash(content: &[u8]) -> u64 {
    Sha256::digest(content).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// The steps in which file systems keep times: ext4 and XFS, NTFS, and coarser ones up to FAT.
const STEPS: [i128; 6] = [1, 100, 1_000, 1_000_000, NANOSECONDS, 2 * NANOSECONDS];

/// Finds out by a file in which steps its file system keeps the times that are set, in
/// nanoseconds.
///
/// # Errors
/// Where it keeps none; as the operating system says.
pub(crate) fn time_step(file: &dyn DiskFile) -> io::Result<i128> {
    // No step divides both.
    let times = [1_000_000_001_123_456_789, 1_000_000_002_987_654_321];
    let mut kept = Vec::new();
    for time in times {
        file.set_modified(time)?;
        kept.push(file.metadata()?.modified);
    }
    let fits =
        |step: &i128| times.iter().zip(&kept).all(|(time, kept)| time - time % step == *kept);
    STEPS.into_iter().find(fits).ok_or_else(|| {
        io::Error::other("the file system does not keep the modification time that was set")
    })
}

/// Hands out revisions, each later than every earlier one and than the one it replaces.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Revision,
    step: i128,
}

impl Clock {
    /// A clock that hands out nothing up to `last`, in steps of so many nanoseconds.
    pub(crate) fn new(last: Option<i128>, step: i128) -> Self {
        Self { last: Revision(last.unwrap_or(i128::MIN / 2)), step }
    }

    /// The latest that was handed out to a document of the present.
    pub(crate) fn last(&self) -> i128 {
        self.last.0
    }

    /// Takes note of a revision that was handed out before a restart. One of the future belongs
    /// to its document alone.
    pub(crate) fn has_seen(&mut self, revision: Revision) {
        if revision <= Revision::now() {
            self.last = self.last.max(revision);
        }
    }

    /// The revision of what is about to replace `current`: the present time, or the next instant
    /// that the file system can tell from the last revision.
    pub(crate) fn stamp(&mut self, current: Option<Revision>) -> Revision {
        let now = Revision::now();
        let floor = current.map_or(self.last, |current| current.max(self.last));
        let next = now.0.max(floor.0.saturating_add(1));
        let below = next.rem_euclid(self.step);
        let next = if below == 0 || next - below > floor.0 {
            Revision(next - below)
        } else {
            Revision((next - below).saturating_add(self.step))
        };
        // A document that somebody dated into the future moves on from there alone.
        if current.is_none_or(|current| current <= self.last.max(now)) {
            self.last = next;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, OsDisk};

    fn after(revision: Revision, nanoseconds: i128) -> Revision {
        Revision(revision.0 + nanoseconds)
    }

    #[test]
    fn revisions_grow_past_the_last_one_and_past_the_replaced_one() {
        for step in STEPS {
            let mut clock = Clock::new(None, step);
            let mut last = clock.stamp(None);
            for _ in 0..1_000 {
                let next = clock.stamp(None);
                assert!(next > last, "{next:?} follows {last:?}");
                assert_eq!(next.0 % step, 0, "{next:?} is kept in steps of {step}");
                last = next;
            }
            let future = Revision(last.0 + 3_600 * NANOSECONDS);
            assert_eq!(clock.stamp(Some(future)), after(future, step));
            let next = clock.stamp(None);
            assert!(next > last && next < future, "a document of the future takes no other along");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_revision_twice() {
        let ahead = after(Revision::now(), 3_600 * NANOSECONDS);
        let mut clock = Clock::new(Some(ahead.0), 1);
        assert_eq!(clock.stamp(None), after(ahead, 1));
        assert_eq!(clock.stamp(None), after(ahead, 2));
    }

    #[test]
    fn a_tag_tells_contents_apart_at_one_revision_and_revisions_at_one_content() {
        let revision = Revision(0x1234);
        let tag = revision.tag(content_hash(b"{}"));
        assert_eq!(&*tag.opaque(), "1234-44136fa355b3678a", "hex time, hex SHA-256 prefix");
        assert_ne!(tag, revision.tag(content_hash(b"[]")));
        assert_ne!(tag, after(revision, 1).tag(content_hash(b"{}")));
    }

    #[test]
    fn a_file_keeps_the_times_that_its_step_says_those_before_1970_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = OsDisk::open(directory.path()).expect("a disk");
        let file = disk.create("a").expect("a file");
        let step = time_step(&*file).expect("a step");
        for time in [-1_500_000_000, 1_234_567_890_123_456_789] {
            let time = time - time % step;
            file.set_modified(time).expect("a time");
            assert_eq!(file.metadata().expect("metadata").modified, time);
        }
        assert_eq!(Revision(-1_500_000_000).timestamp().to_string(), "1969-12-31T23:59:58.5Z");
    }
}
