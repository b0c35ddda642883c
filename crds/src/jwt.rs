//! The JWTs that a Store takes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stowage_config::jwt::KeysKind;
use stowage_config::{Access, Contract, Interval, TokenGrant};

use crate::common::is_default;
use crate::rules;

/// The JWTs of one issuer: signed, with an expiry, and of this issuer and one of these audiences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = rules::one_jwt_source())]
pub struct StoreJwt {
    /// What the tokens have as `iss`.
    #[schemars(length(min = 1, max = 1024))]
    pub issuer: String,
    /// Of which the tokens have one in `aud`.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 1024)))]
    pub audiences: Vec<String>,
    /// Where the issuer's public keys are, as a JWK Set: an `https://` URL, or an `http://` one
    /// where the network is trusted. They are fetched every five minutes, and at once for a token
    /// whose key is not known; those of before hold while the URL fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::jwks_uri())]
    pub jwks_uri: Option<String>,
    /// A Secret with the issuer's public keys, as a JWK Set. A changed Secret is taken up without a
    /// restart; on a cluster, another reference restarts the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_secret_ref: Option<JwksReference>,
    /// A Secret with the secret that issuer and Store share, for tokens of HS256 (32 bytes or
    /// more), HS384 (48) and HS512 (64). White space around it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_secret_ref: Option<HmacReference>,
    /// How far the clocks of issuer and Store may be apart; 5m at most.
    #[serde(default = "default_clock_skew", skip_serializing_if = "is_default_clock_skew")]
    #[x_kube(validation = rules::clock_skew())]
    pub clock_skew: Interval,
    /// What a token allows that has no claim `stowage` of its own, which is an object of the same
    /// members. Everything where this is left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grant: StoreGrant,
}

fn default_clock_skew() -> Interval {
    Interval::from_secs(stowage_config::Jwt::CLOCK_SKEW.as_secs())
}

fn is_default_clock_skew(skew: &Interval) -> bool {
    *skew == default_clock_skew()
}

/// A key of a Secret in the same namespace that holds a JWK Set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwksReference {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// The key in its `data`.
    #[serde(default = "jwks_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::data_key())]
    pub key: String,
}

/// A key of a Secret in the same namespace that holds a shared secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HmacReference {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// The key in its `data`.
    #[serde(default = "hmac_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::data_key())]
    pub key: String,
}

fn jwks_key() -> String {
    "jwks.json".to_owned()
}

fn hmac_key() -> String {
    "secret".to_owned()
}

/// What a token allows; what is left out is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreGrant {
    /// The contracts that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    pub contracts: Option<Vec<Contract>>,
    /// The KV namespaces, run-store names (`/` is the default document), job ids, repository ids
    /// and sites that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 128)))]
    pub namespaces: Option<Vec<String>>,
    /// Whether it may write: `read`, or `readWrite`.
    #[serde(default)]
    pub access: Access,
}

impl From<&StoreGrant> for TokenGrant {
    fn from(grant: &StoreGrant) -> Self {
        let StoreGrant { contracts, namespaces, access } = grant.clone();
        Self { contracts, namespaces, access }
    }
}

/// A key of a Secret that the signatures of JWTs are checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JwtSecret<'a> {
    /// The field that names it.
    pub field: &'static str,
    /// The Secret.
    pub name: &'a str,
    /// The key in it.
    pub key: &'a str,
    /// What stands there.
    pub kind: KeysKind,
}

impl StoreJwt {
    /// The Secret that the keys come from, where they do.
    #[must_use]
    pub fn secret(&self) -> Option<JwtSecret<'_>> {
        let jwks = self.jwks_secret_ref.as_ref().map(|reference| JwtSecret {
            field: "jwksSecretRef",
            name: &reference.name,
            key: &reference.key,
            kind: KeysKind::JwkSet,
        });
        let hmac = self.hmac_secret_ref.as_ref().map(|reference| JwtSecret {
            field: "hmacSecretRef",
            name: &reference.name,
            key: &reference.key,
            kind: KeysKind::HmacSecret,
        });
        jwks.or(hmac)
    }
}
