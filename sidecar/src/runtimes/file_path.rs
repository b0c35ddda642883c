//! The path of a config in its repository.

use stowage_store::name::{NAME_BYTES_MAX, is_name_byte};

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// 1–1024 bytes of names joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FilePath(Box<str>);

/// Why a text is not a path under which a config is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidFilePath {
    /// No bytes, or too many.
    #[error("a file path is 1 to {PATH_BYTES_MAX} bytes long")]
    Length,
    /// A part with no bytes, or too many.
    #[error("each part of a file path is 1 to {NAME_BYTES_MAX} bytes long")]
    PartLength,
    /// A byte outside the set.
    #[error("a file path holds only letters, digits, / and . _ : @ + ~ -")]
    Character,
    /// `.` or `..`.
    #[error("no part of a file path is . or ..")]
    Dots,
}

impl FilePath {
    /// Checks a path that was percent-decoded already.
    ///
    /// # Errors
    /// [`InvalidFilePath`] says what is wrong with it.
    pub(crate) fn parse(path: &str) -> Result<Self, InvalidFilePath> {
        if path.is_empty() || path.len() > PATH_BYTES_MAX {
            return Err(InvalidFilePath::Length);
        }
        for part in path.split('/') {
            if part.is_empty() || part.len() > NAME_BYTES_MAX {
                return Err(InvalidFilePath::PartLength);
            }
            if !part.bytes().all(is_name_byte) {
                return Err(InvalidFilePath::Character);
            }
            if matches!(part, "." | "..") {
                return Err(InvalidFilePath::Dots);
            }
        }
        Ok(Self(path.into()))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_names_joined_by_slashes() {
        use InvalidFilePath as E;
        let part = "a".repeat(128);
        let longest = [part.as_str(); 7].join("/") + "/" + &"a".repeat(121);
        let too_long = format!("{longest}a");
        let long_part = "a".repeat(129);
        let table = [
            ("runtime.yaml", Ok(())),
            ("a/b-c/.d/e_f.json", Ok(())),
            (longest.as_str(), Ok(())),
            (too_long.as_str(), Err(E::Length)),
            (long_part.as_str(), Err(E::PartLength)),
            ("", Err(E::Length)),
            ("/a", Err(E::PartLength)),
            ("a/", Err(E::PartLength)),
            ("a//b", Err(E::PartLength)),
            ("a/../b", Err(E::Dots)),
            ("./a", Err(E::Dots)),
            ("a b", Err(E::Character)),
            ("é", Err(E::Character)),
            ("a\0", Err(E::Character)),
            ("a%2Fb", Err(E::Character)),
        ];
        for (path, expected) in table {
            assert_eq!(FilePath::parse(path).map(|_| ()), expected, "{path:?}");
        }
        assert_eq!(longest.len(), PATH_BYTES_MAX);
    }
}
