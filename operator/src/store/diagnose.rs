//! Why a Store does not serve: pure, from what the API server says of its pod and claim.

use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Event, PersistentVolumeClaim,
    Pod,
};
use kube::ResourceExt;

use super::build::CONTAINER;
use super::dereference::time;
use super::validate::is_bound;
use crate::kubernetes::Finding;

/// The most characters of what others say that go into a message.
const QUOTE_CHARACTERS_MAX: usize = 400;

/// What is looked at.
pub(super) struct Evidence<'a> {
    /// The pod, where there is one.
    pub(super) pod: Option<&'a Pod>,
    /// The claim, where there is one.
    pub(super) claim: Option<&'a PersistentVolumeClaim>,
    /// What was told of them and of the StatefulSet, newest last.
    pub(super) events: &'a [Event],
}

/// Whether a pod says that it is ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _, _)| status == "True")
}

/// Why a Store with a pod to come does not serve yet. What stands in the way first is told: the
/// pod itself, its place, its volume, its image, its program.
pub(super) fn diagnose(evidence: &Evidence<'_>) -> Finding {
    refused_pod(evidence)
        .or_else(|| pending_volume(evidence))
        .or_else(|| unschedulable(evidence))
        // Before how the container ended the last time, which says nothing of one that was up.
        .or_else(|| silent(evidence))
        .or_else(|| container(evidence))
        .or_else(|| mount(evidence))
        .unwrap_or_else(|| Finding::reconciling("Starting", "The pod is starting."))
}

/// No pod, because admission, a quota or the priority class stands against it.
fn refused_pod(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.pod.is_some() {
        return None;
    }
    let event = newest(evidence.events, "StatefulSet")?;
    (event.reason.as_deref() == Some("FailedCreate")).then(|| {
        Finding::stalled(
            "PodRefused",
            format!("The pod cannot be made: {}", quote(event.message.as_deref())),
        )
    })
}

fn pending_volume(evidence: &Evidence<'_>) -> Option<Finding> {
    let claim = evidence.claim.filter(|claim| !is_bound(claim))?;
    let name = claim.name_any();
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
        return Some(Finding::stalled(
            "VolumeLost",
            format!("The volume of the claim {name} is gone: bring it back, or delete the claim."),
        ));
    }
    let event = newest(evidence.events, "PersistentVolumeClaim");
    let failed = event.is_some_and(|event| {
        // No class and no volume to bind is told as normal.
        event.type_.as_deref() == Some("Warning")
            || event.reason.as_deref() == Some("FailedBinding")
    });
    match event.map(|event| quote(event.message.as_deref())) {
        Some(told) if failed => Some(Finding::stalled(
            "VolumePending",
            format!("The claim {name} gets no volume: {told}"),
        )),
        // A pod that no node takes can be why there is no volume; that is then the news.
        _ if unschedulable(evidence)
            .is_some_and(|finding| !finding.message.contains("unbound")) =>
        {
            None
        }
        Some(told) => Some(Finding::reconciling(
            "VolumePending",
            format!("The claim {name} waits for its volume: {told}"),
        )),
        None => Some(Finding::reconciling(
            "VolumePending",
            format!("The claim {name} waits for its volume."),
        )),
    }
}

fn unschedulable(evidence: &Evidence<'_>) -> Option<Finding> {
    let (status, reason, message) = condition(evidence.pod?, "PodScheduled")?;
    (status == "False" && reason == "Unschedulable").then(|| {
        Finding::stalled(
            "PodUnschedulable",
            format!("No node takes the pod: {}", quote(Some(&message))),
        )
    })
}

fn container(evidence: &Evidence<'_>) -> Option<Finding> {
    let pod = evidence.pod?;
    let status = server(pod)?;
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    if let Some(finding) = waiting.and_then(|waiting| not_started(pod, waiting)) {
        return Some(finding);
    }
    let ended = status
        .state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
        .or_else(|| status.last_state.as_ref().and_then(|state| state.terminated.as_ref()))?;
    crashed(ended)
}

