//! `Store`: one deployed store.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Affinity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stowage_config::{Anonymous, ByteSize, Contract, Interval};

use crate::common::{SecretReference, is_default};
use crate::jwt::StoreJwt;
use crate::pod::{PodResources, Toleration};
use crate::rules;
use crate::tracing::StoreTracing;

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
    doc = "A Store serves documents, namespaces of keys, runtime configs and archives over plain \
           HTTP with ETags, from one durable backend.",
    validation = rules::store_name(),
    validation = rules::volume_never_shrinks(),
    validation = rules::memory_within_the_containers(),
    printcolumn(
        name = "Ready", type_ = "string",
        description = "Whether the store serves.",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Status", type_ = "string",
        description = "Why it is ready or not, in one word.",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(
        name = "Backend", type_ = "string",
        description = "Where the data stands.",
        json_path = ".status.backend.kind"
    ),
    printcolumn(
        name = "Capacity", type_ = "string", priority = 1,
        description = "How large the volume is.",
        json_path = ".status.backend.capacity"
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
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(validation = rules::unique_contracts())]
    pub contracts: Option<Vec<Contract>>,
    /// Who may do what.
    #[serde(default, skip_serializing_if = "is_default")]
    pub auth: StoreAuth,
    /// What a request and a namespace may weigh, and what clients may take of the server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: StoreLimits,
    /// Where traces of requests go; nowhere where this is left out. A change restarts the pod; without
    /// a cluster it takes effect at the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<StoreTracing>,
    /// Which browser origins may call.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cors: StoreCors,
    /// Settings of the run-store contract.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_store: StoreRunStore,
    /// How many versions of each KV namespace, run-store document and set of runtime configs can be
    /// read (`?at=`, `?history=true`), the current one included; 0 keeps none, and removes those that
    /// were kept. A change restarts the pod.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(min = 0, max = 1_000))]
    pub history: u32,
    /// What becomes of the data when the Store is deleted: `Retain` keeps it, `Delete` removes
    /// it for good.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Stops serving and keeps everything; false starts again.
    #[serde(default)]
    pub suspend: bool,
    /// The image of the server, with a tag or digest. The one that comes with the operator where
    /// this is left out. Without a cluster it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::image())]
    pub image: Option<String>,
    /// What the server's container requests and may use. Where this is left out, it requests 20m
    /// of a CPU and 32Mi of memory, and may use 512Mi of memory. Without a cluster it means
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<PodResources>,
    /// The labels that a node must have to run the pod. Without a cluster it means nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// The taints of nodes that the pod tolerates. Without a cluster it means nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// Which nodes and which other pods the pod wants near or far, as in a Pod's `affinity`.
    /// Without a cluster it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// The PriorityClass of the pod. Without a cluster it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub priority_class_name: Option<String>,
    /// Annotations that are added to the pod. Without a cluster they mean nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::not_our_annotations())]
    pub pod_annotations: BTreeMap<String, String>,
    /// Labels that are added to the pod. Without a cluster they mean nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::not_our_labels())]
    pub pod_labels: BTreeMap<String, String>,
}

/// Where the data stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Backend {
    /// A volume of its own, which one server writes.
    Volume(VolumeBackend),
}

/// A volume: one of its own, of a size, or a claim that is there already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = rules::size_or_existing_claim())]
#[x_kube(validation = rules::existing_claim_stands_alone())]
#[x_kube(validation = rules::existing_claim_never_changes())]
#[x_kube(validation = rules::storage_class_never_changes())]
#[x_kube(validation = rules::access_modes_never_change())]
#[x_kube(validation = rules::memory_for_something())]
#[x_kube(validation = rules::journal_for_something())]
pub struct VolumeBackend {
    /// How large the volume is, in bytes or with a unit, such as `10Gi`. It can grow and never
    /// shrink. Without a cluster the directory's file system decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
    /// The StorageClass that the volume is made from; the cluster's default one where this is
    /// left out. Without a cluster it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub storage_class_name: Option<String>,
    /// How the volume may be mounted: `ReadWriteOnce`, by pods of one node, or
    /// `ReadWriteOncePod`, by one pod, where the class supports it. `ReadWriteOnce` where this is
    /// left out; one server writes, so there is no other. Without a cluster it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1))]
    pub access_modes: Option<Vec<AccessMode>>,
    /// A PersistentVolumeClaim in the same namespace to keep the data in, in place of one of its
    /// own. It is used as it is: neither grown nor, whatever `deletionPolicy` says, deleted.
    /// Without a cluster it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub existing_claim: Option<String>,
    /// The most memory for documents and namespaces, such as `256Mi`; the store may be larger.
    /// Half of it is for what is read again, half for what is written and not in the tree yet.
    /// The process takes some tens of MiB more, and what requests hold. At most half of the
    /// memory that the container may use; a quarter of `resources.limits.memory` where this is
    /// left out, and 128Mi where neither is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// The most room on the volume for the journal, out of which a start brings the tree up to
    /// date: the larger, the seldomer a document is written to the tree that changes often, and
    /// the longer a start may take. 256Mi where this is left out; an eighth of the volume at
    /// most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_size: Option<ByteSize>,
}

