//! What is kept of a Store's StoreNamespaces over a restart: the key that signs their tokens, and
//! beside it what tells each from one of the same name that was there before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use stowage_config::ByteSize;
use stowage_crds::render::SigningKey;

use super::kept_token;
use super::pending::Pending;
use super::transitions::Seen;
use crate::exit::{Failure, io_failure};

/// What is kept for one Store. Holds secrets, so it cannot be printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kept {
    /// What tells this Store from one of the same name in another directory.
    pub(crate) audience: String,
    /// The signing key as PKCS #8, in base64url.
    key: String,
    /// How large its volume was to be; earlier versions did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) volume_size: Option<ByteSize>,
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

impl Kept {
    /// This, in a file from now on.
    ///
    /// # Errors
    /// [`Failure::Environment`] where it cannot be encoded.
    pub(crate) fn pending(&self, path: PathBuf) -> Result<Pending, Failure> {
        let mut content = serde_json::to_vec_pretty(self)
            .map_err(|e| Failure::Environment(format!("cannot encode the signing key: {e}")))?;
        content.push(b'\n');
        Ok(Pending::Write { doing: "keep the signing key in", path, content })
    }
}

/// Nothing kept in a file; `None` where there is none.
pub(crate) fn forgotten(path: PathBuf) -> Option<Pending> {
    // Where that cannot be seen, removing it says why.
    let is_there = path.try_exists().unwrap_or(true);
    is_there.then_some(Pending::Remove { doing: "remove the keys in", path })
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
        volume_size: None,
        namespaces: BTreeMap::new(),
    };
    Ok((kept, key))
}

/// What is kept in a file, where there is one.
///
/// # Errors
/// As [`read_or_make`].
pub(crate) fn kept(path: &Path) -> Result<Option<Kept>, Failure> {
    Ok(read(path)?.map(|(kept, _)| kept))
}

/// The names of the StoreNamespaces that are kept in a file.
///
/// # Errors
/// As [`read_or_make`].
pub(crate) fn names(path: &Path) -> Result<Vec<String>, Failure> {
    let namespaces = kept(path)?.map(|kept| kept.namespaces).unwrap_or_default();
    Ok(namespaces.into_keys().collect())
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
