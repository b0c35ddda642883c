//! What became of a branch's Jobs. Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use stowage_config::SyncReport;

use super::diagnose::{terminated, why_no_report, why_not_running};
use super::names::{CONFIGURATION, REQUEST, SYNC};
use super::problem::Problem;

/// The Jobs of one branch and Store.
#[derive(Debug, Clone, Default)]
pub(super) struct BranchJobs {
    /// Those that run, or are about to.
    pub running: Vec<RunningJob>,
    /// The one that finished last.
    pub newest: Option<Attempt>,
    /// What all of them, finished or not, were made for.
    pub requests: Vec<String>,
    /// The configurations that all of them run with.
    pub configurations: Vec<String>,
}

/// A Job that is not finished.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunningJob {
    /// Its name.
    pub name: String,
    /// The digest of the configuration that it runs with.
    pub configuration: Option<String>,
    /// Whether it answers a request, or comes from the schedule.
    pub immediate: bool,
    /// Why it does not get on.
    pub problem: Option<Problem>,
    /// Whether its container runs.
    pub started: bool,
}

/// A Job that is finished.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    /// Its name.
    pub job: String,
    /// When it was done, to the second.
    pub finished: Timestamp,
    /// The digest of the configuration that it ran with.
    pub configuration: Option<String>,
    /// What it did, or why that is not known.
    pub result: Result<SyncReport, Problem>,
}

/// Sorts out the Jobs whose CronJob has the name `child`.
#[must_use]
pub(super) fn branch_jobs(child: &str, jobs: &[Job], pods: &[Pod], events: &[Event]) -> BranchJobs {
    let mut found = BranchJobs::default();
    let of_branch = jobs.iter().filter(|job| {
        job.labels().get(SYNC).map(String::as_str) == Some(child)
            && job.metadata.deletion_timestamp.is_none()
    });
    for job in of_branch {
        let pods: Vec<&Pod> = pods.iter().filter(|pod| is_of(pod, job)).collect();
        let annotation = |name: &str| job.annotations().get(name).cloned();
        let (request, configuration) = (annotation(REQUEST), annotation(CONFIGURATION));
        found.configurations.extend(configuration.clone());
        let Some(finished) = finished_at(job) else {
            let problem = why_not_running(job, &pods, events);
            found.running.push(RunningJob {
                name: job.name_any(),
                configuration,
                immediate: request.is_some(),
                problem,
                started: pods.iter().any(|pod| has_started(pod)),
            });
            found.requests.extend(request);
            continue;
        };
        found.requests.extend(request);
        let result = last_report(&pods).ok_or_else(|| why_no_report(job, &pods));
        let attempt = Attempt { job: job.name_any(), finished, configuration, result };
        let newer = |newest: &Attempt| attempt.key() > newest.key();
        if found.newest.as_ref().is_none_or(newer) {
            found.newest = Some(attempt);
        }
    }
    found
}

impl Attempt {
    /// Orders attempts; two that finished within the same second by name, so that the order is
    /// always the same one.
    #[must_use]
    pub(super) fn key(&self) -> (Timestamp, &str) {
        (self.finished, &self.job)
    }
}

/// Whether a Job was made for a source: by the operator, or by the CronJob of one of its branches
/// (also by hand, with `kubectl create job --from`). One that a person copied to try something has
/// its labels and is theirs.
#[must_use]
pub(super) fn is_made_for(job: &Job, source_uid: Option<&str>) -> bool {
    let child = job.labels().get(SYNC);
    job.owner_references().iter().any(|owner| {
        Some(owner.uid.as_str()) == source_uid
            || owner.kind == "CronJob" && Some(&owner.name) == child
    })
}

fn is_of(pod: &Pod, job: &Job) -> bool {
    job.uid().is_some_and(|uid| pod.owner_references().iter().any(|owner| owner.uid == uid))
}

/// When the Job controller said that it is over.
fn finished_at(job: &Job) -> Option<Timestamp> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let over = conditions
        .iter()
        .find(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")?;
    let at = over.last_transition_time.as_ref().or(job.metadata.creation_timestamp.as_ref())?;
    Timestamp::from_second(at.0.as_second()).ok()
}

/// Whether the Job controller said that it is over.
#[must_use]
pub(super) fn is_finished(job: &Job) -> bool {
    finished_at(job).is_some()
}

fn has_started(pod: &Pod) -> bool {
    let state = super::diagnose::container(pod).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.running.is_some())
}

/// The report of the last try.
fn last_report(pods: &[&Pod]) -> Option<SyncReport> {
    let ended = pods.iter().filter_map(|pod| terminated(pod));
    let last = ended.max_by_key(|ended| ended.finished_at.as_ref().map(|time| time.0))?;
    serde_json::from_str(last.message.as_deref()?).ok()
}
