//! Files on their way into the tree: written whole under a temporary name, then renamed.
//!
//! A namespace is emptied by writing a file that says so, and its version with it. On a full
//! volume whose data is all in namespaces there would be no way out. So room for one small file is
//! set aside; the file that it replaces gives its room back, and the reserve is filled again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{Access, Disk, DiskFile, Kind, split};
use crate::revision::Revision;
use crate::{Result, StoreError};

/// The directory of temporary files; emptied at the start.
pub(super) const TEMPORARY: &str = ".stowage/tmp";

const RESERVE: &str = ".stowage/reserve";

/// What file systems commonly allot to the smallest file.
const RESERVE_BYTES: usize = 4096;

/// Writes temporary files.
#[derive(Debug)]
pub(super) struct Stage {
    disk: Arc<dyn Disk>,
    files: AtomicU64,
}

impl Stage {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, files: AtomicU64::new(0) }
    }

    /// A new, empty file, and its path.
    pub(super) fn create(&self) -> io::Result<(String, Box<dyn DiskFile>)> {
        let path = self.path();
        let file = self.disk.create(&path)?;
        Ok((path, file))
    }

    fn path(&self) -> String {
        format!("{TEMPORARY}/{}", self.files.fetch_add(1, Ordering::Relaxed))
    }

    /// Writes a file, not synced, and gives its path. A small one gets the room that is set aside
    /// where there is no other.
    ///
    /// # Errors
    /// [`StoreError::OutOfSpace`]: nothing is left behind. As the disk says.
    pub(super) fn write(
        &self,
        content: &[u8],
        modified: Option<Revision>,
    ) -> Result<(String, Box<dyn DiskFile>)> {
        let fill = |file: &dyn DiskFile| {
            file.write_all_at(content, 0)?;
            modified.map_or(Ok(()), |time| file.set_modified(time.nanoseconds()))
        };
        let (path, file) = match self.create() {
            Ok(created) => created,
            Err(error) => {
                return self.write_reserved(content, modified, StoreError::from_io(error));
            }
        };
        match fill(&*file) {
            Ok(()) => Ok((path, file)),
            Err(error) => {
                drop(file);
                // The first error counts; what is left is swept at the next start.
                let _ = self.disk.remove(&path);
                self.write_reserved(content, modified, StoreError::from_io(error))
            }
        }
    }

    fn write_reserved(
        &self,
        content: &[u8],
        modified: Option<Revision>,
        error: StoreError,
    ) -> Result<(String, Box<dyn DiskFile>)> {
        if !matches!(error, StoreError::OutOfSpace) || content.len() > RESERVE_BYTES {
            return Err(error);
        }
        let path = self.path();
        let take = || {
            self.disk.rename(RESERVE, &path)?;
            let file = self.disk.open(&path, Access::ReadWrite)?;
            file.write_all_at(content, 0)?;
            file.set_length(content.len() as u64)?;
            modified.map_or(Ok(()), |time| file.set_modified(time.nanoseconds()))?;
            Ok::<_, io::Error>(file)
        };
        take().map(|file| (path.clone(), file)).map_err(|_| StoreError::OutOfSpace)
    }

    /// Sets the room aside where it is not. A volume that is still full is no error.
    pub(super) fn refill(&self) {
        let fill = || {
            let file = self.disk.create(RESERVE)?;
            file.write_all_at(&[0; RESERVE_BYTES], 0)?;
            // Many file systems allot room no earlier.
            file.sync()
        };
        match fill() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => drop(self.disk.remove(RESERVE)),
        }
    }

    /// Makes the directories on the way to a path, each durable before anything is put in. One
    /// that exists may have been made just before a kill, so it is made durable as well.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn make_way(&self, path: &str) -> io::Result<()> {
        let (parent, _) = split(path);
        if parent.is_empty() {
            return Ok(());
        }
        self.make_way(parent)?;
        match self.disk.make_directory(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.disk.sync_directory(split(parent).0),
        }
    }

    /// Removes what writes that a kill cut short have left.
    pub(super) fn sweep(&self) -> io::Result<()> {
        self.sweep_directory(TEMPORARY)
    }

    fn sweep_directory(&self, directory: &str) -> io::Result<()> {
        for (name, kind) in self.disk.entries(directory)? {
            let path = format!("{directory}/{name}");
            if kind == Kind::Directory {
                self.sweep_directory(&path)?;
                self.disk.remove_directory(&path)?;
            } else {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }
}