/// A container whose program did not even start.
fn not_started(pod: &Pod, waiting: &ContainerStateWaiting) -> Option<Finding> {
    let told = quote(waiting.message.as_deref());
    match waiting.reason.as_deref()? {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable" => Some(Finding::stalled(
            "ImageMissing",
            format!(
                "The image {} cannot be had: {told} Check its name and tag, and whether the node \
                 may pull it.",
                image(pod)
            ),
        )),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(Finding::stalled("ContainerRefused", format!("The container cannot run: {told}")))
        }
        _ => None,
    }
}

fn crashed(ended: &ContainerStateTerminated) -> Option<Finding> {
    // What ended as it was told comes back by itself.
    if ended.exit_code == 0 {
        return None;
    }
    let last_words = ended.message.as_deref().and_then(|message| message.trim().lines().last());
    let why = match (ended.reason.as_deref(), last_words) {
        (Some("OOMKilled"), _) => {
            "it needed more memory than it may use: raise spec.resources.limits.memory".to_owned()
        }
        (_, Some(line)) => quote(Some(line)),
        (_, None) => "its log says why (kubectl logs --previous)".to_owned(),
    };
    Some(Finding::stalled(
        "CrashLooping",
        format!("The server ends with exit code {}: {why}", ended.exit_code),
    ))
}

/// A pod that has a node and waits for what it mounts.
fn mount(evidence: &Evidence<'_>) -> Option<Finding> {
    let running =
        server(evidence.pod?)?.state.as_ref().is_some_and(|state| state.running.is_some());
    let event = newest(evidence.events, "Pod").filter(|_| !running)?;
    matches!(event.reason.as_deref(), Some("FailedMount" | "FailedAttachVolume")).then(|| {
        Finding::reconciling(
            "VolumePending",
            format!("The pod waits for what it mounts: {}", quote(event.message.as_deref())),
        )
    })
}

/// A server that was up and is not ready any more, by what the kubelet says of its probes.
fn silent(evidence: &Evidence<'_>) -> Option<Finding> {
    let status = server(evidence.pod?).filter(|status| status.started == Some(true))?;
    let running = status.state.as_ref()?.running.as_ref()?;
    let event = newest(evidence.events, "Pod")
        .filter(|event| event.reason.as_deref() == Some("Unhealthy"))
        // Not of the container before this one.
        .filter(|event| running.started_at.as_ref().map(|time| time.0) <= time(event))?;
    let message = event.message.as_deref().filter(|text| !text.starts_with("Startup"))?;
    Some(Finding::reconciling(
        "NotAnswering",
        format!(
            "The server was up and does not answer as it should; where that goes on, it is \
             started anew. {} Its log may say why (kubectl logs).",
            quote(Some(message))
        ),
    ))
}

fn server(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == CONTAINER)
}

fn image(pod: &Pod) -> String {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ours = containers.filter(|container| container.name == CONTAINER);
    ours.next().and_then(|container| container.image.clone()).unwrap_or_default()
}

/// Status, reason and message of a pod's condition.
fn condition(pod: &Pod, kind: &str) -> Option<(String, String, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some((found.status.clone(), text(&found.reason), text(&found.message)))
}

fn newest<'a>(events: &'a [Event], kind: &str) -> Option<&'a Event> {
    events.iter().rev().find(|event| event.involved_object.kind.as_deref() == Some(kind))
}

/// What somebody else says, on one line, not too long and with an end.
fn quote(message: Option<&str>) -> String {
    let words = message.unwrap_or("nothing is known yet");
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(QUOTE_CHARACTERS_MAX).collect();
    match short.len() < line.len() {
        true => format!("{short}…"),
        false if short.ends_with(['.', '!', '?', '…']) => short,
        false => format!("{short}."),
    }
}

#[cfg(test)]
mod tests;
