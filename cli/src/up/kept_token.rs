//! Tokens that `stowage up` makes: random, kept in a private file, the same after a restart.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stowage_config::{Token, TokenGrant};

use super::pending::Pending;
use crate::exit::{Failure, io_failure};

const TOKEN_RANDOM_BYTES: usize = 32;

/// The token kept in a file; where there is none yet, one that is to be kept before it is used.
///
/// # Errors
/// [`Failure::Environment`] where the file cannot be read, or holds no token.
pub(crate) fn read_or_make(path: &Path) -> Result<(String, Option<Pending>), Failure> {
    match fs::read_to_string(path) {
        Ok(text) => match Token::parse(&text) {
            Ok(Token { value, grant }) if grant == TokenGrant::default() => Ok((value, None)),
            _ => Err(Failure::Environment(format!(
                "{} does not hold a token; remove it to have a new one made",
                path.display()
            ))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = random()?;
            let content = token.clone().into_bytes();
            let (doing, path) = ("keep a token in", path.to_owned());
            Ok((token, Some(Pending::Write { doing, path, content })))
        }
        Err(error) => Err(io_failure("read the token in", path, &error)),
    }
}

/// Text that nobody can guess.
///
/// # Errors
/// [`Failure::Environment`] where the system has no randomness.
pub(crate) fn random() -> Result<String, Failure> {
    let mut bytes = [0u8; TOKEN_RANDOM_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::Environment(format!("the system gives no random numbers: {e}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::up::pending;

    #[test]
    fn a_token_is_made_once_and_kept_private() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("tokens/demo");
        let (token, pending) = read_or_make(&path).unwrap();
        assert!(!path.exists(), "it is not kept before it is to be used");
        pending::commit(&pending).unwrap();
        let (again, pending) = read_or_make(&path).unwrap();
        assert!(again == token && pending.is_none());
        assert_eq!(URL_SAFE_NO_PAD.decode(&token).unwrap().len(), TOKEN_RANDOM_BYTES);
        assert_ne!(read_or_make(&root.path().join("tokens/other")).unwrap().0, token);
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&root.path().join("tokens"))), (0o600, 0o700));
    }

    #[test]
    fn a_file_without_a_token_is_refused_without_showing_it() {
        let root = tempfile::tempdir().unwrap();
        for content in ["", "short-secret", "two words of white space", "{\"token\":1}"] {
            let path = root.path().join("demo");
            fs::write(&path, content).unwrap();
            let refusal = read_or_make(&path).err().unwrap().to_string();
            assert!(refusal.contains("does not hold a token"), "{refusal}");
            assert!(content.is_empty() || !refusal.contains(content), "{refusal}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content, "left as it is");
        }
    }
}
