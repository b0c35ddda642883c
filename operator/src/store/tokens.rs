//! The tokens that the operator makes: once, and kept in the Secret that the server reads.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use stowage_config::{Access, Contract, Token, TokenGrant};

/// A token to be had: its key, and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedToken {
    /// The key in the Secret, which is the token's name in the server's log.
    pub(crate) key: String,
    /// What it allows.
    pub(crate) grant: TokenGrant,
    /// Whether one is made where there is none.
    pub(crate) make: bool,
}

/// The tokens of one Store. Holds secrets, so it cannot be printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Tokens {
    by_key: BTreeMap<String, Minted>,
}

#[derive(Clone, PartialEq, Eq)]
struct Minted {
    value: String,
    document: Vec<u8>,
}

impl Tokens {
    /// The tokens that are wanted: of those that are in the live Secret, the same; the others made
    /// by `random`. Keys in `kept` stay as they are, though nobody can say now what they allow.
    ///
    /// # Errors
    /// Those of `random`.
    pub(crate) fn mint<E>(
        live: Option<&Secret>,
        wanted: &[WantedToken],
        kept: &[String],
        mut random: impl FnMut() -> Result<String, E>,
    ) -> Result<Self, E> {
        let live = live.and_then(|secret| secret.data.as_ref());
        let current = |key: &str| {
            let document = live?.get(key)?.0.clone();
            let token = Token::parse(std::str::from_utf8(&document).ok()?).ok()?;
            Some(Minted { value: token.value, document })
        };
        let mut by_key = BTreeMap::new();
        for key in kept {
            by_key.extend(current(key).map(|minted| (key.clone(), minted)));
        }
        for token in wanted {
            let value = match current(&token.key) {
                Some(minted) => minted.value,
                None if token.make => random()?,
                None => continue,
            };
            let document = document(&value, &token.grant);
            by_key.insert(token.key.clone(), Minted { value, document });
        }
        Ok(Self { by_key })
    }

    /// The plain value of a token.
    #[must_use]
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.by_key.get(key).map(|minted| minted.value.as_str())
    }

    /// What the server reads, key by key.
    #[must_use]
    pub(crate) fn data(&self) -> BTreeMap<String, ByteString> {
        let entry =
            |(key, minted): (&String, &Minted)| (key.clone(), ByteString(minted.document.clone()));
        self.by_key.iter().map(entry).collect()
    }
}

/// The form with rights of a token (see [`Token`]), in a fixed order, so that the same token is the
/// same text.
fn document(value: &str, grant: &TokenGrant) -> Vec<u8> {
    let mut document = json!({"token": value, "access": access(grant.access)});
    if let Some(contracts) = &grant.contracts {
        document["contracts"] = contracts.iter().copied().map(Contract::as_str).collect();
    }
    if let Some(namespaces) = &grant.namespaces {
        document["namespaces"] = json!(namespaces);
    }
    document.to_string().into_bytes()
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::ReadWrite => "readWrite",
    }
}

/// 256 random bits as a token.
///
/// # Errors
/// Where the system has no randomness.
pub(crate) fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn wanted(keys: &[&str]) -> Vec<WantedToken> {
        let token = |key: &&str| WantedToken {
            key: (*key).into(),
            grant: TokenGrant::default(),
            make: true,
        };
        keys.iter().map(token).collect()
    }

    /// Mints with numbered values.
    fn mint(live: Option<&Secret>, wanted: &[WantedToken], kept: &[String]) -> Tokens {
        let mut count = 0;
        let random = || {
            count += 1;
            Ok::<_, Infallible>(format!("made-now-number-{count}"))
        };
        let Ok(tokens) = Tokens::mint(live, wanted, kept, random);
        tokens
    }

    fn secret(tokens: &Tokens) -> Secret {
        Secret { data: Some(tokens.data()), ..Secret::default() }
    }

    #[test]
    fn what_was_made_stays_and_what_nobody_wants_goes() {
        let first = mint(None, &wanted(&["a", "b"]), &[]);
        assert_eq!(
            (first.value("a"), first.value("b")),
            (Some("made-now-number-1"), Some("made-now-number-2"))
        );
        let live = secret(&first);
        let second = mint(Some(&live), &wanted(&["b", "c"]), &[]);
        assert_eq!(second.value("a"), None);
        assert_eq!(second.value("b"), first.value("b"));
        assert_eq!(second.value("c"), Some("made-now-number-1"));
        assert!(mint(Some(&live), &wanted(&["a", "b"]), &[]) == first, "the same, to the byte");
        let kept = mint(Some(&live), &wanted(&["b"]), &["a".into(), "never-made".into()]);
        assert!(kept == first, "what is kept is as it was");
    }

    #[test]
    fn what_is_only_left_is_never_made_and_follows_its_rights() {
        let live = secret(&mint(None, &wanted(&["a"]), &[]));
        let access = TokenGrant { access: Access::Read, ..TokenGrant::default() };
        let left = ["a", "b"].map(|key| WantedToken {
            key: key.into(),
            grant: access.clone(),
            make: false,
        });
        let tokens = mint(Some(&live), &left, &[]);
        assert_eq!((tokens.value("a"), tokens.value("b")), (Some("made-now-number-1"), None));
        let text = String::from_utf8(tokens.data()["a"].0.clone()).unwrap();
        assert_eq!(Token::parse(&text).unwrap().grant, access);
    }

    #[test]
    fn what_is_no_token_is_made_anew() {
        let data = BTreeMap::from([("a".to_owned(), ByteString(b"short".to_vec()))]);
        let live = Secret { data: Some(data), ..Secret::default() };
        assert_eq!(mint(Some(&live), &wanted(&["a"]), &[]).value("a"), Some("made-now-number-1"));
    }

    #[test]
    fn the_server_reads_the_rights_that_are_meant() {
        let grants = [
            TokenGrant::default(),
            TokenGrant {
                contracts: Some(vec![Contract::Kv]),
                namespaces: Some(vec!["cart".into()]),
                access: Access::Read,
            },
        ];
        for grant in grants {
            let wanted = WantedToken { key: "a".into(), grant: grant.clone(), make: true };
            let tokens = mint(None, &[wanted], &[]);
            let text = String::from_utf8(tokens.data()["a"].0.clone()).unwrap();
            assert_eq!(Token::parse(&text).unwrap().grant, grant);
        }
    }

    #[test]
    fn random_tokens_are_long_and_differ() {
        let [a, b] = [random_token().unwrap(), random_token().unwrap()];
        assert!(a.len() == 43 && a != b);
        assert!(Token::parse(&a).is_ok());
    }
}
