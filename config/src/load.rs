//! Reading a configuration file, with an error that says where and what.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not what is expected.
    #[error("the configuration file {path} is wrong: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        message: String,
    },
}

/// Reads a configuration file: YAML, of which JSON is a part.
///
/// # Errors
/// [`LoadError`] names the file, and the line where the content is wrong.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    serde_saphyr::from_str(&text)
        .map_err(|e| LoadError::Parse { path: path.to_owned(), message: e.to_string() })
}
