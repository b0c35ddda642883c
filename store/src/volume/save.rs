//! Bringing content into the tree: all of it to temporary files, those made durable, then renamed
//! into place, and the names made durable. So no name in the tree ever leads to content that is
//! not durable, whatever the order in which a power cut finds the rest.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::VolumeOptions;
use super::cache::Entry;
use super::history::{Keeper, Unwritten};
use super::names::Names;
use super::namespace_file;
use super::stage::Stage;
use super::tree::not_a_directory;
use super::worth::room_of;
use crate::disk::{Access, Disk, DiskFile, split};
use crate::error::is_full;
use crate::key::jobs::JOBS;
use crate::revision::Revision;
use crate::{Result, StoreError};

/// From so many files on, one sync of everything is cheaper than one of each.
const FILES_SYNCED_EACH: usize = 8;

/// So many files are renamed while nobody can list them.
const RENAMES: usize = 64;

/// One path that the tree lags behind at.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) path: Arc<str>,
    pub(super) entry: Entry,
    /// The record that made it so.
    pub(super) sequence: u64,
    /// Whether it may take the room that is left for the journal, and the reserve: it gives more back.
    pub(super) may_take_room: bool,
    /// What its history lacks.
    pub(super) kept: Option<Box<Unwritten>>,
}

/// What stands ready under a temporary name.
struct Staged {
    temporary: String,
    /// Open where it is synced by itself.
    file: Option<Box<dyn DiskFile>>,
    due: Due,
}

/// Writes into the tree.
#[derive(Debug)]
pub(super) struct Saver<'a> {
    disk: &'a dyn Disk,
    stage: &'a Stage,
    names: &'a Names,
    /// What is left free on the disk, in bytes: room for the journal, so that deletes go on.
    room_bytes: u64,
    /// The directories that were made durable.
    known: BTreeSet<String>,
    /// Directories with names that are not durable. A round that failed leaves them to the next:
    /// it does not see what was removed already.
    unsynced: BTreeSet<String>,
    keeper: Keeper<'a>,
}

impl<'a> Saver<'a> {
    /// Leaves so many bytes free on the disk as a segment of the journal has, and keeps as many
    /// versions as the options say. Of writes before `live_from`, they may be kept already.
    pub(super) fn new(
        disk: &'a dyn Disk,
        stage: &'a Stage,
        names: &'a Names,
        options: &VolumeOptions,
        live_from: u64,
    ) -> Self {
        let room_bytes = options.segment_bytes;
        // Versions take none of the last room: that is for what there is no other of.
        let room_for_others = room_bytes.max(options.room_bytes);
        let keeper = Keeper::new(disk, stage, (options.history, room_for_others), live_from);
        let (known, unsynced) = (BTreeSet::new(), BTreeSet::new());
        Self { disk, stage, names, room_bytes, known, unsynced, keeper }
    }

    /// How many versions are kept of each path.
    pub(super) fn versions(&self) -> usize {
        self.keeper.versions()
    }

