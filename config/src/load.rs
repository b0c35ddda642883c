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
    // Line and column say where; the text around them may hold what no log should.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(&text, options)
        .map_err(|e| LoadError::Parse { path: path.to_owned(), message: sentence(&e) })
}

/// The place first, as compilers write it, then what is wrong there.
fn sentence(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let Some(at) = error.location() else { return text };
    let place = format!("line {}, column {}", at.line(), at.column());
    let what = text.strip_suffix(&format!(" at {place}")).unwrap_or(&text);
    format!("{place}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SidecarConfig, SyncConfig};

    fn refused<T: DeserializeOwned>(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load::<T>(file.path()).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_refusal_is_one_line_that_says_where_and_what() {
        let table = [
            (
                "store: demo\nlisten: localhost:80\n",
                "wrong: line 2, column 9: \"localhost:80\" is",
                "write an IP address and a port",
            ),
            ("store: demo\ncontracts: [kv, jbos]\n", "wrong: line 2, column 17: unknown", "jbos"),
            ("stor: demo\n", "wrong: line 1, column 1: unknown", "expected one of store, "),
        ];
        for (text, place, reason) in table {
            let message = refused::<SidecarConfig>(text);
            assert!(message.contains(place) && message.contains(reason), "{text:?}: {message}");
            assert_eq!(message.lines().count(), 1, "{text:?}: {message}");
        }
    }

    #[test]
    fn nothing_of_the_text_around_a_fault_is_shown() {
        let text = "repoId: etl\nurl: https://git:hunter2@git.example/etl.git\nbrnach: main\n";
        let message = refused::<SyncConfig>(text);
        assert!(message.contains("brnach") && !message.contains("hunter2"), "{message}");
    }
}
