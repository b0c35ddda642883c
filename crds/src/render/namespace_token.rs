//! When a token of a StoreNamespace is kept, and when a new one takes its place.
//!
//! A token is kept while it says what is wanted, for less than about two thirds of its life. So who
//! is given it has a third of that left to take up the next one, and nobody writes anything before
//! it is time. Nothing besides the token says so: what decides is in it, under its signature.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use stowage_config::{Jwt, NamespaceClaims, NamespaceGrant, NamespaceTokens};

use super::{NoRandomness, SigningKey};
use crate::StoreNamespace;

/// The part of a life by which its renewal may come earlier, so that tokens that were issued
/// together are not renewed together.
const JITTER: f64 = 0.1;

/// What a token is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedToken {
    /// [`NamespaceTokens::audience`].
    pub audience: String,
    /// Who holds it, in words that are its own within the Store.
    pub subject: String,
    /// What it is for.
    pub grant: NamespaceGrant,
    /// How long it is good for.
    pub life: Duration,
}

/// A token that is good. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// What its holder presents.
    pub value: String,
    /// When it is over, in seconds since 1970.
    pub expires_at: u64,
    /// When another one is to take its place, in seconds since 1970.
    pub renew_at: u64,
}

impl WantedToken {
    /// The token that is there, where it is as it should be; else a new one. `now` in seconds since
    /// 1970.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn keep_or_issue(
        &self,
        there: Option<&str>,
        key: &SigningKey,
        now: u64,
    ) -> Result<IssuedToken, NoRandomness> {
        match there.and_then(|there| self.kept(there, key, now)) {
            Some(kept) => Ok(kept),
            None => self.issue(key, now),
        }
    }

    /// The token that is there, where it says what is wanted, this key has signed it, and it is not
    /// yet time for another.
    fn kept(&self, there: &str, key: &SigningKey, now: u64) -> Option<IssuedToken> {
        let claims = there.split('.').nth(1)?;
        let claims: NamespaceClaims =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        if self.claims(claims.iat, claims.jti.clone()) != claims {
            return None;
        }
        // One of a clock that was set back since would not hold yet.
        let is_ahead = claims.iat > now + Jwt::CLOCK_SKEW.as_secs();
        let kept = IssuedToken::new(there.to_owned(), &claims);
        // The same claims, signed by the same key, are the same token, to the byte.
        (!is_ahead && now < kept.renew_at && key.sign(&claims) == there).then_some(kept)
    }

    fn issue(&self, key: &SigningKey, now: u64) -> Result<IssuedToken, NoRandomness> {
        let mut id = [0; 16];
        SystemRandom::new().fill(&mut id)?;
        let claims = self.claims(now, URL_SAFE_NO_PAD.encode(id));
        Ok(IssuedToken::new(key.sign(&claims), &claims))
    }

    fn claims(&self, issued_at: u64, id: String) -> NamespaceClaims {
        NamespaceClaims {
            iss: NamespaceTokens::ISSUER.to_owned(),
            aud: self.audience.clone(),
            sub: self.subject.clone(),
            iat: issued_at,
            nbf: issued_at,
            exp: issued_at.saturating_add(self.life.as_secs()),
            jti: id,
            grant: self.grant.clone(),
        }
    }
}

impl IssuedToken {
    fn new(value: String, claims: &NamespaceClaims) -> Self {
        let life = Duration::from_secs(claims.exp.saturating_sub(claims.iat));
        let wait = renewal_after(life, &claims.jti).as_secs();
        Self { value, expires_at: claims.exp, renew_at: claims.iat.saturating_add(wait) }
    }
}

/// How long after it was issued a token is renewed: at two thirds of its life, or up to a tenth of
/// that life earlier. The same token has the same time, however often that is asked.
fn renewal_after(life: Duration, id: &str) -> Duration {
    let hash = digest(&SHA256, id.as_bytes());
    let bytes = hash.as_ref().first_chunk::<4>().copied().unwrap_or_default();
    let earlier = f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX) * JITTER;
    life.mul_f64(2.0 / 3.0 - earlier)
}

