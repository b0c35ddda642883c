//! Histories that are evicted for what there is no other of: the tree, the journal, archives.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::keeper::{Keeper, Unsynced};
use super::{DIRECTORY, Engine, directory, file};
use crate::disk::{Access, Disk, Kind};
use crate::error::is_out_of_files;

/// So many files are left to others: on a file system that takes only so many, versions would
/// otherwise have all of them first.
const FILES_LEFT: u64 = 64;

/// So many names of a directory are held at once.
const NAMES_MAX: usize = 1_024;

/// What may still be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    bytes: u64,
    files: u64,
}

impl Room {
    /// What there is on the disk.
    pub(super) fn on(disk: &dyn Disk) -> io::Result<Self> {
        Ok(Self { bytes: disk.available()?, files: disk.available_files()? })
    }

    /// Whether so many bytes are left, and the files that others need.
    pub(super) fn has(self, bytes: u64) -> bool {
        self.bytes >= bytes && self.files >= FILES_LEFT
    }
}

/// An eviction under way. What it has freed is summed up: not every file system shows it at once.
struct Eviction<'a> {
    room: Room,
    enough: Room,
    /// Paths whose histories stay.
    kept: &'a HashSet<&'a str>,
    has_skipped: bool,
}

impl Eviction<'_> {
    fn is_enough(&self) -> bool {
        self.room.bytes >= self.enough.bytes && self.room.files >= self.enough.files
    }
}

impl Keeper<'_> {
    /// Unless so many bytes are free beyond what is left to others, removes histories, but not those
    /// of `kept`, until what is left to others is free once more: so it is seldom done. A history
    /// that cannot be removed stays.
    ///
    /// # Errors
    /// As the disk says of its room; where the process may open no more files.
    pub(super) fn evict<'d>(
        &mut self,
        bytes: u64,
        kept: impl FnOnce() -> HashSet<&'d str>,
        unsynced: &mut Unsynced,
    ) -> io::Result<()> {
        if self.versions == 0 || self.has_none {
            return Ok(());
        }
        let wanted = self.room_bytes.saturating_add(bytes);
        let room = Room::on(self.disk)?;
        if room.has(wanted) {
            return Ok(());
        }
        let enough = Room { bytes: wanted.saturating_add(self.room_bytes), files: 2 * FILES_LEFT };
        let kept = &kept();
        let mut eviction = Eviction { room, enough, kept, has_skipped: false };
        self.evict_below(DIRECTORY, &mut eviction, unsynced)?;
        self.has_none = !eviction.is_enough() && !eviction.has_skipped;
        Ok(())
    }

    /// The history of a directory's path, then those of the paths below it.
    fn evict_below(
        &mut self,
        directory: &str,
        eviction: &mut Eviction<'_>,
        unsynced: &mut Unsynced,
    ) -> io::Result<()> {
        let path = directory.strip_prefix(DIRECTORY).and_then(|path| path.strip_prefix('/'));
        if let Some(path) = path {
            self.evict_one(path, eviction, unsynced)?;
        }
        let mut after = String::new();
        while !eviction.is_enough() {
            let names = match directories_after(self.disk, directory, &after) {
                Err(error) if is_out_of_files(&error) => return Err(error),
                // Who repairs it finds it there. What is not there holds nothing.
                names => names.unwrap_or_default(),
            };
            let Some(last) = names.last() else { break };
            after.clone_from(last);
            for name in &names {
                if eviction.is_enough() {
                    break;
                }
                self.evict_below(&format!("{directory}/{name}"), eviction, unsynced)?;
            }
        }
        Ok(())
    }

    fn evict_one(
        &mut self,
        path: &str,
        eviction: &mut Eviction<'_>,
        unsynced: &mut Unsynced,
    ) -> io::Result<()> {
        if eviction.kept.contains(path) {
            eviction.has_skipped = true;
            return Ok(());
        }
        match self.give_up(&Arc::from(path), unsynced) {
            Err(error) if is_out_of_files(&error) => return Err(error),
            Err(_) => {}
            Ok(freed) => {
                self.evicted += u64::from(freed.files > 0);
                eviction.room.bytes = eviction.room.bytes.saturating_add(freed.bytes);
                eviction.room.files = eviction.room.files.saturating_add(freed.files);
                unsynced.emptied.push(directory(path));
            }
        }
        Ok(())
    }
}

