//! The data directory: what stands where in it, and the lock that keeps a second process out.
//!
//! `DIR/<store>/` is a Store's tree, `DIR/tokens/<store>` the token made for it,
//! `DIR/tokens/<store>.keys` what signs the tokens of its StoreNamespaces, `DIR/bindings/<name>/` a StoreNamespace's credentials. What starts with a dot is private:
//! `.lock`, `.run/` (Secrets as files and what is fetched, while sources are synced), `.deleted-…` (trees being
//! removed). No resource's name starts with a dot.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::private_file;
use crate::exit::{Failure, io_failure};

/// Names that a Store cannot have here, because they stand beside the Stores' trees.
pub(crate) const RESERVED: [&str; 2] = ["tokens", "bindings"];

const DELETED_PREFIX: &str = ".deleted-";

/// The data directory, held by this process until dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    /// The lock goes with the open file, so it ends with the process however that ends.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if needed, takes its lock, and sweeps what a killed process left.
    ///
    /// # Errors
    /// [`Failure::Environment`] where another process holds it or the system refuses.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |doing: &'static str| {
            move |e: io::Error| {
                if e.kind() == io::ErrorKind::NotADirectory
                    || e.kind() == io::ErrorKind::AlreadyExists
                {
                    return Failure::Environment(format!(
                        "{} is not a directory; choose another one with --data",
                        path.display()
                    ));
                }
                io_failure(doing, path, &e)
            }
        };
        fs::create_dir_all(path).map_err(failed("make the data directory"))?;
        let root = std::path::absolute(path).map_err(failed("use the data directory"))?;
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join(".lock"))
            .map_err(failed("lock the data directory"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Failure::Environment(in_use(path, &mut lock)));
            }
            Err(fs::TryLockError::Error(e)) => return Err(failed("lock the data directory")(e)),
        }
        note_process(&mut lock).map_err(failed("lock the data directory"))?;
        let data = Self { root, _lock: lock };
        data.sweep().map_err(failed("clean up the data directory"))?;
        Ok(data)
    }

    /// Whether a process holds the lock of a data directory.
    pub(crate) fn is_in_use(path: &Path) -> bool {
        File::open(path.join(".lock")).is_ok_and(|lock| lock.try_lock().is_err())
    }

    /// The directory itself, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A Store's tree.
    pub(crate) fn store(&self, store: &str) -> PathBuf {
        self.root.join(store)
    }

    /// The token that was made for a Store.
    pub(crate) fn token(&self, store: &str) -> PathBuf {
        self.root.join("tokens").join(store)
    }

    /// What signs the tokens of a Store's StoreNamespaces. No Store's name has a dot.
    pub(crate) fn signing_key(&self, store: &str) -> PathBuf {
        self.root.join("tokens").join(format!("{store}.keys"))
    }

    /// The Stores that there is a signing key of.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn stores_with_keys(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join("tokens")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut stores = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let store = name.to_str().and_then(|name| name.strip_suffix(".keys"));
            stores.extend(store.map(str::to_owned));
        }
        Ok(stores)
    }

    /// A StoreNamespace's credentials.
    pub(crate) fn binding(&self, namespace: &str) -> PathBuf {
        self.root.join("bindings").join(namespace)
    }

    /// Removes a Store's tree and the token made for it. The tree is renamed first: a kill in
    /// between leaves it whole or gone, never a part of it under the Store's name.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn delete_store(&self, store: &str) -> io::Result<()> {
        let doomed = self.root.join(format!("{DELETED_PREFIX}{store}"));
        private_file::remove_dir(&doomed)?;
        match fs::rename(self.store(store), &doomed) {
            Ok(()) => File::open(&self.root)?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        private_file::remove(&self.token(store))?;
        private_file::remove(&self.signing_key(store))?;
        private_file::remove_dir(&doomed)
    }

    fn sweep(&self) -> io::Result<()> {
        // Renamed first: a git that outlives a killed process makes no more files there.
        let left = self.root.join(format!("{DELETED_PREFIX}run"));
        private_file::remove_dir(&left)?;
        match fs::rename(run(&self.root), &left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(DELETED_PREFIX) {
                private_file::remove_dir(&entry.path())?;
            }
        }
        self.sweep_half_written();
        Ok(())
    }

    /// Removes the credentials that a kill has cut short. What is in the way of that is in the way of
    /// nothing else: a directory beside the bindings may be somebody else's.
    fn sweep_half_written(&self) {
        let swept = |directory: &Path| {
            if let Err(error) = private_file::remove_temporary(directory) {
                tracing::warn!(%error, "{} is not looked through for what a kill may have left",
                    directory.display());
            }
        };
        swept(&self.root.join("tokens"));
        let bindings = self.root.join("bindings");
        let entries = match fs::read_dir(&bindings) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            entries => entries.and_then(|entries| entries.collect::<io::Result<Vec<_>>>()),
        };
        match entries {
            Ok(entries) => {
                let is_dir = |it: &fs::DirEntry| it.file_type().is_ok_and(|it| it.is_dir());
                entries.iter().filter(|it| is_dir(it)).for_each(|it| swept(&it.path()));
            }
            Err(error) => tracing::warn!(%error, "{} cannot be read", bindings.display()),
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if let Err(error) = private_file::remove_dir(&run(&self.root)) {
            tracing::warn!(%error, "Secrets written for Git syncs could not be removed");
        }
    }
}

