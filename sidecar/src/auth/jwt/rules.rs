//! Which tokens are taken: checked settings.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Uri;
use stowage_config::jwt::InvalidKeys;
use stowage_config::{Jwt, JwtKeys, TokenGrant};

use super::compact::{Compact, Kind};
use super::remote::RemoteKeys;
use super::{Claims, InvalidJwt, KeySet};

/// Which tokens are taken, and what they allow.
#[derive(Debug)]
pub(crate) struct JwtRules {
    /// What `iss` has to be.
    pub(super) issuer: String,
    /// One of them has to be in `aud`.
    pub(super) audiences: Vec<String>,
    /// How far clocks may be apart.
    pub(super) clock_skew: Duration,
    grant: TokenGrant,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    /// From a file, which the settings were made with.
    Known(KeySet),
    /// From a URL, where the server keeps them.
    At(Uri),
}

/// Why the settings of JWTs are wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRules {
    /// The keys cannot be used.
    #[error("auth.jwt.{field}: {source}")]
    Keys {
        /// The field that names them.
        field: &'static str,
        /// Why not.
        source: InvalidKeys,
    },
    /// The keys were not read.
    #[error("auth.jwt.{0}: the keys were not read")]
    NotRead(&'static str),
    /// The URL is none.
    #[error(
        "auth.jwt.jwksUrl: it is not a URL of a JWK Set: write https://host/path, without user \
         name and password"
    )]
    Url,
}

/// Why a token does not tell who its holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It is not to be taken.
    Invalid(InvalidJwt),
    /// The keys have not been fetched yet.
    NoKeys,
}

impl JwtRules {
    /// Checks the settings, with what stood in the file that they name.
    ///
    /// # Errors
    /// [`InvalidRules`] names the field.
    pub(crate) fn new(jwt: &Jwt, file: Option<&[u8]>) -> Result<Self, InvalidRules> {
        let known = |field, read: fn(&[u8]) -> Result<KeySet, InvalidKeys>| {
            let bytes = file.ok_or(InvalidRules::NotRead(field))?;
            let keys = read(bytes).map_err(|source| InvalidRules::Keys { field, source })?;
            Ok(Keys::Known(keys))
        };
        Ok(Self {
            issuer: jwt.issuer.clone(),
            audiences: jwt.audiences.clone(),
            clock_skew: jwt.clock_skew.duration(),
            grant: jwt.grant.clone(),
            keys: match &jwt.keys {
                JwtKeys::JwksFile(_) => known("jwksFile", KeySet::from_jwks)?,
                JwtKeys::HmacSecretFile(_) => known("hmacSecretFile", KeySet::from_secret)?,
                JwtKeys::JwksUrl(url) => Keys::At(location(url).ok_or(InvalidRules::Url)?),
            },
        })
    }

    /// Takes over which tokens were found to be signed under the rules before. Keys of a URL are not
    /// of the rules and stay as they are.
    pub(crate) fn learn_from(&self, before: &Self) {
        if let (Keys::Known(keys), Keys::Known(before)) = (&self.keys, &before.keys) {
            keys.learn_from(before);
        }
    }

    /// Where the keys are fetched, if they are.
    pub(crate) fn url(&self) -> Option<&Uri> {
        match &self.keys {
            Keys::Known(_) => None,
            Keys::At(url) => Some(url),
        }
    }

    /// What a token allows that does not say so itself.
    pub(crate) fn grant(&self) -> &TokenGrant {
        &self.grant
    }

    /// Whether a token's signature was checked already, by the SHA-256 of all of it.
    pub(crate) fn knows(&self, digest: &[u8; 32], remote: &RemoteKeys) -> bool {
        match &self.keys {
            Keys::Known(keys) => keys.knows(digest),
            Keys::At(url) => remote.of(url).is_some_and(|keys| keys.knows(digest)),
        }
    }

    /// The claims of a token that holds now.
    ///
    /// # Errors
    /// [`Unknown`].
    pub(crate) fn verify(
        &self,
        token: &[u8],
        digest: [u8; 32],
        remote: &RemoteKeys,
    ) -> Result<Arc<Claims>, Unknown> {
        let signed = match &self.keys {
            Keys::Known(keys) => keys.signed(token, digest),
            Keys::At(url) => match remote.of(url) {
                Some(keys) => keys.signed(token, digest),
                // What is no token by its form needs no key to be refused.
                None => {
                    let compact = Compact::parse(token).map_err(Unknown::Invalid)?;
                    return Err(match compact.kind {
                        Kind::Access => Unknown::NoKeys,
                        Kind::Namespace => Unknown::Invalid(InvalidJwt::Type),
                    });
                }
            },
        };
        let claims = signed.map_err(Unknown::Invalid)?;
        claims.check(self, now()).map_err(Unknown::Invalid)?;
        Ok(claims)
    }
}

pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn location(url: &str) -> Option<Uri> {
    let url: Uri = url.parse().ok()?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    let authority = url.authority()?;
    let has_host = !authority.host().is_empty() && !authority.as_str().contains('@');
    (is_http && has_host).then_some(url)
}
