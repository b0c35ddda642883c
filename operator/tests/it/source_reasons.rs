//! Everything that keeps a source from being served, by its reason.

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::ResourceExt;
use serde_json::{Value, json};
use stowage_crds::{RuntimeConfigSource, Store};

use crate::support::*;

async fn rests(ns: &TestNamespace) -> bool {
    ns.cron_jobs().await[0].spec.as_ref().unwrap().suspend == Some(true)
}

#[tokio::test]
async fn a_store_that_is_missing_not_ready_or_without_the_contract_is_told_and_then_synced_into() {
    let ns = TestNamespace::new("no-store").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let operator = ns.operator_of_sources();
    let message = ns.source_is("etl", "False", "StoreMissing").await;
    assert!(message.contains("no Store demo"), "{message}");
    assert_eq!(ns.source_condition("etl", "Stalled").await.1, "StoreMissing");
    operator.rest().await;
    assert!(rests(&ns).await, "a schedule that can only fail rests");
    let told = ns.events_about("RuntimeConfigSource", "etl").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("StoreMissing: "), "{told:?}");

    let spec = json!({"spec": {"backend": {"volume": {"size": "1Gi"}}, "contracts": ["kv"]}});
    ns.create::<Store>("demo", spec).await;
    let message = ns.source_is("etl", "False", "ContractNotServed").await;
    assert!(message.contains("spec.contracts"), "{message}");

    ns.patch::<Store>("demo", json!({"spec": {"contracts": ["kv", "runtimes"]}})).await;
    ns.source_is("etl", "False", "StoreNotReady").await;
    assert_eq!(ns.source_condition("etl", "Reconciling").await.1, "StoreNotReady");
    operator.rest().await;
    assert_eq!(ns.jobs().await.len(), 0, "nothing is started that could only fail");

    make_ready(&ns, "demo").await;
    ns.sync(Ends::With(published('a', 1))).await;
    ns.source_is("etl", "True", "Published").await;
    operator.rest().await;
    assert!(!rests(&ns).await);

    // Another Store of the same name may be empty.
    ns.delete::<Store>("demo").await;
    ns.source_is("etl", "False", "StoreMissing").await;
    a_ready_store(&ns, "demo").await;
    ns.sync(Ends::With(published('a', 1))).await;
    ns.source_is("etl", "True", "Published").await;
}

#[tokio::test]
async fn a_missing_secret_and_a_missing_schema_are_told_and_then_it_goes_on() {
    let ns = TestNamespace::new("no-secret").await;
    a_ready_store(&ns, "demo").await;
    let mut body = source(&["main"]);
    body["spec"]["auth"] = json!({"secretRef": {"name": "git"}});
    body["spec"]["schema"] = json!({"configMapRef": {"name": "schemas", "key": "runtime.json"}});
    ns.create::<RuntimeConfigSource>("etl", body).await;
    let operator = ns.operator_of_sources();
    let message = ns.source_is("etl", "False", "SecretMissing").await;
    assert!(message.contains("no Secret git") && message.contains("bearerToken"), "{message}");
    ns.create_secret("git", &[("bearerToken", "t0ken")]).await;
    let message = ns.source_is("etl", "False", "SchemaMissing").await;
    assert!(message.contains("no ConfigMap schemas with a key runtime.json"), "{message}");
    ns.create::<ConfigMap>("schemas", json!({"data": {"other.json": "{}"}})).await;
    operator.rest().await;
    ns.source_is("etl", "False", "SchemaMissing").await;
    let writes = operator.writes().len();
    operator.rest().await;
    assert_eq!(operator.writes().len(), writes, "while it waits nothing is written");
    assert_eq!(ns.jobs().await.len(), 0);
    ns.patch::<ConfigMap>("schemas", json!({"data": {"runtime.json": "{}"}})).await;
    ns.sync(Ends::With(published('a', 1))).await;
    ns.source_is("etl", "True", "Published").await;
}