/// Where Secrets stand as files while a process serves from a data directory.
pub(crate) fn run(root: &Path) -> PathBuf {
    root.join(".run")
}

fn in_use(path: &Path, lock: &mut File) -> String {
    let mut pid = String::new();
    let known = lock.read_to_string(&mut pid).is_ok() && pid.trim().parse::<u32>().is_ok();
    let holder = if known { format!(" (process {})", pid.trim()) } else { String::new() };
    format!(
        "{} is in use by another stowage up{holder}; stop that one, or choose another directory \
         with --data",
        path.display()
    )
}

fn note_process(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_process() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        assert!(!DataDir::is_in_use(&path));
        let first = DataDir::open(&path).unwrap();
        assert!(DataDir::is_in_use(&path));
        let refusal = DataDir::open(&path).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(refusal, Failure::Environment(_)));
        assert!(refusal.to_string().contains(&format!("(process {pid})")), "{refusal}");
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_trees_stay() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["demo", ".run/secret", ".deleted-old/x", "tokens", "bindings/cart"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let half_written = ["tokens/.stowage-x1", "bindings/cart/.stowage-x2"];
        let whole = ["tokens/demo.keys", "bindings/cart/token"];
        for file in half_written.iter().chain(&whole) {
            fs::write(root.path().join(file), "secret").unwrap();
        }
        let data = DataDir::open(root.path()).unwrap();
        assert!(data.store("demo").is_dir());
        assert!(!run(root.path()).exists(), "secrets of the last run are gone");
        assert!(!root.path().join(".deleted-old").exists());
        let left = |files: [&str; 2]| files.map(|file| root.path().join(file).exists());
        assert_eq!((left(half_written), left(whole)), ([false; 2], [true; 2]));
    }

    #[test]
    fn what_it_did_not_write_itself_is_left_and_ends_no_start() {
        let root = tempfile::tempdir().unwrap();
        let theirs = ["tokens/.stowage-theirs/x", "bindings/cart/.stowage-theirs/x"];
        for directory in theirs {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let ours = root.path().join("bindings/cart/.stowage-x1");
        fs::write(&ours, "secret").unwrap();
        drop(DataDir::open(root.path()).unwrap());
        assert!(theirs.iter().all(|directory| root.path().join(directory).exists()));
        assert!(!ours.exists(), "what is its own goes");
    }

    #[test]
    fn deleting_a_store_takes_its_tree_and_token_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        for store in ["a", "b"] {
            fs::create_dir_all(data.store(store).join("run-stores")).unwrap();
            private_file::make_dir(&root.path().join("tokens")).unwrap();
            private_file::write(&data.token(store), b"t").unwrap();
            private_file::write(&data.signing_key(store), b"k").unwrap();
        }
        data.delete_store("a").unwrap();
        data.delete_store("a").unwrap();
        assert!(!data.store("a").exists() && !data.token("a").exists());
        assert!(!data.signing_key("a").exists());
        assert!(data.store("b").exists() && data.token("b").exists());
        assert!(data.signing_key("b").exists());
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        fs::write(&path, "").unwrap();
        for path in [path.clone(), path.join("below")] {
            let refusal = DataDir::open(&path).unwrap_err().to_string();
            assert!(refusal.contains("is not a directory; choose another"), "{refusal}");
        }
    }
}
