//! Figures, printed by `make e2e-figures`. Memory is held to its goals; times are only told, since
//! they are those of a machine that does other things as well.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::audit::{operator_writes, wait_until_quiet};
use crate::support::http::Caller;
use crate::support::namespace::Namespace;
use crate::support::node::Process;
use crate::support::release;
use crate::support::stores;

const OPERATOR_MIB_GOAL: u64 = 30;
const SIDECAR_MIB_GOAL: u64 = 15;

fn mib(process: &[Process]) -> u64 {
    let [process] = process else { panic!("not one process: {process:?}") };
    process.resident_kib().div_ceil(1024)
}

#[test]
fn a_store_is_there_within_seconds_and_costs_little() {
    let _cluster = release::exclusive();
    let namespace = Namespace::create("figures");
    namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
    // The image is on the node, and the operator has found its feet.
    namespace.apply(&stores::manifest("first", &json!({})));
    stores::ready(&namespace, "first");

    let writes = operator_writes().len();
    let started = Instant::now();
    namespace.apply(&stores::manifest("demo", &json!({})));
    let (bound, answered) = thread::scope(|scope| {
        let bound = scope.spawn(|| {
            let claim = "persistentvolumeclaim/demo-data";
            for condition in ["create", "jsonpath={.status.phase}=Bound"] {
                namespace.kubectl(&["wait", &format!("--for={condition}"), "--timeout=1m", claim]);
            }
            started.elapsed()
        });
        namespace.kubectl(&["wait", "--for=create", "--timeout=1m", "service/demo"]);
        // While kube-proxy replaces its rules, a packet may get lost, and TCP would wait a second
        // before it sends another.
        let within = Duration::from_millis(100);
        let caller = Caller::connecting_within(within, &namespace, "demo", stores::TOKEN);
        while !caller.put("/", &[], &json!({})).is_ok_and(|answer| answer.status == 200) {
            assert!(started.elapsed() < Duration::from_secs(60), "no answer within a minute");
            thread::sleep(Duration::from_millis(10));
        }
        (bound.join().unwrap(), started.elapsed())
    });
    namespace.wait("Ready", "store/demo");
    wait_until_quiet(Duration::from_secs(5));
    let written: Vec<String> = operator_writes().split_off(writes);
    let written: Vec<String> =
        written.into_iter().filter(|write| write.contains(&namespace.name)).collect();

    let operator = mib(&Process::of_pod(&release::operator_pod(), "stowage-operator"));
    let pod = stores::uid(&stores::pod(&namespace, "demo").unwrap());
    let sidecar = mib(&Process::of_pod(&pod, "stowage-sidecar"));
    println!(
        "figure: from kubectl apply of a Store to its first 200: {} ms, of which its volume took {} ms",
        answered.as_millis(),
        bound.as_millis()
    );
    println!("figure: API writes for creating one Store: {}", written.len());
    println!("  {}", written.join("\n  "));
    println!("figure: memory at rest: operator {operator} MiB, sidecar {sidecar} MiB");
    assert!(operator <= OPERATOR_MIB_GOAL, "the operator holds {operator} MiB");
    assert!(sidecar <= SIDECAR_MIB_GOAL, "the sidecar holds {sidecar} MiB");
}
