//! The life of a source.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use serde_json::json;
use stowage_config::SyncConfig;
use stowage_crds::RuntimeConfigSource;

use crate::support::*;

async fn events(ns: &TestNamespace) -> Vec<String> {
    ns.events_about("RuntimeConfigSource", "etl").await
}

/// A source `etl` whose first sync is done.
async fn synced(prefix: &str) -> (TestNamespace, Operator) {
    let ns = TestNamespace::new(prefix).await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let operator = ns.operator_of_sources();
    ns.sync(Ends::With(published('a', 3))).await;
    ns.source_is("etl", "True", "Published").await;
    operator.rest().await;
    (ns, operator)
}

#[tokio::test]
async fn a_source_becomes_a_config_map_a_cron_job_and_a_job_whose_report_is_its_status() {
    let ns = TestNamespace::new("source").await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let operator = ns.operator_of_sources();

    let job = ns.running_job().await;
    let cron_job = &ns.cron_jobs().await[0];
    assert_eq!(cron_job.spec.as_ref().unwrap().schedule, "* * * * *");
    let [config_map] = &ns.config_maps().await[..] else { panic!("expected one ConfigMap") };
    let text = &config_map.data.as_ref().unwrap()["sync.yaml"];
    let config: SyncConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.target.url, format!("http://demo.{}.svc:8080", ns.name));
    assert!(!config.allow_insecure_urls);
    ns.source_is("etl", "False", "Syncing").await;
    assert_eq!(ns.source_condition("etl", "Reconciling").await.0, "True");

    ns.finish(&job, Ends::With(published('a', 3))).await;
    let message = ns.source_is("etl", "True", "Published").await;
    assert!(
        message.contains("main") && message.contains("aaaaaaaaaaaa with 3 configs"),
        "{message}"
    );
    for kind in ["Fetched", "Validated", "Published"] {
        assert_eq!(ns.source_condition("etl", kind).await.0, "True", "{kind}");
    }
    assert_eq!(ns.source_condition("etl", "Reconciling").await.0, "", "it is gone when it is over");
    let branch = ns.branch("etl").await;
    assert_eq!(branch.revision, Some("a".repeat(40)));
    assert_eq!(branch.files, Some(3));
    assert_eq!(branch.digest, Some(format!("{}-3", "a".repeat(40))));
    assert_eq!(branch.last_sync_time, branch.last_attempt_time);
    assert_eq!(branch.job, Some(job.name_any()));
    let source: RuntimeConfigSource = ns.get("etl").await;
    assert_eq!(source.status.unwrap().observed_generation, source.metadata.generation);

    operator.rest().await;
    let told = events(&ns).await;
    let expected = "SyncPublished: Branch main is served by demo at aaaaaaaaaaaa: 3 configs.";
    assert_eq!(told, [expected]);
    assert_eq!(ns.jobs().await.len(), 1, "one sync for one request");
}

#[tokio::test]
async fn a_new_commit_by_the_schedule_is_told_and_nothing_else_is() {
    let (ns, operator) = synced("scheduled").await;
    let scheduled = async |name: &str, report| {
        let cron_job = ns.cron_jobs().await.remove(0);
        let template = cron_job.spec.as_ref().unwrap().job_template.clone();
        let mut job = json!({"metadata": template.metadata, "spec": template.spec});
        job["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job.name_any(),
            "uid": cron_job.uid(), "controller": true,
        }]);
        let job = ns.create::<Job>(name, job).await;
        ns.finish(&job, Ends::With(report)).await;
        eventually(
            "the status knows the Job",
            async || ns.branch("etl").await.job,
            |found| found.as_deref() == Some(name),
        )
        .await;
    };
    let unchanged = json!({"revision": "a".repeat(40), "files": 3, "etag": published('a', 3).etag});
    scheduled("etl-1", report("Unchanged", "Unchanged", unchanged)).await;
    operator.rest().await;
    assert_eq!(events(&ns).await.len(), 1, "a sync that changed nothing is not worth an Event");

    scheduled("etl-2", published('b', 4)).await;
    assert_eq!(ns.branch("etl").await.revision, Some("b".repeat(40)));
    operator.rest().await;
    let told = events(&ns).await;
    let expected = "SyncPublished: Branch main is served by demo at bbbbbbbbbbbb in place of aaaaaaaaaaaa: 4 configs.";
    assert_eq!(told[1..], [expected]);
    // The newer Job goes first; the older one that is left over brings nothing back.
    ns.delete_job("etl-2").await;
    operator.rest().await;
    assert_eq!(ns.branch("etl").await.revision, Some("b".repeat(40)));
    assert_eq!(events(&ns).await.len(), 2);
}

