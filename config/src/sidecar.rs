//! The configuration of one storage server.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{ByteSize, Interval, Jwt, NamespaceTokens, Tracing};

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
    /// How many versions of each namespace, run-store document and set of runtime configs can be
    /// read, the current one included; 0 for no history.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "history")]
    pub history: u32,
    /// Whether `GET /_debug/storage-info` answers; it names directories.
    #[serde(default)]
    pub debug: bool,
    /// How long requests in flight may take to finish after SIGTERM.
    #[serde(default = "default_shutdown_grace")]
    pub shutdown_grace: Interval,
    /// Where traces of requests go; `None` for nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
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
    /// [`SidecarConfig::history`].
    #[serde(skip_serializing_if = "is_zero")]
    pub history: u32,
    /// [`SidecarConfig::shutdown_grace`].
    pub shutdown_grace: Interval,
    /// [`SidecarConfig::tracing`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    /// [`Limits::max_connections`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<NonZeroU32>,
}

/// The most versions that can be kept of one namespace or document.
pub const HISTORY_MAX: u32 = 1_000;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn history<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let versions = u32::deserialize(deserializer)?;
    if versions <= HISTORY_MAX {
        return Ok(versions);
    }
    Err(D::Error::custom(format!(
        "{versions} versions are more than can be kept: write 0 (no history) to {HISTORY_MAX}"
    )))
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
            history: self.history,
            shutdown_grace: self.shutdown_grace.clone(),
            tracing: self.tracing.clone(),
            max_connections: self.limits.max_connections,
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
    /// The most memory for documents and namespaces: half of it for what is read again, half for
    /// what is not in the tree yet. The process takes more, see `docs/configuration.md`.
    #[serde(default = "default_memory", deserialize_with = "memory")]
    pub memory: ByteSize,
    /// The most room for the journal; an eighth of the volume where that is less.
    #[serde(default = "default_journal_size", deserialize_with = "journal_size")]
    pub journal_size: ByteSize,
}

impl VolumeBackend {
    /// The least memory, in bytes.
    pub const MEMORY_BYTES_MIN: u64 = 8 << 20;
    /// The memory where nothing is said of it, in bytes.
    pub const MEMORY_BYTES: u64 = 128 << 20;
    /// The shortest journal, in bytes.
    pub const JOURNAL_BYTES_MIN: u64 = 1 << 20;
    /// The journal's size where nothing is said of it, in bytes.
    pub const JOURNAL_BYTES: u64 = 256 << 20;

    /// A directory with the defaults.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, memory: default_memory(), journal_size: default_journal_size() }
    }
}

fn default_memory() -> ByteSize {
    ByteSize::from_bytes(VolumeBackend::MEMORY_BYTES)
}

fn default_journal_size() -> ByteSize {
    ByteSize::from_bytes(VolumeBackend::JOURNAL_BYTES)
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    at_least(VolumeBackend::MEMORY_BYTES_MIN, deserializer)
}

fn journal_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    at_least(VolumeBackend::JOURNAL_BYTES_MIN, deserializer)
}

fn at_least<'de, D: Deserializer<'de>>(least: u64, deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    if size.bytes() >= least {
        return Ok(size);
    }
    let least = ByteSize::from_bytes(least);
    Err(D::Error::custom(format!("{size} is too little: write {least} or more")))
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
    /// Jobs of an agent runtime, with their checkpoints, runs and events.
    Jobs,
    /// Runtime configs of Git branches, replaced as one.
    Runtimes,
    /// Versioned archives of sites, with the log of each build.
    Artifacts,
}

