//! JSON Web Tokens (RFC 7519), signed in the compact form of RFC 7515.
//!
//! A token is taken apart ([`compact`]), its signature is checked by a key that is for its
//! algorithm ([`key`], [`key_set`]), then its claims count ([`claims`]). Nothing of a token is
//! believed before its signature is: not even its header decides more than which keys are tried.
//!
//! There are two kinds, told apart by what they say to be (`typ`): those of an issuer of the user's
//! ([`rules`]), and those of StoreNamespaces ([`namespace`]). Each has keys, an issuer and claims of
//! its own, and neither is ever looked at as the other.
//!
//! The signatures are checked by ring, which rustls brings anyway. The crate jsonwebtoken would
//! bring a second library of cryptography, and leave the stricter half of this to be written.

mod claims;
mod compact;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod key_set;
mod namespace;
mod remote;
mod rules;
mod signature;
#[cfg(test)]
mod tests;

pub(crate) use claims::Claims;
pub(crate) use compact::Kind;
pub(super) use key_set::KeySet;
pub(crate) use namespace::NamespaceRules;
pub(crate) use remote::{RemoteKeys, keep_fresh};
pub(crate) use rules::{JwtRules, Unknown};

/// Why a token is not taken. No variant carries any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidJwt {
    /// Larger than any token of an issuer that means well.
    #[error("the token is larger than {} bytes", compact::TOKEN_BYTES_MAX)]
    TooLarge,
    /// Not the compact form, or its header is not what it should be.
    #[error("the token is not a JWT in the compact form of RFC 7515")]
    Malformed,
    /// `none`, or one that is unknown or not taken here.
    #[error("the token's algorithm is not taken here")]
    Algorithm,
    /// The header demands what is not understood (RFC 7515 §4.1.11).
    #[error("the token's header demands extensions (crit), and none is known here")]
    Critical,
    /// A JWT, but not one for access (RFC 8725 §3.11).
    #[error("the token is of another type (typ) than JWT or at+jwt")]
    Type,
    /// No key is for this token.
    #[error("no key that is known here has this token's key id (kid) and algorithm")]
    UnknownKey,
    /// The keys that are for it did not sign it.
    #[error("the token's signature does not check out")]
    Signature,
    /// The claims are not what they should be.
    #[error("the token's claims are malformed")]
    Claims,
    /// The rights that it claims are not what they should be.
    #[error("the token's claim stowage is not an object of contracts, namespaces and access")]
    Grant,
    /// It would hold for ever.
    #[error("the token has no expiry (exp)")]
    NoExpiry,
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// It does not hold yet.
    #[error("the token does not hold yet (nbf)")]
    NotYet,
    /// It is somebody else's.
    #[error("the token is of another issuer (iss)")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another audience (aud)")]
    Audience,
    /// Its StoreNamespace does not grant it any more.
    #[error(
        "the token was revoked: take the one that the credentials of its StoreNamespace hold now"
    )]
    Revoked,
}
