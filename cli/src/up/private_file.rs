//! Files that only this user may read, written so that a kill leaves the old one or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

/// How the names start of files that are not written to their end.
const TEMPORARY: &str = ".stowage-";

/// Makes a directory with mode 0700, and those above it; tightens one that is there already.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Replaces a file by one with mode 0600 and this content, durably and in one step.
///
/// # Errors
/// Whatever the system says; the old file is then still there.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with_mode(path, content, 0o600)
}

/// As [`write`], for a file that others may read where the umask of most users lets them.
///
/// # Errors
/// Whatever the system says; the old file is then still there.
pub(crate) fn write_readable(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with_mode(path, content, 0o644)
}

fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    stage_with_mode(path, content, mode)?.put()?;
    sync_dir(directory_of(path))
}

/// A file that is written, durably, beside the one whose place it is to take. Dropped, it goes.
pub(crate) struct Staged<'a> {
    file: NamedTempFile,
    path: &'a Path,
}

/// Writes what a file with mode 0600 is to hold beside it.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn stage<'a>(path: &'a Path, content: &[u8]) -> io::Result<Staged<'a>> {
    stage_with_mode(path, content, 0o600)
}

fn stage_with_mode<'a>(path: &'a Path, content: &[u8], mode: u32) -> io::Result<Staged<'a>> {
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(directory_of(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(Staged { file, path })
}

impl Staged<'_> {
    /// The file whose place it is to take.
    pub(crate) fn path(&self) -> &Path {
        self.path
    }

    /// Puts it there, which is durable after [`sync_dir`].
    ///
    /// # Errors
    /// Whatever the system says; the old file is then still there.
    pub(crate) fn put(self) -> io::Result<()> {
        self.file.persist(self.path).map(drop).map_err(|e| e.error)
    }
}

/// Makes durable what came into a directory, and what went.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn sync_dir(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory that a file stands in; the current one for a bare name.
pub(crate) fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

/// Removes a directory with everything in it; one that is not there is no error.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn remove_dir(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(path))
}

/// Removes what a kill left of [`write`] in a directory; one that is not there is no error.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn remove_temporary(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        // Something else in its place is told by who wants to write there.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(());
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_named_so = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        // A directory, a link or a pipe of such a name is not of its making.
        if is_named_so && entry.file_type()?.is_file() {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_file_is_replaced_whole_and_stays_private() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        make_dir(&dir).unwrap();
        let file = dir.join("secret");
        fs::write(&file, "old").unwrap();
        write(&file, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn a_directory_that_others_could_read_is_tightened() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("open");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        make_dir(&dir).unwrap();
        assert_eq!(mode(&dir), 0o700);
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let root = tempfile::tempdir().unwrap();
        remove(&root.path().join("x")).unwrap();
        remove_dir(&root.path().join("y")).unwrap();
    }
}
