//! Tokens of StoreNamespaces: what a server knows them by, and what they claim.
//!
//! They are JWTs (RFC 7519) that whoever runs the store signs with a key of that Store (Ed25519,
//! RFC 8037). The server has the public half, so what leaks from it can sign nothing; and the list
//! of what is granted now, so what is not in it any more is refused at once, whatever a token's
//! own expiry says.

use serde::{Deserialize, Serialize};

use crate::{Access, Contract};

/// What a server knows the tokens of StoreNamespaces by. Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceTokens {
    /// What `aud` has to be: an id of this very Store, which one of the same name that is made
    /// anew does not have.
    pub audience: String,
    /// The keys that may have signed them: the one that signs now, the one that is to follow it, and
    /// those before it until their tokens are over.
    pub keys: Vec<VerificationKey>,
    /// What is granted now.
    pub namespaces: Vec<GrantedNamespace>,
}

/// The public half of a signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationKey {
    /// The id by which tokens name it (`kid`).
    pub id: String,
    /// The 32 bytes of an Ed25519 public key, in base64url without padding, as the `x` of a JWK
    /// (RFC 8037 §2).
    pub x: String,
}

/// What one StoreNamespace may do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantedNamespace {
    /// The name by which logs speak of its holder.
    pub token: String,
    /// What its tokens have as `sub`.
    pub subject: String,
    /// What its tokens claim; their access may be less than this one, and never helps them to more.
    pub grant: NamespaceGrant,
}

/// What a token of a StoreNamespace is for. A limit that is not known here is not passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceGrant {
    /// An id of this very StoreNamespace, which one of the same name that is made anew does not
    /// have.
    pub uid: String,
    /// How often all its tokens have been revoked.
    pub generation: u32,
    /// Its contract.
    pub contract: Contract,
    /// Its name in the store; `/` is the default document of the run store.
    pub namespace: String,
    /// Whether it may write.
    pub access: Access,
}

/// The claims of a token of a StoreNamespace (RFC 7519 §4.1); times in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceClaims {
    /// Always [`NamespaceTokens::ISSUER`].
    pub iss: String,
    /// [`NamespaceTokens::audience`].
    pub aud: String,
    /// [`GrantedNamespace::subject`].
    pub sub: String,
    /// When it was issued.
    pub iat: u64,
    /// From when on it holds.
    pub nbf: u64,
    /// Until when it holds.
    pub exp: u64,
    /// What no other token has.
    pub jti: String,
    /// What it is for. The name is not that of the rights in a user's JWT, so that neither can be
    /// read as the other.
    #[serde(rename = "storeNamespace")]
    pub grant: NamespaceGrant,
}

impl NamespaceTokens {
    /// Who issues them: whoever runs the store.
    pub const ISSUER: &str = "stowage.dev";
    /// What their header has as `typ` (RFC 8725 §3.11): no other JWT is taken for one of them, and
    /// none of them for another.
    pub const TYPE: &str = "stowage-namespace+jwt";
    /// How they are signed (RFC 8037 §3.1).
    pub const ALGORITHM: &str = "EdDSA";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_granted_is_read_as_it_is_written() {
        let text = json!({
            "audience": "a", "keys": [{"id": "k", "x": "AA"}],
            "namespaces": [{
                "token": "stowage.namespace.cart", "subject": "shop/cart", "grant": {
                    "uid": "u", "generation": 1, "contract": "runStore", "namespace": "/",
                    "access": "read",
                },
            }],
        });
        let tokens: NamespaceTokens = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(tokens.namespaces[0].grant.contract, Contract::RunStore);
        assert_eq!(serde_json::to_value(&tokens).unwrap(), text);
        for field in ["uid", "generation", "contract", "namespace", "access"] {
            let mut less = text.clone();
            less["namespaces"][0]["grant"].as_object_mut().unwrap().remove(field);
            assert!(serde_json::from_value::<NamespaceTokens>(less).is_err(), "without {field}");
        }
    }
}
