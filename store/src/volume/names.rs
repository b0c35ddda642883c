//! The names in the tree: kept from changing while somebody lists them, and remembered in order.
//!
//! A file system gives a directory's names in no order, so that the first page of a list costs the
//! whole directory. What was read is kept, sorted, within a bound; whoever changes the tree says so
//! here. The pages after it cost what they hold.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::disk::{Disk, Kind, split};
use crate::error::is_of_one;

/// What a name takes beside its bytes, roughly.
const NAME_BYTES: u64 = 48;

/// The names of one directory; a directory's ends with `/`, so that they are in the order of the
/// paths that lead through them.
type Directory = BTreeSet<Box<str>>;

/// Names in the tree.
#[derive(Debug)]
pub(super) struct Names {
    changing: RwLock<()>,
    sorted: Mutex<Sorted>,
}

#[derive(Debug)]
struct Sorted {
    directories: HashMap<Box<str>, Directory>,
    bytes: u64,
    bytes_max: u64,
}

/// While it lives, no name changes.
#[derive(Debug)]
pub(super) struct Steady<'a> {
    names: &'a Names,
    _held: RwLockReadGuard<'a, ()>,
}

/// While it lives, nobody lists.
#[derive(Debug)]
pub(super) struct Changing<'a> {
    names: &'a Names,
    _held: RwLockWriteGuard<'a, ()>,
}

impl Names {
    /// Remembers at most so many bytes of them.
    pub(super) fn new(bytes_max: u64) -> Self {
        let sorted = Sorted { directories: HashMap::new(), bytes: 0, bytes_max };
        Self { changing: RwLock::new(()), sorted: Mutex::new(sorted) }
    }

    /// Waits for changes to end, and keeps others away. Without it, a file that is renamed while
    /// its directory is read might be missed.
    pub(super) fn steady(&self) -> Steady<'_> {
        let held = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        Steady { names: self, _held: held }
    }

    /// Waits for lists to end, and keeps others away.
    pub(super) fn change(&self) -> Changing<'_> {
        let held = self.changing.write().unwrap_or_else(PoisonError::into_inner);
        Changing { names: self, _held: held }
    }

    fn sorted(&self) -> MutexGuard<'_, Sorted> {
        self.sorted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changing<'_> {
    /// Takes note of a file that stands at a path now.
    pub(super) fn made(&self, path: &str) {
        let mut sorted = self.names.sorted();
        let (mut directory, name) = split(path);
        let mut name: Box<str> = name.into();
        loop {
            sorted.add(directory, &name);
            if directory.is_empty() {
                return;
            }
            let above = split(directory);
            (directory, name) = (above.0, format!("{}/", above.1).into());
        }
    }

    /// Takes note that nothing stands at a path any more.
    pub(super) fn removed(&self, path: &str) {
        let (directory, name) = split(path);
        let mut sorted = self.names.sorted();
        let known = sorted.directories.get_mut(directory);
        if known.is_some_and(|names| names.remove(name)) {
            sorted.bytes -= weight(name);
        }
    }
}

impl Changing<'_> {
    /// Takes note that an empty directory was removed.
    pub(super) fn removed_directory(&self, path: &str) {
        let (directory, name) = split(path);
        let name = format!("{name}/");
        let mut sorted = self.names.sorted();
        let known = sorted.directories.get_mut(directory);
        if known.is_some_and(|names| names.remove(name.as_str())) {
            sorted.bytes -= weight(&name);
        }
        if let Some(left) = sorted.directories.remove(path) {
            sorted.bytes -= left.iter().map(|name| weight(name)).sum::<u64>();
        }
    }
}

impl Steady<'_> {
    /// Gives the files below a directory whose paths are greater than `after`, in byte order,
    /// until so many of them were taken.
    ///
    /// # Errors
    /// As the disk says, but that there is no such directory.
    pub(super) fn files_after(
        &self,
        disk: &dyn Disk,
        directory: &str,
        after: &str,
        wanted: usize,
        take: &mut impl FnMut(&str) -> bool,
    ) -> io::Result<()> {
        let mut page = Page { sorted: self.names.sorted(), disk, after, wanted, take };
        page.directory(directory)
    }

    /// Gives the directories right in a directory behind `after`, in byte order of the paths that
    /// lead through them, at most so many.
    ///
    /// # Errors
    /// As the disk says, but that there is no such directory.
    pub(super) fn directories_after(
        &self,
        disk: &dyn Disk,
        directory: &str,
        after: Option<&str>,
        limit: usize,
    ) -> io::Result<Vec<String>> {
        let mut sorted = self.names.sorted();
        let mut from = match after {
            Some(after) => Bound::Excluded(format!("{after}/").into()),
            None => Bound::Unbounded,
        };
        let mut found = Vec::new();
        while found.len() < limit {
            let names = sorted.after(disk, directory, &from, limit - found.len())?;
            found.extend(names.iter().filter_map(|name| name.strip_suffix('/')).map(str::to_owned));
            let Some(last) = names.into_iter().next_back() else { break };
            from = Bound::Excluded(last);
        }
        Ok(found)
    }
}

/// A walk in order.
struct Page<'a, T> {
    sorted: MutexGuard<'a, Sorted>,
    disk: &'a dyn Disk,
    after: &'a str,
    wanted: usize,
    take: &'a mut T,
}

