//! What an API server cannot bring about in a certain order.

use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn attempt(job: &str, second: i64, reason: &str, revision: &str) -> Attempt {
    let outcome = if reason == "Published" { "Published" } else { "Failed" };
    let report = serde_json::from_value(json!({
        "repoId": "etl", "branch": "main", "outcome": outcome, "reason": reason, "message": reason,
        "revision": revision, "files": 2, "etag": format!("\"{revision}\""),
    }));
    Attempt {
        job: job.into(),
        finished: at(second),
        configuration: Some("c".into()),
        result: Ok(report.unwrap()),
    }
}

fn now(attempt: Attempt) -> BranchNow {
    BranchNow {
        name: "main".into(),
        store: "demo".into(),
        configuration: Some("c".into()),
        attempt: Some(attempt),
        ..BranchNow::default()
    }
}

#[test]
fn an_attempt_counts_once_and_an_older_one_never_after_it() {
    let first = branch_after(None, &now(attempt("b", 10, "Published", "1")));
    assert_eq!((first.revision.as_deref(), first.files), (Some("1"), Some(2)));
    for (job, second, counts) in
        [("b", 10, false), ("a", 9, false), ("a", 10, false), ("c", 10, true), ("a", 11, true)]
    {
        let next = branch_after(Some(&first), &now(attempt(job, second, "Published", "2")));
        let expected = if counts { "2" } else { "1" };
        assert_eq!(next.revision.as_deref(), Some(expected), "{job} at {second}");
    }
}

#[test]
fn a_failure_leaves_what_is_served_and_a_pod_without_a_report_does_too() {
    let served = branch_after(None, &now(attempt("a", 1, "Published", "1")));
    let failed = branch_after(Some(&served), &now(attempt("b", 2, "Unreachable", "2")));
    let silent = Attempt {
        result: Err(Problem::change("OutOfMemory", "it took too much")),
        ..attempt("b", 2, "", "")
    };
    let silent = branch_after(Some(&served), &now(silent));
    for (after, reason) in [(failed, "Unreachable"), (silent, "OutOfMemory")] {
        assert_eq!(after.reason.as_deref(), Some(reason));
        let kept = |branch: &BranchStatus| {
            (
                branch.revision.clone(),
                branch.files,
                branch.digest.clone(),
                branch.last_sync_time.clone(),
            )
        };
        assert_eq!(kept(&after), kept(&served), "{reason}");
        assert_eq!(after.last_attempt_time, Some(Time(at(2))), "{reason}");
    }
}

#[test]
fn the_sentence_of_ready_names_what_somebody_has_to_change_before_what_passes() {
    let source: RuntimeConfigSource = serde_json::from_value(json!({
        "metadata": {"name": "etl", "generation": 3},
        "spec": {
            "repoId": "etl", "url": "https://git.example/a",
            "branches": [
                {"name": "main", "storeRef": {"name": "demo"}},
                {"name": "dev", "storeRef": {"name": "demo"}},
            ],
        },
    }))
    .unwrap();
    let waits = BranchNow {
        problem: Some(Problem::time("StoreNotReady", "it waits")),
        ..now(attempt("a", 1, "Published", "1"))
    };
    let stuck = BranchNow {
        name: "dev".into(),
        problem: Some(Problem::change("SecretMissing", "it is not there.")),
        ..waits.clone()
    };
    let status = status(&source, &[waits, stuck], at(5));
    let told: Vec<String> = status
        .conditions
        .iter()
        .filter(|condition| ["Ready", "Stalled", "Reconciling"].contains(&condition.type_.as_str()))
        .map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message))
        .collect();
    let sentence = "SecretMissing: Branch main: it waits. Branch dev: it is not there.";
    assert_eq!(told, [format!("Ready=False {sentence}"), format!("Stalled=True {sentence}")]);
    assert_eq!(status.observed_generation, Some(3));
}
