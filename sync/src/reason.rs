//! The words for machines that say why a sync ended as it did.

use std::fmt;

/// A word of [`crate::SyncReport::reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Published,
    Unchanged,
    InvalidFiles,
    NoFiles,
    NameRefused,
    UrlRefused,
    IncludeRefused,
    SchemaUnusable,
    CredentialsUnusable,
    RepositoryNotFound,
    BranchNotFound,
    AuthenticationFailed,
    HostKeyRejected,
    Unreachable,
    TimedOut,
    TooLarge,
    GitMissing,
    FetchFailed,
    PublishFailed,
    StoreUnavailable,
}

impl fmt::Display for Reason {
    /// The variant's name is the word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