    /// See [`Keeper::take_evicted`].
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.keeper.take_evicted()
    }

    /// Brings these into the tree, durably; gives those that fitted. Histories are evicted for them,
    /// and for so many `evict_bytes` more.
    ///
    /// # Errors
    /// As the disk says, but that it is full. Some of them may stand in the tree then, as they
    /// should; it can be tried again.
    pub(super) fn save(&mut self, due: Vec<Due>, evict_bytes: u64) -> Result<Vec<Due>> {
        let mut staged = Vec::new();
        let saved = self.bring(due, evict_bytes, &mut staged);
        // Where it failed. Some have got their names: then there is nothing.
        self.discard(&mut staged);
        saved
    }

    fn discard(&self, staged: &mut Vec<Staged>) {
        staged.drain(..).for_each(|one| self.stage.discard(one.temporary));
    }

    /// What is staged and has not come into the tree is left in `staged`.
    fn bring(
        &mut self,
        due: Vec<Due>,
        evict_bytes: u64,
        staged: &mut Vec<Staged>,
    ) -> Result<Vec<Due>> {
        // What the tree has, the history has: a start looks at the tree alone.
        let rooms = due.iter().filter_map(|due| due.entry.file_bytes()).map(room_of);
        let bytes = evict_bytes.saturating_add(rooms.sum());
        let kept = due.iter().filter_map(|due| Some((&due.path, due.kept.as_deref()?)));
        self.keeper.keep(kept, bytes)?;
        let (removed, written): (Vec<Due>, Vec<Due>) =
            due.into_iter().partition(|due| matches!(due.entry, Entry::Document(None)));
        // First, because it makes room.
        for due in &removed {
            self.remove(&due.path)?;
        }
        self.stage_all(written, staged)?;
        let mut saved = removed;
        for chunk in staged.chunks(RENAMES) {
            let names = self.names.change();
            for Staged { temporary, due, .. } in chunk {
                self.disk.rename(temporary, &due.path).map_err(|error| at(&due.path, error))?;
                names.made(&due.path);
                self.unsynced.insert(split(&due.path).0.to_owned());
            }
        }
        saved.extend(staged.drain(..).map(|staged| staged.due));
        self.sync_directories()?;
        self.tidy(&saved);
        Ok(saved)
    }

    /// Removes the directories of the jobs' tree that deletes have left empty, so that a list of
    /// jobs does not pay for those that are gone. One that stays, or comes back in a power cut,
    /// does no harm.
    fn tidy(&mut self, saved: &[Due]) {
        let removed = saved.iter().filter(|due| matches!(due.entry, Entry::Document(None)));
        let paths = removed.map(|due| &*due.path).filter(|path| path.starts_with(JOBS));
        let emptied: BTreeSet<&str> = paths.map(|path| split(path).0).collect();
        for mut directory in emptied.into_iter().rev() {
            while directory.starts_with(JOBS) {
                let names = self.names.change();
                if self.disk.remove_directory(directory).is_err() {
                    break;
                }
                names.removed_directory(directory);
                self.known.remove(directory);
                directory = split(directory).0;
            }
        }
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        let names = self.names.change();
        match self.disk.remove(path) {
            Ok(()) => {
                names.removed(path);
                self.unsynced.insert(split(path).0.to_owned());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(path, error)),
        }
    }

    /// Writes each that fits to a temporary file, durably.
    fn stage_all(&mut self, written: Vec<Due>, staged: &mut Vec<Staged>) -> Result<()> {
        for due in written {
            match self.stage(due) {
                Ok(one) if staged.len() < FILES_SYNCED_EACH => staged.push(one),
                // They are synced all together, and a process may open few files only.
                Ok(one) => {
                    if staged.len() == FILES_SYNCED_EACH {
                        staged.iter_mut().for_each(|one| one.file = None);
                    }
                    staged.push(Staged { file: None, ..one });
                }
                Err(StoreError::OutOfSpace) => {}
                Err(error) => return Err(error),
            }
        }
        match self.sync(staged).map_err(StoreError::from_io) {
            // Some file systems find out no earlier. Which of them fitted, nobody knows.
            Err(StoreError::OutOfSpace) => {
                self.discard(staged);
                Ok(())
            }
            synced => synced,
        }
    }

    fn sync(&self, staged: &[Staged]) -> io::Result<()> {
        if staged.len() > FILES_SYNCED_EACH {
            return self.disk.sync_everything();
        }
        staged.iter().filter_map(|one| one.file.as_ref()).try_for_each(|file| file.sync())
    }

    fn stage(&mut self, due: Due) -> Result<Staged> {
        let directory = split(&due.path).0;
        if !self.known.contains(directory) {
            self.make_way(&due).map_err(|error| at(&due.path, error))?;
            self.known.insert(directory.to_owned());
        }
        let (content, modified) = match &due.entry {
            Entry::Document(Some(object)) => {
                (object.body.clone(), Some(Revision::at(object.modified)))
            }
            Entry::Namespace(namespace) => (namespace_file::encode(namespace).into(), None),
            Entry::Document(None) => (Bytes::new(), None),
        };
        let left = self.disk.available()?.saturating_sub(content.len() as u64);
        let written = if left < self.room_bytes && !due.may_take_room {
            Err(StoreError::OutOfSpace)
        } else {
            self.stage.write(&content, modified)
        };
        let (temporary, file) = match written {
            Err(StoreError::OutOfSpace) if self.may_take_the_reserve(&due) => {
                self.stage.write_reserved(&content, modified)?
            }
            written => written?,
        };
        Ok(Staged { temporary, file: Some(file), due })
    }

    /// A directory takes a file's place where the file system has no other.
    fn make_way(&self, due: &Due) -> io::Result<()> {
        loop {
            match self.stage.make_way(&due.path) {
                Err(error)
                    if is_full(&error) && due.may_take_room && self.stage.give_up_reserve() => {}
                made => return made,
            }
        }
    }

    /// What replaces a file gives its room back.
    fn may_take_the_reserve(&self, due: &Due) -> bool {
        due.may_take_room || self.disk.open(&due.path, Access::Read).is_ok()
    }

    fn sync_directories(&mut self) -> io::Result<()> {
        if self.unsynced.len() > FILES_SYNCED_EACH {
            self.disk.sync_everything()?;
        } else {
            let mut directories = self.unsynced.iter();
            directories.try_for_each(|directory| self.disk.sync_directory(directory))?;
        }
        self.unsynced.clear();
        Ok(())
    }
}

/// What the disk says of a path, in words.
pub(super) fn at(path: &str, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => not_a_directory(path),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::Io(io::Error::new(error.kind(), format!("{path}: {error}")))
        }
        _ => StoreError::from_io(error),
    }
}
