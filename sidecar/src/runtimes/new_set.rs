//! A set that was checked and is ready to be put in place of another.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use stowage_sync::ConfigFile;

use super::file_path::{FilePath, InvalidFilePath};

/// The longest revision, in bytes; a Git commit has 40 or 64.
const REVISION_BYTES_MAX: usize = 128;

/// The files of a branch at one commit.
#[derive(Debug, Clone)]
pub(crate) struct NewSet {
    pub(super) revision: String,
    /// By path, bytewise.
    pub(super) files: BTreeMap<FilePath, Box<RawValue>>,
}

/// Why a set cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSet {
    /// The revision could not stand in a header.
    #[error("revision must be 1 to {REVISION_BYTES_MAX} visible ASCII characters: the Git commit")]
    Revision,
    /// A file's path is no path.
    #[error("files[{index}].filepath: {reason}")]
    Path {
        /// The file's place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        reason: InvalidFilePath,
    },
    /// Two files have the same path.
    #[error("files[{index}].filepath: another file of the list has the same path")]
    Duplicate {
        /// The second one's place in the list, from 0.
        index: usize,
    },
}

impl NewSet {
    /// Checks the revision and every path; configs are compact JSON already.
    ///
    /// # Errors
    /// [`InvalidSet`] names the first file that is wrong.
    pub(crate) fn new(revision: &str, files: Vec<ConfigFile>) -> Result<Self, InvalidSet> {
        let sane = revision.bytes().all(|b| b.is_ascii_graphic());
        if !(1..=REVISION_BYTES_MAX).contains(&revision.len()) || !sane {
            return Err(InvalidSet::Revision);
        }
        let mut by_path = BTreeMap::new();
        for (index, file) in files.into_iter().enumerate() {
            let path = FilePath::parse(&file.filepath)
                .map_err(|reason| InvalidSet::Path { index, reason })?;
            if by_path.insert(path, file.config).is_some() {
                return Err(InvalidSet::Duplicate { index });
            }
        }
        Ok(Self { revision: revision.to_owned(), files: by_path })
    }
}
