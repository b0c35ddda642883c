//! The key that signs the tokens of a Store's StoreNamespaces.
//!
//! Ed25519 (RFC 8032): the server gets the public half alone, so what leaks from a pod or from its
//! configuration signs nothing; a signature needs no randomness, and the key is 32 bytes long.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use stowage_config::{NamespaceClaims, NamespaceTokens, VerificationKey};

/// A signing key. It cannot be printed.
pub struct SigningKey {
    id: String,
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

impl From<Unspecified> for NoRandomness {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// A JOSE header (RFC 7515 §4.1).
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

impl SigningKey {
    /// A new one.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())?;
        Self::read(document.as_ref()).ok_or(NoRandomness)
    }

    /// Reads what [`Self::to_pkcs8`] gave; `None` where that is no key, or its two halves do not
    /// belong together.
    #[must_use]
    pub fn read(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        let id = thumbprint(&encoded(pair.public_key()));
        Some(Self { id, pair, pkcs8: pkcs8.to_vec() })
    }

    /// The key as PKCS #8 (RFC 5958), in DER. It is secret.
    #[must_use]
    pub fn to_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Its id, the same for the same key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn public(&self) -> VerificationKey {
        VerificationKey { id: self.id.clone(), x: encoded(self.pair.public_key()) }
    }

    /// A token in the compact form of RFC 7515. The same claims make the same token.
    #[must_use]
    pub fn sign(&self, claims: &NamespaceClaims) -> String {
        let header =
            Header { alg: NamespaceTokens::ALGORITHM, typ: NamespaceTokens::TYPE, kid: &self.id };
        let message = format!("{}.{}", encoded(json(&header)), encoded(json(claims)));
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", encoded(signature))
    }
}

/// These values have no maps with other keys than text, and no floats: they can be written.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// RFC 7638 §3, of an OKP key (RFC 8037 §2), as an id.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    encoded(digest(&SHA256, members.as_bytes()))
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl fmt::Debug for SigningKey {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_thumbprint_comes_out() {
        // RFC 8037 appendix A.3.
        let id = thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_is_read_as_it_was_made_and_what_is_none_is_not() {
        let key = SigningKey::generate().unwrap();
        let read = SigningKey::read(key.to_pkcs8()).unwrap();
        assert_eq!((read.id(), read.public()), (key.id(), key.public()));
        assert_ne!(SigningKey::generate().unwrap().id(), key.id());
        let mut altered = key.to_pkcs8().to_vec();
        if let Some(byte) = altered.last_mut() {
            *byte ^= 1;
        }
        for bytes in [&altered[..], b"", b"hunter2", &key.to_pkcs8()[..40]] {
            assert!(SigningKey::read(bytes).is_none(), "{} bytes", bytes.len());
        }
        let text = format!("{key:?}");
        assert!(text.contains(key.id()) && !text.contains("pkcs8"), "{text}");
    }
}
