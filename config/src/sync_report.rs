//! What a sync reports: the termination message of its pod, from which the operator makes the
//! status of a source.

use serde::{Deserialize, Serialize};

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
    /// `IncludeRefused`, `CredentialsUnusable`, `PublishFailed`, `StoreUnavailable`, `GitMissing`,
    /// `FetchFailed`.
    pub reason: String,
    /// A sentence for a person that says what to do; no secret, no path of this machine.
    pub message: String,
    /// The commit that was looked at, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How many configs it holds.
    #[serde(default)]
    pub files: usize,
    /// The tag of the set that is served, where it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The files that are invalid, with every reason; the message counts those left out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub invalid: Vec<InvalidFile>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
}

impl SyncReport {
    /// Whether another try may end well with nothing changed: something was out of reach, or an
    /// answer was lost. A sync that took all its time counts as well.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.outcome == Outcome::Unknown
            || self.outcome == Outcome::Failed && Self::is_transient(&self.reason)
    }

    /// Whether what the word of a failed sync stands for may pass with nothing changed. For whoever
    /// has kept the word alone; a report says it by [`Self::may_pass`].
    #[must_use]
    pub fn is_transient(reason: &str) -> bool {
        ["Unreachable", "TimedOut", "StoreUnavailable"].contains(&reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_told_from_what_somebody_has_to_change() {
        let table = [
            (Outcome::Failed, "Unreachable", true),
            (Outcome::Failed, "TimedOut", true),
            (Outcome::Failed, "StoreUnavailable", true),
            (Outcome::Unknown, "TimedOut", true),
            (Outcome::Failed, "AuthenticationFailed", false),
            (Outcome::Failed, "BranchNotFound", false),
            (Outcome::Failed, "PublishFailed", false),
            (Outcome::Invalid, "InvalidFiles", false),
            (Outcome::Unchanged, "Unchanged", false),
        ];
        for (outcome, reason, expected) in table {
            let report: SyncReport = serde_json::from_value(serde_json::json!({
                "repoId": "etl", "branch": "main", "outcome": outcome, "reason": reason,
                "message": "said",
            }))
            .unwrap();
            assert_eq!(report.may_pass(), expected, "{outcome:?} {reason}");
        }
    }
}
