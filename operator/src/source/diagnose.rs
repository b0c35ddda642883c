//! Why a sync's pod does not start, or ended without a report. Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};
use kube::ResourceExt;

use super::build::CONTAINER;
use super::problem::Problem;

/// What the kubelet says of an image that it does not get.
const IMAGE_REASONS: [&str; 4] =
    ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];
/// What it says of a container that it cannot make or start.
const CONTAINER_REASONS: [&str; 4] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "ContainerCannotRun",
];

/// The container of the sync.
#[must_use]
pub(super) fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == CONTAINER)
}

/// What the container left when it ended.
#[must_use]
pub(super) fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    container(pod)?.state.as_ref()?.terminated.as_ref()
}

/// Why an unfinished Job does not get on; `None` where it does, or nothing is known yet.
#[must_use]
pub(super) fn why_not_running(job: &Job, pods: &[&Pod], events: &[Event]) -> Option<Problem> {
    let Some(pod) = pods.iter().find(|pod| terminated(pod).is_none()) else {
        let refused = event_about(events, &job.uid()?, "FailedCreate")?;
        return Some(Problem::change(
            "PodRefused",
            format!("the cluster takes no pod of the sync: {refused}"),
        ));
    };
    image_missing(pod)
        .or_else(|| container_refused(pod))
        .or_else(|| unschedulable(pod))
        .or_else(|| files_missing(pod, events))
}

fn waiting(pod: &Pod) -> Option<(&str, &str)> {
    let waiting = container(pod)?.state.as_ref()?.waiting.as_ref()?;
    Some((waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default()))
}

fn image_missing(pod: &Pod) -> Option<Problem> {
    let (reason, message) = waiting(pod).filter(|(reason, _)| IMAGE_REASONS.contains(reason))?;
    let image = pod.spec.as_ref()?.containers.first()?.image.as_deref().unwrap_or_default();
    Some(Problem::change(
        "ImageMissing",
        format!(
            "the image {image} cannot be pulled ({reason}): push it, or correct the operator's \
             sync image and pull Secrets{}",
            said(message)
        ),
    ))
}

fn container_refused(pod: &Pod) -> Option<Problem> {
    let (reason, message) =
        waiting(pod).filter(|(reason, _)| CONTAINER_REASONS.contains(reason))?;
    Some(Problem::change(
        "ContainerRefused",
        format!("the sync's container cannot be started ({reason}){}", said(message)),
    ))
}

fn unschedulable(pod: &Pod) -> Option<Problem> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    let message = scheduled.message.as_deref().unwrap_or_default();
    Some(Problem::time(
        "PodUnschedulable",
        format!("no node takes the sync's pod{}", said(message)),
    ))
}

fn files_missing(pod: &Pod, events: &[Event]) -> Option<Problem> {
    let message = event_about(events, &pod.uid()?, "FailedMount")?;
    Some(Problem::time(
        "FilesMissing",
        format!("the sync's pod waits for its files: {}", message.trim_end_matches('.')),
    ))
}

fn event_about<'a>(events: &'a [Event], uid: &str, reason: &str) -> Option<&'a str> {
    let mut found: Vec<&Event> = events
        .iter()
        .filter(|event| event.involved_object.uid.as_deref() == Some(uid))
        .filter(|event| event.reason.as_deref() == Some(reason))
        .collect();
    found.sort_by_key(|event| {
        event.last_timestamp.as_ref().or(event.metadata.creation_timestamp.as_ref()).map(|t| t.0)
    });
    found.last()?.message.as_deref()
}

/// Why a finished Job left no report.
#[must_use]
pub(super) fn why_no_report(job: &Job, pods: &[&Pod]) -> Problem {
    let ended = pods.iter().filter_map(|pod| terminated(pod).map(|ended| (pod, ended)));
    let last = ended.max_by_key(|(_, ended)| ended.finished_at.as_ref().map(|time| time.0));
    if let Some(problem) = pods.iter().find_map(|pod| evicted(pod)) {
        return problem;
    }
    if let Some((_, ended)) = last
        && let Some(problem) = ended_badly(ended)
    {
        return problem;
    }
    if failed_because(job) == Some("DeadlineExceeded") {
        let seconds = job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
        return Problem::time(
            "DeadlineExceeded",
            format!(
                "the sync was not done within {} s, its pod's start and retries included: look \
                 at the repository's server and the cluster, or raise spec.timeout",
                seconds.unwrap_or_default()
            ),
        );
    }
    Problem::time(
        "ReportMissing",
        "the sync's pod was gone before its result could be read: the next sync tells",
    )
}

fn failed_because(job: &Job) -> Option<&str> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions.iter().find(|c| c.type_ == "Failed" && c.status == "True")?;
    failed.reason.as_deref()
}

fn evicted(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    (status.reason.as_deref() == Some("Evicted")).then(|| {
        let message = status.message.as_deref().unwrap_or_default();
        Problem::time(
            "Evicted",
            format!("the sync's pod was evicted from its node{}", said(message)),
        )
    })
}

fn ended_badly(ended: &ContainerStateTerminated) -> Option<Problem> {
    let message = ended.message.as_deref().unwrap_or_default();
    match (ended.reason.as_deref(), ended.exit_code) {
        (Some("OOMKilled"), _) => Some(Problem::change(
            "OutOfMemory",
            "the sync took more memory than it may: raise spec.limits.maxRepositoryBytes, which \
             gives it more, or make the repository or its configs smaller",
        )),
        (_, 0) => None,
        (_, 64) => Some(Problem::change(
            "ConfigurationRefused",
            "the sync does not take its configuration: the operator and the sync image are of \
             different versions; the Job's log names the field",
        )),
        (reason, code) => Some(Problem::time(
            "SyncBroke",
            format!(
                "the sync ended with code {code}{} and no report: look at the Job's log{}",
                reason.map(|reason| format!(" ({reason})")).unwrap_or_default(),
                said(message)
            ),
        )),
    }
}

fn said(message: &str) -> String {
    let message: String = message.trim_end_matches('.').chars().take(400).collect();
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
