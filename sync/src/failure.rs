//! Every way in which a sync ends without a new set, and its word.

use stowage_config::{InvalidFile, Outcome, UrlRefused};

use crate::credentials::CredentialsUnusable;
use crate::fetch::FetchError;
use crate::git::GitError;
use crate::name::NameRefused;
use crate::reason::Reason;
use crate::report::PublishError;
use crate::select::SelectError;
use crate::tree::TreeError;
use crate::validate::SchemaUnusable;

/// Why no new set is served, or why that is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Name(#[from] NameRefused),
    #[error(transparent)]
    Url(#[from] UrlRefused),
    #[error(transparent)]
    Schema(#[from] SchemaUnusable),
    #[error(transparent)]
    Credentials(#[from] CredentialsUnusable),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("{count} {noun} invalid, so nothing was published and the set that is served stays: \
        correct {pronoun} and push again",
        noun = if *count == 1 { "file is" } else { "files are" },
        pronoun = if *count == 1 { "it" } else { "them" })]
    Invalid { count: usize, files: Vec<InvalidFile> },
    #[error("{stage} was not done within {timeout}: look at the server, or raise the timeout")]
    TimedOut { stage: Stage, timeout: String },
    #[error("{what}: {0}", what = was_published(.0))]
    Publish(PublishError),
}

fn was_published(error: &PublishError) -> &'static str {
    match error {
        PublishError::Refused(_) | PublishError::Unavailable(_) | PublishError::Overtaken => {
            "the set could not be published"
        }
        PublishError::Unknown(_) => "it is unknown whether the set was published",
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Git(error) => Self::Git(error),
            TreeError::Select(error) => Self::Select(error),
        }
    }
}

impl Failure {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Invalid { .. } => Outcome::Invalid,
            Self::Publish(PublishError::Unknown(_))
            | Self::TimedOut { stage: Stage::Publishing, .. } => Outcome::Unknown,
            _ => Outcome::Failed,
        }
    }

    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Name(_) => Reason::NameRefused,
            Self::Url(_) => Reason::UrlRefused,
            Self::Schema(_) => Reason::SchemaUnusable,
            Self::Credentials(_) => Reason::CredentialsUnusable,
            Self::Fetch(FetchError::Git(error)) | Self::Git(error) => git_reason(error),
            Self::Fetch(FetchError::TooLarge { .. }) => Reason::TooLarge,
            Self::Fetch(FetchError::Failed { diagnosis, .. }) => diagnosis.reason(),
            Self::Select(error) => select_reason(error),
            Self::Invalid { .. } => Reason::InvalidFiles,
            Self::TimedOut { .. } => Reason::TimedOut,
            Self::Publish(PublishError::Unavailable(_)) => Reason::StoreUnavailable,
            Self::Publish(_) => Reason::PublishFailed,
        }
    }
}

fn git_reason(error: &GitError) -> Reason {
    match error {
        GitError::Missing(_) => Reason::GitMissing,
        GitError::Scratch(_) | GitError::Run(_) | GitError::Answer(_) => Reason::FetchFailed,
    }
}

fn select_reason(error: &SelectError) -> Reason {
    match error {
        SelectError::Pattern { .. } | SelectError::Patterns => Reason::IncludeRefused,
        SelectError::NoFiles(_) => Reason::NoFiles,
        SelectError::TooManyFiles(_)
        | SelectError::TooManyBytes(_)
        | SelectError::TooManyEntries
        | SelectError::TooDeep => Reason::TooLarge,
        SelectError::Listing => Reason::FetchFailed,
    }
}

/// What a sync is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    #[default]
    Fetching,
    Reading,
    Publishing,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fetching => "fetching the branch",
            Self::Reading => "reading the files",
            Self::Publishing => "publishing the set",
        })
    }
}
