//! `RuntimeConfigSource`: a Git repository of runtime configs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use stowage_config::{ByteSize, Interval};

use crate::common::{ConfigMapKeyReference, SecretReference, StoreReference, is_default};
use crate::rules;

/// Which configs are to be served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "stowage.dev",
    version = "v1alpha1",
    kind = "RuntimeConfigSource",
    namespaced,
    status = "RuntimeConfigSourceStatus",
    shortname = "rcs",
    category = "stowage",
    derive = "PartialEq",
    cel,
    doc = "A RuntimeConfigSource is a Git repository whose YAML and JSON files are checked and \
           served by a Store, each branch as one set that is replaced as a whole.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        description = "Whether the newest commit of every branch is served.",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        description = "Why it is or is not, in one word.",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(
        name = "Revision",
        type_ = "string",
        description = "The commit of the first branch that is served.",
        json_path = ".status.branches[0].revision"
    ),
    printcolumn(
        name = "Files",
        type_ = "integer",
        description = "How many configs of the first branch are served.",
        json_path = ".status.branches[0].files"
    ),
    printcolumn(
        name = "Last Sync",
        type_ = "date",
        description = "When the first branch was last found in order.",
        json_path = ".status.branches[0].lastSyncTime"
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeConfigSourceSpec {
    /// The repository's id in the store, as in `/runtimes/ID/BRANCH`. A `/` in it is written
    /// `%2F` there.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::repository_id(), validation = rules::never_changes("repoId"))]
    pub repo_id: String,
    /// Where to fetch from: `https://host/path`, `ssh://user@host/path` or `user@host:path`;
    /// without a cluster also `http://` and `file://`. Credentials stand in `auth`, never here.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::url_form(), validation = rules::url_without_credentials())]
    pub url: String,
    /// The branches to serve, each from a Store; a branch may go to several Stores. A branch that
    /// is taken out is no longer synced; what the Store serves of it stays, until somebody deletes
    /// it there (`DELETE /runtimes/ID/BRANCH`).
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::unique_branches())]
    pub branches: Vec<Branch>,
    /// Which files are configs, as globs on the path in the repository; `*` stops at `/`, `**`
    /// does not.
    #[serde(default = "stowage_config::sync::default_include")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = rules::relative_globs())]
    pub include: Vec<String>,
    /// What every config must satisfy. Without it any well-formed file is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::one_schema_source())]
    pub schema: Option<SourceSchema>,
    /// How long to wait between two syncs: a span such as `30s`, `5m` or `1h30m`. On a cluster it
    /// is at least a minute, and rounded down to what divides an hour or a day: 1, 2, 3, 4, 5, 6,
    /// 10, 12, 15, 20 or 30 minutes, or 1, 2, 3, 4, 6, 8, 12 or 24 hours. The annotation
    /// `stowage.dev/sync-requested-at` with any new value syncs at once.
    #[serde(default = "default_interval")]
    #[x_kube(validation = rules::interval_range())]
    pub interval: Interval,
    /// How long one sync may take: a span such as `60s`.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = rules::timeout_range())]
    pub timeout: Interval,
    /// Credentials for the fetch; none for a public repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<GitAuth>,
    /// What a branch may weigh; a branch that is over a limit is refused, and its old set stays.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: SourceLimits,
    /// Stops syncing; what is served stays, and a sync that runs is not cut off.
    #[serde(default)]
    pub suspend: bool,
}

/// A branch, and the Store that serves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Branch {
    /// The branch's name, without `refs/heads/`.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::branch_name())]
    pub name: String,
    /// The environment that the branch stands for, such as `production`; logs and the status
    /// show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub environment: Option<String>,
    /// The Store that serves it, in the same namespace.
    pub store_ref: StoreReference,
}

/// What every config must satisfy: a JSON Schema from exactly one place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceSchema {
    /// The JSON Schema itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_form_object")]
    pub inline: Option<serde_json::Map<String, serde_json::Value>>,
    /// A ConfigMap in the same namespace that holds the JSON Schema, as JSON or YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapKeyReference>,
    /// The path of the JSON Schema in the repository, read at the commit that is synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::relative_path())]
    pub path: Option<String>,
    /// Which part of a config the schema describes, as a JSON pointer such as `/runtime`. The
    /// whole config where this is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::json_pointer())]
    pub pointer: String,
}

/// The one place of a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SchemaSource<'a> {
    /// In the resource.
    Inline(&'a serde_json::Map<String, serde_json::Value>),
    /// In a ConfigMap.
    ConfigMap(&'a ConfigMapKeyReference),
    /// In the repository.
    Repository(&'a str),
}

/// Credentials for the fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitAuth {
    /// The Secret with `username` and `password`, or `bearerToken`, or `ssh-privatekey` and
    /// `known_hosts`.
    pub secret_ref: SecretReference,
}

/// What a branch may weigh.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceLimits {
    /// The most configs. 10000 where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_files: Option<u32>,
    /// The most bytes of one config. 10Mi where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_bytes: Option<ByteSize>,
    /// The most bytes of all configs together. 48Mi where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_total_bytes: Option<ByteSize>,
    /// The most bytes that the fetch may take on disk. 256Mi where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_repository_bytes: Option<ByteSize>,
}

/// What is served.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeConfigSourceStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Fetched`, `Validated` and `Published`; `Reconciling` or `Stalled` while they are
    /// true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// One entry for each branch and Store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into(), "store".into()]))]
    pub branches: Vec<BranchStatus>,
}

/// What is served of one branch by one Store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BranchStatus {
    /// The branch.
    pub name: String,
    /// The Store.
    pub store: String,
    /// The commit whose configs are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How many configs are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u32>,
    /// The entity tag of what is served, without its quotes; the same configs have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When the branch was last found in order, whether or not that changed anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// When the branch was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_time: Option<Time>,
    /// How the last attempt ended, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How the last attempt ended, in a sentence that says what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The commit that the last attempt looked at, where it got so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted_revision: Option<String>,
    /// The digest of the configuration that the last attempt ran with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted_configuration: Option<String>,
    /// The Job of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// What a Job was made for last: a digest over what the sync depends on and the annotation
    /// `stowage.dev/sync-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_request: Option<String>,
    /// The files that kept the newest commit from being served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<InvalidFile>,
}

/// A file that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvalidFile {
    /// Its path in the repository.
    pub file: String,
    /// Why.
    pub errors: Vec<FileError>,
}

/// One fault in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileError {
    /// Where: a JSON pointer, or `line:column` in a file that does not parse.
    pub at: String,
    /// What is wrong there.
    pub message: String,
}

impl BranchStatus {
    /// A branch and Store of which nothing is known.
    #[must_use]
    pub fn new(name: &str, store: &str) -> Self {
        Self { name: name.to_owned(), store: store.to_owned(), ..Self::default() }
    }
}

impl SourceSchema {
    /// The one place of the schema; `None` where there is none or more than one, which the
    /// resource's rules refuse.
    #[must_use]
    pub fn source(&self) -> Option<SchemaSource<'_>> {
        match (&self.inline, &self.config_map_ref, &self.path) {
            (Some(inline), None, None) => Some(SchemaSource::Inline(inline)),
            (None, Some(reference), None) => Some(SchemaSource::ConfigMap(reference)),
            (None, None, Some(path)) => Some(SchemaSource::Repository(path)),
            _ => None,
        }
    }
}

/// Members as they come: an API server keeps what it does not know.
fn free_form_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn default_interval() -> Interval {
    Interval::from_secs(60)
}

fn default_timeout() -> Interval {
    Interval::from_secs(60)
}
