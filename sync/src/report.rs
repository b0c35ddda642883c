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

impl SyncReport {
    /// The report as JSON of at most `bytes_max` bytes, such as the 4096 of a Kubernetes
    /// termination message: of the invalid files it keeps as much as fits, from the first on.
    ///
    /// # Errors
    /// As [`serde_json::to_string`], which this type gives no cause for.
    pub fn to_json_within(&self, bytes_max: usize) -> serde_json::Result<String> {
        let mut report = self.clone();
        let mut json = serde_json::to_string(&report)?;
        while json.len() > bytes_max && !report.invalid.is_empty() {
            let errors_max = report.invalid.iter().map(|f| f.errors.len()).max().unwrap_or(0);
            if errors_max > 1 {
                report.invalid.iter_mut().for_each(|f| f.errors.truncate(errors_max / 2));
            } else {
                report.invalid.truncate(report.invalid.len() / 2);
            }
            json = serde_json::to_string(&report)?;
        }
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_cut_to_what_fits_and_stays_a_report() {
        let error = FileError { at: "/a".to_owned(), message: "m".repeat(300) };
        let file = |n| InvalidFile { file: format!("{n}.yaml"), errors: vec![error.clone(); 20] };
        let report = SyncReport {
            repo_id: "etl".to_owned(),
            branch: "main".to_owned(),
            outcome: Outcome::Invalid,
            reason: "InvalidFiles".to_owned(),
            message: "m".repeat(300),
            revision: None,
            files: 50,
            etag: None,
            invalid: (0..50).map(file).collect(),
            duration_ms: 1,
        };
        let json = report.to_json_within(4096).unwrap();
        assert!(json.len() <= 4096, "{} bytes", json.len());
        let cut: SyncReport = serde_json::from_str(&json).unwrap();
        assert_eq!((cut.invalid[0].file.as_str(), cut.files), ("0.yaml", 50));
        assert!(cut.invalid.len() >= 5, "{} files were kept", cut.invalid.len());
        let whole = report.to_json_within(usize::MAX).unwrap();
        assert_eq!(serde_json::from_str::<SyncReport>(&whole).unwrap(), report);
    }
}
