//! The directory in which all state stands while it is measured: one file system for everybody.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::usage::disk_of;

/// Removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: TempDir,
    disk: Option<PathBuf>,
}

impl Scratch {
    /// Makes it below a directory.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn below(parent: &Path) -> Result<Self> {
        // Programs are told absolute paths, because some of them change their directory.
        let parent = std::fs::canonicalize(parent)?;
        let directory = tempfile::Builder::new().prefix("scratch-").tempdir_in(parent)?;
        let disk = disk_of(directory.path());
        Ok(Self { directory, disk })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The counters of the disk below, see [`disk_of`].
    pub(crate) fn disk(&self) -> Option<&Path> {
        self.disk.as_deref()
    }

    /// Waits until everything that was written to the file system is on the disk.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn settle(&self) -> Result<()> {
        rustix::fs::syncfs(File::open(self.path())?).context("the file system cannot be synced")
    }

    /// Sees that there is room before much of it is taken.
    ///
    /// # Errors
    /// There is less.
    pub(crate) fn needs(&self, bytes: u64) -> Result<()> {
        let volume = rustix::fs::statvfs(self.path())?;
        let free = volume.f_bavail * volume.f_frsize;
        ensure!(
            free >= bytes,
            "{} has {} MB free, and {} MB are needed: name another directory by BENCH_DIR, or \
             measure less (BENCH_DOCUMENTS, BENCH_JOURNAL_MB, BENCH_ROWS)",
            self.path().display(),
            free / 1_000_000,
            bytes / 1_000_000
        );
        Ok(())
    }
}
