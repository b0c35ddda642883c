//! The directory of one sync: private, and gone afterwards however the sync ends.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A temporary directory that only this user may enter.
#[derive(Debug)]
pub(crate) struct Workspace {
    dir: TempDir,
}

/// A killed process may still finish the system call that it is in, and so make a file in a
/// directory that is just being emptied.
const REMOVE_ATTEMPTS: usize = 100;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);

impl Workspace {
    /// Makes the directory.
    ///
    /// # Errors
    /// As [`tempfile::Builder::tempdir_in`].
    pub(crate) fn create(scratch: &Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("stowage-sync-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(scratch)?;
        Ok(Self { dir })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file that only this user may read: git and ssh refuse keys that others can.
    ///
    /// # Errors
    /// As the file system has them.
    pub(crate) fn write_private(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?
            .write_all(content.as_bytes())?;
        Ok(path)
    }

    /// The bytes that everything in it takes on disk; what vanishes meanwhile counts nothing.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        bytes_under(self.path())
    }
}

fn bytes_under(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_under(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

impl Drop for Workspace {
    /// Blocks for a moment at most, and only after a kill: a sync that is dropped leaves no one
    /// who could wait in another way.
    fn drop(&mut self) {
        for _ in 0..REMOVE_ATTEMPTS {
            match fs::remove_dir_all(self.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => thread::sleep(REMOVE_PAUSE),
                _ => return,
            }
        }
        tracing::warn!("the directory of a sync could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_counts_its_bytes_and_goes_away() {
        let scratch = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(scratch.path()).unwrap();
        let path = workspace.path().to_owned();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let file = workspace.write_private("key", &"x".repeat(10_000)).unwrap();
        assert_eq!(mode(&file), 0o600);
        assert!((10_000..100_000).contains(&workspace.bytes_on_disk()));
        drop(workspace);
        assert!(!path.exists());
    }
}
