//! What a sync hands on: the set to publish, and the report of what happened.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One config of a set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its path in the repository.
    pub filepath: String,
    /// Its content as compact JSON.
    pub config: Box<RawValue>,
}

/// All configs of a branch at one commit; serialised, the body of `PUT /runtimes/{repo}/{branch}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConfigSet {
    /// The repository's id in the store; part of the URL, not of the body.
    #[serde(skip)]
    pub repo_id: String,
    /// The branch; part of the URL, not of the body.
    #[serde(skip)]
    pub branch: String,
    /// The commit.
    pub revision: String,
    /// By path, bytewise.
    pub files: Vec<ConfigFile>,
}

/// What publishing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Whether the content differs from what was served before.
    pub changed: bool,
    /// The set's entity tag, with its quotes.
    pub etag: String,
}

/// Why a set was not published, in a sentence for a person without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It was not: the old set is still served.
    #[error("{0}")]
    Refused(String),
    /// It may have been: the answer was lost, or said so. Publishing it again is harmless.
    #[error("{0}")]
    Unknown(String),
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A new set is served.
    Published,
    /// The commit holds what was served already.
    Unchanged,
    /// Files are invalid; the old set is served.
    Invalid,
    /// The fetch, a limit, the schema or the publishing failed; the old set is served.
    Failed,
    /// The answer to the publishing was lost: the old set is served, or the new one. The next
    /// sync settles it.
    Unknown,
}

/// One fault in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileError {
    /// Where in the document (JSON pointer), or `line:column` where it does not parse.
    pub at: String,
    /// What is wrong there.
    pub message: String,
}

/// A file that cannot be served, with every reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidFile {
    /// Its path in the repository.
    pub file: String,
    /// Why; at least one.
    pub errors: Vec<FileError>,
}

/// What a sync did, as its termination message and the operator's status carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncReport {
    /// The repository's id in the store.
    pub repo_id: String,
    /// The branch.
    pub branch: String,
    /// How it ended.
    pub outcome: Outcome,
    /// A word for machines, CamelCase: `Published`, `Unchanged`, `InvalidFiles`, `NoFiles`,
    /// `RepositoryNotFound`, `BranchNotFound`, `AuthenticationFailed`, `HostKeyRejected`,
    /// `Unreachable`, `TimedOut`, `TooLarge`, `SchemaUnusable`, `NameRefused`, `UrlRefused`,
    /// `IncludeRefused`, `CredentialsUnusable`, `PublishFailed`, `GitMissing`, `FetchFailed`.
    pub reason: String,
    /// A sentence for a person that says what to do; no secret, no path of this machine.
    pub message: String,
    /// The commit that was looked at, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How many configs it holds.
    pub files: usize,
    /// The tag of the set that is served, where it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The files that are invalid, with every reason; the message counts those left out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub invalid: Vec<InvalidFile>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}
