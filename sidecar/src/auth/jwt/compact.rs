//! The compact form (RFC 7515 §7.1): a header, claims and a signature, joined by dots.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use stowage_config::NamespaceTokens;
use stowage_config::jwt::Algorithm;

use super::InvalidJwt;

/// The most bytes of a token.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;

/// A token that was taken apart; nothing of it is to be believed yet.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    /// What it says to be for.
    pub(super) kind: Kind,
    /// How it says to be signed.
    pub(super) algorithm: Algorithm,
    /// The key that it says to be signed with.
    pub(super) key_id: Option<String>,
    /// What is signed.
    pub(super) message: &'a [u8],
    /// The claims, decoded.
    pub(super) claims: Vec<u8>,
    /// The signature, decoded.
    pub(super) signature: Vec<u8>,
}

/// What a token is for. One of either kind never counts as one of the other, whoever signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Access, of an issuer of the user's.
    Access,
    /// Access of a StoreNamespace, of whoever runs the store.
    Namespace,
}

/// A member that stands there twice is refused by the derived reader.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

/// A member that is there counts, even where it is `null`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`InvalidJwt`], by its form alone.
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, InvalidJwt> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(InvalidJwt::TooLarge);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidJwt::Malformed);
        };
        let message = &token[..header.len() + 1 + claims.len()];
        let header: Header = object(&decoded(header)?).ok_or(InvalidJwt::Malformed)?;
        if header.crit.is_some() {
            return Err(InvalidJwt::Critical);
        }
        Ok(Self {
            kind: Kind::named(header.typ.as_deref()).ok_or(InvalidJwt::Type)?,
            algorithm: Algorithm::named(&header.alg).ok_or(InvalidJwt::Algorithm)?,
            key_id: header.kid,
            message,
            claims: decoded(claims)?,
            signature: decoded(signature)?,
        })
    }
}

/// Reads a JSON object. A derived reader would take an array for one, its members by their places.
pub(super) fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok())?
}

impl Kind {
    /// What a token says to be for, by its header alone: enough to choose who looks closer.
    pub(crate) fn of(token: &[u8]) -> Option<Self> {
        let header = token.split(|byte| *byte == b'.').next()?;
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let header: Header = object(&decoded(header).ok()?)?;
        Self::named(header.typ.as_deref())
    }

    /// JWTs for other ends say so (RFC 8725 §3.11); those for access say it in one of these forms,
    /// or nothing.
    fn named(typ: Option<&str>) -> Option<Self> {
        let Some(typ) = typ.map(str::to_ascii_lowercase) else { return Some(Self::Access) };
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            "jwt" | "at+jwt" => Some(Self::Access),
            NamespaceTokens::TYPE => Some(Self::Namespace),
            _ => None,
        }
    }
}

fn decoded(part: &[u8]) -> Result<Vec<u8>, InvalidJwt> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidJwt::Malformed)
}
