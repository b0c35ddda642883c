//! The tree on disk, as far as reading goes. Paths are walked segment by segment from the root's
//! descriptor, and no symbolic link is followed on the way: what stands below the root is
//! served, and nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::{Result, StoreError};

/// The longest file that is taken for a document or a namespace, in bytes. It keeps a stray
/// disk image out of memory; what clients may send is limited far below it.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 30;

/// Directories that are made are closed to other users, as the documents in them are: a store's
/// readers are those who hold its tokens.
const DIRECTORY_MODE: Mode = Mode::RWXU;

/// The root directory.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

/// Splits a key's path into its directories and the file's name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn segments(directory: &str) -> impl Iterator<Item = &str> {
    directory.split('/').filter(|segment| !segment.is_empty())
}

impl Tree {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(root, flags, Mode::empty())? })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    pub(super) fn into_root(self) -> OwnedFd {
        self.root
    }

    /// Opens a directory below the root, `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where something else stands on the way.
    pub(super) fn directory(&self, path: &str) -> Result<Option<OwnedFd>> {
        let mut directory = self.root.try_clone()?;
        for segment in segments(path) {
            directory = match open_directory(&directory, segment) {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(not_a_directory_or(error, path)),
            };
        }
        Ok(Some(directory))
    }

    /// Opens a directory below the root and makes what is missing of it; each made one's parent
    /// is handed to `sync` before anything is put in.
    pub(super) fn make_directory<E: From<StoreError>>(
        &self,
        path: &str,
        sync: impl Fn(&OwnedFd) -> Result<(), E>,
    ) -> Result<OwnedFd, E> {
        let mut directory = self.root.try_clone().map_err(StoreError::from_io)?;
        for segment in segments(path) {
            let next = match open_directory(&directory, segment) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&directory, segment, DIRECTORY_MODE)
                        .map_err(StoreError::from_io)?;
                    sync(&directory)?;
                    open_directory(&directory, segment)
                }
                other => other,
            };
            directory = next.map_err(|error| not_a_directory_or(error, path))?;
        }
        Ok(directory)
    }

    /// The file at a path, `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is not a regular file or longer than
    /// [`FILE_BYTES_MAX`].
    pub(super) fn read(&self, path: &str) -> Result<Option<(File, Vec<u8>)>> {
        let (parent, name) = split(path);
        let Some(directory) = self.directory(parent)? else { return Ok(None) };
        // Without NONBLOCK, opening a named pipe would wait for somebody to write into it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(&directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(not_a_regular_file(path)),
            Err(error) => return Err(StoreError::from_io(error)),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_a_regular_file(path));
        }
        if metadata.len() > FILE_BYTES_MAX {
            let reason = format!("it is longer than {FILE_BYTES_MAX} bytes; {}", MOVE_IT_AWAY);
            return Err(StoreError::Corrupt { key: path.into(), reason });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
        file.read_to_end(&mut bytes)?;
        Ok(Some((file, bytes)))
    }

    /// Visits a directory, every file in it, and the directories in it likewise. What is neither,
    /// or has no UTF-8 name, is passed over: nothing of it can be a key.
    pub(super) fn walk(
        &self,
        path: &str,
        visit: &mut impl FnMut(Visit<'_>) -> io::Result<()>,
    ) -> Result<()> {
        let directory = match self.directory(path) {
            Ok(Some(directory)) => directory,
            Ok(None) | Err(StoreError::Corrupt { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        visit(Visit::Directory(directory.as_fd()))?;
        for entry in Dir::new(directory).map_err(StoreError::from_io)? {
            let entry = entry.map_err(StoreError::from_io)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            let child = format!("{path}{name}");
            match entry.file_type() {
                FileType::Directory => self.walk(&format!("{child}/"), visit)?,
                FileType::RegularFile => visit(Visit::File(&child))?,
                // Some file systems do not tell; then opening it as a directory does.
                FileType::Unknown if self.directory(&child).is_ok() => {
                    self.walk(&format!("{child}/"), visit)?;
                }
                FileType::Unknown => visit(Visit::File(&child))?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What [`Tree::walk`] comes by.
pub(super) enum Visit<'a> {
    Directory(BorrowedFd<'a>),
    /// A file, by its path from the root.
    File(&'a str),
}

pub(super) const MOVE_IT_AWAY: &str =
    "stop the store, then restore the file from a backup or move it away";

fn not_a_regular_file(path: &str) -> StoreError {
    let reason = format!("it is not a regular file; {MOVE_IT_AWAY}");
    StoreError::Corrupt { key: path.into(), reason }
}

fn not_a_directory_or(error: Errno, path: &str) -> StoreError {
    if !matches!(error, Errno::NOTDIR | Errno::LOOP) {
        return StoreError::from_io(error);
    }
    let reason = "something else than a directory stands there; stop the store, then move it away";
    StoreError::Corrupt { key: path.trim_end_matches('/').into(), reason: reason.into() }
}

fn open_directory(parent: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}