/// Somebody tries something with a copy, labels and all.
#[tokio::test]
async fn a_job_that_a_person_copied_is_left_alone_and_says_nothing() {
    let (ns, operator) = synced("copied").await;
    let mut copy = json!(ns.jobs().await.remove(0));
    let labels = copy["metadata"]["labels"].clone();
    let annotations = json!({
        "stowage.dev/source": "etl", "stowage.dev/configuration": "another",
    });
    copy["metadata"] = json!({"labels": labels, "annotations": annotations});
    copy["spec"]["selector"].take();
    copy["spec"]["template"]["metadata"]["labels"].take();
    copy.as_object_mut().unwrap().remove("status");
    let copy = ns.create::<Job>("mine", copy).await;
    operator.rest().await;
    ns.get::<Job>("mine").await;
    ns.finish(&copy, Ends::With(published('f', 9))).await;
    operator.rest().await;
    assert_eq!(ns.branch("etl").await.revision, Some("a".repeat(40)), "it says nothing of ours");
}

#[tokio::test]
async fn an_invalid_file_is_named_and_what_is_served_stays() {
    let (ns, operator) = synced("invalid").await;
    let invalid = report(
        "Invalid",
        "InvalidFiles",
        json!({
            "revision": "b".repeat(40), "files": 3, "message": "1 file is invalid",
            "invalid": [{"file": "a-runtime.yaml", "errors": [
                {"at": "/runtime/memory", "message": "\"lots\" is not a number"},
            ]}],
        }),
    );
    for round in ["1", "2"] {
        ns.annotate("etl", round).await;
        ns.sync(Ends::With(invalid.clone())).await;
        operator.rest().await;
    }
    let message = ns.source_is("etl", "False", "InvalidFiles").await;
    assert!(message.contains("1 file is invalid"), "{message}");
    assert_eq!(ns.source_condition("etl", "Stalled").await.0, "True");
    assert_eq!(ns.source_condition("etl", "Fetched").await.0, "True");
    assert_eq!(ns.source_condition("etl", "Validated").await.1, "InvalidFiles");
    assert_eq!(ns.source_condition("etl", "Published").await.0, "False");
    let branch = ns.branch("etl").await;
    assert_eq!((branch.revision, branch.files), (Some("a".repeat(40)), Some(3)));
    assert_eq!(branch.attempted_revision, Some("b".repeat(40)));
    assert_eq!(branch.invalid[0].file, "a-runtime.yaml");
    assert_eq!(branch.invalid[0].errors[0].at, "/runtime/memory");
    assert!(branch.last_sync_time < branch.last_attempt_time);

    let told = events(&ns).await;
    assert_eq!(told.len(), 2, "the same fault is told once: {told:#?}");
    assert!(
        told[1].starts_with("SyncInvalid: Branch main at bbbbbbbbbbbb: a-runtime.yaml"),
        "{told:?}"
    );
    assert!(told[1].contains("/runtime/memory: \"lots\" is not a number"), "{told:?}");

    ns.annotate("etl", "3").await;
    ns.sync(Ends::With(published('c', 3))).await;
    ns.source_is("etl", "True", "Published").await;
    assert_eq!(ns.branch("etl").await.invalid, []);
}

#[tokio::test]
async fn an_annotation_syncs_once_for_each_value() {
    let (ns, operator) = synced("annotated").await;
    ns.annotate("etl", "2026-01-01").await;
    let second = ns.sync(Ends::With(published('b', 3))).await;
    operator.rest().await;
    assert_eq!(ns.branch("etl").await.revision, Some("b".repeat(40)));
    ns.annotate("etl", "2026-01-01").await;
    // Its time to live removes a Job; that is no reason to make it again.
    ns.delete_job(&second.name_any()).await;
    operator.rest().await;
    assert_eq!(ns.jobs().await.len(), 1, "the same value asks for nothing new");
}

