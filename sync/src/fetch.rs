//! The fetch: one branch, one commit deep, into a repository that lasts as long as the sync.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::credentials::Credentials;
use crate::diagnose::{Diagnosis, diagnose};
use crate::git::{Answer, Git, GitError};
use crate::machine::Machine;
use crate::secret::redact;
use crate::workspace::Workspace;
use stowage_config::RepositoryUrl;

/// How often the bytes on disk are looked at: what can arrive meanwhile is little beside a limit.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Where the branch stands in the own repository.
const FETCHED: &str = "refs/heads/fetched";

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("the branch weighs more than {bytes_max} bytes on disk: raise the limit or slim it")]
    TooLarge { bytes_max: u64 },
    #[error("{diagnosis} (fetching {url}, branch {branch}{said})")]
    Failed { diagnosis: Diagnosis, url: String, branch: String, said: String },
}

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Checkout {
    /// git, in the repository.
    pub(crate) git: Git,
    /// The commit.
    pub(crate) revision: String,
}

/// Fetches the tip of a branch.
///
/// Cancel-safe: dropped, it leaves neither a process nor a file.
///
/// # Errors
/// [`FetchError`] says what to do.
pub(crate) async fn fetch(
    machine: &Machine,
    url: &RepositoryUrl,
    branch: &str,
    credentials: &Credentials,
    bytes_max: u64,
) -> Result<Checkout, FetchError> {
    let git = Git::prepare(machine, url, credentials)?;
    let made = git.run(&["init", "--quiet", "--bare", "--template="]).await?;
    if !made.status.success() {
        return Err(GitError::Answer("the repository could not be made").into());
    }
    let refspec = format!("+refs/heads/{branch}:{FETCHED}");
    let arguments = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--depth=1",
        "--no-recurse-submodules",
        "--no-write-fetch-head",
        "--",
        url.as_str(),
        refspec.as_str(),
    ];
    let answer = tokio::select! {
        answer = git.run(&arguments) => answer?,
        () = outgrows(git.workspace(), bytes_max) => return Err(FetchError::TooLarge { bytes_max }),
    };
    if !answer.status.success() {
        return Err(explain(&git, url, branch, &answer));
    }
    if git.workspace().bytes_on_disk() > bytes_max {
        return Err(FetchError::TooLarge { bytes_max });
    }
    let revision = resolve(&git).await?;
    Ok(Checkout { git, revision })
}

/// Ends when the workspace holds more than `bytes_max`.
async fn outgrows(workspace: &Workspace, bytes_max: u64) {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while workspace.bytes_on_disk() <= bytes_max {
        ticks.tick().await;
    }
}

fn explain(git: &Git, url: &RepositoryUrl, branch: &str, answer: &Answer) -> FetchError {
    let diagnosis = diagnose(&answer.stderr);
    // The sentence says it all, except where the cause is not known.
    let said = match diagnosis {
        Diagnosis::Unknown | Diagnosis::Unreachable => {
            format!("; git says: {}", redact(&answer.stderr, git.secrets()))
        }
        _ => String::new(),
    };
    FetchError::Failed { diagnosis, url: url.to_string(), branch: branch.to_owned(), said }
}

async fn resolve(git: &Git) -> Result<String, GitError> {
    let commit = format!("{FETCHED}^{{commit}}");
    let answer = git.run(&["rev-parse", "--verify", "--quiet", &commit]).await?;
    let id = answer.stdout.lines().last().unwrap_or_default();
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        return Err(GitError::Answer("the branch does not name a commit"));
    }
    Ok(id.to_owned())
}
