//! The operating system's files. Paths are walked segment by segment from the root's descriptor,
//! and no symbolic link is followed on the way: what stands below the root is reached, and
//! nothing else.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Access, DIRECT_BYTES, Disk, DiskFile, Kind, Metadata, Reached, split};
use crate::error::is_out_of_files;

/// Closed to other users, as the documents are: a store's readers are those who hold its tokens.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIRECTORY_MODE: Mode = Mode::RWXU;

const NANOSECONDS: i128 = 1_000_000_000;

/// A directory of the operating system.
#[derive(Debug)]
pub struct OsDisk {
    root: OwnedFd,
}

impl OsDisk {
    /// Opens the directory that is to be the root.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { root: rustix::fs::open(root, DIRECTORY_FLAGS, Mode::empty())? })
    }

    /// The directory at a path.
    fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let Some(first) = segments.next() else { return self.root.try_clone() };
        let step = |parent: &dyn AsFd, name: &str| {
            let flags = DIRECTORY_FLAGS | OFlags::NOFOLLOW;
            rustix::fs::openat(parent.as_fd(), name, flags, Mode::empty()).map_err(on_the_way)
        };
        let mut directory = step(&self.root, first)?;
        for segment in segments {
            directory = step(&directory, segment)?;
        }
        Ok(directory)
    }

    /// The directory that a path's last segment stands in, and that segment.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (parent, name) = split(path);
        Ok((self.directory(parent)?, name))
    }
}

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A symbolic link on the way is none of our directories.
fn on_the_way(error: Errno) -> io::Error {
    if error == Errno::LOOP { io::ErrorKind::NotADirectory.into() } else { error.into() }
}

impl Disk for OsDisk {
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, FILE_MODE)?;
        Ok(Box::new(OsFile::new(file.into())))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let (parent, name) = self.parent(path)?;
        let access = match access {
            Access::Read => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        // Without NONBLOCK, opening a named pipe would wait for somebody at its other end.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&parent, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Box::new(OsFile::new(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (old_parent, old_name) = self.parent(from)?;
        let (new_parent, new_name) = self.parent(to)?;
        Ok(rustix::fs::renameat(&old_parent, old_name, &new_parent, new_name)?)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let (old_parent, old_name) = self.parent(from)?;
        let (new_parent, new_name) = self.parent(to)?;
        let flags = AtFlags::empty();
        Ok(rustix::fs::linkat(&old_parent, old_name, &new_parent, new_name, flags)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::empty())?)
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE)?)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
    }

    fn entries(&self, path: &str) -> io::Result<Vec<(String, Kind)>> {
        let mut entries = Vec::new();
        self.each_entry(path, &mut |name, kind| entries.push((name.to_owned(), kind)))?;
        Ok(entries)
    }

    fn each_entry(&self, path: &str, visit: &mut dyn FnMut(&str, Kind)) -> io::Result<()> {
        let directory = self.directory(path)?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            let file_type = match entry.file_type() {
                // Some file systems do not tell.
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                told => told,
            };
            let kind = match file_type {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                _ => Kind::Other,
            };
            visit(name, kind);
        }
        Ok(())
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        match self.directory(path) {
            // The root is open.
            Err(error) if is_out_of_files(&error) => self.sync_everything(),
            directory => Ok(rustix::fs::fsync(directory?)?),
        }
    }

    fn sync_everything(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }

    fn size(&self) -> io::Result<u64> {
        let volume = rustix::fs::fstatvfs(&self.root)?;
        Ok(volume.f_blocks.saturating_mul(volume.f_frsize))
    }

    fn available(&self) -> io::Result<u64> {
        let volume = rustix::fs::fstatvfs(&self.root)?;
        Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
    }

    fn available_files(&self) -> io::Result<u64> {
        let volume = rustix::fs::fstatvfs(&self.root)?;
        // Some file systems make room for files as for bytes, and have no number to tell.
        Ok(if volume.f_files == 0 { u64::MAX } else { volume.f_favail })
    }
}

/// A file of the operating system.
#[derive(Debug)]
struct OsFile {
    file: File,
    /// The same file, opened to be written past the page cache; `None` where that is not possible.
    direct: OnceLock<Option<File>>,
}

