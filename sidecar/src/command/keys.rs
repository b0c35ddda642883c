//! The keys of JWTs from a file, as a mounted Secret has it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use stowage_config::{Jwt, JwtKeys};

/// Why the keys cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("auth.jwt.{field}: cannot read {path}: {source}")]
pub(super) struct KeysError {
    field: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Reads what stands in the file of the keys; `None` where they are not in one.
///
/// # Errors
/// [`KeysError`] names the file.
pub(super) fn read(keys: &JwtKeys) -> Result<Option<Vec<u8>>, KeysError> {
    let (field, path) = match keys {
        JwtKeys::JwksFile(path) => ("jwksFile", path),
        JwtKeys::HmacSecretFile(path) => ("hmacSecretFile", path),
        JwtKeys::JwksUrl(_) => return Ok(None),
    };
    read_file(path).map(Some).map_err(|source| KeysError { field, path: path.clone(), source })
}

/// One byte more than may be there tells that it is too large.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(Jwt::KEYS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
