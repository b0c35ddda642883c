//! Room for one small file, set aside so that a full volume can still be emptied.
//!
//! A document is deleted by removing its file, which needs no room. A namespace is deleted by
//! writing one that says so, and its version with it; where all data is in namespaces there would
//! be no way out. The file that it replaces gives its room back, so the reserve is refilled at
//! once.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

/// The most bytes that fit: what file systems commonly allot to the smallest file.
pub(super) const RESERVE_BYTES: usize = 4096;

const NAME: &str = "reserve";

/// A file that is there for its room alone.
pub(super) struct Reserve {
    directory: OwnedFd,
    is_full: bool,
}

impl Reserve {
    /// Sets the room aside in a directory; where there is none, later.
    pub(super) fn new(directory: OwnedFd) -> Self {
        let mut reserve = Self { directory, is_full: false };
        reserve.refill();
        reserve
    }

    /// Sets the room aside again where it was taken. A volume that is still full is no error.
    pub(super) fn refill(&mut self) {
        if !self.is_full {
            self.is_full = self.fill().is_ok();
        }
    }

    /// Moves the file into a directory under a name, to be written over from its start.
    ///
    /// # Errors
    /// Whatever the system says, for one that there is no reserve.
    pub(super) fn take(&mut self, directory: &OwnedFd, name: &str) -> io::Result<File> {
        self.is_full = false;
        rustix::fs::renameat(&self.directory, NAME, directory, name)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?.into())
    }

    /// Synced, because many file systems allot room no earlier.
    fn fill(&self) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(&self.directory, NAME, flags, mode)?);
        file.write_all(&[0; RESERVE_BYTES])?;
        file.sync_all()
    }
}
