//! The lock that keeps a second process off a directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// The lock of a directory, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DirectoryLock(File);

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
    /// Takes the lock and writes this process's id into the file. It never waits.
    pub(super) fn acquire(path: &Path) -> Result<Self, LockError> {
        // Not truncated before it is locked: the holder's id stands in it.
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.take(32).read_to_string(&mut holder)?;
                return Err(LockError::Held(holder.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let lock = Self(file);
        lock.0.set_len(0)?;
        // A full volume must not keep the store from starting: the id is for people.
        let _ = writeln!(&lock.0, "{}", std::process::id());
        Ok(lock)
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that was forked and has not executed its program yet
        // shares the open file, and with it the lock. An error leaves it to the closing.
        let _ = self.0.unlock();
    }
}
