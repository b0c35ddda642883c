//! Taking a directory into service.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Sync};
use super::lock::{DirectoryLock, LockError};
use super::reserve::Reserve;
use super::tree::{Tree, Visit};
use crate::StoreError;
use crate::key::DIRECTORIES;

/// The directory of what is the store's own, below the root. No key leads into it.
const PRIVATE: &str = ".stowage";

/// The format that this version reads and writes, as `.stowage/format` says it.
const FORMAT: &str = "1";

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file stands there, or on the way there.
    #[error(
        "{path} is not a directory, or lies below something that is none: name a directory, or one that can be made"
    )]
    NotADirectory {
        /// The directory that was asked for.
        path: PathBuf,
    },
    /// The directory does not exist, nor the one that it would be made in.
    #[error(
        "{path} cannot be made, because the directory above it does not exist: make that first"
    )]
    NoParent {
        /// The directory that was asked for.
        path: PathBuf,
    },
    /// The operating system denies reading or writing.
    #[error(
        "no permission to read and write in {path}: let the user with id {uid}, which this process runs as, own it, on a file system that is mounted for writing"
    )]
    NoPermission {
        /// The directory that was asked for.
        path: PathBuf,
        /// The effective user of this process.
        uid: u32,
    },
    /// Another store has the directory open.
    #[error("{path} is in use by {}: stop that one first, or name another directory", holder(*.pid))]
    InUse {
        /// The directory that was asked for.
        path: PathBuf,
        /// The process that holds it, where it is known.
        pid: Option<u32>,
    },
    /// Another version wrote it in a format that this one does not know.
    #[error(
        "{path} is in format {found:?}, and this version reads format {FORMAT} only: use the version that wrote it, or a newer one"
    )]
    Format {
        /// The directory that was asked for.
        path: PathBuf,
        /// What its format file says.
        found: String,
    },
    /// Anything else.
    #[error("{path} cannot be opened: {error}; see that the volume is mounted, sound and not full")]
    Io {
        /// The directory that was asked for.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("the process {pid}"))
}

impl OpenError {
    fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NoPermission { path, uid: rustix::process::geteuid().as_raw() }
            }
            _ => Self::Io { path, error },
        }
    }
}

/// A directory that is locked, in the known format, swept and synced.
pub(super) struct Opened {
    pub(super) tree: Tree,
    pub(super) disk: Disk,
    pub(super) lock: DirectoryLock,
}

/// Takes a directory into service; makes it where its parent exists.
pub(super) fn open(path: &Path, sync: Box<dyn Sync>) -> Result<Opened, OpenError> {
    let failed = |error| OpenError::from_io(path, error);
    make_root(path)?;
    let private = path.join(PRIVATE);
    make_directory(&private).map_err(failed)?;
    let lock = DirectoryLock::acquire(&private.join("lock")).map_err(|error| match error {
        LockError::Held(pid) => OpenError::InUse { path: path.into(), pid },
        LockError::Io(error) => failed(error),
    })?;
    let format = private.join("format");
    let is_new = match read_format(&format).map_err(failed)? {
        None => true,
        Some(found) if found == FORMAT => false,
        Some(found) => return Err(OpenError::Format { path: path.into(), found }),
    };
    let temporary = private.join("tmp");
    make_directory(&temporary).map_err(failed)?;
    sweep(&temporary).map_err(failed)?;
    if is_new {
        write_format(&temporary, &format).map_err(failed)?;
    }
    let tree = Tree::open(path).map_err(failed)?;
    sync_what_is_there(&tree, &private, &*sync).map_err(failed)?;
    let temporary = Tree::open(&temporary).map_err(failed)?.into_root();
    let reserve = Reserve::new(Tree::open(&private).map_err(failed)?.into_root());
    Ok(Opened { tree, disk: Disk::new(temporary, reserve, sync), lock })
}

/// Makes the root, durably, unless it exists.
fn make_root(path: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::from_io(path, error);
    if path.is_dir() {
        return Ok(());
    }
    match make_directory(path) {
        Ok(()) if path.is_dir() => {}
        Ok(()) => return Err(OpenError::NotADirectory { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NoParent { path: path.into() });
        }
        Err(error) => return Err(failed(error)),
    }
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_directory(parent).map_err(failed),
        None => sync_directory(Path::new(".")).map_err(failed),
    }
}

/// Makes a directory that other users cannot look into, unless something stands there.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn read_format(path: &Path) -> io::Result<Option<String>> {
    const LENGTH_MAX: u64 = 64;
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(LENGTH_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned()))
}

fn write_format(temporary: &Path, path: &Path) -> io::Result<()> {
    let staged = temporary.join("format");
    let mut file = File::create(&staged)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    fs::rename(staged, path)
}

/// Removes what writes that a kill cut short have left.
fn sweep(temporary: &Path) -> io::Result<()> {
    for entry in fs::read_dir(temporary)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes durable what stands in the tree already: a kill between a rename and the sync of its
/// directory has left a name that a reader must not see before it is.
fn sync_what_is_there(tree: &Tree, private: &Path, sync: &dyn Sync) -> io::Result<()> {
    sync_directory(private)?;
    sync.directory(tree.root())?;
    for directory in DIRECTORIES {
        let synced = tree.walk(directory, &mut |visit| match visit {
            Visit::Directory(directory) => sync.directory(directory),
            Visit::File(_) => Ok(()),
        });
        synced.map_err(|error| match error {
            StoreError::Io(error) => error,
            other => io::Error::other(other),
        })?;
    }
    Ok(())
}
