//! Tokens from a directory as a mounted Secret has it: one file per token.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use stowage_config::{InvalidToken, TOKEN_DOCUMENT_BYTES_MAX, Token};

/// What stands in a directory of tokens.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Those that are good, by name.
    pub(super) tokens: Vec<(String, Token)>,
    /// What is wrong with each of the others, in a sentence that names it.
    pub(super) faults: Vec<String>,
}

/// Why the tokens of a directory cannot be used. No variant carries any of a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokensError {
    /// The directory or a file in it cannot be read.
    #[error("auth.tokensDir: cannot read {path}: {source}")]
    Read {
        /// What cannot be read.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file holds no token.
    #[error("auth.tokensDir: the token {name}: {source}")]
    Invalid {
        /// The token's name.
        name: String,
        /// What to put there instead.
        source: InvalidToken,
    },
}

/// Reads every token of a directory, by name. Names with a dot in front are the mount's own.
///
/// # Errors
/// [`TokensError::Read`] where the directory itself cannot be read.
pub(super) fn read(dir: &Path) -> Result<Found, TokensError> {
    let mut found = Found::default();
    for entry in std::fs::read_dir(dir).map_err(failed(dir))? {
        let path = entry.map_err(failed(dir))?.path();
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        match token(&path, &name) {
            Ok(None) => {}
            Ok(Some(token)) => found.tokens.push((name, token)),
            Err(fault) => found.faults.push(fault.to_string()),
        }
    }
    found.tokens.sort_by(|a, b| a.0.cmp(&b.0));
    // What is the same has to look the same, in whatever order the directory gives it.
    found.faults.sort();
    Ok(found)
}

/// The token of a file; `None` where it is a directory or the like.
fn token(path: &Path, name: &str) -> Result<Option<Token>, TokensError> {
    // A Secret's keys are links to files, so what the link points to counts.
    if !std::fs::metadata(path).map_err(failed(path))?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    // One more than a token may have tells that it is too large.
    let most = TOKEN_DOCUMENT_BYTES_MAX as u64 + 1;
    let mut file = File::open(path).map_err(failed(path))?.take(most);
    file.read_to_end(&mut bytes).map_err(failed(path))?;
    let token = Token::read(&bytes);
    token.map(Some).map_err(|source| TokensError::Invalid { name: name.to_owned(), source })
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> TokensError {
    let path = path.to_owned();
    move |source| TokensError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_mounted_secret_is_read_as_kubernetes_lays_it_out() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("..2026_01_01");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("admin"), "admin-0123456789ab\n").unwrap();
        symlink("..2026_01_01", dir.path().join("..data")).unwrap();
        symlink("..data/admin", dir.path().join("admin")).unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        let Found { tokens, faults } = read(dir.path()).unwrap();
        assert_eq!(faults, [""; 0]);
        let names: Vec<_> = tokens.iter().map(|(name, t)| (name.as_str(), &*t.value)).collect();
        assert_eq!(names, [("admin", "admin-0123456789ab")]);
    }

    #[test]
    fn what_is_wrong_is_said_by_name_and_without_the_token() {
        let large = [b'a'; TOKEN_DOCUMENT_BYTES_MAX + 1];
        let table: [(&[u8], &str); 5] = [
            (b"", "empty"),
            (b"hunter2", "shorter"),
            (b"{\"token\":\"hunter2-0123456789\",\"x\":1}", "JSON object"),
            (b"hunter2-\xff-0123456789", "UTF-8"),
            (&large, "larger"),
        ];
        for (text, expected) in table {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("weak"), text).unwrap();
            std::fs::write(dir.path().join("strong"), "admin-0123456789ab").unwrap();
            let found = read(dir.path()).expect("a directory");
            assert_eq!(found.tokens.len(), 1, "{expected}: the other one is good");
            let error = found.faults.concat();
            assert!(error.contains("weak") && error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = read(Path::new("does/not/exist")).expect_err("no directory").to_string();
        assert!(error.contains("auth.tokensDir"), "{error}");
    }
}
