//! The file operations that the volume engine stands on: a directory tree on stable storage.
//!
//! The engine does nothing to files but through [`Disk`], so that its tests can put a disk under
//! it that loses power, tears writes and lies about syncing. [`OsDisk`] is the operating system's.
//!
//! # What a disk promises
//! What POSIX and the Linux file systems in use promise, and no more. Until a file is synced, any
//! part of what was written to it may be lost in a power cut, in any order. Until a directory is
//! synced, any name that was made, renamed or removed in it may be lost likewise, each by itself;
//! a rename within a directory is atomic all the same. After a sync that failed nothing is known.
//!
//! # Paths
//! Relative to the root, segments joined by `/`, none of them empty, `.` or `..`; the root itself
//! is the empty path. No symbolic link is followed on the way.

mod os;

use std::fmt::Debug;
use std::io;

pub use os::OsDisk;

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a symbolic link, a pipe, a device.
    Other,
}

/// What is known of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Its length in bytes.
    pub length: u64,
    /// When its content was last modified, in nanoseconds since 1970.
    pub modified: i128,
}

/// Whether a file is opened for writing too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading alone.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// How far a write got that was to go past the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The page cache, as any other write.
    Cache,
    /// The disk, which may hold it in a cache of its own: it is durable no sooner than any other.
    Disk,
}

/// What a write past the page cache must be a multiple of: its offset, its length and its address
/// in memory. No file system in use asks for more than a page.
pub const DIRECT_BYTES: usize = 4096;

/// A directory tree. See the [module](self) for what it promises.
///
/// Every method blocks. Each may fail with whatever the operating system says; the kinds that the
/// engine tells apart are [`io::ErrorKind::NotFound`], [`io::ErrorKind::AlreadyExists`],
/// [`io::ErrorKind::NotADirectory`] (on the way to a path), [`io::ErrorKind::InvalidData`] (what
/// is opened is no regular file), [`io::ErrorKind::StorageFull`] and
/// [`io::ErrorKind::QuotaExceeded`].
pub trait Disk: Debug + Send + Sync + 'static {
    /// Makes a file that nobody else may read, and opens it for reading and writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where something stands at the path.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a regular file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`]; [`io::ErrorKind::InvalidData`] where it is no regular file.
    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of the file that may stand there.
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file a second name. It fails where something stands there.
    ///
    /// # Errors
    /// As the operating system says; [`io::ErrorKind::AlreadyExists`].
    fn link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes a directory that other users cannot look into. Its parent must exist.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where something stands at the path.
    fn make_directory(&self, path: &str) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the operating system says.
    fn remove_directory(&self, path: &str) -> io::Result<()>;

    /// The names in a directory, in no order. Names that are not UTF-8 are passed over: no path
    /// leads to them.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is no such directory.
    fn entries(&self, path: &str) -> io::Result<Vec<(String, Kind)>>;

    /// Visits the names in a directory as [`Self::entries`] gives them, without holding them all.
    ///
    /// # Errors
    /// As for [`Self::entries`].
    fn each_entry(&self, path: &str, visit: &mut dyn FnMut(&str, Kind)) -> io::Result<()> {
        self.entries(path)?.iter().for_each(|(name, kind)| visit(name, *kind));
        Ok(())
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// After any, it is unknown what is durable.
    fn sync_directory(&self, path: &str) -> io::Result<()>;

    /// Makes everything durable that was written so far, names included. It costs what there is
    /// to be written, of other users of the file system too.
    ///
    /// # Errors
    /// After any, it is unknown what is durable.
    fn sync_everything(&self) -> io::Result<()>;

    /// How large the whole of it is, in bytes, what is used included.
    ///
    /// # Errors
    /// As the operating system says.
    fn size(&self) -> io::Result<u64>;

    /// How much of it may still be written, in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn available(&self) -> io::Result<u64>;

    /// How many more files it takes; [`u64::MAX`] where only its bytes are limited.
    ///
    /// # Errors
    /// As the operating system says.
    fn available_files(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// An open file. It stays what it is, whatever becomes of its name.
pub trait DiskFile: Debug + Send + Sync {
    /// Length and time.
    ///
    /// # Errors
    /// As the operating system says.
    fn metadata(&self) -> io::Result<Metadata>;

    /// Reads from an offset on, until the buffer is full.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of the bytes at an offset, beyond the end of the file too.
    ///
    /// # Errors
    /// After any, a part of them may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes as [`Self::write_all_at`] does, past the page cache where the operating system and
    /// the file system let it, and where everything is a multiple of [`DIRECT_BYTES`]: what is
    /// large then costs neither a copy nor the memory for it.
    ///
    /// # Errors
    /// As for [`Self::write_all_at`].
    fn write_direct_at(&self, bytes: &[u8], offset: u64) -> io::Result<Reached> {
        self.write_all_at(bytes, offset).map(|()| Reached::Cache)
    }

    /// Cuts the file off, or lengthens it by zeros that take no room yet.
    ///
    /// # Errors
    /// As the operating system says.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Sets when the content was last modified, in nanoseconds since 1970; a file system may keep
    /// it more coarsely.
    ///
    /// # Errors
    /// As the operating system says; where the time is beyond what it can say.
    fn set_modified(&self, nanoseconds: i128) -> io::Result<()>;

    /// Makes the content durable, and the length; not the time.
    ///
    /// # Errors
    /// After any, it is unknown what is durable, and a second try finds nothing out.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes content, length and time durable.
    ///
    /// # Errors
    /// As for [`Self::sync_data`].
    fn sync(&self) -> io::Result<()>;
}

/// Splits a path into its directory and the name in it.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