#[tokio::test]
async fn an_insecure_url_is_refused_before_any_job() {
    let ns = TestNamespace::new("insecure").await;
    a_ready_store(&ns, "demo").await;
    let mut body = source(&["main"]);
    body["spec"]["url"] = json!("http://git.example/data/etl.git");
    ns.create::<RuntimeConfigSource>("etl", body).await;
    let operator = ns.operator_of_sources();
    let message = ns.source_is("etl", "False", "UrlRefused").await;
    assert!(message.contains("use https:// or ssh://"), "{message}");
    operator.rest().await;
    assert_eq!(ns.jobs().await.len(), 0);
    let https = json!({"spec": {"url": "https://git.example/data/etl.git"}});
    ns.patch::<RuntimeConfigSource>("etl", https).await;
    ns.sync(Ends::With(published('a', 1))).await;
    ns.source_is("etl", "True", "Published").await;
}

#[tokio::test]
async fn a_child_that_belongs_to_somebody_else_is_told_and_left_alone() {
    let ns = TestNamespace::new("taken").await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let operator = ns.operator_of_sources();
    ns.sync(Ends::With(published('a', 1))).await;
    ns.source_is("etl", "True", "Published").await;
    operator.stop().await;

    let ours = ns.cron_jobs().await.remove(0);
    ns.delete::<CronJob>(&ours.name_any()).await;
    let spec = json!({
        "schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}],
        }}}},
    });
    let theirs = ns.create::<CronJob>(&ours.name_any(), json!({"spec": spec})).await;
    let operator = ns.operator_of_sources();
    let message = ns.source_is("etl", "False", "NameTaken").await;
    assert!(message.contains(&ours.name_any()) && message.contains("somebody else"), "{message}");
    operator.rest().await;
    let now: CronJob = ns.get(&ours.name_any()).await;
    assert_eq!(now.resource_version(), theirs.resource_version(), "it is not touched");
    ns.delete::<CronJob>(&ours.name_any()).await;
    // It is looked at again by and by; any change of the source is sooner.
    ns.annotate("etl", "1").await;
    ns.sync(Ends::With(published('a', 1))).await;
    ns.source_is("etl", "True", "Published").await;
}

