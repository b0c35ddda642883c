//! The lock that keeps a second process off a directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// The name of the lock's file, which is there for people and for file systems that lock no
/// directories.
const FILE: &str = "lock";

/// The lock of a directory, held until it is dropped or the process ends, however it ends.
///
/// It is that of the directory itself and of a file in it: a person who takes the file for a left
/// over one and removes it lets nobody in.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    file: File,
    /// `None` where the file system locks no directories, as that of NFS.
    directory: Option<File>,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum LockError {
    /// Somebody holds it, and the process id that the file names.
    Held(Option<u32>),
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl DirectoryLock {
    /// Takes the lock of a directory and writes this process's id into its file. It never waits.
    pub(super) fn acquire(path: &Path) -> Result<Self, LockError> {
        let directory = File::open(path)?;
        let directory = match directory.try_lock() {
            Ok(()) => Some(directory),
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(path))),
            Err(TryLockError::Error(_)) => None,
        };
        // Not truncated before it is locked: the holder's id stands in it.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(FILE))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(path))),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let lock = Self { file, directory };
        lock.file.set_len(0)?;
        // A full volume must not keep the store from starting: the id is for people.
        let _ = writeln!(&lock.file, "{}", std::process::id());
        Ok(lock)
    }
}

/// The process that the file of a lock names.
fn holder(path: &Path) -> Option<u32> {
    let mut holder = String::new();
    File::open(path.join(FILE)).ok()?.take(32).read_to_string(&mut holder).ok()?;
    holder.trim().parse().ok()
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that was forked and has not executed its program yet
        // shares the open file, and with it the lock. An error leaves it to the closing.
        let _ = self.file.unlock();
        if let Some(directory) = &self.directory {
            let _ = directory.unlock();
        }
    }
}
