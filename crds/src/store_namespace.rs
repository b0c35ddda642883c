//! `StoreNamespace`: a tenant of a Store.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stowage_config::{Access, ByteSize, Contract, Interval};

use crate::common::StoreReference;
use crate::rules;

/// What a tenant is to have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "stowage.dev",
    version = "v1alpha1",
    kind = "StoreNamespace",
    namespaced,
    status = "StoreNamespaceStatus",
    shortname = "stns",
    category = "stowage",
    derive = "PartialEq",
    cel,
    doc = "A StoreNamespace is a tenant of a Store: one namespace of keys, one document or one \
           site, with a token that is good for nothing else.",
    validation = rules::default_namespace_name(),
    validation = rules::namespace_name_never_changes(),
    printcolumn(
        name = "Ready", type_ = "string",
        description = "Whether its credentials are there.",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Status", type_ = "string",
        description = "Why they are there or not, in one word.",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Store", type_ = "string", json_path = ".spec.storeRef.name"),
    printcolumn(name = "Contract", type_ = "string", json_path = ".spec.contract"),
    printcolumn(
        name = "Secret", type_ = "string",
        description = "The Secret with its credentials.",
        json_path = ".status.binding.name"
    ),
    printcolumn(name = "Access", type_ = "string", json_path = ".spec.access", priority = 1),
    printcolumn(
        name = "Token Expires", type_ = "string", priority = 1,
        description = "When the token is over; it is renewed before.",
        json_path = ".status.tokenExpiresAt"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = rules::quota_only_for_kv())]
pub struct StoreNamespaceSpec {
    /// The Store that serves it, in the same namespace.
    #[x_kube(validation = rules::never_changes("storeRef"))]
    pub store_ref: StoreReference,
    /// The contract that it belongs to: `kv`, a namespace of keys, `runStore`, a document, `jobs`,
    /// a job, or `artifacts`, a site.
    #[x_kube(validation = rules::never_changes("contract"))]
    pub contract: NamespaceContract,
    /// Its name in the store, as in `/api/storage?ns=NAME`, `/run-stores/NAME`, `/jobs/NAME` or
    /// `/sites/NAME`.
    /// `metadata.name` where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::namespace_name())]
    pub name: Option<String>,
    /// What its token may do: `read`, or `readWrite`.
    #[serde(default)]
    pub access: Access,
    /// The most that it may hold; writes above it are answered with 507, reads and deletes
    /// still work. Only for the contract `kv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::quota_not_empty())]
    pub quota: Option<NamespaceQuota>,
    /// How long its token is good for: a span such as `24h` or `720h`, from `10m` to `8760h`. It is
    /// renewed in its Secret after about two thirds of that, so whoever reads it there has a third
    /// to take up the next one.
    #[serde(rename = "tokenTTL", default = "default_token_ttl")]
    #[x_kube(validation = rules::token_ttl_range())]
    pub token_ttl: Interval,
    /// A number that revokes: raise it, and all tokens that were issued before are refused within
    /// seconds, and a new one is put into the Secret.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    #[x_kube(validation = rules::token_generation_grows())]
    pub token_generation: u32,
}

fn default_token_ttl() -> Interval {
    Interval::from_secs(30 * 24 * 3600)
}

/// A contract that a tenant can have a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NamespaceContract {
    /// A namespace of keys.
    Kv,
    /// A document of the run store.
    RunStore,
    /// A job: its checkpoints, runs and events.
    Jobs,
    /// A site: its archives and their logs.
    Artifacts,
}

/// The most that a namespace may hold: one of them or both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceQuota {
    /// The most bytes of all keys and values as one JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// The most keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_keys: Option<u32>,
}

/// What a tenant has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreNamespaceStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `Reconciling` or `Stalled` while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Where its credentials are, in the form of the Service Binding specification for Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// When the token that stands there now is over (RFC 3339); another takes its place before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<Time>,
}

/// Where credentials are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The name of the Secret: its keys are `type`, `provider`, `host`, `port`, `uri` and `token`.
    pub name: String,
}

impl From<NamespaceContract> for Contract {
    fn from(contract: NamespaceContract) -> Self {
        match contract {
            NamespaceContract::Kv => Self::Kv,
            NamespaceContract::RunStore => Self::RunStore,
            NamespaceContract::Jobs => Self::Jobs,
            NamespaceContract::Artifacts => Self::Artifacts,
        }
    }
}

impl StoreNamespace {
    /// Its name in the store: `spec.name`, else `metadata.name`.
    #[must_use]
    pub fn served_name(&self) -> String {
        self.spec.name.clone().unwrap_or_else(|| self.name_any())
    }
}