#[tokio::test]
async fn a_request_waits_for_the_sync_that_runs_and_then_has_one_of_its_own() {
    let (ns, operator) = synced("waiting").await;
    ns.annotate("etl", "1").await;
    let first = ns.running_job().await;
    for value in ["2", "3"] {
        ns.annotate("etl", value).await;
        operator.rest().await;
    }
    assert_eq!(ns.running_job().await.name_any(), first.name_any());
    ns.finish(&first, Ends::With(published('b', 3))).await;
    let next = eventually(
        "the waiting requests get one sync",
        async || ns.running_jobs(1).await.remove(0).name_any(),
        |name| *name != first.name_any(),
    )
    .await;
    operator.rest().await;
    assert_eq!(ns.running_job().await.name_any(), next);
    assert_eq!(ns.jobs().await.len(), 3);
}

#[tokio::test]
async fn a_changed_spec_cuts_off_the_sync_of_the_old_one_and_is_not_ready_before_its_own() {
    let (ns, operator) = synced("changed").await;
    ns.annotate("etl", "1").await;
    let old = ns.running_job().await;
    ns.patch::<RuntimeConfigSource>("etl", json!({"spec": {"include": ["**/*.yaml"]}})).await;
    let new = eventually(
        "the new configuration is synced instead",
        async || ns.running_jobs(1).await.remove(0).name_any(),
        |name| *name != old.name_any(),
    )
    .await;
    ns.source_is("etl", "False", "Syncing").await;
    ns.sync(Ends::With(published('b', 5))).await;
    ns.source_is("etl", "True", "Published").await;
    operator.rest().await;
    assert_eq!(ns.branch("etl").await.job, Some(new));
    let [map] = &ns.config_maps().await[..] else { panic!("the old configuration is removed") };
    assert!(map.data.as_ref().unwrap()["sync.yaml"].contains("\"**/*.yaml\""));

    // What changes nothing in the configuration asks for no sync.
    let jobs = ns.jobs().await.len();
    ns.patch::<RuntimeConfigSource>("etl", json!({"spec": {"interval": "10m"}})).await;
    eventually(
        "the schedule follows",
        async || ns.cron_jobs().await[0].spec.clone().unwrap().schedule,
        |schedule| schedule.contains("/10 "),
    )
    .await;
    operator.rest().await;
    assert_eq!(ns.jobs().await.len(), jobs);
    ns.source_is("etl", "True", "Published").await;
}

#[tokio::test]
async fn changed_credentials_and_schemas_are_synced() {
    let ns = TestNamespace::new("inputs").await;
    a_ready_store(&ns, "demo").await;
    ns.create_secret("git", &[("bearerToken", "t0ken")]).await;
    ns.create::<ConfigMap>("schemas", json!({"data": {"runtime.json": "{}", "other": "1"}})).await;
    let mut body = source(&["main"]);
    body["spec"]["auth"] = json!({"secretRef": {"name": "git"}});
    body["spec"]["schema"] = json!({"configMapRef": {"name": "schemas", "key": "runtime.json"}});
    ns.create::<RuntimeConfigSource>("etl", body).await;
    let operator = ns.operator_of_sources();
    ns.sync(Ends::With(published('a', 1))).await;
    ns.source_is("etl", "True", "Published").await;

    ns.patch::<Secret>("git", json!({"stringData": {"bearerToken": "n3w"}})).await;
    ns.sync(Ends::With(published('b', 1))).await;
    operator.rest().await;
    let schema = |data| json!({"data": data});
    ns.patch::<ConfigMap>("schemas", schema(json!({"runtime.json": "{\"type\":\"object\"}"})))
        .await;
    ns.sync(Ends::With(published('c', 1))).await;
    operator.rest().await;
    ns.patch::<ConfigMap>("schemas", schema(json!({"other": "2"}))).await;
    operator.rest().await;
    assert_eq!(ns.jobs().await.len(), 3, "another key is nothing to this source");

    for text in [json!(ns.jobs().await), json!(ns.config_maps().await), json!(ns.cron_jobs().await)]
    {
        let text = text.to_string();
        assert!(!text.contains("t0ken") && !text.contains("n3w"), "a secret is in {text}");
    }
}

#[tokio::test]
async fn nothing_is_written_for_a_source_that_is_as_it_should_be() {
    let (ns, operator) = synced("quiet").await;
    let before = operator.writes().len();
    // What wakes every controller, and is nothing to this source.
    ns.create_secret("unrelated", &[("a", "b")]).await;
    ns.patch::<RuntimeConfigSource>("etl", json!({"metadata": {"labels": {"team": "data"}}})).await;
    make_ready(&ns, "demo").await;
    operator.rest().await;
    assert_eq!(operator.writes()[before..], [] as [String; 0]);
    drop(operator);
    let again = ns.operator_of_sources();
    again.rest().await;
    assert_eq!(again.writes(), [] as [String; 0], "a new operator finds everything done");
}

