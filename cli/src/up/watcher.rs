//! Notices that manifests have changed.
//!
//! Polls instead of asking the system for events: it works alike on every file system, network
//! mounts included, and a directory of manifests is small.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the manifests are looked at.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// For how many looks in a row a change must stand still before it is read: an editor may be
/// half through writing.
const QUIET_POLLS: u32 = 1;

/// The same where a file has gone or become shorter: editors that save by renaming leave a moment
/// without it, those that write in place one with a part of it, and the absence of a Store has
/// larger consequences than anything else.
const QUIET_POLLS_REMOVAL: u32 = 3;

/// What a look at the files costs nothing to compare by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    inode: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

type Stamps = BTreeMap<PathBuf, Stamp>;

/// Knows what the manifests looked like when they were last read.
#[derive(Debug)]
pub(crate) struct Watcher {
    paths: Vec<PathBuf>,
    seen: Stamps,
    /// `None` where it is not known what was read.
    content: Option<u64>,
    moving: Option<(Stamps, u32)>,
}

impl Watcher {
    /// Takes the present state as read; to be called before reading, so that a change in between
    /// is noticed.
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        let seen = look(paths);
        let content = Some(hash(&seen));
        Self { paths: paths.to_vec(), seen, content, moving: None }
    }

    /// Whether the content has changed and settled since the last time this said so.
    pub(crate) fn poll(&mut self) -> bool {
        let now = look(&self.paths);
        if now == self.seen {
            self.moving = None;
            return false;
        }
        let quiet_polls = match &self.moving {
            Some((before, polls)) if *before == now => polls + 1,
            _ => 0,
        };
        let removal = self
            .seen
            .iter()
            .any(|(path, seen)| now.get(path).is_none_or(|stamp| stamp.bytes < seen.bytes));
        if quiet_polls < if removal { QUIET_POLLS_REMOVAL } else { QUIET_POLLS } {
            self.moving = Some((now, quiet_polls));
            return false;
        }
        let content = Some(hash(&now));
        let changed = content != self.content;
        self.seen = now;
        self.content = content;
        self.moving = None;
        changed
    }

    /// Whether what was read since [`Self::poll`] said so is what stood still then. Where it is
    /// not, it may be a half of something, and the next change counts whatever it is.
    pub(crate) fn stood_still(&mut self) -> bool {
        let still = look(&self.paths) == self.seen;
        if !still {
            self.content = None;
        }
        still
    }
}

/// Whether a file in a directory is a manifest; hidden files are not.
fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden
        && path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known))
}

fn look(paths: &[PathBuf]) -> Stamps {
    let mut stamps = Stamps::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            stamps.extend(entries.map(|e| e.path()).filter(|p| is_manifest(p)).filter_map(stamp));
        } else {
            stamps.extend(stamp(path.clone()));
        }
    }
    stamps
}

fn stamp(path: PathBuf) -> Option<(PathBuf, Stamp)> {
    let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let stamp = Stamp {
        bytes: metadata.len(),
        inode: metadata.ino(),
        modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: (metadata.ctime(), metadata.ctime_nsec()),
    };
    Some((path, stamp))
}

fn hash(stamps: &Stamps) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in stamps.keys() {
        path.hash(&mut hasher);
        fs::read(path).ok().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many polls until a change is reported, up to a few more than any takes.
    fn polls_until_change(watcher: &mut Watcher) -> Option<u32> {
        (1..=8).find(|_| watcher.poll())
    }

    #[test]
    fn changes_are_reported_once_and_after_they_settle() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.yaml");
        fs::write(&file, "one").unwrap();
        let mut watcher = Watcher::new(&[root.path().to_owned()]);
        assert_eq!(polls_until_change(&mut watcher), None, "nothing happened");

        fs::write(&file, "two").unwrap();
        assert_eq!(polls_until_change(&mut watcher), Some(2), "changed content");
        assert_eq!(polls_until_change(&mut watcher), None, "reported already");

        fs::write(&file, "two").unwrap();
        assert_eq!(polls_until_change(&mut watcher), None, "same content, written again");

        fs::write(root.path().join("b.yml"), "").unwrap();
        assert_eq!(polls_until_change(&mut watcher), Some(2), "new file");

        fs::write(root.path().join("notes.txt"), "").unwrap();
        fs::write(root.path().join(".b.yml"), "").unwrap();
        assert_eq!(polls_until_change(&mut watcher), None, "no manifests");

        fs::remove_file(&file).unwrap();
        assert_eq!(polls_until_change(&mut watcher), Some(4), "removed, waits longer");
    }

    #[test]
    fn a_file_that_became_shorter_may_be_half_written() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.yaml");
        fs::write(&file, "both").unwrap();
        let mut watcher = Watcher::new(std::slice::from_ref(&file));
        fs::write(&file, "one").unwrap();
        assert_eq!(polls_until_change(&mut watcher), Some(4), "as long as a removal");
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.yaml");
        fs::write(&file, "old").unwrap();
        let mut watcher = Watcher::new(std::slice::from_ref(&file));
        fs::write(&file, "new").unwrap();
        assert_eq!(polls_until_change(&mut watcher), Some(2));
        assert!(watcher.stood_still(), "nothing happened since");

        fs::write(&file, "half").unwrap();
        assert!(!watcher.stood_still(), "it may have been read at any of its lengths");
        fs::write(&file, "new").unwrap();
        assert!(polls_until_change(&mut watcher).is_some(), "though it is what stood there before");
    }

    #[test]
    fn a_file_that_keeps_changing_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.yaml");
        fs::write(&file, "").unwrap();
        let mut watcher = Watcher::new(std::slice::from_ref(&file));
        for n in 1..5 {
            fs::write(&file, "x".repeat(n)).unwrap();
            assert!(!watcher.poll(), "still being written");
        }
        assert!(watcher.poll(), "stands still now");
    }

    #[test]
    fn a_file_that_is_away_for_a_moment_is_no_removal() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.yaml");
        fs::write(&file, "old").unwrap();
        let mut watcher = Watcher::new(std::slice::from_ref(&file));
        fs::remove_file(&file).unwrap();
        assert!(!watcher.poll() && !watcher.poll(), "not believed yet");
        fs::write(&file, "old").unwrap();
        assert_eq!(polls_until_change(&mut watcher), None, "back with the same content");
    }
}
