//! The status of a source, from what stood there and what was found. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use stowage_config::{Outcome, SyncReport};
use stowage_crds::{
    BranchStatus, FileError, InvalidFile, RuntimeConfigSource, RuntimeConfigSourceStatus,
};

use super::problem::{Problem, Remedy};
use super::report::Attempt;
use super::stage::{Stages, passes};
use crate::kubernetes::{ConditionType, Conditions};

/// What a reconcile found about one branch and Store.
#[derive(Debug, Clone, Default)]
pub(super) struct BranchNow {
    /// The branch.
    pub name: String,
    /// The Store.
    pub store: String,
    /// The digest of the configuration that it is to be synced with.
    pub configuration: Option<String>,
    /// What keeps it from being synced, or its present sync from getting on.
    pub problem: Option<Problem>,
    /// The request that a Job was made for, where one was made now.
    pub handled: Option<String>,
    /// Its newest finished sync.
    pub attempt: Option<Attempt>,
}

/// The entry of a branch as it stood in the status.
#[must_use]
pub(super) fn branch_before<'a>(
    source: &'a RuntimeConfigSource,
    name: &str,
    store: &str,
) -> Option<&'a BranchStatus> {
    let branches = source.status.as_ref().map(|status| status.branches.as_slice());
    branches.unwrap_or_default().iter().find(|branch| branch.name == name && branch.store == store)
}

/// The status that `source` is to have.
#[must_use]
pub(super) fn status(
    source: &RuntimeConfigSource,
    now: &[BranchNow],
    time: Timestamp,
) -> RuntimeConfigSourceStatus {
    let branches: Vec<BranchStatus> = now
        .iter()
        .map(|now| branch_after(branch_before(source, &now.name, &now.store), now))
        .collect();
    let before = source.status.as_ref().map(|status| status.conditions.as_slice());
    let generation = source.meta().generation;
    let mut conditions = Conditions::new(before.unwrap_or_default(), generation, Time(time));
    set_ready(&mut conditions, source.spec.suspend, now, &branches);
    set_stages(&mut conditions, &branches);
    RuntimeConfigSourceStatus {
        observed_generation: generation,
        conditions: conditions.finish(),
        branches,
    }
}

/// The entry of a branch after what was found. An attempt counts once: finished Jobs go away in
/// any order, and an older one that is left over must not bring back what it said.
#[must_use]
pub(super) fn branch_after(before: Option<&BranchStatus>, now: &BranchNow) -> BranchStatus {
    let mut branch = before.cloned().unwrap_or_else(|| BranchStatus::new(&now.name, &now.store));
    if now.handled.is_some() {
        branch.handled_request.clone_from(&now.handled);
    }
    if let Some(attempt) = now.attempt.as_ref().filter(|attempt| is_new(&branch, attempt)) {
        take(&mut branch, attempt);
    }
    branch
}

/// Whether the status does not know of an attempt yet.
#[must_use]
pub(super) fn is_new(branch: &BranchStatus, attempt: &Attempt) -> bool {
    match (&branch.last_attempt_time, &branch.job) {
        (Some(time), Some(job)) => attempt.key() > (time.0, job.as_str()),
        _ => true,
    }
}

fn take(branch: &mut BranchStatus, attempt: &Attempt) {
    let finished = Time(attempt.finished);
    branch.job = Some(attempt.job.clone());
    branch.last_attempt_time = Some(finished.clone());
    branch.attempted_configuration.clone_from(&attempt.configuration);
    match &attempt.result {
        Ok(report) => {
            branch.reason = Some(report.reason.clone());
            branch.message = Some(report.message.clone());
            branch.attempted_revision.clone_from(&report.revision);
            take_report(branch, report, finished);
        }
        Err(problem) => {
            branch.reason = Some(problem.reason.clone());
            branch.message = Some(problem.message.clone());
            branch.attempted_revision = None;
        }
    }
}

/// What is served changes with a set that is; a failure leaves it, and what was known of the
/// files, since it says nothing about them.
fn take_report(branch: &mut BranchStatus, report: &SyncReport, finished: Time) {
    match report.outcome {
        Outcome::Published | Outcome::Unchanged => {
            branch.revision.clone_from(&report.revision);
            branch.files = u32::try_from(report.files).ok();
            branch.digest = report.etag.as_deref().map(|tag| tag.trim_matches('"').to_owned());
            branch.last_sync_time = Some(finished);
            branch.invalid = Vec::new();
        }
        Outcome::Invalid => {
            branch.invalid = report.invalid.iter().map(invalid_file).collect();
        }
        Outcome::Failed | Outcome::Unknown => {}
    }
}

