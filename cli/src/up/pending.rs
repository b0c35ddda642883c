//! Private files that change together: all of them or none, as far as a file system lets that be.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::private_file::{self, Staged};
use crate::exit::{Failure, io_failure};

/// A file that is to be changed; nothing is written before all Stores are found to be right. Holds
/// secrets, so it cannot be printed.
#[must_use]
pub(crate) enum Pending {
    /// This, in a file.
    Write {
        /// What that is, for a message: `keep the signing key in`.
        doing: &'static str,
        path: PathBuf,
        content: Vec<u8>,
    },
    /// No file.
    Remove { doing: &'static str, path: PathBuf },
}

/// Why files were not changed, or not all.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub(crate) struct NotKept {
    pub(crate) failure: Failure,
    /// Whether some were.
    pub(crate) is_partial: bool,
}

impl From<Failure> for NotKept {
    fn from(failure: Failure) -> Self {
        Self { failure, is_partial: false }
    }
}

/// Makes all changes. What needs room, and with it nearly all that can go wrong, is done beside the
/// files: they are renamed once all of them are written. What a kill leaves there goes at the next
/// start.
///
/// # Errors
/// [`NotKept`] says whether the files are as they were.
pub(crate) fn commit<'a>(changes: impl IntoIterator<Item = &'a Pending>) -> Result<(), NotKept> {
    let staged = changes.into_iter().map(Pending::stage).collect::<Result<Vec<_>, _>>()?;
    let mut changed = 0;
    let mut directories = BTreeSet::new();
    let count = staged.len();
    for step in staged {
        directories.insert(private_file::directory_of(step.path()).to_owned());
        step.take().map_err(|failure| partial(failure, changed, count))?;
        changed += 1;
    }
    for directory in directories {
        private_file::sync_dir(&directory)
            .map_err(|e| partial(io_failure("write to", &directory, &e), changed, count))?;
    }
    Ok(())
}

/// What is said where it is too late to change nothing.
fn partial(failure: Failure, changed: usize, count: usize) -> NotKept {
    if changed == 0 {
        return failure.into();
    }
    let said = format!("{failure} (after {changed} of {count} files were changed)");
    NotKept { failure: Failure::Environment(said), is_partial: true }
}

/// A change of which only the last step is left.
enum Step<'a> {
    Put(&'static str, Staged<'a>),
    Remove(&'static str, &'a PathBuf),
}

impl Pending {
    fn stage(&self) -> Result<Step<'_>, Failure> {
        match self {
            Self::Write { doing, path, content } => {
                let staged = private_file::make_dir(private_file::directory_of(path))
                    .and_then(|()| private_file::stage(path, content));
                Ok(Step::Put(doing, staged.map_err(|e| io_failure(doing, path, &e))?))
            }
            Self::Remove { doing, path } => Ok(Step::Remove(doing, path)),
        }
    }
}

impl Step<'_> {
    fn path(&self) -> &std::path::Path {
        match self {
            Self::Put(_, staged) => staged.path(),
            Self::Remove(_, path) => path,
        }
    }

    fn take(self) -> Result<(), Failure> {
        let (doing, path, taken): (_, _, io::Result<()>) = match self {
            Self::Put(doing, staged) => (doing, staged.path().to_owned(), staged.put()),
            Self::Remove(doing, path) => (doing, path.clone(), private_file::remove(path)),
        };
        taken.map_err(|e| io_failure(doing, &path, &e))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn write(path: PathBuf) -> Pending {
        Pending::Write { doing: "keep", path, content: b"new".to_vec() }
    }

    /// The files of a directory with what they hold.
    fn files(directory: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(directory).unwrap().map(|it| it.unwrap().path());
        let mut files: Vec<_> = entries
            .filter(|path| path.is_file())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn expect(directory: &Path, expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(files(directory), expected);
    }

    #[test]
    fn all_is_changed_and_nothing_is_left_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let tokens = root.path().join("tokens");
        commit([&write(tokens.join("a"))]).unwrap();
        fs::write(tokens.join("b"), "old").unwrap();
        fs::write(tokens.join("c"), "old").unwrap();
        let remove = |name: &str| Pending::Remove { doing: "remove", path: tokens.join(name) };
        commit([&write(tokens.join("b")), &remove("c"), &remove("d")]).unwrap();
        expect(&tokens, &[("a", "new"), ("b", "new")]);
    }

    #[test]
    fn what_cannot_be_written_leaves_all_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "old"), ("b", "old"), ("file", "")] {
            fs::write(root.path().join(name), text).unwrap();
        }
        let path = |name: &str| root.path().join(name);
        let changes = [
            write(path("a")),
            Pending::Remove { doing: "remove", path: path("b") },
            write(path("file").join("c")),
        ];
        let refused = commit(&changes).unwrap_err();
        assert!(!refused.is_partial, "{refused}");
        assert!(refused.to_string().starts_with("cannot keep "), "{refused}");
        expect(root.path(), &[("a", "old"), ("b", "old"), ("file", "")]);
    }

    #[test]
    fn what_fails_at_the_end_says_how_much_was_changed() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        // No file takes the place of a directory.
        fs::create_dir(path("b")).unwrap();
        fs::write(path("c"), "old").unwrap();
        let refused = commit(&["a", "b", "c"].map(|name| write(path(name)))).unwrap_err();
        assert!(refused.is_partial, "{refused}");
        let said = refused.to_string();
        assert!(said.contains("/b: ") && said.contains("after 1 of 3 files"), "{said}");
        expect(root.path(), &[("a", "new"), ("c", "old")]);
        let refused = commit(&["b", "c"].map(|name| write(path(name)))).unwrap_err();
        assert!(!refused.is_partial, "{refused}");
        expect(root.path(), &[("a", "new"), ("c", "old")]);
    }
}
