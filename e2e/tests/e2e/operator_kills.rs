//! The operator is killed over and over in the middle of its work, and the work gets done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::git::Repository;
use crate::support::kubectl::kubectl;
use crate::support::namespace::Namespace;
use crate::support::node::Process;
use crate::support::release::{self, NAME, NAMESPACE};
use crate::support::{SOON, SetOnDrop, eventually, stores};

const STORES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// How often the Lease has gone to another holder, and who holds it.
fn lease() -> (u64, String) {
    let text = kubectl(&["get", "lease", NAME, "--namespace", NAMESPACE, "--output=json"]);
    let lease: Value = serde_json::from_str(&text).unwrap();
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
    (lease["spec"]["leaseTransitions"].as_u64().unwrap_or_default(), holder)
}

/// Kills the operator's process at ever other moments; gives how often it met one.
fn kill_until(stop: &AtomicBool) -> u32 {
    let mut kills = 0;
    // Steps that have no common rhythm with what the operator does.
    let mut pause = 230;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(pause));
        pause = (pause * 7 + 131) % 1900 + 150;
        for process in Process::of_pod(&release::operator_pod(), "stowage-operator") {
            process.kill();
            kills += 1;
        }
    }
    kills
}

#[test]
fn stores_and_a_source_get_ready_although_the_operator_is_killed_again_and_again() {
    let _cluster = release::exclusive();
    // So that it does not wait for the Lease of a dead one, and has time to be in the middle.
    let namespace = Namespace::create("operator-kills");
    let repository = Repository::serve(&namespace);
    let before = lease();
    let stop = AtomicBool::new(false);

    let kills = thread::scope(|scope| {
        let killer = scope.spawn(|| kill_until(&stop));
        let _stop = SetOnDrop(&stop);
        namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
        for store in STORES {
            namespace.apply(&stores::manifest(store, &json!({})));
            thread::sleep(Duration::from_secs(2));
        }
        namespace.apply_file("examples/cluster/store.yaml");
        namespace.apply_file("examples/cluster/source.yaml");
        thread::sleep(Duration::from_secs(20));
        stop.store(true, Ordering::Relaxed);
        killer.join().unwrap()
    });
    println!("{kills} kills");
    assert!(kills >= 10, "the operator was killed {kills} times only");

    let mut uids = Vec::new();
    for store in STORES {
        let caller = stores::ready(&namespace, store);
        assert_eq!(caller.put("/", &[], &json!({"store": store})).unwrap().status, 200);
        uids.push(stores::uid(&stores::pod(&namespace, store).unwrap()));
    }
    let caller = stores::ready(&namespace, "demo");
    let head = repository.head();
    eventually("the source is served", SOON, || match caller.get("/runtimes/etl/main") {
        Ok(answer) if answer.revision.as_deref() == Some(&head) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    namespace.wait("Ready", "runtimeconfigsource/etl");

    let after = lease();
    assert!(!after.1.is_empty(), "nobody leads");
    assert_ne!(after, before, "the Lease was not taken over");
    // Nobody lost a pod by it.
    for (store, uid) in STORES.iter().zip(uids) {
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