#[tokio::test]
async fn an_operator_that_is_killed_in_the_middle_goes_on_without_a_second_sync() {
    let ns = TestNamespace::new("killed").await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main", "dev", "release/1.2"])).await;
    // Each is killed after another number of requests.
    for requests in [12, 16, 20, 24, 28, 32] {
        let operator = ns.operator_of_sources();
        let asked = async || operator.request_count();
        let idle = async || (operator.request_count(), ns.jobs().await.len());
        if ns.jobs().await.len() < 3 {
            eventually("it gets on", asked, |count| *count >= requests).await;
        } else {
            eventually("it gets on", idle, |(count, _)| *count >= 10).await;
        }
        operator.kill();
    }
    let operator = ns.operator_of_sources();
    let jobs = ns.running_jobs(3).await;
    operator.rest().await;
    operator.kill();
    // The syncs end while nobody looks.
    for job in &jobs {
        ns.finish(job, Ends::With(published('a', 1))).await;
    }
    let operator = ns.operator_of_sources();
    ns.source_is("etl", "True", "Published").await;
    operator.rest().await;
    assert_eq!(ns.jobs().await.len(), 3, "one sync for each branch");
    let told = events(&ns).await;
    assert_eq!(told.len(), 3, "each is told once: {told:#?}");
}

#[tokio::test]
async fn a_job_that_is_removed_before_it_ended_comes_back() {
    let ns = TestNamespace::new("lost").await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let operator = ns.operator_of_sources();
    let job = ns.running_job().await;
    operator.rest().await;
    ns.delete_job(&job.name_any()).await;
    let back = ns.running_job().await;
    assert_eq!(back.name_any(), job.name_any());
    assert_ne!(back.uid(), job.uid());
}

#[tokio::test]
async fn children_that_are_deleted_or_edited_come_back() {
    let (ns, operator) = synced("healing").await;
    let cron_job = ns.cron_jobs().await.remove(0);
    let config_map = ns.config_maps().await.remove(0);
    ns.delete::<CronJob>(&cron_job.name_any()).await;
    ns.delete::<ConfigMap>(&config_map.name_any()).await;
    eventually("the CronJob is back", async || ns.cron_jobs().await.len(), |n| *n == 1).await;
    eventually("the ConfigMap is back", async || ns.config_maps().await.len(), |n| *n == 1).await;

    let name = cron_job.name_any();
    ns.patch::<CronJob>(&name, json!({"spec": {"schedule": "0 0 1 1 *", "suspend": true}})).await;
    eventually(
        "the CronJob is put back",
        async || ns.get::<CronJob>(&name).await.spec.unwrap(),
        |spec| spec.schedule == "* * * * *" && spec.suspend == Some(false),
    )
    .await;
    operator.rest().await;
    assert_eq!(ns.jobs().await.len(), 1, "nothing of this is a reason to sync");
}

#[tokio::test]
async fn a_branch_that_is_taken_out_goes_and_the_others_stay() {
    let ns = TestNamespace::new("branches").await;
    a_ready_store(&ns, "demo").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main", "dev"])).await;
    let operator = ns.operator_of_sources();
    let jobs = ns.running_jobs(2).await;
    let of = |branch: &str| {
        let job = jobs.iter().find(|job| job.annotations()["stowage.dev/branch"] == branch);
        job.unwrap().clone()
    };
    ns.finish(&of("main"), Ends::With(published('a', 1))).await;
    operator.rest().await;
    ns.patch::<RuntimeConfigSource>("etl", json!({"spec": source(&["main"])["spec"]})).await;
    ns.source_is("etl", "True", "Published").await;
    eventually("its Job goes", async || ns.jobs().await.len(), |count| *count == 1).await;
    eventually("its CronJob goes", async || ns.cron_jobs().await.len(), |count| *count == 1).await;
    eventually("its ConfigMap goes", async || ns.config_maps().await.len(), |n| *n == 1).await;
    operator.rest().await;
    let source: RuntimeConfigSource = ns.get("etl").await;
    assert_eq!(source.status.unwrap().branches.len(), 1);
    assert_eq!(ns.jobs().await[0].name_any(), of("main").name_any());
}

