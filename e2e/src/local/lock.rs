//! Lets one command at a time bring a cluster up or take it down.
//!
//! The file that is locked goes with its lock. Whoever waited for it may then hold a lock on a file
//! that has no name any more, which keeps nobody out; so a lock counts only where its file still
//! has the name, and only its holder removes the file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::instance::PARENT;
use super::name::ClusterName;

/// Held until it is dropped.
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Waits for whoever else has the cluster's lock, and says so.
    pub(super) fn take(name: &ClusterName) -> io::Result<Self> {
        let mut told = false;
        Self::take_file(&Path::new(PARENT).join(format!(".{name}.lock")), || {
            if !std::mem::replace(&mut told, true) {
                println!("waiting for another command that works on the cluster {name}");
            }
        })
    }

    fn take_file(path: &Path, mut waits: impl FnMut()) -> io::Result<Self> {
        loop {
            // Whoever lets go of the last lock removes the directory, at any moment in between.
            match path.parent().map_or(Ok(()), fs::create_dir_all) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let file = match File::create(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            if file.try_lock().is_err() {
                waits();
                file.lock()?;
            }
            let lock = Self { path: path.to_owned(), file };
            if lock.counts()? {
                return Ok(lock);
            }
        }
    }

    fn counts(&self) -> io::Result<bool> {
        let named = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            named => named?,
        };
        let held = self.file.metadata()?;
        Ok((named.dev(), named.ino()) == (held.dev(), held.ino()))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.counts().unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
            // Fails while there is anything else in it.
            let _ = self.path.parent().map(fs::remove_dir);
        }
    }
}

/// Removes what commands that were killed have left. Locks that are held stay.
pub(super) fn sweep() -> io::Result<()> {
    let entries = match fs::read_dir(PARENT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_lock(path)) {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => drop(Lock { path, file }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

/// What begins with a dot is no instance.
fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lock")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_it_leaves_nothing() {
        let scratch = tempfile::tempdir().expect("a directory");
        let path = scratch.path().join("locks/.a.lock");
        let (holders, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let lock = Lock::take_file(&path, || {}).expect("a lock");
                        let others = holders.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(others, 0, "somebody else has it too");
                        // Gives the others a chance to be wrong.
                        thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        taken.fetch_add(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 800);
        let left: Vec<_> = fs::read_dir(scratch.path()).expect("a directory").flatten().collect();
        assert!(left.is_empty(), "left: {left:?}");
    }
}
