//! The keys of JWTs in a Secret of the user's: whether the server would take them, and what it means
//! where not. Pure.

use k8s_openapi::api::core::v1::Secret;
use stowage_config::jwt::{KeysKind, keys_fault};
use stowage_crds::{JwtSecret, Store, StoreJwt};

use super::dereference::Dereferenced;
use crate::kubernetes::Finding;

/// What is wrong with the key that is named, in words and without any of its value; `None` where
/// it is as it should be.
#[must_use]
pub(super) fn fault(wanted: JwtSecret<'_>, secret: &Secret) -> Option<String> {
    let value = secret.data.as_ref().and_then(|data| data.get(wanted.key));
    match value {
        None => Some("there is no such key in it".to_owned()),
        Some(value) => keys_fault(wanted.kind, &value.0),
    }
}

/// Why a pod with these keys could not start.
#[must_use]
pub(super) fn unusable(store: &Store, found: &Dereferenced) -> Option<Finding> {
    let wanted = store.spec.auth.jwt.as_ref().and_then(StoreJwt::secret)?;
    let JwtSecret { field, name, key, kind } = wanted;
    if found.jwt_secret.is_none() {
        let what = match kind {
            KeysKind::JwkSet => "a file with the issuer's JWK Set",
            KeysKind::HmacSecret => "a file with the secret that the issuer has",
        };
        return Some(Finding::stalled(
            "SecretMissing",
            format!(
                "There is no Secret {name}, which spec.auth.jwt.{field} names: make it, such as \
                 with `kubectl create secret generic {name} --from-file={key}=FILE`, FILE being \
                 {what}."
            ),
        ));
    }
    let fault = found.jwt_fault.as_ref()?;
    Some(Finding::stalled(
        "JwtKeysInvalid",
        format!(
            "The key {key} of the Secret {name}, which spec.auth.jwt.{field} names, cannot be \
             used: {fault}. Until that is corrected, a server that runs goes on with the keys that \
             it had."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn what_the_server_would_refuse_is_named_without_its_value() {
        let secret = |key: &str, value: &str| Secret {
            data: Some([(key.to_owned(), ByteString(value.into()))].into()),
            ..Secret::default()
        };
        let wanted = |kind| JwtSecret { field: "f", name: "s", key: "k", kind };
        let set = r#"{"keys":[{"kty":"RSA","n":"hunter2","e":"AQAB"},{"kty":"OKP","crv":"Ed25519",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let table = [
            (KeysKind::JwkSet, secret("k", set), ""),
            (KeysKind::JwkSet, secret("jwks.json", set), "no such key"),
            (KeysKind::JwkSet, secret("k", "hunter2"), "not a JWK Set"),
            (KeysKind::JwkSet, Secret::default(), "no such key"),
            (KeysKind::HmacSecret, secret("k", &"hunter2".repeat(5)), ""),
            (KeysKind::HmacSecret, secret("k", "hunter2"), "less than 32"),
        ];
        for (kind, secret, expected) in table {
            let found = fault(wanted(kind), &secret);
            assert_eq!(found.is_none(), expected.is_empty(), "{kind:?}: {found:?}");
            let found = found.unwrap_or_default();
            assert!(found.contains(expected) && !found.contains("hunter2"), "{found}");
        }
    }
}