/// What the tokens of a StoreNamespace are for, by an id of that very resource.
#[must_use]
pub fn namespace_grant(tenant: &StoreNamespace, uid: String) -> NamespaceGrant {
    NamespaceGrant {
        uid,
        generation: tenant.spec.token_generation,
        contract: tenant.spec.contract.into(),
        namespace: tenant.served_name(),
        access: tenant.spec.access,
    }
}

#[cfg(test)]
mod tests {
    use stowage_config::{Access, Contract};

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const LIFE: u64 = 30_000;

    fn wanted() -> WantedToken {
        WantedToken {
            audience: "store-1".into(),
            subject: "shop/cart".into(),
            grant: NamespaceGrant {
                uid: "u-1".into(),
                generation: 0,
                contract: Contract::Kv,
                namespace: "cart".into(),
                access: Access::ReadWrite,
            },
            life: Duration::from_secs(LIFE),
        }
    }

    #[test]
    fn a_token_is_kept_while_it_is_what_is_wanted_and_not_for_longer() {
        let key = SigningKey::generate().unwrap();
        let first = wanted().keep_or_issue(None, &key, NOW).unwrap();
        assert_eq!(first.expires_at, NOW + LIFE);
        type Edit = fn(&mut WantedToken);
        let table: &[(&str, Edit, i64, bool)] = &[
            ("at once", |_| {}, 0, true),
            ("before its time", |_| {}, 16_999, true),
            ("at two thirds", |_| {}, 20_000, false),
            ("when it is over", |_| {}, 40_000, false),
            ("of a clock a little ahead", |_| {}, -60, true),
            ("of a clock that was set back", |_| {}, -61, false),
            ("another access", |w| w.grant.access = Access::Read, 0, false),
            ("revoked", |w| w.grant.generation = 1, 0, false),
            ("made anew", |w| w.grant.uid = "u-2".into(), 0, false),
            ("another store", |w| w.audience = "store-2".into(), 0, false),
            ("another name", |w| w.subject = "shop/b".into(), 0, false),
            ("a shorter life", |w| w.life = Duration::from_secs(600), 0, false),
            ("a longer life", |w| w.life = Duration::from_secs(60_000), 0, false),
        ];
        for (case, edit, later, is_kept) in table {
            let mut wanted = wanted();
            edit(&mut wanted);
            let now = NOW.saturating_add_signed(*later);
            let then = wanted.keep_or_issue(Some(&first.value), &key, now).unwrap();
            assert_eq!(then.value == first.value, *is_kept, "{case}");
            if !is_kept {
                assert_eq!(then.expires_at, now + wanted.life.as_secs(), "{case}");
            }
        }
    }

    #[test]
    fn what_another_key_or_somebody_else_wrote_is_not_kept() {
        let key = SigningKey::generate().unwrap();
        let first = wanted().keep_or_issue(None, &key, NOW).unwrap();
        let other = SigningKey::generate().unwrap();
        let theirs = wanted().keep_or_issue(None, &other, NOW).unwrap().value;
        let (message, _) = first.value.rsplit_once('.').unwrap();
        let (_, signature) = theirs.rsplit_once('.').unwrap();
        let mixed = format!("{message}.{signature}");
        let padded = format!("{} ", first.value);
        for there in ["", "x", "a.b.c", "static-0123456789abcdef", &theirs, &mixed, &padded] {
            let then = wanted().keep_or_issue(Some(there), &key, NOW).unwrap();
            assert_ne!(then.value, there);
        }
    }

    #[test]
    fn two_tokens_differ_and_are_renewed_apart() {
        let key = SigningKey::generate().unwrap();
        let issued: Vec<IssuedToken> =
            (0..50).map(|_| wanted().keep_or_issue(None, &key, NOW).unwrap()).collect();
        let mut values: Vec<&str> = issued.iter().map(|token| token.value.as_str()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 50);
        let mut waits: Vec<u64> = issued.iter().map(|token| token.renew_at - NOW).collect();
        waits.sort_unstable();
        assert!(waits[0] >= 17_000 - 1 && waits[49] <= 20_000, "{waits:?}");
        // Of fifty within 3,000 seconds.
        assert!(waits[49] - waits[0] > 1_000, "{waits:?}");
    }
}
