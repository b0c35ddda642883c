//! The operator is killed over and over in the middle of its work, and the work gets done.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::git::Repository;
use crate::support::kubectl::kubectl;
use crate::support::namespace::Namespace;
use crate::support::node::Process;
use crate::support::release::{self, NAME, NAMESPACE};
use crate::support::{SOON, eventually, stores};

const STORES: [&str; 5] = ["one", "two", "three", "four", "five"];
/// How long each operator leads until it is killed, in milliseconds: from before its first write to
/// after its last.
const LED_MS: [u64; 8] = [30, 80, 150, 250, 400, 700, 1100, 1800];

/// How often the Lease has gone to another holder.
fn lease_transitions() -> u64 {
    let text = kubectl(&["get", "lease", NAME, "--namespace", NAMESPACE, "--output=json"]);
    let lease: Value = serde_json::from_str(&text).unwrap();
    lease["spec"]["leaseTransitions"].as_u64().unwrap_or_default()
}

fn kill_operator() {
    let processes = Process::of_pod(&release::operator_pod(), "stowage-operator");
    assert_eq!(processes.len(), 1, "the operator's processes: {processes:?}");
    processes[0].kill();
}

#[test]
fn stores_and_a_source_get_ready_although_the_operator_is_killed_again_and_again() {
    let _cluster = release::exclusive();
    let namespace = Namespace::create("operator-kills");
    let repository = Repository::serve(&namespace);
    namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
    let mut transitions = lease_transitions();
    kill_operator();

    // While nobody leads, work comes in. The next leader is killed in the middle of it.
    let mut stores_to_apply = STORES.iter();
    for led_ms in LED_MS {
        match stores_to_apply.next() {
            Some(store) => {
                namespace.apply(&stores::manifest(store, &json!({})));
            }
            None => {
                namespace.apply_file("examples/cluster/store.yaml");
                namespace.apply_file("examples/cluster/source.yaml");
                let request = format!("stowage.dev/sync-requested-at={led_ms}");
                let source = "runtimeconfigsource/etl";
                namespace.kubectl(&["annotate", "--overwrite", source, &request]);
            }
        }
        transitions = eventually("the Lease is taken over", SOON, || {
            let now = lease_transitions();
            if now > transitions { Ok(now) } else { Err(format!("{now} transitions")) }
        });
        thread::sleep(Duration::from_millis(led_ms));
        kill_operator();
    }

    let mut pods = Vec::new();
    for store in STORES {
        let caller = stores::ready(&namespace, store);
        let written = caller.put("/", &[], &json!({"store": store})).unwrap();
        assert_eq!(written.status, 200, "{store}: {written:?}");
        pods.push(stores::uid(&stores::pod(&namespace, store).unwrap()));
    }
    let caller = stores::ready(&namespace, "demo");
    let head = repository.head();
    eventually("the source is served", SOON, || match caller.get("/runtimes/etl/main") {
        Ok(answer) if answer.revision.as_deref() == Some(&head) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    namespace.wait("Ready", "runtimeconfigsource/etl");
    // Nothing is half done, and nobody lost a pod.
    for (store, uid) in STORES.iter().zip(pods) {
        let pod = stores::pod(&namespace, store).unwrap();
        assert_eq!(stores::uid(&pod), uid, "the pod of {store} was replaced");
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{store}");
    }
}

/// Storage pods do not need it.
#[test]
fn stores_serve_without_an_operator() {
    let _cluster = release::exclusive();
    let namespace = Namespace::create("alone");
    let caller = stores::demo(&namespace);
    release::uninstall();
    let written = caller.put("/", &[], &json!({"run": 1})).unwrap();
    assert_eq!(written.status, 200, "{written:?}");
    // A pod that is gone comes back: its StatefulSet is Kubernetes' own.
    let before = stores::uid(&stores::pod(&namespace, "demo").unwrap());
    namespace.kubectl(&["delete", "pod/demo-0", "--grace-period=0", "--force"]);
    eventually("the pod comes back and serves", SOON, || {
        let now = stores::uid(&stores::pod(&namespace, "demo")?);
        let answer = caller.get("/")?;
        if now != before && answer.status == 200 { Ok(answer) } else { Err(format!("{answer:?}")) }
    });
    assert_eq!(caller.get("/").unwrap().body, r#"{"run":1}"#);
}
