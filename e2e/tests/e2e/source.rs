//! A Git repository is served: the first sync, a new commit, an invalid one, and its repair.

use std::time::Duration;

use serde_json::Value;

use crate::support::git::{self, Repository};
use crate::support::http::{Answer, Caller};
use crate::support::namespace::{Namespace, condition};
use crate::support::release;
use crate::support::{SOON, eventually, stores};

const ORDERS: &str = "jobs/orders.runtime.yaml";
const SET: &str = "/runtimes/etl/main";

fn sync_now(namespace: &Namespace, request: &str) {
    let annotation = format!("stowage.dev/sync-requested-at={request}");
    namespace.kubectl(&["annotate", "--overwrite", "runtimeconfigsource/etl", &annotation]);
}

fn orders(workers: u32) -> String {
    format!("runtime:\n  engine: polars\n  workers: {workers}\n  source: s3://lake/orders/")
}

fn branch(namespace: &Namespace) -> Value {
    namespace.get("runtimeconfigsource/etl")["status"]["branches"][0].clone()
}

/// Waits until the set of `revision` is served, and gives it.
fn served(caller: &Caller, revision: &str, within: Duration) -> Answer {
    eventually(&format!("{revision} is served"), within, || match caller.get(SET) {
        Ok(answer) if answer.status == 200 && answer.revision.as_deref() == Some(revision) => {
            Ok(answer)
        }
        other => Err(format!("{other:?}")),
    })
}

/// Waits until the status tells the served revision.
fn told(namespace: &Namespace, revision: &str) {
    eventually("the status tells the revision", SOON, || {
        let found = branch(namespace);
        let source = namespace.try_get("runtimeconfigsource/etl")?;
        let ready = condition(&source, "Ready").is_some_and(|ready| ready["status"] == "True");
        if found["revision"] == revision && ready {
            Ok(())
        } else {
            Err(source["status"].to_string())
        }
    });
}

fn paths(set: &Answer) -> Vec<String> {
    let files = set.json();
    let path = |file: &Value| file["filepath"].as_str().unwrap().to_owned();
    files.as_array().unwrap().iter().map(path).collect()
}

fn workers(set: &Answer) -> Value {
    let files = set.json();
    let orders = files.as_array().unwrap().iter().find(|file| file["filepath"] == ORDERS);
    orders.unwrap()["config"]["runtime"]["workers"].clone()
}

#[test]
fn commits_are_served_as_a_whole_and_an_invalid_one_leaves_the_old_set() {
    let _cluster = release::shared();
    let namespace = Namespace::create("source");
    let caller = stores::demo(&namespace);
    let repository = Repository::serve(&namespace);

    // The first sync is not waited for.
    let first = repository.head();
    // The interval of the example would run into this test.
    namespace.apply(&git::unscheduled_source());
    namespace.wait("Ready", "runtimeconfigsource/etl");
    let set = served(&caller, &first, SOON);
    assert_eq!(paths(&set), [ORDERS, "jobs/refunds.runtime.yaml"]);
    assert_eq!(workers(&set), 4);
    told(&namespace, &first);
    assert_eq!(branch(&namespace)["files"], 2);
    let table = namespace.kubectl(&["get", "runtimeconfigsources"]);
    for expected in ["NAME", "READY", "STATUS", "REVISION", "FILES", "LAST SYNC", "etl", "True"] {
        assert!(table.contains(expected), "no {expected} in:\n{table}");
    }

    // One commit that changes a file and adds another.
    repository.commit("jobs/returns.runtime.yaml", &orders(2));
    let second = repository.commit(ORDERS, &orders(8));
    sync_now(&namespace, "second");
    let set = served(&caller, &second, SOON);
    assert_eq!(paths(&set), [ORDERS, "jobs/refunds.runtime.yaml", "jobs/returns.runtime.yaml"]);
    assert_eq!(workers(&set), 8);
    told(&namespace, &second);
    eventually("an Event tells of the new set", SOON, || {
        let events = namespace.events("RuntimeConfigSource", "etl");
        let published = |(reason, kind, note): &&(String, String, String)| {
            reason == "SyncPublished" && kind == "Normal" && note.contains(&second[..7])
        };
        events.iter().find(published).map(drop).ok_or(format!("{events:?}"))
    });

    // 1000 workers are more than the schema allows.
    repository.commit(ORDERS, &orders(1000));
    sync_now(&namespace, "third");
    let invalid = eventually("the status names the file", SOON, || {
        let found = branch(&namespace);
        if found["invalid"][0]["file"] == ORDERS { Ok(found) } else { Err(found.to_string()) }
    });
    assert_eq!(invalid["revision"], second, "the served revision");
    let error = &invalid["invalid"][0]["errors"][0];
    assert_eq!(error["at"], "/runtime/workers", "{invalid}");
    assert!(error["message"].as_str().unwrap().contains("64"), "{invalid}");
    eventually("a warning names the file and the reason", SOON, || {
        let events = namespace.events("RuntimeConfigSource", "etl");
        let told = |(reason, kind, note): &&(String, String, String)| {
            reason == "SyncInvalid"
                && kind == "Warning"
                && note.contains(ORDERS)
                && note.contains("64")
        };
        events.iter().find(told).map(drop).ok_or(format!("{events:?}"))
    });
    let source = namespace.get("runtimeconfigsource/etl");
    let validated = condition(&source, "Validated").unwrap();
    assert_eq!(validated["status"], "False", "{validated}");
    let set = served(&caller, &second, SOON);
    assert_eq!(workers(&set), 8, "the old set stays");

    let repaired = repository.commit(ORDERS, &orders(16));
    sync_now(&namespace, "fourth");
    let set = served(&caller, &repaired, SOON);
    assert_eq!(workers(&set), 16);
    told(&namespace, &repaired);
    assert_eq!(branch(&namespace)["invalid"], Value::Null, "what was invalid no longer is");
}

/// Nobody has to ask for it.
#[test]
fn a_commit_is_served_after_the_interval() {
    let _cluster = release::shared();
    let namespace = Namespace::create("interval");
    let caller = stores::demo(&namespace);
    let repository = Repository::serve(&namespace);
    let first = repository.head();
    namespace.apply_file("examples/cluster/source.yaml");
    served(&caller, &first, SOON);
    let second = repository.commit(ORDERS, &orders(8));
    // The interval is a minute, and the schedule's minute may just have begun.
    let set = served(&caller, &second, Duration::from_secs(180));
    assert_eq!(workers(&set), 8);
    told(&namespace, &second);
}
