//! Filling a directory from a snapshot.
//!
//! From its first file to its last one the directory says that it is a part, in the file that
//! names its format, so no version serves it. Where a restore ends early, what it has made is
//! left: a person looks at it, empties the directory, and begins anew.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::history;
use super::lock::DirectoryLock;
use super::open::{self, LOST_AND_FOUND, OpenError, PRIVATE, RESTORING};
use super::stage::Stage;
use crate::disk::{Disk, DiskFile, OsDisk, split};
use crate::journal::segments;

/// Files are copied in pieces of this many bytes.
const PIECE: usize = 1 << 18;

/// The file of a snapshot that says what it is; a start does not look at it.
pub const MANIFEST: &str = ".stowage/snapshot";

/// Why a directory is not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something stands in the directory.
    #[error(
        "{path} is not empty ({found} stands there): a snapshot is restored into an empty directory or a new one, and never over something"
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// What stands in it.
        found: String,
    },
    /// The directory cannot be taken.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A path does not belong into a snapshot.
    #[error("{0:?} is no path of a snapshot")]
    Path(String),
    /// The file system cannot hold what the snapshot holds.
    #[error(
        "the file system keeps {path} with another time than the snapshot: documents would have other entity tags. Restore to one that keeps nanoseconds"
    )]
    Time {
        /// The file.
        path: String,
    },
    /// The snapshot cannot be read.
    #[error("the snapshot cannot be read: {0}")]
    Read(io::Error),
    /// The directory cannot be written.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// The file.
        path: String,
        /// What the operating system said.
        error: io::Error,
    },
}

/// A directory that is filled, locked until this is dropped.
#[derive(Debug)]
pub struct Restore {
    disk: Arc<dyn Disk>,
    stage: Stage,
    made: BTreeSet<String>,
    _lock: DirectoryLock,
}

impl Restore {
    /// Takes an empty directory, or makes one where its parent exists.
    ///
    /// # Errors
    /// [`RestoreError`]; then nothing was changed, or the directory says that it is a part.
    pub fn begin(path: &Path) -> Result<Self, RestoreError> {
        require_empty(path, |_| false)?;
        let lock = open::lock(path)?;
        // Another restore may have been quicker, and have ended.
        require_empty(path, |name| name == PRIVATE)?;
        require_empty(&path.join(PRIVATE), |name| name == "lock")?;
        let failed = |error| RestoreError::Open(OpenError::from_io(path, error));
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::open(path).map_err(failed)?);
        open::make_private_directories(&*disk).map_err(failed)?;
        let stage = Stage::new(Arc::clone(&disk));
        open::write_format(&*disk, &stage, RESTORING).map_err(failed)?;
        Ok(Self { disk, stage, made: BTreeSet::new(), _lock: lock })
    }

    /// Makes a directory of the tree, and those above it.
    ///
    /// # Errors
    /// [`RestoreError::Path`], [`RestoreError::Write`].
    pub fn directory(&mut self, path: &str) -> Result<(), RestoreError> {
        require_tree_path(path)?;
        self.make_directory(path)
    }

    fn make_directory(&mut self, path: &str) -> Result<(), RestoreError> {
        if path.is_empty() || self.made.contains(path) {
            return Ok(());
        }
        self.make_directory(split(path).0)?;
        match self.disk.make_directory(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(RestoreError::Write { path: path.to_owned(), error });
            }
            _ => self.made.insert(path.to_owned()),
        };
        Ok(())
    }

    /// Makes a file of the tree, of the journal or of a history, or [`MANIFEST`]; gives its length in bytes.
    ///
    /// # Errors
    /// [`RestoreError`]. A path that is there already is refused.
    pub fn file(
        &mut self,
        path: &str,
        modified: i128,
        content: &mut dyn Read,
    ) -> Result<u64, RestoreError> {
        let is_history = history::is_file_name(path);
        let is_private = is_history || path == MANIFEST || segments::is_file_name(path);
        if !is_private {
            require_tree_path(path)?;
        }
        if is_history || !is_private {
            self.make_directory(split(path).0)?;
        }
        let failed = |error| RestoreError::Write { path: path.to_owned(), error };
        let file = self.disk.create(path).map_err(failed)?;
        let length = fill(&*file, content, &failed)?;
        if !is_private {
            file.set_modified(modified).map_err(failed)?;
            if file.metadata().map_err(failed)?.modified != modified {
                return Err(RestoreError::Time { path: path.to_owned() });
            }
        }
        Ok(length)
    }

    /// Makes all of it durable, then lets the directory be served.
    ///
    /// # Errors
    /// [`RestoreError::Path`] where that is no format that is known; [`RestoreError::Write`].
    pub fn finish(self, format: &str) -> Result<(), RestoreError> {
        if !open::is_known_format(format) {
            return Err(RestoreError::Path(format.to_owned()));
        }
        let failed = |error| RestoreError::Write { path: PRIVATE.to_owned(), error };
        self.disk.sync_everything().map_err(failed)?;
        open::write_format(&*self.disk, &self.stage, format).map_err(failed)
    }
}

fn fill(
    file: &dyn DiskFile,
    content: &mut dyn Read,
    failed: &impl Fn(io::Error) -> RestoreError,
) -> Result<u64, RestoreError> {
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        match content.read(&mut piece) {
            Ok(0) => return Ok(length),
            Ok(read) => {
                file.write_all_at(&piece[..read], length).map_err(failed)?;
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(RestoreError::Read(error)),
        }
    }
}

fn require_empty(path: &Path, is_ours: impl Fn(&str) -> bool) -> Result<(), RestoreError> {
    let failed = |error| RestoreError::Open(OpenError::from_io(path, error));
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if name != LOST_AND_FOUND && !is_ours(&name) {
            return Err(RestoreError::NotEmpty { path: path.to_owned(), found: name.into_owned() });
        }
    }
    Ok(())
}

/// No path leads out of the directory, nor to what is the store's own.
fn require_tree_path(path: &str) -> Result<(), RestoreError> {
    let is_name = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('\0');
    let is_private = path.split('/').next() == Some(PRIVATE);
    if !is_private && path.split('/').all(is_name) {
        Ok(())
    } else {
        Err(RestoreError::Path(path.to_owned()))
    }
}
