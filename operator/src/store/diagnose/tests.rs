//! The table of what keeps a Store from serving.

use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use serde_json::{Value, json};

use super::*;
use crate::kubernetes::Verdict::{self, Reconciling, Stalled};

fn pod(status: Value) -> Value {
    json!({
        "metadata": {"name": "demo-0"},
        "spec": {"containers": [{"name": "server", "image": "registry.example/x:1"}]},
        "status": status,
    })
}

/// The server's container in a state.
fn container(state: Value, last: Value) -> Value {
    pod(json!({"containerStatuses": [{
        "name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 1,
        "state": state, "lastState": last,
    }]}))
}

fn waiting(reason: &str) -> Value {
    container(json!({"waiting": {"reason": reason, "message": "no such manifest"}}), json!({}))
}

fn unscheduled(message: &str) -> Value {
    pod(json!({"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
    }]}))
}

fn claim(phase: &str) -> Value {
    json!({"metadata": {"name": "demo-data"}, "status": {"phase": phase}})
}

fn event(kind: &str, severity: &str, reason: &str, message: &str) -> Value {
    json!({
        "metadata": {}, "involvedObject": {"kind": kind}, "type": severity, "reason": reason,
        "message": message,
    })
}

/// A server whose start is over.
fn up(since: &str) -> Value {
    let mut pod = container(json!({"running": {"startedAt": since}}), json!({}));
    pod["status"]["containerStatuses"][0]["started"] = json!(true);
    pod
}

fn unhealthy(message: &str, time: &str) -> Value {
    let mut event = event("Pod", "Warning", "Unhealthy", message);
    event["lastTimestamp"] = json!(time);
    event
}

