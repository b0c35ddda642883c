//! The configuration of one Git sync: one branch of one repository into one store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, Interval};

/// The whole configuration file of `stowage-sidecar sync`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncConfig {
    /// The repository's id in the store.
    pub repo_id: String,
    /// The branch.
    pub branch: String,
    /// Where to fetch from: `https://`, `ssh://`, `user@host:path`, and, where
    /// [`Self::allow_insecure_urls`] says so, `http://` and `file://`.
    pub url: String,
    /// Whether `http://` and `file://` are allowed.
    #[serde(default)]
    pub allow_insecure_urls: bool,
    /// Which files are configs; `*` stops at `/`, `**` does not.
    #[serde(default = "default_include")]
    pub include: Vec<String>,
    /// What every config must satisfy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// Credentials for the fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<GitAuth>,
    /// How long the whole sync may take.
    #[serde(default = "default_timeout")]
    pub timeout: Interval,
    /// What a branch may weigh.
    #[serde(default)]
    pub limits: SyncLimits,
    /// The store that serves the set.
    pub target: SyncTarget,
}

/// The files that are configs where a source names none.
#[must_use]
pub fn default_include() -> Vec<String> {
    ["**/*runtime*.yaml", "**/*runtime*.yml", "**/*runtime*.json"].map(String::from).to_vec()
}

fn default_timeout() -> Interval {
    Interval::from_secs(60)
}

/// What every config must satisfy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schema {
    /// Where the JSON Schema stands.
    pub source: SchemaSource,
    /// The JSON pointer (RFC 6901) of what the schema describes inside a config; empty: all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pointer: String,
}

/// Where a JSON Schema stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SchemaSource {
    /// Here.
    Inline(serde_json::Value),
    /// In a file of this machine: a mounted ConfigMap's key.
    File(PathBuf),
    /// In the repository, at the synced commit.
    Repository(String),
}

/// Credentials for the fetch. Secrets stand in files, as a mounted Secret has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum GitAuth {
    /// A directory with the Secret's keys as files: `username` and `password`, or
    /// `bearerToken`, or `ssh-privatekey` and `known_hosts`.
    SecretDir(PathBuf),
}

/// What a branch may weigh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SyncLimits {
    /// The most files that are configs.
    pub max_files: u64,
    /// The most bytes of one of them.
    pub max_file_bytes: ByteSize,
    /// The most bytes of all of them.
    pub max_total_bytes: ByteSize,
    /// The most bytes that the fetch may take on disk.
    pub max_repository_bytes: ByteSize,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self {
            max_files: 10_000,
            max_file_bytes: ByteSize::from_bytes(10 << 20),
            max_total_bytes: ByteSize::from_bytes(48 << 20),
            max_repository_bytes: ByteSize::from_bytes(256 << 20),
        }
    }
}

/// The store that serves the set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncTarget {
    /// The store's URL, without a path.
    pub url: String,
    /// A file that holds a token with the write right on runtimes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}
