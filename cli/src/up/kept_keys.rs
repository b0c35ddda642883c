//! What is kept of a Store's StoreNamespaces over a restart: the key that signs their tokens, and
//! beside it what tells each from one of the same name that was there before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use stowage_crds::render::SigningKey;

use super::transitions::Seen;
use super::{kept_token, private_file};
use crate::exit::{Failure, io_failure};

/// What is kept for one Store. Holds secrets, so it cannot be printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kept {
    /// What tells this Store from one of the same name in another directory.
    pub(crate) audience: String,
    /// The signing key as PKCS #8, in base64url.
    key: String,
    /// By the name of the resource.
    pub(crate) namespaces: BTreeMap<String, KeptNamespace>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KeptNamespace {
    /// What tells it from one of the same name that was there before.
    pub(crate) uid: String,
    /// What it was; earlier versions did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<Seen>,
    /// The static token that an earlier version gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) earlier: Option<Earlier>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Earlier {
    pub(crate) token: String,
    /// Until when it is good, in seconds since 1970.
    pub(crate) until: u64,
}

/// What is to be kept from now on; nothing is written before all Stores are found to be right.
#[must_use]
pub(crate) enum Pending {
    /// What is there already.
    Nothing,
    /// This, in a file.
    Write(PathBuf, Box<Kept>),
    /// No file.
    Remove(PathBuf),
}

impl Pending {
    /// # Errors
    /// [`Failure::Environment`] where the system refuses.
    pub(crate) fn commit(&self) -> Result<(), Failure> {
        match self {
            Self::Nothing => Ok(()),
            Self::Write(path, kept) => write(path, kept),
            Self::Remove(path) => {
                private_file::remove(path).map_err(|e| io_failure("remove the keys in", path, &e))
            }
        }
    }
}

/// What is kept in a file; with a new key where there is none yet.
///
/// # Errors
/// [`Failure::Environment`] where the file cannot be read, or holds no key.
pub(crate) fn read_or_make(path: &Path) -> Result<(Kept, SigningKey), Failure> {
    if let Some(kept) = read(path)? {
        return Ok(kept);
    }
    let key = SigningKey::generate().map_err(|e| Failure::Environment(e.to_string()))?;
    let kept = Kept {
        audience: kept_token::random()?,
        key: URL_SAFE_NO_PAD.encode(key.to_pkcs8()),
        namespaces: BTreeMap::new(),
    };
    Ok((kept, key))
}

/// What is known of the StoreNamespaces that are kept in a file.
///
/// # Errors
/// As [`read_or_make`].
pub(crate) fn seen(path: &Path) -> Result<BTreeMap<String, Seen>, Failure> {
    let kept = read(path)?.map(|(kept, _)| kept.namespaces).unwrap_or_default();
    Ok(kept.into_iter().filter_map(|(name, it)| Some((name, it.seen?))).collect())
}

/// The names of the StoreNamespaces that are kept in a file.
///
/// # Errors
/// As [`read_or_make`].
pub(crate) fn names(path: &Path) -> Result<Vec<String>, Failure> {
    let kept = read(path)?.map(|(kept, _)| kept.namespaces).unwrap_or_default();
    Ok(kept.into_keys().collect())
}

fn read(path: &Path) -> Result<Option<(Kept, SigningKey)>, Failure> {
    let damaged = || {
        Failure::Environment(format!(
            "{} does not hold a signing key; remove it to have a new one made and the tokens of \
             the StoreNamespaces issued anew",
            path.display()
        ))
    };
    match fs::read(path) {
        Ok(text) => {
            let kept: Kept = serde_json::from_slice(&text).map_err(|_| damaged())?;
            let key = URL_SAFE_NO_PAD.decode(&kept.key).ok();
            let key = key.and_then(|key| SigningKey::read(&key)).ok_or_else(damaged)?;
            Ok(Some((kept, key)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_failure("read the signing key in", path, &error)),
    }
}

fn write(path: &Path, kept: &Kept) -> Result<(), Failure> {
    let failed = |e| io_failure("keep the signing key in", path, &e);
    private_file::make_dir(private_file::directory_of(path)).map_err(failed)?;
    let mut text = serde_json::to_vec_pretty(kept)
        .map_err(|e| Failure::Environment(format!("cannot encode the signing key: {e}")))?;
    text.push(b'\n');
    private_file::write(path, &text).map_err(failed)
}