impl Contract {
    /// Every contract.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::RunStore, Self::Kv, Self::Jobs, Self::Runtimes, Self::Artifacts]
    }

    /// The word in resources, tokens and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunStore => "runStore",
            Self::Kv => "kv",
            Self::Jobs => "jobs",
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
    /// The JWTs that are taken beside the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// What the tokens of StoreNamespaces are known by; the operator and `stowage up` write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_tokens: Option<NamespaceTokens>,
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
    /// The most bytes of a KV namespace's snapshot: 507 above it, and above 256 MiB in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_namespace_bytes: Option<ByteSize>,
    /// The most bytes of the body that replaces a set of runtime configs: 413 above it.
    pub max_runtime_set_bytes: ByteSize,
    /// The most bytes of an archive: 413 above it.
    pub max_artifact_bytes: ByteSize,
    /// How long the head of a connection's first request may take.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time_limit")]
    pub header_timeout: Option<Interval>,
    /// How long a connection may rest after that, the next request's head included; one of h2c without
    /// an open stream.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time_limit")]
    pub idle_timeout: Option<Interval>,
    /// How long a peer may take nothing of an answer that waits for it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "stall_limit")]
    pub stall_timeout: Option<Interval>,
    /// How many connections are held at once; more wait in the kernel's queue. Where nothing is said, as
    /// many as the process has file descriptors for, and [`Limits::CONNECTIONS`] at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<NonZeroU32>,
    /// How many requests one identity may send in a second: 429 above it. No limit where this is
    /// left out.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "request_rate")]
    pub requests_per_second: Option<NonZeroU32>,
    /// How many streams of events and held answers one identity may have at once: 429 above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_watches_per_identity: Option<NonZeroU32>,
    /// How many JWTs of one address may be refused for their signature in a second: above it 429 to what is
    /// not known to be good, and no signature is checked.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "request_rate")]
    pub refusals_per_second: Option<NonZeroU32>,
}

impl Limits {
    /// The most connections where nothing is said of them.
    pub const CONNECTIONS: u32 = 20_000;

    /// [`Self::header_timeout`], 30 s where nothing is said.
    #[must_use]
    pub fn head_max(&self) -> Duration {
        self.header_timeout.as_ref().map_or(Duration::from_secs(30), Interval::duration)
    }

    /// [`Self::idle_timeout`], two minutes where nothing is said.
    #[must_use]
    pub fn rest_max(&self) -> Duration {
        self.idle_timeout.as_ref().map_or(Duration::from_secs(120), Interval::duration)
    }

    /// [`Self::stall_timeout`], a minute where nothing is said.
    #[must_use]
    pub fn stall_max(&self) -> Duration {
        self.stall_timeout.as_ref().map_or(Duration::from_secs(60), Interval::duration)
    }

    /// [`Self::max_watches_per_identity`], a quarter of what a server holds where nothing is said.
    #[must_use]
    pub fn watches_max(&self) -> u32 {
        self.max_watches_per_identity.map_or(Self::WATCHES / 4, NonZeroU32::get)
    }

    /// [`Self::refusals_per_second`], a hundred where nothing is said.
    #[must_use]
    pub fn refusal_rate(&self) -> NonZeroU32 {
        const HUNDRED: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");
        self.refusals_per_second.unwrap_or(HUNDRED)
    }

    /// How many streams of events and held answers a server holds at once. Each takes some memory and, in
    /// HTTP/1.1, a connection, and those who write need some, too.
    pub const WATCHES: u32 = 12_000;

    /// The most that can be written for a rate: more is no limit.
    pub const REQUESTS_PER_SECOND_MAX: u32 = 1_000_000;
}

/// A limit of no time would end every connection.
fn time_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    time_of_at_least(Duration::from_millis(100), "100ms", deserializer)
}

/// What is lost on the way takes that long to be sent again.
fn stall_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    time_of_at_least(Duration::from_secs(1), "1s", deserializer)
}

fn time_of_at_least<'de, D: Deserializer<'de>>(
    least: Duration,
    spelled: &str,
    deserializer: D,
) -> Result<Option<Interval>, D::Error> {
    let time = Option::<Interval>::deserialize(deserializer)?;
    match time {
        Some(time) if time.duration() < least => {
            Err(D::Error::custom(format!("{time} is too short: write {spelled} or more")))
        }
        time => Ok(time),
    }
}

fn request_rate<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroU32>, D::Error> {
    let Some(number) = Option::<u64>::deserialize(deserializer)? else { return Ok(None) };
    let rate = u32::try_from(number).ok().and_then(NonZeroU32::new);
    match rate.filter(|rate| rate.get() <= Limits::REQUESTS_PER_SECOND_MAX) {
        Some(rate) => Ok(Some(rate)),
        None => Err(D::Error::custom(format!(
            "{number} requests per second: write 1 to {}, or leave it out for no limit",
            Limits::REQUESTS_PER_SECOND_MAX
        ))),
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_json_bytes: ByteSize::from_bytes(8 << 20),
            max_namespace_bytes: None,
            max_runtime_set_bytes: ByteSize::from_bytes(64 << 20),
            max_artifact_bytes: ByteSize::from_bytes(2 << 30),
            header_timeout: None,
            idle_timeout: None,
            max_connections: None,
            stall_timeout: None,
            requests_per_second: None,
            max_watches_per_identity: None,
            refusals_per_second: None,
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
