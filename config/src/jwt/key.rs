//! One key, and the algorithms that it is for. A key of one kind never checks a signature of
//! another: that is where "algorithm confusion" comes from (RFC 8725 §2.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::algorithm::Algorithm;

/// What RSA keys are long, in bytes of their modulus: shorter ones are broken, longer ones slow.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key that signatures are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The id by which tokens name it.
    id: Option<String>,
    /// The one algorithm that it is for, where its owner says so.
    only: Option<Algorithm>,
    material: Material,
}

/// What signatures are checked with.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    /// A shared secret.
    Secret(Vec<u8>),
    /// An RSA key, without zeros in front.
    Rsa {
        /// Its modulus.
        n: Vec<u8>,
        /// Its public exponent.
        e: Vec<u8>,
    },
    /// A point of P-256, uncompressed (SEC 1 §2.3.3).
    P256(Vec<u8>),
    /// A point of P-384, likewise.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

/// A JSON Web Key (RFC 7517 §4), as far as it counts here.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// That of a private key, which has no business here.
    d: Option<IgnoredAny>,
}

impl Key {
    /// A shared secret.
    pub(super) fn secret(bytes: &[u8]) -> Self {
        Self { id: None, only: None, material: Material::Secret(bytes.to_vec()) }
    }

    /// A public key; `None` where it is not one that signatures of a known algorithm are checked
    /// with.
    pub(super) fn public(jwk: Jwk) -> Option<Self> {
        let purpose = jwk.purpose.is_none_or(|purpose| purpose == "sig");
        let operation = jwk.key_ops.is_none_or(|all| all.iter().any(|one| one == "verify"));
        if !purpose || !operation || jwk.d.is_some() {
            return None;
        }
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => rsa(&bytes(jwk.n)?, &bytes(jwk.e)?)?,
            ("EC", Some("P-256")) => Material::P256(point(32, &bytes(jwk.x)?, &bytes(jwk.y)?)?),
            ("EC", Some("P-384")) => Material::P384(point(48, &bytes(jwk.x)?, &bytes(jwk.y)?)?),
            ("OKP", Some("Ed25519")) => {
                Material::Ed25519(bytes(jwk.x).filter(|bytes| bytes.len() == 32)?)
            }
            _ => return None,
        };
        let only = match jwk.alg {
            None => None,
            Some(name) => Some(Algorithm::named(&name)?),
        };
        let key = Self { id: jwk.kid, only, material };
        only.is_none_or(|algorithm| key.is_of(algorithm)).then_some(key)
    }

    /// What it is.
    #[must_use]
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// Whether a token of this algorithm that names this key (or none) may be signed with it.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        // There is one secret, and issuers name it as they like.
        let is_meant = matches!(self.material, Material::Secret(_))
            || id.is_none_or(|id| self.id.as_deref() == Some(id));
        is_meant && self.is_of(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    fn is_of(&self, algorithm: Algorithm) -> bool {
        match (&self.material, algorithm) {
            // RFC 7518 §3.2: a key as long as the hash, or longer.
            (Material::Secret(secret), Algorithm::Hmac(hash)) => secret.len() >= hash.bytes(),
            (Material::Rsa { .. }, Algorithm::Rsa(_) | Algorithm::RsaPss(_))
            | (Material::P256(_), Algorithm::Es256)
            | (Material::P384(_), Algorithm::Es384)
            | (Material::Ed25519(_), Algorithm::Ed25519) => true,
            _ => false,
        }
    }
}

/// Some issuers write zeros in front, which RFC 7518 §6.3.1.1 rules out and ring refuses.
fn rsa(n: &[u8], e: &[u8]) -> Option<Material> {
    let trimmed = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let (n, e): (Vec<u8>, Vec<u8>) = (trimmed(n), trimmed(e));
    RSA_BYTES.contains(&n.len()).then_some(Material::Rsa { n, e })
}

fn point(length: usize, x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [&[4], x, y].concat())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}