fn invalid_file(file: &stowage_config::InvalidFile) -> InvalidFile {
    let error = |error: &stowage_config::FileError| FileError {
        at: error.at.clone(),
        message: error.message.clone(),
    };
    InvalidFile { file: file.file.clone(), errors: file.errors.iter().map(error).collect() }
}

fn set_ready(
    conditions: &mut Conditions,
    suspend: bool,
    now: &[BranchNow],
    branches: &[BranchStatus],
) {
    if suspend {
        set_suspended(conditions, branches);
        return;
    }
    let problems: Vec<(String, Problem)> = now
        .iter()
        .zip(branches)
        .filter_map(|(now, branch)| Some((place(branch, branches), what_lacks(now, branch)?)))
        .collect();
    // What somebody has to change is told before what passes.
    let change = problems.iter().find(|(_, problem)| problem.remedy == Remedy::Change);
    let Some((_, first)) = change.or(problems.first()) else {
        let served: Vec<String> = branches.iter().map(|branch| served(branch, branches)).collect();
        conditions.ready("Published", &served.join(" "));
        return;
    };
    let sentences: Vec<String> = problems
        .iter()
        .map(|(place, problem)| format!("{place}: {}.", problem.message.trim_end_matches('.')))
        .collect();
    match first.remedy {
        Remedy::Change => conditions.stalled(&first.reason, &sentences.join(" ")),
        Remedy::Time => conditions.reconciling(&first.reason, &sentences.join(" ")),
    };
}

/// Keeps what was last known; nothing is on its way, and nobody is asked to do something.
fn set_suspended(conditions: &mut Conditions, branches: &[BranchStatus]) {
    let lacking = branches.iter().find(|branch| !Stages::of(branch).done());
    let message = match lacking {
        None => "Syncs are suspended; what was synced last is served.".to_owned(),
        Some(branch) => match &branch.message {
            None => format!("Syncs are suspended; {} was never synced.", place(branch, branches)),
            Some(message) => {
                format!("Syncs are suspended; {} before that: {message}", place(branch, branches))
            }
        },
    };
    conditions.set(ConditionType::Ready, lacking.is_none(), "Suspended", &message);
}

/// Why the newest commit of a branch is not served, as far as is known.
fn what_lacks(now: &BranchNow, branch: &BranchStatus) -> Option<Problem> {
    if let Some(problem) = &now.problem {
        return Some(problem.clone());
    }
    if now.configuration.is_none() || branch.attempted_configuration != now.configuration {
        return Some(Problem::time("Syncing", "it is being synced"));
    }
    let reason = branch.reason.as_deref().unwrap_or_default();
    let message = branch.message.as_deref().unwrap_or_default();
    if Stages::of(branch).done() {
        None
    } else if passes(reason) {
        let message = format!("{}; it is tried again", message.trim_end_matches('.'));
        Some(Problem::time(reason, message))
    } else {
        Some(Problem::change(reason, message))
    }
}

fn set_stages(conditions: &mut Conditions, branches: &[BranchStatus]) {
    type Passed = fn(Stages) -> Option<bool>;
    let stages: [(ConditionType, &str, Passed); 3] = [
        (ConditionType::Fetched, "The newest commit of every branch was fetched.", |stages| {
            stages.fetched
        }),
        (ConditionType::Validated, "Every file of it is valid.", |stages| stages.validated),
        (ConditionType::Published, "It is served.", |stages| stages.published),
    ];
    for (kind, message, passed) in stages {
        let failed = branches.iter().find(|branch| passed(Stages::of(branch)) == Some(false));
        if let Some(branch) = failed {
            let said = branch.message.as_deref().unwrap_or_default();
            let message = format!("{}: {said}", place(branch, branches));
            conditions.set(kind, false, branch.reason.as_deref().unwrap_or("Failed"), &message);
        } else if branches.iter().all(|branch| passed(Stages::of(branch)) == Some(true)) {
            conditions.set(kind, true, kind.as_str(), message);
        }
    }
}

/// `Branch main`, or with the Store where the branch goes to more than one.
fn place(branch: &BranchStatus, all: &[BranchStatus]) -> String {
    let several = all.iter().filter(|other| other.name == branch.name).count() > 1;
    let store = if several { format!(" into {}", branch.store) } else { String::new() };
    format!("Branch {}{store}", branch.name)
}

fn served(branch: &BranchStatus, all: &[BranchStatus]) -> String {
    let files = branch.files.unwrap_or_default();
    let noun = if files == 1 { "config" } else { "configs" };
    format!("{} is served at {} with {files} {noun}.", place(branch, all), short(branch))
}

fn short(branch: &BranchStatus) -> String {
    branch.revision.as_deref().unwrap_or_default().chars().take(12).collect()
}

#[cfg(test)]
mod tests;
