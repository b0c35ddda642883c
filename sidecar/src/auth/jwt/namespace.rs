//! The tokens of StoreNamespaces: JWTs of whoever runs the store, which are no use without their
//! place in the list of what is granted now.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::json;
use stowage_config::jwt::InvalidKeys;
use stowage_config::{
    Access, Contract, GrantedNamespace, Jwt, NamespaceClaims, NamespaceTokens, TokenGrant,
};

use super::InvalidJwt;
use super::compact::{Kind, object};
use super::key_set::{KeysFor, Payload};
use super::rules::now;
use crate::auth::Holder;

/// Which tokens of StoreNamespaces are taken, and what they allow.
#[derive(Debug)]
pub(crate) struct NamespaceRules {
    audience: String,
    keys: KeysFor<NamespaceClaims>,
    by_uid: HashMap<String, Granted>,
}

#[derive(Debug)]
struct Granted {
    subject: String,
    generation: u32,
    contract: Contract,
    namespace: String,
    /// Whose tokens may do what is granted.
    whole: Arc<Holder>,
    /// Whose tokens claim to read and no more.
    reader: Arc<Holder>,
}

/// Why the settings of these tokens are wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidNamespaceTokens {
    /// The keys cannot be used.
    #[error("auth.namespaceTokens.keys: {0}")]
    Keys(InvalidKeys),
    /// One that every token could be for.
    #[error("auth.namespaceTokens.audience: it is empty; write the Store's uid")]
    Audience,
    /// Two of the same uid: whose token is it?
    #[error("auth.namespaceTokens.namespaces[{0}].grant.uid: it stands there twice; remove one")]
    Twice(usize),
}

impl Payload for NamespaceClaims {
    const KIND: Kind = Kind::Namespace;

    fn parse(json: &[u8]) -> Result<Self, InvalidJwt> {
        object(json).ok_or(InvalidJwt::Claims)
    }
}

impl NamespaceRules {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`InvalidNamespaceTokens`] names the field.
    pub(crate) fn new(tokens: &NamespaceTokens) -> Result<Self, InvalidNamespaceTokens> {
        if tokens.audience.is_empty() {
            return Err(InvalidNamespaceTokens::Audience);
        }
        let key = |key: &stowage_config::VerificationKey| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": NamespaceTokens::ALGORITHM,
                "kid": key.id, "x": key.x,
            })
        };
        let keys: Vec<_> = tokens.keys.iter().map(key).collect();
        let set = json!({"keys": keys}).to_string();
        let mut by_uid = HashMap::new();
        for (i, namespace) in tokens.namespaces.iter().enumerate() {
            match by_uid.entry(namespace.grant.uid.clone()) {
                Entry::Vacant(place) => drop(place.insert(Granted::new(namespace))),
                Entry::Occupied(_) => return Err(InvalidNamespaceTokens::Twice(i)),
            }
        }
        Ok(Self {
            audience: tokens.audience.clone(),
            keys: KeysFor::from_jwks(set.as_bytes()).map_err(InvalidNamespaceTokens::Keys)?,
            by_uid,
        })
    }

    /// Takes over which tokens were found to be signed under the rules before.
    pub(crate) fn learn_from(&self, before: &Self) {
        self.keys.learn_from(&before.keys);
    }

    /// Whether a token's signature was checked already, by the SHA-256 of all of it.
    pub(crate) fn knows(&self, digest: &[u8; 32]) -> bool {
        self.keys.knows(digest)
    }

    /// The holder of a token that holds now.
    ///
    /// # Errors
    /// [`InvalidJwt`].
    pub(crate) fn verify(&self, token: &[u8], digest: [u8; 32]) -> Result<Arc<Holder>, InvalidJwt> {
        let claims = self.keys.signed(token, digest)?;
        self.check(&claims, now())
    }

    /// Whether claims hold at a time, in seconds since 1970: first for whom and when they are, then
    /// whether that is still granted.
    fn check(&self, claims: &NamespaceClaims, now: f64) -> Result<Arc<Holder>, InvalidJwt> {
        if claims.iss != NamespaceTokens::ISSUER {
            return Err(InvalidJwt::Issuer);
        }
        if claims.aud != self.audience {
            return Err(InvalidJwt::Audience);
        }
        let skew = Jwt::CLOCK_SKEW.as_secs_f64();
        if now >= seconds(claims.exp) + skew {
            return Err(InvalidJwt::Expired);
        }
        if now + skew < seconds(claims.nbf) {
            return Err(InvalidJwt::NotYet);
        }
        let claimed = &claims.grant;
        let granted = self.by_uid.get(&claimed.uid).filter(|granted| {
            granted.subject == claims.sub
                && granted.generation == claimed.generation
                && granted.contract == claimed.contract
                && granted.namespace == claimed.namespace
        });
        let granted = granted.ok_or(InvalidJwt::Revoked)?;
        // The lesser of both: a right that was taken away is gone with the next look at the list,
        // and one that was added comes with a new token.
        Ok(Arc::clone(match claimed.access {
            Access::Read => &granted.reader,
            Access::ReadWrite => &granted.whole,
        }))
    }
}

