//! Keys that are made for a test, and the tokens that they sign.

use std::process::Command;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{hmac, rand};
use serde_json::{Value, json};

/// Who issues the tokens of a test.
pub(crate) const ISSUER: &str = "https://issuer.example";
/// Whom they are for.
pub(crate) const AUDIENCE: &str = "stowage";
/// Long enough for every algorithm.
pub(crate) const SECRET: &str =
    "secret-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789";

/// A key that signs.
pub(crate) enum SigningKey {
    Secret(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub(crate) fn secret(text: &str) -> Self {
        Self::Secret(text.as_bytes().to_vec())
    }

    /// ring makes no RSA keys, so the one other program that the tests need anyway does.
    pub(crate) fn rsa() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "", "-f"])
            .arg(&file)
            .status()
            .expect("ssh-keygen is missing: install it with `apt-get install -y openssh-client`");
        assert!(made.success(), "ssh-keygen: {made}");
        let pem = std::fs::read_to_string(&file).expect("the key");
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).expect("base64");
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(&der).expect("an RSA key")))
    }

    pub(crate) fn p256() -> Self {
        Self::P256(elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING))
    }

    pub(crate) fn p384() -> Self {
        Self::P384(elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING))
    }

    pub(crate) fn ed25519() -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("a key"))
    }

    /// The public key as issuers publish it.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        let mut jwk = match self {
            Self::Secret(secret) => json!({"kty": "oct", "k": encoded(secret)}),
            Self::Rsa(key) => {
                let public: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                json!({"kty": "RSA", "n": encoded(public.n), "e": encoded(public.e)})
            }
            Self::P256(key) => point("P-256", key),
            Self::P384(key) => point("P-384", key),
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key())})
            }
        };
        jwk["kid"] = id.into();
        jwk
    }

    /// A token with these claims.
    pub(crate) fn token(&self, algorithm: &str, id: &str, claims: &Value) -> String {
        self.token_with(&json!({"alg": algorithm, "typ": "JWT", "kid": id}), claims)
    }

    /// A token with a header of the test's own.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let algorithm = header["alg"].as_str().unwrap_or_default();
        let signature = self.sign(algorithm, message.as_bytes());
        format!("{message}.{}", encoded(signature))
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(secret) => {
                let hash = match algorithm {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
            }
            Self::Rsa(key) => {
                let scheme: &dyn ring::signature::RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(scheme, &random, message, &mut signature).expect("a signature");
                signature
            }
            Self::P256(key) | Self::P384(key) => {
                key.sign(&random, message).expect("a signature").as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

fn elliptic(algorithm: &'static ring::signature::EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random: &dyn rand::SecureRandom = &SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, random).expect("randomness");
    EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), random).expect("a key")
}

fn point(curve: &str, key: &EcdsaKeyPair) -> Value {
    let (x, y) = {
        let point = &key.public_key().as_ref()[1..];
        point.split_at(point.len() / 2)
    };
    json!({"kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y)})
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys take a while to make, so the tests that need just one of each share them.
pub(crate) struct Keys {
    pub(crate) rsa: SigningKey,
    pub(crate) p256: SigningKey,
    pub(crate) p384: SigningKey,
    pub(crate) ed25519: SigningKey,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: SigningKey::rsa(),
    p256: SigningKey::p256(),
    p384: SigningKey::p384(),
    ed25519: SigningKey::ed25519(),
});

/// The set that an issuer with all of them publishes.
pub(crate) fn jwks() -> Value {
    json!({"keys": [
        KEYS.rsa.jwk("rsa"), KEYS.p256.jwk("p256"), KEYS.p384.jwk("p384"), KEYS.ed25519.jwk("ed"),
    ]})
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("a date")
}

/// Claims that hold for an hour.
pub(crate) fn claims(subject: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": now() + 3600})
}
