//! JSON Web Tokens, and the keys that they are checked with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::fuzzing::{claims_are_read, is_signed, keys_are_read};

/// Reads any bytes as a token, as its header and its claims, and as a set of keys: nothing that nobody
/// has signed is taken.
///
/// # Panics
/// Where it is.
pub fn tokens(data: &[u8]) {
    assert!(!is_signed(data), "nobody has signed it");
    let part = URL_SAFE_NO_PAD.encode(data);
    assert!(!is_signed(format!("{part}.e30.AAAA").as_bytes()), "nobody has signed it");
    keys_are_read(data);
    claims_are_read(data);
}