impl<T: FnMut(&str) -> bool> Page<'_, T> {
    fn directory(&mut self, directory: &str) -> io::Result<()> {
        let prefix = format!("{directory}/");
        let mut from = match self.after.strip_prefix(&*prefix) {
            // The directory on the way to `after` holds paths before and behind it.
            Some(rest) => match rest.find('/') {
                Some(slash) => Bound::Included(Box::from(&rest[..=slash])),
                None => Bound::Excluded(Box::from(rest)),
            },
            None if *prefix > *self.after => Bound::Unbounded,
            None => return Ok(()),
        };
        while self.wanted > 0 {
            let names = self.sorted.after(self.disk, directory, &from, self.wanted)?;
            let Some(last) = names.last().cloned() else { return Ok(()) };
            for name in names {
                match name.strip_suffix('/') {
                    Some(inner) => self.inner(&format!("{prefix}{inner}"))?,
                    None if self.wanted > 0 && (self.take)(&format!("{prefix}{name}")) => {
                        self.wanted -= 1;
                    }
                    None => {}
                }
            }
            from = Bound::Excluded(last);
        }
        Ok(())
    }

    /// A directory in the one that is listed, which takes no other from the list.
    fn inner(&mut self, directory: &str) -> io::Result<()> {
        match self.directory(directory) {
            Err(error) if is_of_one(&error) => {
                tracing::warn!(directory, %error, "a directory is left out of a list");
                Ok(())
            }
            listed => listed,
        }
    }
}

impl Sorted {
    /// At most so many names of a directory, in order.
    fn after(
        &mut self,
        disk: &dyn Disk,
        directory: &str,
        from: &Bound<Box<str>>,
        count: usize,
    ) -> io::Result<Vec<Box<str>>> {
        let range = (from.as_ref(), Bound::Unbounded);
        if let Some(names) = self.directories.get(directory) {
            return Ok(names.range::<Box<str>, _>(range).take(count).cloned().collect());
        }
        let mut names = Directory::new();
        let mut bytes = 0;
        let bytes_max = self.bytes_max;
        let is_behind = |name: &str| match from {
            Bound::Included(from) => *name >= **from,
            Bound::Excluded(from) => *name > **from,
            Bound::Unbounded => true,
        };
        let read = disk.each_entry(directory, &mut |name, kind| {
            let name: Box<str> = match kind {
                Kind::File => name.into(),
                Kind::Directory => format!("{name}/").into(),
                Kind::Other => return,
            };
            let was_small = bytes <= bytes_max;
            bytes += weight(&name);
            if bytes <= bytes_max {
                names.insert(name);
                return;
            }
            // It is not remembered: the page alone is looked for.
            if was_small {
                names.retain(|name| is_behind(name));
                while names.len() > count {
                    names.pop_last();
                }
            }
            if is_behind(&name) && (names.len() < count || names.last() > Some(&name)) {
                names.insert(name);
                if names.len() > count {
                    names.pop_last();
                }
            }
        });
        match read {
            Ok(()) => {}
            // A file in a directory's place holds no keys.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        }
        if bytes > bytes_max {
            return Ok(names.into_iter().collect());
        }
        if self.bytes + bytes > bytes_max {
            self.directories.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        let found = names.range::<Box<str>, _>(range).take(count).cloned().collect();
        self.directories.insert(directory.into(), names);
        Ok(found)
    }

    fn add(&mut self, directory: &str, name: &str) {
        let Some(names) = self.directories.get_mut(directory) else { return };
        if names.insert(name.into()) {
            self.bytes += weight(name);
        }
        if self.bytes > self.bytes_max {
            self.directories.clear();
            self.bytes = 0;
        }
    }
}

fn weight(name: &str) -> u64 {
    NAME_BYTES + name.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::disk::MemoryDisk;

    fn path(number: usize) -> String {
        format!("run-stores/{number:04}.json")
    }

    /// A directory of so many files.
    fn disk(files: usize) -> MemoryDisk {
        let disk = MemoryDisk::new();
        (0..files).for_each(|number| disk.put(&path(number), Vec::new()));
        disk
    }

    /// All files, in pages of ten.
    fn pages(names: &Names, disk: &MemoryDisk) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().cloned().unwrap_or_default();
            let before = found.len();
            let mut take = |path: &str| {
                found.push(path.to_owned());
                true
            };
            names.steady().files_after(disk, "run-stores", &after, 10, &mut take).expect("a page");
            if found.len() == before {
                return found;
            }
        }
    }

    #[test]
    fn a_directory_is_read_once_for_all_pages_or_where_it_is_too_large_for_each() {
        let expected: Vec<String> = (0..500).map(path).collect();
        for (bytes_max, reads) in [(1 << 20, 1), (500, 51)] {
            let (names, disk) = (Names::new(bytes_max), disk(500));
            assert_eq!(pages(&names, &disk), expected);
            assert_eq!(disk.reads(), reads, "with {bytes_max} bytes");
        }
    }

    #[test]
    fn what_is_remembered_follows_changes_and_stays_within_its_bound() {
        let (names, disk) = (Names::new(4_096), disk(20));
        assert_eq!(pages(&names, &disk).len(), 20);
        disk.put(&path(99), Vec::new());
        disk.put("run-stores/a/b.json", Vec::new());
        disk.remove(&path(3)).expect("it is there");
        names.change().made(&path(99));
        names.change().made("run-stores/a/b.json");
        names.change().removed(&path(3));
        let mut expected: Vec<String> = (0..20).filter(|it| *it != 3).map(path).collect();
        expected.extend([path(99), "run-stores/a/b.json".into()]);
        assert_eq!(pages(&names, &disk), expected);
        assert_eq!(disk.reads(), 2, "one for each directory");
        for number in 100..1_000 {
            names.change().made(&path(number));
            let bytes = names.sorted().bytes;
            assert!(bytes <= 4_096, "{bytes} bytes of names are remembered");
        }
    }
}
