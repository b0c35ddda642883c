//! Changes to the tree, each in the order that makes it atomic and durable.
//!
//! A file is written under a temporary name and synced; then it is renamed into place and the
//! directory is synced. Up to the rename, nothing has happened. From the rename on, the change
//! has happened but may not be durable: a failed sync of the directory leaves that unknown, and
//! no second try finds it out, because the kernel reports a lost page once.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::reserve::{RESERVE_BYTES, Reserve};
use super::revision::{Clock, Revision};
use super::tree::{Tree, split};
use crate::{Result, StoreError};

/// The two ways to stable storage, apart from everything else so that tests can make them fail.
pub(super) trait Sync: Send {
    /// Makes a file's content and times durable.
    fn file(&self, file: &File) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn directory(&self, directory: BorrowedFd<'_>) -> io::Result<()>;
}

/// What the operating system offers.
pub(super) struct OsSync;

impl Sync for OsSync {
    fn file(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn directory(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        Ok(rustix::fs::fsync(directory)?)
    }
}

/// A change that went wrong.
#[derive(Debug)]
pub(super) enum ChangeError {
    /// Nothing has changed.
    Refused(StoreError),
    /// Nothing has changed at the path, but it is unknown whether a directory that was made on
    /// the way there is durable.
    Unprepared(io::Error),
    /// The change has happened, and it is unknown whether it is durable.
    Unknown(io::Error),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// Makes changes; there is one, and it belongs to the writer.
pub(super) struct Disk {
    temporary: Arc<OwnedFd>,
    sync: Box<dyn Sync>,
    clock: Clock,
    reserve: Reserve,
    files: u64,
}

/// A file that is complete and synced under its temporary name; dropped, it is removed.
pub(super) struct Staged {
    name: TemporaryName,
    directory: OwnedFd,
    /// The revision that it carries.
    pub(super) revision: Revision,
}

impl Disk {
    /// Takes the directory of temporary files, which must be empty, and what is set aside.
    pub(super) fn new(temporary: OwnedFd, reserve: Reserve, sync: Box<dyn Sync>) -> Self {
        Self { temporary: Arc::new(temporary), sync, clock: Clock::new(), reserve, files: 0 }
    }

    /// Writes what is to stand at a path, beside the tree. It gets a revision later than
    /// `current`, the one that stands there.
    ///
    /// # Errors
    /// [`ChangeError::Refused`]; [`ChangeError::Unprepared`] where a directory had to be made.
    pub(super) fn stage(
        &mut self,
        tree: &Tree,
        path: &str,
        content: &[u8],
        current: Option<Revision>,
    ) -> Result<Staged, ChangeError> {
        let directory = tree.make_directory(split(path).0, |parent| {
            self.sync.directory(parent.as_fd()).map_err(ChangeError::Unprepared)
        })?;
        let (name, file) = self.temporary_file().map_err(StoreError::from_io)?;
        let revision = self.complete(file, content, current).map_err(StoreError::from_io)?;
        Ok(Staged { name, directory, revision })
    }

    /// As [`Self::stage`] for what takes no more room than the file that it replaces: on a full
    /// volume it gets the room that is set aside, if it fits.
    pub(super) fn stage_smaller(
        &mut self,
        tree: &Tree,
        path: &str,
        content: &[u8],
    ) -> Result<Staged, ChangeError> {
        match self.stage(tree, path, content, None) {
            Err(ChangeError::Refused(StoreError::OutOfSpace)) if content.len() <= RESERVE_BYTES => {
            }
            other => return other,
        }
        let full = || ChangeError::Refused(StoreError::OutOfSpace);
        let directory = tree.directory(split(path).0)?.ok_or_else(full)?;
        self.reserve.refill();
        let name = self.temporary_name();
        let file = self.reserve.take(&self.temporary, &name.name).map_err(|_| full())?;
        let revision = self.complete(file, content, None).map_err(StoreError::from_io)?;
        Ok(Staged { name, directory, revision })
    }

    /// Writes a file from its start, cuts off what stood there beyond, and syncs it.
    fn complete(
        &mut self,
        mut file: File,
        content: &[u8],
        current: Option<Revision>,
    ) -> io::Result<Revision> {
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        let revision = self.clock.stamp(&file, current)?;
        self.sync.file(&file)?;
        Ok(revision)
    }

    /// Puts a staged file at its path, and returns once that is durable.
    ///
    /// # Errors
    /// [`ChangeError::Refused`], [`ChangeError::Unknown`].
    pub(super) fn publish(&mut self, staged: Staged, path: &str) -> Result<(), ChangeError> {
        let Staged { mut name, directory, .. } = staged;
        rustix::fs::renameat(&*self.temporary, &name.name, &directory, split(path).1)
            .map_err(StoreError::from_io)?;
        name.is_taken = true;
        self.settle_directory(&directory)?;
        self.reserve.refill();
        Ok(())
    }

    /// Removes the file at a path, and returns once that is durable; one that is not there is
    /// as good as removed.
    ///
    /// # Errors
    /// [`ChangeError::Refused`], [`ChangeError::Unknown`].
    pub(super) fn remove(&self, tree: &Tree, path: &str) -> Result<(), ChangeError> {
        let (parent, name) = split(path);
        let Some(directory) = tree.directory(parent)? else { return Ok(()) };
        match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => self.settle_directory(&directory),
            Err(error) => Err(StoreError::from_io(error).into()),
        }
    }

    /// Writes, syncs and removes a small file.
    ///
    /// # Errors
    /// What stands in the way, a full volume included.
    pub(super) fn probe(&mut self) -> Result<()> {
        let (_name, mut file) = self.temporary_file().map_err(StoreError::from_io)?;
        file.write_all(b"probe").map_err(StoreError::from_io)?;
        self.sync.file(&file).map_err(StoreError::from_io)
    }

    fn temporary_file(&mut self) -> io::Result<(TemporaryName, File)> {
        let name = self.temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&*self.temporary, &name.name, flags, mode)?;
        Ok((name, File::from(file)))
    }

    fn temporary_name(&mut self) -> TemporaryName {
        self.files += 1;
        let directory = Arc::clone(&self.temporary);
        TemporaryName { directory, name: self.files.to_string(), is_taken: false }
    }

    /// Makes a change durable that has happened in a directory.
    fn settle_directory(&self, directory: &OwnedFd) -> Result<(), ChangeError> {
        self.sync.directory(directory.as_fd()).map_err(ChangeError::Unknown)
    }
}

/// Removes a temporary file unless it was renamed.
struct TemporaryName {
    directory: Arc<OwnedFd>,
    name: String,
    is_taken: bool,
}

impl Drop for TemporaryName {
    fn drop(&mut self) {
        if !self.is_taken {
            // What cannot be removed now is swept at the next start.
            let _ = rustix::fs::unlinkat(&*self.directory, &self.name, AtFlags::empty());
        }
    }
}