/// The bytes of the histories in a directory and below it; no more of them are looked at than come
/// to `wanted`.
fn bytes_below(disk: &dyn Disk, directory: &str, wanted: u64) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for number in file::numbers(disk, directory)? {
        match disk.open(&file::name(directory, number), Access::Read) {
            Err(error) if is_out_of_files(&error) => return Err(error),
            // It is gone by now, or nobody can tell.
            Err(_) => {}
            Ok(file) => bytes = bytes.saturating_add(file.metadata()?.length),
        }
    }
    let mut after = String::new();
    while bytes < wanted {
        let names = directories_after(disk, directory, &after)?;
        let Some(last) = names.last() else { break };
        after.clone_from(last);
        for name in &names {
            if bytes >= wanted {
                break;
            }
            let below = bytes_below(disk, &format!("{directory}/{name}"), wanted - bytes);
            bytes = bytes.saturating_add(below?);
        }
    }
    Ok(bytes)
}

/// The first directories in a directory whose names come after this one, in byte order.
fn directories_after(disk: &dyn Disk, directory: &str, after: &str) -> io::Result<Vec<String>> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    disk.each_entry(directory, &mut |name, kind| {
        let is_among = names.len() < NAMES_MAX || names.last().is_some_and(|last| name < &**last);
        if kind == Kind::Directory && name > after && is_among {
            names.insert(name.to_owned());
            if names.len() > NAMES_MAX {
                names.pop_last();
            }
        }
    })?;
    Ok(names.into_iter().collect())
}

/// Evictions that others ask for, and those that were done, counted.
#[derive(Debug, Default)]
pub(in crate::volume) struct Evictions {
    asked: u64,
    done: u64,
    /// The most bytes that one of them asks for that is not done.
    bytes: u64,
}

impl Evictions {
    /// Asks for so many bytes; gives the number to wait for.
    pub(in crate::volume) fn ask(&mut self, bytes: u64) -> u64 {
        self.bytes = self.bytes.max(bytes);
        self.asked += 1;
        self.asked
    }

    /// Whether a round is to be begun for them.
    pub(in crate::volume) fn is_asked(&self) -> bool {
        self.asked > self.done
    }

    /// What a round takes on: the number up to which they were asked for, and the bytes.
    pub(in crate::volume) fn due(&self) -> (u64, u64) {
        (self.asked, self.bytes)
    }

    /// A round has done what was due with it.
    pub(in crate::volume) fn has_done(&mut self, number: u64) {
        self.done = number;
        if !self.is_asked() {
            self.bytes = 0;
        }
    }

    fn is_done(&self, number: u64) -> bool {
        self.done >= number
    }
}

impl Engine {
    /// Whether the histories take so many bytes that are evicted for what needs them; blocks.
    ///
    /// # Errors
    /// As the disk says.
    pub(in crate::volume) fn could_evict(&self, bytes: u64) -> io::Result<bool> {
        if self.options.history == 0 {
            return Ok(false);
        }
        match bytes_below(&*self.disk, DIRECTORY, bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            below => Ok(below? >= bytes),
        }
    }

    /// Has histories evicted for so many bytes, and waits for the round that does it. Says whether
    /// there was one: there is none without a history, nor once the store is closed or has failed.
    ///
    /// Blocks: it is for threads of the runtime that may.
    pub(in crate::volume) fn evict_histories(&self, bytes: u64) -> bool {
        if self.options.history == 0 {
            return false;
        }
        let number = self.lock().evictions.ask(bytes);
        self.checkpoint.notify_one();
        // Whether it was done; `None` while it may be.
        let outcome = || {
            let state = self.lock();
            let is_done = state.evictions.is_done(number);
            (is_done || state.is_closed || self.has_failed()).then_some(is_done)
        };
        Handle::current().block_on(async {
            loop {
                let room = self.room.notified();
                tokio::pin!(room);
                // Before the look, so that no wake-up between the two is missed.
                room.as_mut().enable();
                if let Some(is_done) = outcome() {
                    return is_done;
                }
                room.await;
            }
        })
    }
}
