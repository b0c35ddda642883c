//! Bringing content into the tree: all of it to temporary files, those made durable, then renamed
//! into place, and the names made durable. So no name in the tree ever leads to content that is
//! not durable, whatever the order in which a power cut finds the rest.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::cache::Entry;
use super::names::Names;
use super::namespace_file;
use super::stage::Stage;
use super::tree::not_a_directory;
use crate::disk::{Disk, DiskFile, split};
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
}

/// What stands ready under a temporary name.
struct Staged {
    temporary: String,
    file: Box<dyn DiskFile>,
    due: Due,
}

/// Writes into the tree.
#[derive(Debug)]
pub(super) struct Saver<'a> {
    disk: &'a dyn Disk,
    stage: &'a Stage,
    names: &'a Names,
    /// The directories that were made durable.
    known: BTreeSet<String>,
}

impl<'a> Saver<'a> {
    pub(super) fn new(disk: &'a dyn Disk, stage: &'a Stage, names: &'a Names) -> Self {
        Self { disk, stage, names, known: BTreeSet::new() }
    }

    /// Brings these into the tree, durably; gives those that fitted.
    ///
    /// # Errors
    /// As the disk says, but that it is full.
    pub(super) fn save(&mut self, due: Vec<Due>) -> Result<Vec<Due>> {
        let (removed, written): (Vec<Due>, Vec<Due>) =
            due.into_iter().partition(|due| matches!(due.entry, Entry::Document(None)));
        let mut directories = BTreeSet::new();
        // First, because it makes room.
        for due in &removed {
            self.remove(&due.path, &mut directories)?;
        }
        let staged = self.stage_all(written)?;
        let mut saved = removed;
        for chunk in staged.chunks(RENAMES) {
            let names = self.names.change();
            for Staged { temporary, due, .. } in chunk {
                self.disk.rename(temporary, &due.path).map_err(|error| at(&due.path, error))?;
                names.made(&due.path);
                directories.insert(split(&due.path).0.to_owned());
            }
        }
        saved.extend(staged.into_iter().map(|staged| staged.due));
        self.sync_directories(&directories)?;
        Ok(saved)
    }

    fn remove(&self, path: &str, directories: &mut BTreeSet<String>) -> Result<()> {
        let names = self.names.change();
        match self.disk.remove(path) {
            Ok(()) => {
                names.removed(path);
                directories.insert(split(path).0.to_owned());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(path, error)),
        }
    }

    /// Writes each that fits to a temporary file, durably.
    fn stage_all(&mut self, written: Vec<Due>) -> Result<Vec<Staged>> {
        let mut staged = Vec::with_capacity(written.len());
        for due in written {
            match self.stage(due) {
                Ok(one) => staged.push(one),
                Err(StoreError::OutOfSpace) => {}
                Err(error) => return Err(error),
            }
        }
        if staged.len() > FILES_SYNCED_EACH {
            self.disk.sync_everything()?;
        } else {
            for Staged { file, .. } in &staged {
                file.sync()?;
            }
        }
        Ok(staged)
    }

    fn stage(&mut self, due: Due) -> Result<Staged> {
        let directory = split(&due.path).0;
        if !self.known.contains(directory) {
            self.stage.make_way(&due.path).map_err(|error| at(&due.path, error))?;
            self.known.insert(directory.to_owned());
        }
        let (temporary, file) = match &due.entry {
            Entry::Document(Some(object)) => {
                self.stage.write(&object.body, Some(Revision::at(object.modified)))?
            }
            Entry::Namespace(namespace) => {
                self.stage.write(&namespace_file::encode(namespace), None)?
            }
            Entry::Document(None) => self.stage.write(b"", None)?,
        };
        Ok(Staged { temporary, file, due })
    }

    fn sync_directories(&self, directories: &BTreeSet<String>) -> io::Result<()> {
        if directories.len() > FILES_SYNCED_EACH {
            return self.disk.sync_everything();
        }
        directories.iter().try_for_each(|directory| self.disk.sync_directory(directory))
    }
}

fn at(path: &str, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => not_a_directory(path),
        _ => StoreError::from_io(error),
    }
}