impl OsFile {
    fn new(file: File) -> Self {
        Self { file, direct: OnceLock::new() }
    }

    /// A descriptor of its own, because the flag is one of all reads and writes of a descriptor.
    fn direct(&self) -> Option<&File> {
        let open = || {
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty()).ok().map(File::from)
        };
        self.direct.get_or_init(open).as_ref()
    }
}

/// Whether a write may go past the page cache.
fn is_aligned(bytes: &[u8], offset: u64) -> bool {
    bytes.as_ptr().addr().is_multiple_of(DIRECT_BYTES)
        && bytes.len().is_multiple_of(DIRECT_BYTES)
        && offset.is_multiple_of(DIRECT_BYTES as u64)
}

impl DiskFile for OsFile {
    fn metadata(&self) -> io::Result<Metadata> {
        let metadata = self.file.metadata()?;
        Ok(Metadata {
            length: metadata.len(),
            modified: i128::from(metadata.mtime()) * NANOSECONDS
                + i128::from(metadata.mtime_nsec()),
        })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn write_direct_at(&self, bytes: &[u8], offset: u64) -> io::Result<Reached> {
        if let Some(direct) = is_aligned(bytes, offset).then(|| self.direct()).flatten() {
            match direct.write_all_at(bytes, offset) {
                // Some file systems say only now that they cannot, or that they ask for more.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {}
                written => return written.map(|()| Reached::Disk),
            }
        }
        self.write_all_at(bytes, offset).map(|()| Reached::Cache)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn set_modified(&self, nanoseconds: i128) -> io::Result<()> {
        let distance = Duration::from_nanos_u128(nanoseconds.unsigned_abs());
        let time = if nanoseconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        };
        self.file.set_modified(time.ok_or(io::ErrorKind::InvalidInput)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;

    use tempfile::TempDir;

    use super::*;

    /// Whether the file system of a directory lets writes past the page cache.
    fn is_able(directory: &Path, page: &[u8]) -> bool {
        let flags = OFlags::DIRECT.bits() as i32;
        let options = OpenOptions::new().write(true).create_new(true).custom_flags(flags).clone();
        let file = options.open(directory.join("probe"));
        file.is_ok_and(|file| file.write_all_at(page, 0).is_ok())
    }

    #[test]
    fn a_write_past_the_page_cache_is_read_again_and_what_does_not_fit_goes_through_it() {
        let directory = TempDir::new().expect("a temporary directory");
        let disk = OsDisk::open(directory.path()).expect("a disk");
        let file = disk.create("file").expect("a new file");
        let buffer: Vec<u8> = (0..4 * DIRECT_BYTES).map(|n| (n % 251) as u8).collect();
        let address = buffer.as_ptr().addr();
        let page = &buffer[address.next_multiple_of(DIRECT_BYTES) - address..];
        let aligned = match is_able(directory.path(), &page[..DIRECT_BYTES]) {
            true => Reached::Disk,
            false => Reached::Cache,
        };
        let pages = 2 * DIRECT_BYTES;
        let mut expected = Vec::new();
        for (name, bytes, offset, reached) in [
            ("whole pages", &page[..pages], 0, aligned),
            ("more of them", &page[DIRECT_BYTES..pages], pages, aligned),
            ("a rest", &page[..100], pages + DIRECT_BYTES, Reached::Cache),
            ("an odd address", &page[1..=DIRECT_BYTES], 0, Reached::Cache),
            ("an odd offset", &page[..DIRECT_BYTES], 1, Reached::Cache),
            ("pages over what the page cache holds", &page[..DIRECT_BYTES], 0, aligned),
        ] {
            let found = file.write_direct_at(bytes, offset as u64).expect(name);
            assert_eq!(found, reached, "{name}");
            expected.resize(expected.len().max(offset + bytes.len()), 0);
            expected[offset..offset + bytes.len()].copy_from_slice(bytes);
            let mut content = vec![0; expected.len()];
            file.read_exact_at(&mut content, 0).expect(name);
            assert!(content == expected, "{name}: something else is read than was written");
            assert_eq!(file.metadata().expect(name).length, expected.len() as u64, "{name}");
        }
    }
}