#[tokio::test]
async fn a_suspended_source_rests_and_says_what_was_last_known() {
    let (ns, operator) = synced("suspended").await;
    ns.annotate("etl", "1").await;
    let running = ns.running_job().await;
    ns.patch::<RuntimeConfigSource>("etl", json!({"spec": {"suspend": true, "include": ["*"]}}))
        .await;
    let message = ns.source_is("etl", "True", "Suspended").await;
    assert!(message.contains("suspended"), "{message}");
    for kind in ["Reconciling", "Stalled"] {
        assert_eq!(ns.source_condition("etl", kind).await.0, "", "{kind}");
    }
    ns.annotate("etl", "2").await;
    operator.rest().await;
    assert_eq!(ns.cron_jobs().await[0].spec.as_ref().unwrap().suspend, Some(true));
    assert_eq!(ns.running_job().await.uid(), running.uid(), "what runs is left alone");
    ns.finish(&running, Ends::With(published('b', 2))).await;
    operator.rest().await;
    assert_eq!(ns.branch("etl").await.revision, Some("b".repeat(40)), "its result counts");

    ns.patch::<RuntimeConfigSource>("etl", json!({"spec": {"suspend": false}})).await;
    ns.sync(Ends::With(published('c', 2))).await;
    ns.source_is("etl", "True", "Published").await;
    assert_eq!(ns.cron_jobs().await[0].spec.as_ref().unwrap().suspend, Some(false));
}

#[tokio::test]
async fn a_source_that_does_not_parse_does_not_stop_the_others() {
    let ns = TestNamespace::alone("unparsable").await;
    ns.loosen::<RuntimeConfigSource>("runtimeconfigsources.stowage.dev").await;
    a_ready_store(&ns, "demo").await;
    ns.create_loose::<RuntimeConfigSource>("broken", json!({"repoId": 7})).await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    let operator = ns.operator_of_sources();
    ns.sync(Ends::With(published('a', 3))).await;
    ns.source_is("etl", "True", "Published").await;
    let broken = eventually(
        "the broken one says so",
        async || ns.loose_condition::<RuntimeConfigSource>("broken", "Ready").await,
        |found| found.1 == "InvalidSpec",
    )
    .await;
    assert!(broken.2.contains("cannot be read"), "{broken:?}");
    operator.rest().await;
}

#[tokio::test]
async fn one_branch_goes_to_two_stores_and_each_is_told_apart() {
    let ns = TestNamespace::new("stores").await;
    a_ready_store(&ns, "demo").await;
    a_ready_store(&ns, "lake").await;
    let mut body = source(&["main", "main"]);
    body["spec"]["branches"][1]["storeRef"]["name"] = json!("lake");
    ns.create::<RuntimeConfigSource>("etl", body).await;
    let _operator = ns.operator_of_sources();
    let jobs = ns.running_jobs(2).await;
    let lake = jobs.iter().find(|job| json!(job).to_string().contains("lake-publisher")).unwrap();
    let demo = jobs.iter().find(|job| job.name_any() != lake.name_any()).unwrap();
    ns.finish(demo, Ends::With(published('a', 3))).await;
    ns.finish(
        lake,
        Ends::With(report("Failed", "PublishFailed", json!({"revision": "a".repeat(40)}))),
    )
    .await;
    let message = ns.source_is("etl", "False", "PublishFailed").await;
    assert!(message.starts_with("Branch main into lake: said of PublishFailed"), "{message}");
    assert_eq!(ns.source_condition("etl", "Fetched").await.0, "True");
    assert_eq!(ns.source_condition("etl", "Published").await.0, "False");
}

#[tokio::test]
async fn a_source_and_its_store_made_at_once_find_each_other() {
    let ns = TestNamespace::new("together").await;
    let operator = ns.operator();
    ns.create::<RuntimeConfigSource>("etl", source(&["main"])).await;
    a_store(&ns, "demo").await;
    serve(&ns, "demo").await;
    let job = ns.running_job().await;
    let volumes = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap().volumes.as_ref();
    let secret = volumes.unwrap().iter().find_map(|volume| volume.secret.as_ref()).unwrap();
    let publisher: Secret = ns.get(secret.secret_name.as_ref().unwrap()).await;
    let key = &secret.items.as_ref().unwrap()[0].key;
    let token = secret_value(&publisher, key).expect("the Store's Secret has the key");
    assert!(token.len() >= 32, "a token of {} characters", token.len());
    ns.finish(&job, Ends::With(published('a', 3))).await;
    ns.source_is("etl", "True", "Published").await;
    operator.rest().await;
    let writes = operator.writes().len();
    operator.rest().await;
    assert_eq!(operator.writes().len(), writes);
}
