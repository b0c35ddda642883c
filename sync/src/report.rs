//! What a sync hands on to a publisher. The report of what happened stands in `stowage_config`.

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
    /// It was not: the store was out of reach or busy for as long as the sync lasted.
    #[error("{0}")]
    Unavailable(String),
    /// It may have been: the answer was lost, or said so. Publishing it again is harmless.
    #[error("{0}")]
    Unknown(String),
    /// It was not: since [`crate::Publisher::prepare`] another sync of the branch published.
    #[error("another sync of this branch published in between: sync again")]
    Overtaken,
}