/// How a volume may be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// By pods of one node.
    ReadWriteOnce,
    /// By one pod.
    ReadWriteOncePod,
}

impl AccessMode {
    /// The word in a claim.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreAuth {
    /// The Secret with the tokens. Its keys are the tokens' names; a value is a token, which may
    /// do everything, or a JSON object `{"token", "contracts", "namespaces", "access"}`. A
    /// changed Secret is taken up without a restart. On a cluster, keys that begin with
    /// `stowage.` are the operator's own (the token of Git syncs); and where this is left out, a token that may do everything is made and put into the
    /// Secret `NAME-admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_secret_ref: Option<SecretReference>,
    /// The JWTs that are taken beside the tokens. None where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<StoreJwt>,
    /// What a request without credentials may do: nothing (`none`), or read everything that the
    /// store serves (`read`).
    #[serde(default)]
    pub anonymous: Anonymous,
}

/// What a request and a namespace may weigh, and what clients may take of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreLimits {
    /// The most bytes of a JSON body, answered with 413 above it; not that of a set of runtime
    /// configs. 8Mi where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_json_bytes: Option<ByteSize>,
    /// The most bytes of a KV namespace, answered with 507 above it. 256Mi where this is left out,
    /// and where it is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_namespace_bytes: Option<ByteSize>,
    /// The most bytes of the body that replaces a set of runtime configs, answered with 413 above
    /// it. 64Mi where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runtime_set_bytes: Option<ByteSize>,
    /// The most bytes of an archive of the contract `artifacts`, answered with 413 above it. 2Gi
    /// where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_artifact_bytes: Option<ByteSize>,
    /// How many requests a token may send in a second, answered with 429 above it; all that send
    /// no credentials count as one. As many may come at once. No limit where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_second: Option<u32>,
    /// How many JWTs of one address (of IPv6: one /64) may be refused for their signature in a second; above
    /// it what is not known to be good is answered with 429, unseen. Clients behind one proxy have one
    /// address. 100 where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub refusals_per_second: Option<u32>,
    /// How many streams of events and held answers a token or a subject of JWTs may have at once,
    /// answered with 429 above it; all that send no credentials count as one. A server holds 12,000.
    /// 3,000 where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 12_000))]
    pub max_watches_per_identity: Option<u32>,
    /// How many connections are held; more wait. A quarter of the open files that the process may have
    /// where this is left out, and 20,000 at most. A change restarts the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// How long the head of a connection's first request may take. 30s where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::timeout_range())]
    pub header_timeout: Option<Interval>,
    /// How long a connection may rest between requests. Clients commonly keep theirs for 90 s: less
    /// than that loses requests. 2m where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::timeout_range())]
    pub idle_timeout: Option<Interval>,
    /// How long a client may take nothing of an answer that waits for it; the connection is closed then,
    /// or its stream is reset. 60s where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::timeout_range())]
    pub stall_timeout: Option<Interval>,
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
    /// How many pods there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// How many of them serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// The contracts that are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contracts: Option<Vec<Contract>>,
    /// Where the data stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendStatus>,
    /// The id (`kid`) of the key that signs the tokens of its StoreNamespaces. Absent until a server
    /// that takes such tokens has been ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
}

/// Where the data stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// The kind of backend, such as `volume`.
    pub kind: String,
    /// How large the volume is, as its claim says. Absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<String>,
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
