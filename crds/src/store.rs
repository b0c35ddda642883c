//! `Store`: one deployed store.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stowage_config::{Anonymous, ByteSize, Contract};

use crate::common::{SecretReference, is_default};
use crate::rules;

/// What a Store is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "stowage.dev",
    version = "v1alpha1",
    kind = "Store",
    namespaced,
    status = "StoreStatus",
    shortname = "st",
    category = "stowage",
    derive = "PartialEq",
    cel,
    doc = "A Store serves documents, namespaces of keys and runtime configs over plain HTTP with \
           ETags, from one durable backend.",
    validation = rules::store_name(),
    printcolumn(
        name = "Ready", type_ = "string",
        description = "Whether the store serves.",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "URL", type_ = "string",
        description = "Where applications reach it.",
        json_path = ".status.url"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreSpec {
    /// Where the data stands: exactly one backend.
    #[x_kube(validation = rules::one_backend())]
    pub backend: Backend,
    /// The contracts that are served; requests of the others are answered 404. All of them
    /// where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(validation = rules::unique_contracts())]
    pub contracts: Option<Vec<Contract>>,
    /// Who may do what.
    #[serde(default, skip_serializing_if = "is_default")]
    pub auth: StoreAuth,
    /// What a request and a namespace may weigh.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: StoreLimits,
    /// Which browser origins may call.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cors: StoreCors,
    /// Settings of the run-store contract.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_store: StoreRunStore,
    /// What becomes of the data when the Store is deleted: `Retain` keeps it, `Delete` removes
    /// it for good.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Stops serving and keeps everything; false starts again.
    #[serde(default)]
    pub suspend: bool,
}

/// Where the data stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Backend {
    /// A volume of its own, which one server writes.
    Volume(VolumeBackend),
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeBackend {
    /// How large the volume is, in bytes or with a unit, such as `10Gi`. It can grow and never
    /// shrink. Without a cluster the directory's file system decides.
    #[x_kube(validation = rules::volume_never_shrinks())]
    pub size: ByteSize,
}

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreAuth {
    /// The Secret with the tokens. Its keys are the tokens' names; a value is a token, which may
    /// do everything, or a JSON object `{"token", "contracts", "namespaces", "access"}`. A
    /// changed Secret is taken up without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_secret_ref: Option<SecretReference>,
    /// What a request without credentials may do: nothing (`none`), or read everything that the
    /// store serves (`read`).
    #[serde(default)]
    pub anonymous: Anonymous,
}

/// What a request and a namespace may weigh.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreLimits {
    /// The most bytes of a JSON body, answered with 413 above it; not that of a set of runtime
    /// configs. 8Mi where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_json_bytes: Option<ByteSize>,
    /// The most bytes of a KV namespace, answered with 507 above it. No limit where this is left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_namespace_bytes: Option<ByteSize>,
    /// The most bytes of the body that replaces a set of runtime configs, answered with 413 above
    /// it. 64Mi where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runtime_set_bytes: Option<ByteSize>,
}

/// Which browser origins may call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreCors {
    /// Exact origins such as `https://app.example`, the word `null` (sandboxed frames), or `*`
    /// (every origin, without credentials). None where this is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::origins())]
    pub allowed_origins: Vec<String>,
}

/// Settings of the run-store contract.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreRunStore {
    /// Whether a PUT without `If-Match` or `If-None-Match` is refused with 428 instead of
    /// overwriting what stands there.
    #[serde(default)]
    pub require_precondition: bool,
}

/// What becomes of the data of a deleted Store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is removed for good.
    Delete,
}

/// What a Store is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `Reconciling` or `Stalled` while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Where applications reach the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl StoreSpec {
    /// The contracts that are served, in the order of [`Contract::all`].
    #[must_use]
    pub fn served_contracts(&self) -> Vec<Contract> {
        let mut all = Contract::all();
        all.retain(|contract| self.contracts.as_ref().is_none_or(|some| some.contains(contract)));
        all
    }
}
