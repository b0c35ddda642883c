//! Which JWTs a server takes, and what they allow.

mod algorithm;
mod key;
mod keys;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::algorithm::{Algorithm, Hash};
pub use self::key::{Key, Material};
pub use self::keys::{InvalidKeys, read_jwks, read_secret};
use crate::{Interval, TokenGrant};

/// The JWTs (RFC 7519) of one issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Jwt {
    /// Who issues them: what `iss` has to be.
    pub issuer: String,
    /// Whom they are for: one of these has to be in `aud`.
    pub audiences: Vec<String>,
    /// What their signatures are checked with.
    pub keys: JwtKeys,
    /// How far the clocks of issuer and server may be apart.
    pub clock_skew: Interval,
    /// What a JWT allows that does not say so itself.
    pub grant: TokenGrant,
}

/// What the signatures of JWTs are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwtKeys {
    /// A file with a JWK Set (RFC 7517 §5). Changes are taken up while running.
    JwksFile(PathBuf),
    /// Where a JWK Set is fetched, and fetched again.
    JwksUrl(String),
    /// A file with the secret of HMAC signatures. Changes are taken up while running.
    HmacSecretFile(PathBuf),
}

impl Jwt {
    /// How far clocks may be apart where nothing is said of it.
    pub const CLOCK_SKEW: Duration = Duration::from_secs(60);
    /// Farther than that, an expiry would mean little.
    pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
    /// The most bytes of a JWK Set or a secret.
    pub const KEYS_BYTES_MAX: usize = 1 << 20;
    /// The fewest bytes of a secret (RFC 7518 §3.2): less could be guessed from one token.
    pub const SECRET_BYTES_MIN: usize = 32;
}

/// What stands in a file of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysKind {
    /// A JWK Set.
    JwkSet,
    /// A secret.
    HmacSecret,
}

/// What keeps a server from using keys, in words and without any of them; `None` where it takes them.
#[must_use]
pub fn keys_fault(kind: KeysKind, bytes: &[u8]) -> Option<String> {
    let read = match kind {
        KeysKind::JwkSet => read_jwks(bytes).map(drop),
        KeysKind::HmacSecret => read_secret(bytes).map(drop),
    };
    read.err().map(|fault| fault.to_string())
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    issuer: String,
    audiences: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hmac_secret_file: Option<PathBuf>,
    #[serde(default = "default_clock_skew")]
    clock_skew: Interval,
    #[serde(default)]
    grant: TokenGrant,
}

fn default_clock_skew() -> Interval {
    Interval::from_secs(Jwt::CLOCK_SKEW.as_secs())
}

impl TryFrom<Fields> for Jwt {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        if fields.issuer.is_empty() {
            return Err("issuer is empty: write what the tokens have as iss");
        }
        if fields.audiences.is_empty() || fields.audiences.iter().any(String::is_empty) {
            return Err("audiences is empty, or one of them is: write what the tokens have as aud");
        }
        if fields.clock_skew.duration() > Self::CLOCK_SKEW_MAX {
            return Err("clockSkew is more than 5m: write less, and set the clocks");
        }
        let keys = match (fields.jwks_file, fields.jwks_url, fields.hmac_secret_file) {
            (Some(file), None, None) => JwtKeys::JwksFile(file),
            (None, Some(url), None) => JwtKeys::JwksUrl(url),
            (None, None, Some(file)) => JwtKeys::HmacSecretFile(file),
            _ => return Err("write exactly one of jwksFile, jwksUrl and hmacSecretFile"),
        };
        Ok(Self {
            issuer: fields.issuer,
            audiences: fields.audiences,
            keys,
            clock_skew: fields.clock_skew,
            grant: fields.grant,
        })
    }
}

impl From<Jwt> for Fields {
    fn from(jwt: Jwt) -> Self {
        let (mut jwks_file, mut jwks_url, mut hmac_secret_file) = (None, None, None);
        match jwt.keys {
            JwtKeys::JwksFile(file) => jwks_file = Some(file),
            JwtKeys::JwksUrl(url) => jwks_url = Some(url),
            JwtKeys::HmacSecretFile(file) => hmac_secret_file = Some(file),
        }
        let Jwt { issuer, audiences, clock_skew, grant, .. } = jwt;
        Self { issuer, audiences, jwks_file, jwks_url, hmac_secret_file, clock_skew, grant }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// That of RFC 8037, appendix A.2, beside one of no use.
    const ED25519: &[u8] = br#"{"keys":[{"kty":"oct"},{"kty":"OKP","crv":"Ed25519",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[test]
    fn keys_that_no_server_takes_are_told() {
        let large = vec![b'a'; Jwt::KEYS_BYTES_MAX + 1];
        let table: &[(KeysKind, &[u8], &str)] = &[
            (KeysKind::HmacSecret, &[b'a'; 32], ""),
            (KeysKind::HmacSecret, b"hunter2\n", "less than 32"),
            (KeysKind::HmacSecret, &[b' '; 64], "less than 32"),
            (KeysKind::HmacSecret, &large, "larger"),
            (KeysKind::JwkSet, ED25519, ""),
            (KeysKind::JwkSet, br#"{"keys":[{"kty":"oct"},{"kty":"RSA"}]}"#, "none of its 2 keys"),
            (KeysKind::JwkSet, br#"{"keys":[{"kty":"EC","d":"hunter2"}]}"#, "none of its 1 keys"),
            (KeysKind::JwkSet, br#"{"keys":[]}"#, "none of its 0 keys"),
            (KeysKind::JwkSet, br#"{"keys":{}}"#, "not a JWK Set"),
            (KeysKind::JwkSet, b"hunter2", "not a JWK Set"),
        ];
        for (kind, bytes, expected) in table {
            let fault = keys_fault(*kind, bytes);
            assert_eq!(fault.is_none(), expected.is_empty(), "{kind:?}: {fault:?}");
            let fault = fault.unwrap_or_default();
            assert!(fault.contains(expected) && !fault.contains("hunter2"), "{kind:?}: {fault}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence_and_what_is_right_is_written_back() {
        let with = |name: &str, value: Value| {
            let mut jwt = json!({"issuer": "i", "audiences": ["a"], "jwksUrl": "https://i/keys"});
            jwt[name] = value;
            jwt
        };
        let table = [
            (with("clockSkew", json!("5m")), ""),
            (with("grant", json!({"contracts": ["kv"], "access": "read"})), ""),
            (json!({"issuer": "i", "audiences": ["a"], "jwksFile": "/k"}), ""),
            (json!({"issuer": "i", "audiences": ["a"], "hmacSecretFile": "/k"}), ""),
            (with("clockSkew", json!("301s")), "more than 5m"),
            (with("issuer", json!("")), "issuer is empty"),
            (with("audiences", json!([])), "audiences is empty"),
            (with("audiences", json!(["a", ""])), "audiences is empty"),
            (with("jwksFile", json!("/k")), "exactly one"),
            (with("jwksUrl", Value::Null), "exactly one"),
            (with("grant", json!({"namespace": ["a"]})), "namespace"),
            (with("keys", json!([])), "keys"),
        ];
        for (text, wrong) in table {
            match serde_json::from_value::<Jwt>(text.clone()) {
                Err(error) => {
                    let error = error.to_string();
                    assert!(!wrong.is_empty() && error.contains(wrong), "{text}: {error}");
                }
                Ok(jwt) => {
                    assert_eq!(wrong, "", "{text} is taken");
                    let written = serde_json::to_value(&jwt).unwrap();
                    assert_eq!(serde_json::from_value::<Jwt>(written).unwrap(), jwt);
                }
            }
        }
    }
}