#[test]
fn what_stands_in_the_way_is_told_with_what_is_known_of_it() {
    let bound = || claim("Bound");
    let crash = |exit: i32, reason: &str, message: Value| json!({"terminated": {"exitCode": exit, "reason": reason, "message": message}});
    let backoff = || json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let failed_create = event("StatefulSet", "Warning", "FailedCreate", "exceeded quota");
    type Row = (&'static str, Value, Value, Vec<Value>, Verdict, &'static str, &'static str);
    let table: Vec<Row> = vec![
        ("nothing yet", json!(null), bound(), vec![], Reconciling, "Starting", "is starting"),
        (
            "a quota",
            json!(null),
            claim("Pending"),
            vec![failed_create.clone()],
            Stalled,
            "PodRefused",
            "exceeded quota.",
        ),
        (
            "a quota that was raised",
            json!(null),
            bound(),
            vec![failed_create, event("StatefulSet", "Normal", "SuccessfulCreate", "made")],
            Reconciling,
            "Starting",
            "is starting",
        ),
        (
            "a volume in the making",
            unscheduled("pod has unbound immediate PersistentVolumeClaims"),
            claim("Pending"),
            vec![event("PersistentVolumeClaim", "Normal", "Provisioning", "being made")],
            Reconciling,
            "VolumePending",
            "demo-data waits for its volume: being made.",
        ),
        (
            "a volume that cannot be made",
            json!(null),
            claim("Pending"),
            vec![event("PersistentVolumeClaim", "Warning", "ProvisioningFailed", "disk quota")],
            Stalled,
            "VolumePending",
            "demo-data gets no volume: disk quota.",
        ),
        (
            "no default class",
            json!(null),
            claim("Pending"),
            vec![event("PersistentVolumeClaim", "Normal", "FailedBinding", "no storage class")],
            Stalled,
            "VolumePending",
            "no storage class.",
        ),
        ("a lost volume", json!(null), claim("Lost"), vec![], Stalled, "VolumeLost", "is gone"),
        (
            "no room, and the volume waits for a node",
            unscheduled("0/1 nodes are available: 1 Insufficient cpu."),
            claim("Pending"),
            vec![event("PersistentVolumeClaim", "Normal", "WaitForFirstConsumer", "waiting")],
            Stalled,
            "PodUnschedulable",
            "Insufficient cpu.",
        ),
        (
            "no image",
            waiting("ImagePullBackOff"),
            bound(),
            vec![],
            Stalled,
            "ImageMissing",
            "registry.example/x:1 cannot be had: no such manifest.",
        ),
        (
            "a wrong image name",
            waiting("InvalidImageName"),
            bound(),
            vec![],
            Stalled,
            "ImageMissing",
            "x:1",
        ),
        (
            "a user that is refused",
            waiting("CreateContainerConfigError"),
            bound(),
            vec![],
            Stalled,
            "ContainerRefused",
            "no such manifest.",
        ),
        (
            "a crash",
            container(backoff(), crash(64, "Error", json!("{\"level\":1}\nconfig: wrong\n"))),
            bound(),
            vec![],
            Stalled,
            "CrashLooping",
            "exit code 64: config: wrong.",
        ),
        (
            "a crash without words",
            container(crash(1, "Error", json!(null)), json!({})),
            bound(),
            vec![],
            Stalled,
            "CrashLooping",
            "exit code 1: its log",
        ),
        (
            "too little memory",
            container(json!({"running": {}}), crash(137, "OOMKilled", json!(null))),
            bound(),
            vec![],
            Stalled,
            "CrashLooping",
            "raise spec.resources.limits.memory",
        ),
        (
            "a restart that was wanted",
            container(json!({"running": {}}), crash(0, "Completed", json!(null))),
            bound(),
            vec![event("Pod", "Warning", "FailedMount", "of an hour ago")],
            Reconciling,
            "Starting",
            "is starting",
        ),
        (
            "a server that hangs",
            up("2026-01-01T00:00:00Z"),
            bound(),
            vec![unhealthy("Readiness probe failed: deadline exceeded", "2026-01-01T00:01:00Z")],
            Reconciling,
            "NotAnswering",
            "Readiness probe failed: deadline exceeded.",
        ),
        (
            "a server that hangs and ended badly before",
            {
                let mut pod = up("2026-01-01T00:00:00Z");
                pod["status"]["containerStatuses"][0]["lastState"] = crash(64, "Error", json!("x"));
                pod
            },
            bound(),
            vec![unhealthy("Liveness probe failed: timeout", "2026-01-01T00:01:00Z")],
            Reconciling,
            "NotAnswering",
            "Liveness probe failed: timeout.",
        ),
        (
            "a server that hung before it was started anew",
            up("2026-01-01T00:02:00Z"),
            bound(),
            vec![unhealthy("Liveness probe failed: timeout", "2026-01-01T00:01:00Z")],
            Reconciling,
            "Starting",
            "is starting",
        ),
        (
            "a server that took its time to start",
            up("2026-01-01T00:00:00Z"),
            bound(),
            vec![unhealthy("Startup probe failed: refused", "2026-01-01T00:00:01Z")],
            Reconciling,
            "Starting",
            "is starting",
        ),
        (
            "a mount",
            container(json!({"waiting": {"reason": "ContainerCreating"}}), json!({})),
            bound(),
            vec![event("Pod", "Warning", "FailedMount", "secret \"x\" not found")],
            Reconciling,
            "VolumePending",
            "secret \"x\" not found.",
        ),
    ];
    for (what, pod, claim, events, verdict, reason, message) in table {
        let pod: Option<Pod> = serde_json::from_value(pod).unwrap();
        let claim: Option<PersistentVolumeClaim> = serde_json::from_value(claim).unwrap();
        let events: Vec<Event> = serde_json::from_value(json!(events)).unwrap();
        let evidence = Evidence { pod: pod.as_ref(), claim: claim.as_ref(), events: &events };
        let found = diagnose(&evidence);
        assert_eq!((found.verdict, found.reason), (verdict, reason), "{what}: {found:?}");
        assert!(found.message.contains(message), "{what}: {} should say {message}", found.message);
    }
}

#[test]
fn what_others_say_is_one_line_of_bounded_length() {
    assert_eq!(quote(Some("a\n  b")), "a b.");
    assert_eq!(quote(None), "nothing is known yet.");
    assert_eq!(quote(Some(&"é".repeat(500))).chars().count(), QUOTE_CHARACTERS_MAX + 1);
}
