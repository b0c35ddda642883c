//! The tree, as far as reading goes.

use std::io;
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskFile, Kind, split};
use crate::revision::Revision;
use crate::{Result, StoreError};

/// The longest file that is taken for a document or a namespace, in bytes. It keeps a stray
/// disk image out of memory; what clients may send is limited far below it.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

pub(super) const MOVE_IT_AWAY: &str =
    "stop the store, then restore the file from a backup or move it away";

/// The documents and namespaces below the root.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    disk: Arc<dyn Disk>,
}

impl Tree {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// The file at a path and when it was modified, `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is not a regular file or longer than
    /// [`FILE_BYTES_MAX`], or where something else than a directory stands on the way.
    pub(super) fn read(&self, path: &str) -> Result<Option<(Revision, Vec<u8>)>> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        let metadata = file.metadata()?;
        if metadata.length > FILE_BYTES_MAX {
            let reason = format!("it is longer than {FILE_BYTES_MAX} bytes; {MOVE_IT_AWAY}");
            return Err(StoreError::Corrupt { key: path.into(), reason });
        }
        let mut bytes = vec![0; usize::try_from(metadata.length).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Some((Revision::from_nanoseconds(metadata.modified), bytes)))
    }

    /// When the file at a path was modified, `None` where there is none.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(super) fn modified(&self, path: &str) -> Result<Option<Revision>> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        Ok(Some(Revision::from_nanoseconds(file.metadata()?.modified)))
    }

    /// The file at a path, open for reading; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is not a regular file, or where something else than a
    /// directory stands on the way.
    pub(super) fn open(&self, path: &str) -> Result<Option<Box<dyn DiskFile>>> {
        match self.disk.open(path, Access::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => Ok(None),
                io::ErrorKind::InvalidData => {
                    let reason = format!("it is not a regular file; {MOVE_IT_AWAY}");
                    Err(StoreError::Corrupt { key: path.into(), reason })
                }
                io::ErrorKind::NotADirectory => Err(not_a_directory(path)),
                _ => Err(StoreError::from_io(error)),
            },
        }
    }

    /// Visits every file below a directory, by its path.
    pub(super) fn walk(&self, directory: &str, visit: &mut impl FnMut(&str)) -> Result<()> {
        let entries = match self.disk.entries(directory) {
            Ok(entries) => entries,
            // A file in a directory's place holds no keys.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(StoreError::from_io(error)),
        };
        for (name, kind) in entries {
            let path = format!("{directory}/{name}");
            match kind {
                Kind::File => visit(&path),
                Kind::Directory => self.walk(&path, visit)?,
                Kind::Other => {}
            }
        }
        Ok(())
    }
}

/// Something else stands where the directory of a path should.
pub(super) fn not_a_directory(path: &str) -> StoreError {
    let reason = "something else than a directory stands there; stop the store, then move it away";
    StoreError::Corrupt { key: split(path).0.into(), reason: reason.into() }
}
