//! The keys of an issuer, and the tokens that they were found to have signed.

use std::fmt;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use stowage_config::jwt::{InvalidKeys, Key, read_jwks, read_secret};

use super::InvalidJwt;
use super::claims::Claims;
use super::compact::{Compact, Kind};
use super::signature::has_signed;

/// How many keys are tried for one token.
const TRIED_MAX: usize = 8;
/// How many tokens are expected; only a hint for the first allocation.
const TOKENS_EXPECTED: usize = 128;
/// The most bytes of tokens whose claims are kept.
const TOKENS_BYTES_MAX: u64 = 4 << 20;

/// What tokens of one kind claim.
pub(crate) trait Payload: Sized {
    /// Which tokens claim it.
    const KIND: Kind;

    /// Reads the claims.
    ///
    /// # Errors
    /// [`InvalidJwt`], by their form alone.
    fn parse(json: &[u8]) -> Result<Self, InvalidJwt>;
}

/// The keys of an issuer. What follows from them is kept with them.
pub(crate) struct KeysFor<C> {
    keys: Vec<Arc<Key>>,
    /// The claims of tokens that were signed, by the SHA-256 of the whole token: a signature costs
    /// as much as many requests.
    signed: Cache<[u8; 32], Signed<C>, ByLength>,
}

/// The keys of an issuer of the user's.
pub(crate) type KeySet = KeysFor<Claims>;

struct Signed<C> {
    claims: Arc<C>,
    by: Arc<Key>,
    token_bytes: u64,
}

impl<C> Clone for Signed<C> {
    fn clone(&self) -> Self {
        let (claims, by) = (Arc::clone(&self.claims), Arc::clone(&self.by));
        Self { claims, by, token_bytes: self.token_bytes }
    }
}

#[derive(Clone)]
struct ByLength;

impl<C> Weighter<[u8; 32], Signed<C>> for ByLength {
    fn weight(&self, _: &[u8; 32], signed: &Signed<C>) -> u64 {
        signed.token_bytes
    }
}

impl<C: Payload> KeysFor<C> {
    /// Reads a JWK Set. Keys that are of no use here are left out (RFC 7517 §5).
    ///
    /// # Errors
    /// [`InvalidKeys`] where none is left.
    pub(crate) fn from_jwks(text: &[u8]) -> Result<Self, InvalidKeys> {
        read_jwks(text).map(Self::of)
    }

    /// A shared secret; white space around it (an editor's last newline) is left out.
    ///
    /// # Errors
    /// [`InvalidKeys`] where it could be guessed.
    pub(crate) fn from_secret(bytes: &[u8]) -> Result<Self, InvalidKeys> {
        read_secret(bytes).map(|key| Self::of(vec![key]))
    }

    fn of(keys: Vec<Key>) -> Self {
        let signed = Cache::with_weighter(TOKENS_EXPECTED, TOKENS_BYTES_MAX, ByLength);
        Self { keys: keys.into_iter().map(Arc::new).collect(), signed }
    }

    /// Takes over what was found out with the keys before, as far as it was by a key that is still
    /// one. Otherwise whoever holds a good token would have to wait, after each change of the
    /// settings, with those whose tokens are no good.
    pub(super) fn learn_from(&self, before: &Self) {
        for (digest, signed) in before.signed.iter() {
            if self.keys.contains(&signed.by) {
                self.signed.insert(digest, signed);
            }
        }
    }

    /// Whether a token was found to be signed before, by the SHA-256 of all of it.
    pub(super) fn knows(&self, digest: &[u8; 32]) -> bool {
        self.signed.peek(digest).is_some()
    }

    /// The claims of a token that one of these keys has signed. Whether they hold is not said.
    ///
    /// # Errors
    /// [`InvalidJwt`] where none has.
    pub(crate) fn signed(&self, token: &[u8], digest: [u8; 32]) -> Result<Arc<C>, InvalidJwt> {
        if let Some(signed) = self.signed.get(&digest) {
            return Ok(signed.claims);
        }
        let compact = Compact::parse(token)?;
        if compact.kind != C::KIND {
            return Err(InvalidJwt::Type);
        }
        let (algorithm, id) = (compact.algorithm, compact.key_id.as_deref());
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm, id)).peekable();
        fitting.peek().ok_or(InvalidJwt::UnknownKey)?;
        let by = fitting
            .take(TRIED_MAX)
            .find(|key| has_signed(key, algorithm, compact.message, &compact.signature))
            .ok_or(InvalidJwt::Signature)?;
        let claims = Arc::new(C::parse(&compact.claims)?);
        let token_bytes = token.len() as u64;
        let (claims_kept, by) = (Arc::clone(&claims), Arc::clone(by));
        self.signed.insert(digest, Signed { claims: claims_kept, by, token_bytes });
        Ok(claims)
    }
}

impl<C> fmt::Debug for KeysFor<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysFor").field("keys", &self.keys).finish_non_exhaustive()
    }
}
