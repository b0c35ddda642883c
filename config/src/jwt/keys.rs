//! The keys of an issuer, as they stand in a file or come from its server. What is checked here is all
//! that keeps a server from using them, so whoever hands keys on may ask first.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Jwt;
use super::key::{Jwk, Key};

/// The most keys of a set.
const KEYS_MAX: usize = 100;

/// Why a text holds no keys. No variant carries any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// Larger than any set of keys.
    #[error("it is larger than {} bytes", Jwt::KEYS_BYTES_MAX)]
    TooLarge,
    /// Not the object that is expected.
    #[error("it is not a JWK Set, a JSON object with a list of keys")]
    NotASet,
    /// More than an issuer has.
    #[error("it holds more than {KEYS_MAX} keys")]
    TooMany,
    /// Nothing that helps.
    #[error(
        "none of its {0} keys is a public RSA (2048 bits or more), P-256, P-384 or Ed25519 key \
         for signatures"
    )]
    NoneUsable(usize),
    /// A secret that could be guessed.
    #[error(
        "the secret has less than {} bytes; take one as long as `openssl rand -hex 32` makes",
        Jwt::SECRET_BYTES_MIN
    )]
    Short,
}

/// RFC 7517 §5.
#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Box<RawValue>>,
}

/// Reads a JWK Set. Keys that are of no use are left out (RFC 7517 §5).
///
/// # Errors
/// [`InvalidKeys`] where none is left.
pub fn read_jwks(text: &[u8]) -> Result<Vec<Key>, InvalidKeys> {
    if text.len() > Jwt::KEYS_BYTES_MAX {
        return Err(InvalidKeys::TooLarge);
    }
    let set: JwkSet = object(text).ok_or(InvalidKeys::NotASet)?;
    let count = set.keys.len();
    if count > KEYS_MAX {
        return Err(InvalidKeys::TooMany);
    }
    let read = |key: &RawValue| object::<Jwk>(key.get().as_bytes()).and_then(Key::public);
    let keys: Vec<Key> = set.keys.iter().filter_map(|key| read(key)).collect();
    if keys.is_empty() { Err(InvalidKeys::NoneUsable(count)) } else { Ok(keys) }
}

/// Reads a shared secret; white space around it (an editor's last newline) is left out.
///
/// # Errors
/// [`InvalidKeys`] where it could be guessed.
pub fn read_secret(bytes: &[u8]) -> Result<Key, InvalidKeys> {
    let secret = bytes.trim_ascii();
    if secret.len() > Jwt::KEYS_BYTES_MAX {
        Err(InvalidKeys::TooLarge)
    } else if secret.len() < Jwt::SECRET_BYTES_MIN {
        Err(InvalidKeys::Short)
    } else {
        Ok(Key::secret(secret))
    }
}

/// Reads a JSON object; serde would take an array for a structure as well.
fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok())?
}
