//! What the fuzz target of tokens runs.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use stowage_config::NamespaceClaims;

use super::KeySet;
use super::claims::Claims;
use super::compact::Kind;
use super::key_set::Payload;

/// A shared secret, and the public key of RFC 8037, appendix A.2.
static KEYS: LazyLock<[Option<KeySet>; 2]> = LazyLock::new(|| {
    let public = br#"{"keys":[{"kty":"OKP","crv":"Ed25519",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    [
        KeySet::from_secret(
            b"a secret of more than sixty-four bytes, which nobody is going to guess",
        )
        .ok(),
        KeySet::from_jwks(public).ok(),
    ]
});

/// Whether one of the keys has signed a token.
///
/// # Panics
/// Where the keys are none.
pub(crate) fn is_signed(token: &[u8]) -> bool {
    let digest = Sha256::digest(token).into();
    let _ = Kind::of(token);
    KEYS.iter().any(|keys| {
        let Some(keys) = keys else { panic!("the keys are keys") };
        keys.signed(token, digest).is_ok()
    })
}

/// Reads a set of keys.
pub(crate) fn keys_are_read(text: &[u8]) {
    let _ = KeySet::from_jwks(text);
}

/// Reads claims; what logs say of their holder is one short line.
///
/// # Panics
/// Where that does not hold.
pub(crate) fn claims_are_read(text: &[u8]) {
    let _ = <NamespaceClaims as Payload>::parse(text);
    if let Ok(claims) = Claims::parse(text) {
        let name = claims.name();
        assert!(name.len() <= 128 && !name.contains(char::is_control), "{name:?}");
    }
}