#[tokio::test]
async fn what_a_sync_reports_is_told_with_its_stage() {
    let ns = TestNamespace::new("reported").await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let _operator = ns.operator_of_sources();
    let commit = "b".repeat(40);
    // Outcome, reason, commit; then Fetched, Validated, Published, and which of the two is true.
    type Case<'a> = (&'a str, &'a str, Option<&'a str>, [&'a str; 3], &'a str);
    let table: &[Case<'_>] = &[
        ("Failed", "AuthenticationFailed", None, ["False", "", ""], "Stalled"),
        ("Failed", "Unreachable", None, ["False", "", ""], "Reconciling"),
        ("Failed", "TimedOut", None, ["False", "", ""], "Reconciling"),
        ("Failed", "NoFiles", Some(&commit), ["True", "False", "False"], "Stalled"),
        ("Failed", "PublishFailed", Some(&commit), ["True", "True", "False"], "Stalled"),
        ("Failed", "StoreUnavailable", None, ["", "", "False"], "Reconciling"),
        ("Unknown", "TimedOut", Some(&commit), ["True", "", "False"], "Reconciling"),
        ("Published", "Published", Some(&commit), ["True", "True", "True"], ""),
    ];
    for (round, (outcome, reason, revision, stages, state)) in table.iter().enumerate() {
        ns.annotate("etl", &round.to_string()).await;
        ns.sync(Ends::With(report(outcome, reason, json!({"revision": revision})))).await;
        let status = if *reason == "Published" { "True" } else { "False" };
        let message = ns.source_is("etl", status, reason).await;
        let case = format!("{outcome} {reason}: {message}");
        for (kind, expected) in ["Fetched", "Validated", "Published"].iter().zip(stages) {
            let found = ns.source_condition("etl", kind).await;
            assert_eq!(found.0, *expected, "{kind} of {case}");
        }
        for kind in ["Stalled", "Reconciling"] {
            let expected = if kind == *state { "True" } else { "" };
            assert_eq!(ns.source_condition("etl", kind).await.0, expected, "{kind} of {case}");
        }
    }
    let told = ns.events_about("RuntimeConfigSource", "etl").await;
    assert!(
        told[0].starts_with("SyncFailed: Branch main into demo: AuthenticationFailed: said of"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_sync_that_ends_without_a_report_is_told_all_the_same() {
    let ns = TestNamespace::new("silent").await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let operator = ns.operator_of_sources();
    let ended = |reason: &str, code: i32| json!({"exitCode": code, "reason": reason});
    let table: Vec<(Ends, &str, &str)> = vec![
        (Ends::Without(ended("OOMKilled", 137)), "OutOfMemory", "maxRepositoryBytes"),
        (Ends::Without(ended("Error", 64)), "ConfigurationRefused", "different versions"),
        (Ends::Without(ended("Error", 1)), "SyncBroke", "code 1"),
        (Ends::Gone("DeadlineExceeded"), "DeadlineExceeded", "spec.timeout"),
        (Ends::Gone("BackoffLimitExceeded"), "ReportMissing", "next sync"),
    ];
    for (round, (ends, reason, part)) in table.into_iter().enumerate() {
        ns.annotate("etl", &round.to_string()).await;
        ns.sync(ends).await;
        let message = ns.source_is("etl", "False", reason).await;
        assert!(message.contains(part), "{reason}: {message}");
        operator.rest().await;
        let told = ns.events_about("RuntimeConfigSource", "etl").await;
        let told = told.iter().filter(|told| told.contains(reason)).count();
        assert_eq!(told, 1, "{reason} is told once");
    }
    ns.annotate("etl", "evicted").await;
    let job = ns.running_job().await;
    let status = json!({"phase": "Failed", "reason": "Evicted", "message": "ephemeral storage"});
    ns.start_sync(&job, status).await;
    ns.finish(&job, Ends::Gone("PodFailurePolicy")).await;
    let message = ns.source_is("etl", "False", "Evicted").await;
    assert!(message.contains("ephemeral storage"), "{message}");
}

#[tokio::test]
async fn a_sync_that_does_not_start_is_told_while_it_waits() {
    let waiting = |reason: &str| {
        json!({"phase": "Pending", "containerStatuses": [{
            "name": "sync", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": "said by the node"}},
        }]})
    };
    let unschedulable = json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }]});
    let table: Vec<(Value, &str, &str)> = vec![
        (waiting("ImagePullBackOff"), "ImageMissing", SYNC_IMAGE),
        (waiting("InvalidImageName"), "ImageMissing", SYNC_IMAGE),
        (waiting("CreateContainerConfigError"), "ContainerRefused", "said by the node"),
        (unschedulable, "PodUnschedulable", "0/3 nodes"),
    ];
    for (status, reason, part) in table {
        let ns = TestNamespace::new("starting").await;
        a_ready_store(&ns, "demo").await;
        ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
        let operator = ns.operator_of_sources();
        let job = ns.running_job().await;
        ns.start_sync(&job, status).await;
        let message = ns.source_is("etl", "False", reason).await;
        assert!(message.contains(part), "{reason}: {message}");
        ns.finish(&job, Ends::With(published('a', 1))).await;
        ns.source_is("etl", "True", "Published").await;
        drop(operator);
    }
}

#[tokio::test]
async fn what_events_alone_tell_is_told_too() {
    let ns = TestNamespace::new("mounts").await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let operator = ns.operator_of_sources();
    let job = ns.running_job().await;
    let event = async |kind: &str, name: &str, uid: Option<String>, reason: &str, message: &str| {
        let body = json!({
            "involvedObject": {"kind": kind, "name": name, "uid": uid, "namespace": ns.name},
            "reason": reason, "message": message, "type": "Warning",
        });
        // The core kind, as the kubelet and the Job controller write it.
        ns.create::<Event>(&format!("{name}.1"), body).await;
    };
    event("Job", &job.name_any(), job.uid(), "FailedCreate", "exceeded quota: pods").await;
    drop(operator);
    let operator = ns.operator_of_sources();
    let message = ns.source_is("etl", "False", "PodRefused").await;
    assert!(message.contains("exceeded quota"), "{message}");

    let pod = ns.start_sync(&job, json!({"phase": "Pending"})).await;
    event("Pod", &pod.name_any(), pod.uid(), "FailedMount", "secret \"demo-publisher\" not found")
        .await;
    drop(operator);
    let _operator = ns.operator_of_sources();
    let message = ns.source_is("etl", "False", "FilesMissing").await;
    assert!(message.contains("demo-publisher"), "{message}");
}
