//! The configuration of one storage server.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{ByteSize, Interval};

/// The whole configuration file of `stowage-sidecar serve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarConfig {
    /// The Store's name; logs and metrics carry it.
    pub store: String,
    /// Where the contracts are served.
    #[serde(default = "default_listen", deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Where health, readiness and metrics are served, without credentials.
    #[serde(default = "default_management_listen", deserialize_with = "address")]
    pub management_listen: SocketAddr,
    /// Where the data stands.
    pub backend: Backend,
    /// The contracts that are served; the others answer 404.
    #[serde(default = "Contract::all")]
    pub contracts: Vec<Contract>,
    /// Who may do what.
    #[serde(default)]
    pub auth: Auth,
    /// What a request may weigh.
    #[serde(default)]
    pub limits: Limits,
    /// Which browser origins may call.
    #[serde(default)]
    pub cors: Cors,
    /// The run-store contract's own settings.
    #[serde(default)]
    pub run_store: RunStore,
    /// Quotas of single namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceQuota>,
    /// Whether `GET /_debug/storage-info` answers; it names directories.
    #[serde(default)]
    pub debug: bool,
    /// How long requests in flight may take to finish after SIGTERM.
    #[serde(default = "default_shutdown_grace")]
    pub shutdown_grace: Interval,
}

/// What of a configuration holds until the next start; a server takes up everything else while
/// it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fixed {
    /// [`SidecarConfig::store`].
    pub store: String,
    /// [`SidecarConfig::listen`].
    pub listen: SocketAddr,
    /// [`SidecarConfig::management_listen`].
    pub management_listen: SocketAddr,
    /// [`SidecarConfig::backend`].
    pub backend: Backend,
    /// [`SidecarConfig::shutdown_grace`].
    pub shutdown_grace: Interval,
}

impl SidecarConfig {
    /// What a change of cannot be taken up by a running server.
    #[must_use]
    pub fn fixed(&self) -> Fixed {
        Fixed {
            store: self.store.clone(),
            listen: self.listen,
            management_listen: self.management_listen,
            backend: self.backend.clone(),
            shutdown_grace: self.shutdown_grace.clone(),
        }
    }
}

/// Says what an address is, where the standard library only says that this is none.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "{text:?} is not an address: write an IP address and a port, such as 127.0.0.1:8080 \
             or [::1]:8080"
        ))
    })
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 8080))
}

fn default_management_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 8081))
}

fn default_shutdown_grace() -> Interval {
    Interval::from_secs(20)
}

/// Where the data stands; exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Backend {
    /// A directory.
    Volume(VolumeBackend),
}

/// A directory on a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeBackend {
    /// The directory; it is made if its parent exists.
    pub path: PathBuf,
}

/// A contract that a store can serve.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Contract {
    /// JSON documents under compare-and-swap.
    RunStore,
    /// Namespaces of keys under one version.
    Kv,
    /// Runtime configs of Git branches, replaced as one.
    Runtimes,
    /// Versioned archives of sites, with the log of each build.
    Artifacts,
}

impl Contract {
    /// Every contract.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::RunStore, Self::Kv, Self::Runtimes, Self::Artifacts]
    }

    /// The word in resources, tokens and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunStore => "runStore",
            Self::Kv => "kv",
            Self::Runtimes => "runtimes",
            Self::Artifacts => "artifacts",
        }
    }
}

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Auth {
    /// A directory with one file per token, as a mounted Secret has it: the file's name is the
    /// token's name, its text a [`crate::Token`]. Changes are taken up while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_dir: Option<PathBuf>,
    /// What a request without credentials may do.
    pub anonymous: Anonymous,
}

/// What a request without credentials may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Anonymous {
    /// Nothing.
    #[default]
    None,
    /// Read everything that the store serves.
    Read,
}

/// What credentials allow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Reads only.
    #[serde(rename = "read")]
    Read,
    /// Reads and writes.
    #[default]
    #[serde(rename = "readWrite", alias = "read-write")]
    ReadWrite,
}

/// What a request may weigh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// The most bytes of a JSON body, except that of a runtime set: 413 above it.
    pub max_json_bytes: ByteSize,
    /// The most bytes of a KV namespace's snapshot: 507 above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_namespace_bytes: Option<ByteSize>,
    /// The most bytes of the body that replaces a set of runtime configs: 413 above it.
    pub max_runtime_set_bytes: ByteSize,
    /// The most bytes of an archive: 413 above it.
    pub max_artifact_bytes: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_json_bytes: ByteSize::from_bytes(8 << 20),
            max_namespace_bytes: None,
            max_runtime_set_bytes: ByteSize::from_bytes(64 << 20),
            max_artifact_bytes: ByteSize::from_bytes(2 << 30),
        }
    }
}

/// Which browser origins may call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cors {
    /// Exact origins (`https://app.example`), `null`, or `*`.
    pub allowed_origins: Vec<String>,
}

/// The run-store contract's own settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RunStore {
    /// Whether a PUT without a condition is refused with 428.
    pub require_precondition: bool,
}

/// The quota of one KV namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceQuota {
    /// The namespace's name.
    pub name: String,
    /// The most bytes of its snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// The most keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_keys: Option<u64>,
}
