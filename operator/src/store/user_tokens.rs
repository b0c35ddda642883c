//! Whether the server would take the tokens that stand in Secrets: pure.
//!
//! One value that is no token keeps a server from starting. One that runs refuses that token, and
//! takes the others as they stand there. Neither is for the pod to find out.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use stowage_config::{Token, same_value};

use super::names;

/// What is wrong with the user's tokens, as they are mounted together with the operator's `own`;
/// in words, without any of a token. `None` where they are as they should be.
#[must_use]
pub(super) fn fault(users: &Secret, own: Option<&Secret>) -> Option<String> {
    // What is no token among the operator's own is made anew.
    let own: BTreeMap<&str, Token> = own
        .into_iter()
        .flat_map(entries)
        .filter_map(|(key, value)| Some((key, Token::read(value).ok()?)))
        .collect();
    let mut tokens = Vec::new();
    for (key, value) in entries(users) {
        // Where two keys are the same, the operator's holds; this one is always among them.
        if own.contains_key(key) || key == names::sync_token() {
            continue;
        }
        match Token::read(value) {
            Ok(token) => tokens.push((key.to_owned(), token)),
            Err(invalid) => return Some(format!("the token {key}: {invalid}")),
        }
    }
    tokens.extend(own.into_iter().map(|(key, token)| (key.to_owned(), token)));
    let (one, other) = same_value(&tokens)?;
    Some(format!("the tokens {one} and {other} have the same value; give each one of its own"))
}

/// Key by key, without those that the server takes for the mount's own.
fn entries(secret: &Secret) -> impl Iterator<Item = (&str, &[u8])> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.as_str(), value.0.as_slice()))
        .filter(|(key, _)| !key.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(entries: &[(&str, &[u8])]) -> Secret {
        let entry = |(key, value): &(&str, &[u8])| ((*key).to_owned(), ByteString(value.to_vec()));
        Secret { data: Some(entries.iter().map(entry).collect()), ..Secret::default() }
    }

    #[test]
    fn what_the_server_would_refuse_is_named_without_its_value() {
        const GOOD: &[u8] = b"hunter2-0123456789ab";
        type Entries<'a> = &'a [(&'a str, &'a [u8])];
        let table: &[(Entries<'_>, &[&str])] = &[
            (&[], &[]),
            (&[("admin", GOOD)], &[]),
            (&[("admin", b"hunter2-0123456789ab\n"), ("..data", b"")], &[]),
            (&[("stowage.sync", b"hunter2")], &[]),
            (&[("admin", GOOD), ("ci", b"hunter2")], &["token ci", "shorter"]),
            (&[("ci", b"")], &["token ci", "empty"]),
            (&[("ci", b"hunter2-\xff-0123456789")], &["token ci", "UTF-8"]),
            (&[("ci", &[b'a'; 70_000])], &["token ci", "larger"]),
            (&[("ci", b"{\"token\":\"hunter2-0123456789ab\",\"x\":1}")], &["token ci", "JSON"]),
            (&[("a", GOOD), ("b", GOOD)], &["a and b", "the same value"]),
            (&[("a", b"minted-0123456789abcdef")], &["a and stowage.namespace.cart", "same"]),
        ];
        let minted = b"{\"token\":\"minted-0123456789abcdef\"}".as_slice();
        let own = secret(&[("stowage.namespace.cart", minted), ("stowage.sync", b"edited")]);
        for (entries, words) in table {
            let found = fault(&secret(entries), Some(&own));
            assert_eq!(found.is_some(), !words.is_empty(), "{entries:?}: {found:?}");
            let found = found.unwrap_or_default();
            assert!(words.iter().all(|word| found.contains(word)), "{words:?}: {found}");
            assert!(!found.contains("hunter2") && !found.contains("minted"), "{found}");
        }
    }
}
