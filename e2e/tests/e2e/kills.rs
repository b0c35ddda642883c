//! A storage pod is killed while it is written to. What it acknowledged is there afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::http::Caller;
use crate::support::namespace::Namespace;
use crate::support::node::Process;
use crate::support::release;
use crate::support::{SOON, SetOnDrop, eventually, stores};

const WRITERS: u32 = 4;
const KILLS: u64 = 12;
const FORCED_DELETIONS: u64 = 2;

/// What one writer was told is stored.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Keys of its KV namespace, each with its value.
    keys: BTreeMap<String, u64>,
    /// What its document holds at least.
    document: Option<u64>,
}

/// Writes one thing after the other until `until` is set.
fn write(caller: &Caller, writer: u32, count: &AtomicU64, until: &AtomicBool) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let mut number = 0;
    while !until.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("k{number}");
        match caller.set(&format!("writer{writer}"), &key, &json!(number)) {
            Ok(answer) if matches!(answer.status, 200 | 201 | 204) => {
                acknowledged.keys.insert(key, number);
                count.fetch_add(1, Ordering::Relaxed);
            }
            // Told or not told: whether it was written is open.
            Ok(answer) => assert!(answer.status >= 500, "{answer:?}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
        match caller.put(&format!("/run-stores/writer{writer}"), &[], &json!(number)) {
            Ok(answer) if answer.status == 200 => acknowledged.document = Some(number),
            Ok(answer) => assert!(answer.status >= 500, "{answer:?}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
    acknowledged
}

/// Waits until more was acknowledged, so that the next kill meets a server at work.
fn wait_for_writes(count: &AtomicU64) {
    let before = count.load(Ordering::Relaxed);
    eventually("writes are acknowledged", SOON, || {
        let now = count.load(Ordering::Relaxed);
        if now >= before + 20 { Ok(()) } else { Err(format!("{} since the kill", now - before)) }
    });
}

#[test]
fn what_was_acknowledged_is_there_after_kills() {
    let _cluster = release::shared();
    let namespace = Namespace::create("kills");
    let caller = stores::demo(&namespace);
    let (until, count) = (AtomicBool::new(false), AtomicU64::new(0));

    let acknowledged: Vec<Acknowledged> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (caller, count, until) = (&caller, &count, &until);
                scope.spawn(move || write(caller, writer, count, until))
            })
            .collect();
        let _stop = SetOnDrop(&until);
        let uid = stores::uid(&stores::pod(&namespace, "demo").unwrap());
        for kill in 0..KILLS {
            wait_for_writes(&count);
            // At another point of the work each time.
            thread::sleep(Duration::from_millis(kill * 7 % 40));
            let processes = Process::of_pod(&uid, "stowage-sidecar");
            let [process] = processes[..] else { panic!("the pod runs {processes:?}") };
            process.kill();
        }
        let restarts = eventually("every kill is a restart", SOON, || {
            let pod = stores::pod(&namespace, "demo")?;
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap();
            if restarts >= KILLS { Ok(restarts) } else { Err(format!("{restarts} restarts")) }
        });
        assert_eq!(restarts, KILLS, "the server ended by itself as well");
        for _ in 0..FORCED_DELETIONS {
            wait_for_writes(&count);
            namespace.kubectl(&["delete", "pod/demo-0", "--grace-period=0", "--force"]);
        }
        wait_for_writes(&count);
        until.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });

    let caller = stores::ready(&namespace, "demo");
    let mut total = 0;
    for (writer, acknowledged) in acknowledged.iter().enumerate() {
        let found = caller.keys(&format!("writer{writer}")).unwrap();
        let lost: Vec<_> = acknowledged
            .keys
            .iter()
            .filter(|(key, number)| found[key.as_str()] != json!(number))
            .collect();
        assert!(
            lost.is_empty(),
            "of writer {writer}, these were acknowledged and are gone: {lost:?}"
        );
        total += acknowledged.keys.len();
        let document = caller.get(&format!("/run-stores/writer{writer}")).unwrap();
        let holds = document.body.parse::<u64>().unwrap();
        let last = acknowledged.document.unwrap();
        assert!(holds >= last, "writer {writer} was told {last} and finds {holds}");
    }
    println!(
        "{total} keys acknowledged over {KILLS} kills and {FORCED_DELETIONS} forced deletions"
    );
}
