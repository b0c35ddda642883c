//! Sources, and what the Job controller and the kubelet would do for them.

use std::sync::atomic::{AtomicI64, Ordering};

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use stowage_config::SyncReport;
use stowage_crds::{BranchStatus, RuntimeConfigSource, Store};

use super::{Object, TestNamespace, condition, eventually};

/// What a source of the tests says, with its branches.
pub(crate) fn source(branches: &[&str]) -> Value {
    let branches: Vec<Value> =
        branches.iter().map(|name| json!({"name": name, "storeRef": {"name": "demo"}})).collect();
    json!({"spec": {
        "repoId": "etl", "url": "https://git.example/data/etl.git", "branches": branches,
    }})
}

/// A Store that is ready.
pub(crate) async fn a_ready_store(ns: &TestNamespace, name: &str) {
    let spec = json!({"spec": {"backend": {"volume": {"size": "1Gi"}}}});
    ns.create::<Store>(name, spec).await;
    make_ready(ns, name).await;
}

/// Says that a Store is ready.
pub(crate) async fn make_ready(ns: &TestNamespace, name: &str) {
    let now = Timestamp::now().to_string();
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Serving", "message": "It serves.",
        "lastTransitionTime": now,
    });
    ns.patch_status::<Store>(name, json!({"conditions": [ready]})).await;
}

/// The report of a sync that published, as `stowage-sidecar sync` writes it.
pub(crate) fn report(outcome: &str, reason: &str, more: Value) -> SyncReport {
    let mut report = json!({
        "repoId": "etl", "branch": "main", "outcome": outcome, "reason": reason,
        "message": format!("said of {reason}"), "files": 0, "durationMs": 5,
    });
    for (name, value) in more.as_object().unwrap() {
        report[name] = value.clone();
    }
    serde_json::from_value(report).unwrap()
}

/// A commit that is served.
pub(crate) fn published(revision: char, files: usize) -> SyncReport {
    let revision = String::from(revision).repeat(40);
    let etag = format!("\"{revision}-{files}\"");
    report("Published", "Published", json!({"revision": revision, "files": files, "etag": etag}))
}

/// How a Job's last pod ended.
pub(crate) enum Ends {
    With(SyncReport),
    /// By the container's `terminated` state.
    Without(Value),
    /// No pod is left; the Job failed for this reason.
    Gone(&'static str),
}

impl TestNamespace {
    async fn list<K: Object>(&self) -> Vec<K> {
        let mut items = self.api::<K>().list(&ListParams::default()).await.unwrap().items;
        items.sort_by_key(ResourceExt::creation_timestamp);
        items
    }

    /// All Jobs, oldest first.
    pub(crate) async fn jobs(&self) -> Vec<Job> {
        self.list().await
    }

    pub(crate) async fn cron_jobs(&self) -> Vec<CronJob> {
        self.list().await
    }

    /// The ConfigMaps that the operator made.
    pub(crate) async fn config_maps(&self) -> Vec<ConfigMap> {
        let mut maps: Vec<ConfigMap> = self.list().await;
        maps.retain(|map| map.labels().contains_key("stowage.dev/sync"));
        maps
    }

    /// Waits until there are so many Jobs that are not finished, and gives them.
    pub(crate) async fn running_jobs(&self, count: usize) -> Vec<Job> {
        let running = async || {
            let mut jobs = self.jobs().await;
            jobs.retain(|job| job.status.as_ref().is_none_or(|s| s.conditions.is_none()));
            jobs
        };
        eventually(&format!("{count} Jobs run"), running, |jobs| jobs.len() == count).await
    }

    /// The one Job that is not finished.
    pub(crate) async fn running_job(&self) -> Job {
        self.running_jobs(1).await.remove(0)
    }

