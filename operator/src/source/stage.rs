//! How far the last attempt of a branch came, from its word in the status. Pure.

use stowage_config::SyncReport;
use stowage_crds::BranchStatus;

/// What the last attempt got done; `None` where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stages {
    /// The newest commit was fetched.
    pub fetched: Option<bool>,
    /// Its files can be served.
    pub validated: Option<bool>,
    /// It is served.
    pub published: Option<bool>,
}

/// What happens to pods, and may be otherwise the next time.
const OF_PODS: [&str; 4] = ["DeadlineExceeded", "Evicted", "ReportMissing", "SyncBroke"];

impl Stages {
    /// Those of the last attempt of a branch.
    #[must_use]
    pub(super) fn of(branch: &BranchStatus) -> Self {
        let (yes, no, unknown) = (Some(true), Some(false), None);
        let fetched = branch.attempted_revision.is_some();
        let stages = |fetched, validated, published| Self { fetched, validated, published };
        match branch.reason.as_deref() {
            Some("Published" | "Unchanged") => stages(yes, yes, yes),
            Some("InvalidFiles" | "NoFiles") => stages(yes, no, no),
            // Before the fetch where the patterns or the schema are the source's own.
            Some("SchemaUnusable" | "IncludeRefused") => stages(fetched.then_some(true), no, no),
            Some("PublishFailed" | "StoreUnavailable") if fetched => stages(yes, yes, no),
            Some("PublishFailed" | "StoreUnavailable") => stages(unknown, unknown, no),
            Some("TooLarge" | "FetchFailed") if fetched => stages(yes, no, no),
            Some("TimedOut") if fetched => stages(yes, unknown, no),
            Some(
                "NameRefused"
                | "UrlRefused"
                | "CredentialsUnusable"
                | "RepositoryNotFound"
                | "BranchNotFound"
                | "AuthenticationFailed"
                | "HostKeyRejected"
                | "Unreachable"
                | "TimedOut"
                | "TooLarge"
                | "GitMissing"
                | "FetchFailed",
            ) => stages(no, unknown, unknown),
            _ => stages(unknown, unknown, unknown),
        }
    }

    /// Whether the newest commit is served.
    #[must_use]
    pub(super) fn done(self) -> bool {
        self.published == Some(true)
    }
}

/// Whether what a reason stands for may pass with nothing changed.
#[must_use]
pub(super) fn passes(reason: &str) -> bool {
    SyncReport::is_transient(reason) || OF_PODS.contains(&reason)
}
