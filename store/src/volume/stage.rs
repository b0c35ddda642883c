//! Files on their way into the tree: written whole under a temporary name, then renamed.
//!
//! A namespace is emptied by writing a file that says so, and its version with it. On a full
//! volume whose data is all in namespaces there would be no way out. So room for a few small files
//! is set aside; the file that one replaces gives its room back, and the reserve is filled again.
//! What keeps the journal from being freed gets that room as well; several such may have to come
//! into the tree until a segment is free.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Access, Disk, DiskFile, Kind, split};
use crate::error::is_full;
use crate::revision::Revision;
use crate::{Result, StoreError};

/// The directory of temporary files; emptied at the start.
pub(super) const TEMPORARY: &str = ".stowage/tmp";

const RESERVE: &str = ".stowage/reserve";

/// How many small files there is room for.
const RESERVES: usize = 4;

/// The files that keep that room.
fn reserves() -> impl Iterator<Item = String> {
    (0..RESERVES).map(|number| match number {
        // As it was when there was one.
        0 => RESERVE.to_owned(),
        number => format!("{RESERVE}-{number}"),
    })
}

/// What file systems commonly allot to the smallest file.
const RESERVE_BYTES: usize = 4096;

/// Writes temporary files.
#[derive(Debug)]
pub(super) struct Stage {
    disk: Arc<dyn Disk>,
    files: AtomicU64,
    /// Files that are to go, and could not yet.
    left: Mutex<Vec<String>>,
    /// Held by who fills the reserve or takes of it: what is taken half filled would be written
    /// over by who fills it.
    reserve: Mutex<()>,
}

impl Stage {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, files: AtomicU64::new(0), left: Mutex::default(), reserve: Mutex::new(()) }
    }

    fn reserve(&self) -> MutexGuard<'_, ()> {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a temporary file, later where it cannot be now.
    pub(super) fn discard(&self, path: String) {
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.left().push(path),
            _ => {}
        }
    }

    /// Removes what could not be.
    pub(super) fn discard_left(&self) {
        let left = std::mem::take(&mut *self.left());
        left.into_iter().for_each(|path| self.discard(path));
    }

    fn left(&self) -> MutexGuard<'_, Vec<String>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new, empty file, and its path.
    pub(super) fn create(&self) -> io::Result<(String, Box<dyn DiskFile>)> {
        self.discard_left();
        let path = self.path();
        let file = self.disk.create(&path)?;
        Ok((path, file))
    }

    fn path(&self) -> String {
        format!("{TEMPORARY}/{}", self.files.fetch_add(1, Ordering::Relaxed))
    }

    /// Writes a file, not synced, and gives its path.
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
                return Err(StoreError::from_io(error));
            }
        };
        match fill(&*file) {
            Ok(()) => Ok((path, file)),
            Err(error) => {
                drop(file);
                self.discard(path);
                Err(StoreError::from_io(error))
            }
        }
    }

    /// Writes a small file to the room that is set aside.
    ///
    /// # Errors
    /// [`StoreError::OutOfSpace`], where it is not small, or others have taken that room.
    pub(super) fn write_reserved(
        &self,
        content: &[u8],
        modified: Option<Revision>,
    ) -> Result<(String, Box<dyn DiskFile>)> {
        if content.len() > RESERVE_BYTES {
            return Err(StoreError::OutOfSpace);
        }
        let _turn = self.reserve();
        let path = self.path();
        let take = |reserve: String| {
            self.disk.rename(&reserve, &path)?;
            let file = self.disk.open(&path, Access::ReadWrite)?;
            file.write_all_at(content, 0)?;
            file.set_length(content.len() as u64)?;
            modified.map_or(Ok(()), |time| file.set_modified(time.nanoseconds()))?;
            Ok::<_, io::Error>(file)
        };
        match reserves().find_map(|reserve| take(reserve).ok()) {
            Some(file) => Ok((path, file)),
            None => {
                self.discard(path);
                Err(StoreError::OutOfSpace)
            }
        }
    }

    /// Sets the room aside where it is not. A volume that is still full is no error.
    pub(super) fn refill(&self) {
        let fill = |reserve: &str| {
            let file = self.disk.create(reserve)?;
            file.write_all_at(&[0; RESERVE_BYTES], 0)?;
            // Many file systems allot room no earlier.
            file.sync()
        };
        let _turn = self.reserve();
        for reserve in reserves() {
            match fill(&reserve) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => return drop(self.disk.remove(&reserve)),
            }
        }
    }

    /// Gives the room of one small file back; says whether there was one.
    pub(super) fn give_up_reserve(&self) -> bool {
        let _turn = self.reserve();
        reserves().any(|reserve| self.disk.remove(&reserve).is_ok())
    }

    /// Sees to it that the room is set aside.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`], where there is none; as the disk says.
    pub(super) fn require_reserve(&self) -> io::Result<()> {
        self.refill();
        reserves().try_for_each(|reserve| match self.disk.open(&reserve, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(io::ErrorKind::StorageFull.into())
            }
            opened => opened.map(drop),
        })
    }

    /// Makes the directories on the way to a path, each durable before anything is put in. One
    /// that exists may have been made just before a kill, so it is made durable as well.
    ///
    /// # Errors
    /// As the disk says. That it is full it says only where nothing was made: a sync that fails, for
    /// whatever reason, may have dropped what others have put in.
    pub(super) fn make_way(&self, path: &str) -> io::Result<()> {
        let (parent, _) = split(path);
        if parent.is_empty() {
            return Ok(());
        }
        self.make_way(parent)?;
        match self.disk.make_directory(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self
                .disk
                .sync_directory(split(parent).0)
                .map_err(|error| if is_full(&error) { io::Error::other(error) } else { error }),
        }
    }

    /// Removes what writes that a kill cut short have left.
    pub(super) fn sweep(&self) -> io::Result<()> {
        self.sweep_directory(TEMPORARY)
    }

    /// Removes everything in a directory.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn sweep_directory(&self, directory: &str) -> io::Result<()> {
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