    /// Makes a Job's pod as the Job controller would, with a status as of the kubelet.
    pub(crate) async fn start_sync(&self, job: &Job, status: Value) -> Pod {
        let mut pod = json!(job.spec.as_ref().unwrap().template);
        pod["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(),
            "uid": job.uid(), "controller": true,
        }]);
        let name = format!("{}-{:05}", job.name_any(), next_second());
        self.create::<Pod>(&name, pod).await;
        self.patch_status(&name, status).await
    }

    /// Finishes a Job as its pod, the kubelet and the Job controller would.
    pub(crate) async fn finish(&self, job: &Job, ends: Ends) {
        let time = at(next_second());
        let (succeeded, failed_because) = match &ends {
            Ends::With(report) => {
                (report.reason == "Published" || report.reason == "Unchanged", "PodFailurePolicy")
            }
            Ends::Without(_) => (false, "PodFailurePolicy"),
            Ends::Gone(reason) => (false, *reason),
        };
        let terminated = match ends {
            Ends::With(report) => Some(json!({
                "exitCode": i32::from(!succeeded), "reason": if succeeded { "Completed" } else { "Error" },
                "message": serde_json::to_string(&report).unwrap(),
                "startedAt": time, "finishedAt": time,
            })),
            Ends::Without(state) => Some(state),
            Ends::Gone(_) => None,
        };
        if let Some(terminated) = terminated {
            let phase = if succeeded { "Succeeded" } else { "Failed" };
            self.start_sync(
                job,
                json!({"phase": phase, "containerStatuses": [{
                    "name": "sync", "image": "x", "imageID": "x", "ready": false, "restartCount": 0,
                    "state": {"terminated": terminated},
                }]}),
            )
            .await;
        }
        let condition = |kind: &str, reason: &str| {
            json!({
                "type": kind, "status": "True", "reason": reason, "message": "said by the controller",
                "lastTransitionTime": time, "lastProbeTime": time,
            })
        };
        let status = if succeeded {
            json!({
                "startTime": time, "completionTime": time, "succeeded": 1,
                "conditions": [condition("SuccessCriteriaMet", "CompletionsReached"), condition("Complete", "CompletionsReached")],
            })
        } else {
            json!({
                "startTime": time, "failed": 1,
                "conditions": [condition("FailureTarget", failed_because), condition("Failed", failed_because)],
            })
        };
        self.patch_status::<Job>(&job.name_any(), status).await;
    }

    /// Waits for the one Job that runs and finishes it.
    pub(crate) async fn sync(&self, ends: Ends) -> Job {
        let job = self.running_job().await;
        self.finish(&job, ends).await;
        job
    }

    /// Removes a Job as `kubectl delete` would; without a word about it the API server keeps a Job
    /// until the garbage collector, which is not there, has let go of its pods.
    pub(crate) async fn delete_job(&self, name: &str) {
        self.api::<Job>().delete(name, &DeleteParams::background()).await.unwrap();
    }

    /// The status, reason and message of a source's condition.
    pub(crate) async fn source_condition(
        &self,
        name: &str,
        kind: &str,
    ) -> (String, String, String) {
        let source: RuntimeConfigSource = self.get(name).await;
        condition(&source.status.unwrap_or_default().conditions, kind)
    }

    /// Waits until a source's `Ready` has this status and reason; gives its message.
    pub(crate) async fn source_is(&self, name: &str, status: &str, reason: &str) -> String {
        let ask = async || self.source_condition(name, "Ready").await;
        let what = format!("the source {name} is Ready={status}, {reason}");
        eventually(&what, ask, |found| found.0 == status && found.1 == reason).await.2
    }

    /// The first branch in a source's status.
    pub(crate) async fn branch(&self, name: &str) -> BranchStatus {
        let source: RuntimeConfigSource = self.get(name).await;
        source.status.unwrap_or_default().branches.remove(0)
    }

    /// Asks for a sync by the annotation.
    pub(crate) async fn annotate(&self, name: &str, value: &str) {
        let annotations = json!({"stowage.dev/sync-requested-at": value});
        self.patch::<RuntimeConfigSource>(name, json!({"metadata": {"annotations": annotations}}))
            .await;
    }
}

/// Times that grow by a second with each use: a Job's times have no fractions, and tests do not
/// wait for a second to pass.
fn next_second() -> i64 {
    static SECOND: AtomicI64 = AtomicI64::new(0);
    SECOND.fetch_add(1, Ordering::SeqCst)
}

fn at(second: i64) -> String {
    let now = Timestamp::now().as_second();
    // Whole seconds since the tests began would go back where a test takes long.
    Timestamp::from_second(now + second).unwrap().to_string()
}