impl Granted {
    fn new(namespace: &GrantedNamespace) -> Self {
        let grant = &namespace.grant;
        let holder = |access| {
            Arc::new(Holder::new(
                namespace.token.clone(),
                TokenGrant {
                    contracts: Some(vec![grant.contract]),
                    namespaces: Some(vec![grant.namespace.clone()]),
                    access,
                },
            ))
        };
        Self {
            subject: namespace.subject.clone(),
            generation: grant.generation,
            contract: grant.contract,
            namespace: grant.namespace.clone(),
            whole: holder(grant.access),
            reader: holder(Access::Read),
        }
    }
}

/// Exact for every date that a token can be good for.
#[expect(clippy::cast_precision_loss, reason = "a time beyond 2^53 seconds is over all the same")]
fn seconds(time: u64) -> f64 {
    time as f64
}

#[cfg(test)]
mod tests {
    use stowage_config::{NamespaceGrant, VerificationKey};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn grant(access: Access) -> NamespaceGrant {
        NamespaceGrant {
            uid: "u-1".into(),
            generation: 2,
            contract: Contract::Kv,
            namespace: "cart".into(),
            access,
        }
    }

    fn rules(access: Access) -> NamespaceRules {
        NamespaceRules::new(&tokens(access)).unwrap()
    }

    fn tokens(access: Access) -> NamespaceTokens {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned();
        NamespaceTokens {
            audience: "store-1".into(),
            keys: vec![VerificationKey { id: "k".into(), x }],
            namespaces: vec![GrantedNamespace {
                token: "stowage.namespace.cart".into(),
                subject: "shop/cart".into(),
                grant: grant(access),
            }],
        }
    }

    fn claims() -> NamespaceClaims {
        NamespaceClaims {
            iss: NamespaceTokens::ISSUER.into(),
            aud: "store-1".into(),
            sub: "shop/cart".into(),
            iat: NOW,
            nbf: NOW,
            exp: NOW + 600,
            jti: "j".into(),
            grant: grant(Access::ReadWrite),
        }
    }

    #[test]
    fn claims_hold_for_this_store_for_a_time_and_while_they_are_granted() {
        type Edit = fn(&mut NamespaceClaims);
        let table: &[(&str, Edit, u64, Result<Access, InvalidJwt>)] = &[
            ("as issued", |_| {}, 0, Ok(Access::ReadWrite)),
            ("a minute after its end", |_| {}, 659, Ok(Access::ReadWrite)),
            ("more than that", |_| {}, 660, Err(InvalidJwt::Expired)),
            ("a minute ahead", |c| c.nbf += 60, 0, Ok(Access::ReadWrite)),
            ("more ahead", |c| c.nbf += 61, 0, Err(InvalidJwt::NotYet)),
            ("another issuer", |c| c.iss = "stowage".into(), 0, Err(InvalidJwt::Issuer)),
            ("another store", |c| c.aud = "store-2".into(), 0, Err(InvalidJwt::Audience)),
            ("another resource", |c| c.sub = "shop/other".into(), 0, Err(InvalidJwt::Revoked)),
            ("made anew", |c| c.grant.uid = "u-2".into(), 0, Err(InvalidJwt::Revoked)),
            ("revoked", |c| c.grant.generation = 1, 0, Err(InvalidJwt::Revoked)),
            ("of a later one", |c| c.grant.generation = 3, 0, Err(InvalidJwt::Revoked)),
            ("a contract", |c| c.grant.contract = Contract::Jobs, 0, Err(InvalidJwt::Revoked)),
            ("a namespace", |c| c.grant.namespace = "b".into(), 0, Err(InvalidJwt::Revoked)),
            ("to read", |c| c.grant.access = Access::Read, 0, Ok(Access::Read)),
        ];
        for (case, edit, later, expected) in table {
            let mut claims = claims();
            edit(&mut claims);
            let holder = rules(Access::ReadWrite).check(&claims, seconds(NOW + later));
            let got = holder.map(|holder| holder.grant().access);
            assert_eq!(got, *expected, "{case}");
        }
    }

    #[test]
    fn rights_that_were_taken_away_are_gone_though_a_token_claims_them() {
        let holder = rules(Access::Read).check(&claims(), seconds(NOW)).unwrap();
        assert_eq!(holder.name(), "stowage.namespace.cart");
        let expected = TokenGrant {
            contracts: Some(vec![Contract::Kv]),
            namespaces: Some(vec!["cart".into()]),
            access: Access::Read,
        };
        assert_eq!(*holder.grant(), expected);
    }

    #[test]
    fn settings_that_are_wrong_are_named() {
        type Edit = fn(&mut NamespaceTokens);
        let table: [(Edit, &str); 4] = [
            (|t| t.audience.clear(), "auth.namespaceTokens.audience"),
            (|t| t.keys.clear(), "auth.namespaceTokens.keys"),
            (|t| t.keys[0].x = "AA".into(), "auth.namespaceTokens.keys"),
            (|t| t.namespaces.push(t.namespaces[0].clone()), "namespaces[1].grant.uid"),
        ];
        for (edit, expected) in table {
            let mut tokens = tokens(Access::Read);
            edit(&mut tokens);
            let error = NamespaceRules::new(&tokens).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
