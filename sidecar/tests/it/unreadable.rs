//! Files and directories that the server may not read: a list goes on without them, says so, and counts them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tokio::process::Command;

use super::harness::ADMIN;
use super::process::{Place, Process};
use super::raw::{Answer, get, put};

/// A tree of two of each: one that is read, and one that is not.
const FILES: [(&str, &str); 14] = [
    ("jobs/good/job.json", r#"{"id":"good","startedAt":1}"#),
    ("jobs/bad/job.json", r#"{"id":"bad","startedAt":2}"#),
    ("jobs/good/runs/good/run-setting.json", r#"{"runId":"good","updatedAt":1}"#),
    ("jobs/good/runs/bad/run-setting.json", r#"{"runId":"bad","updatedAt":2}"#),
    ("jobs/good/checkpoints/good.json", r#"{"id":"good","stepNumber":1}"#),
    ("jobs/good/checkpoints/bad.json", r#"{"id":"bad","stepNumber":2}"#),
    ("jobs/good/runs/good/event-1-1-good.json", r#"{"timestamp":1,"stepNumber":1,"type":"good"}"#),
    ("jobs/good/runs/good/event-2-2-bad.json", r#"{"timestamp":2,"stepNumber":2,"type":"bad"}"#),
    ("sites/s/artifacts/good.tar.gz", "123"),
    ("sites/s/artifacts/bad.tar.gz", "123"),
    (
        "sites/s/logs/good.json",
        r#"[{"timestamp":"2024-01-01T12:00:00Z","build_id":"good","action":"a","status":"s"}]"#,
    ),
    (
        "sites/s/logs/bad.json",
        r#"[{"timestamp":"2024-01-01T12:00:00Z","build_id":"bad","action":"a","status":"s"}]"#,
    ),
    // Its archive alone cannot be read.
    (
        "sites/s/logs/half.json",
        r#"[{"timestamp":"2024-01-01T13:00:00Z","build_id":"half","action":"a","status":"s"}]"#,
    ),
    ("sites/s/artifacts/half.tar.gz", "123"),
];

/// Lists, the member that names an entry, and what they are to hold.
const LISTS: [(&str, &str, &[&str]); 6] = [
    ("/jobs", "id", &["good"]),
    ("/runs", "runId", &["good"]),
    ("/jobs/good/checkpoints", "id", &["good"]),
    ("/jobs/good/runs/good/events?contents=true", "type", &["good"]),
    ("/sites/s/versions", "build_id", &["half", "good"]),
    ("/sites/s/versions?all=true", "build_id", &["half", "good"]),
];

fn lock(place: &Place, path: &str) {
    let path = place.path("data").join(path);
    fs::set_permissions(path, Permissions::from_mode(0o000)).expect("its mode");
}

/// A server that may not pass over modes, as root may.
async fn start(place: &Place) -> Process {
    let serve = place.serve();
    if !rustix::process::geteuid().is_root() {
        return place.start_by(serve).await;
    }
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg(serve.as_std().get_program())
        .args(serve.as_std().get_args())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    place.start_by(command).await
}

fn planted() -> Place {
    let place = Place::new();
    for (path, text) in FILES {
        let path = place.path("data").join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    place
}

async fn asked(process: &Process, target: &str) -> Answer {
    get(target).header("Authorization", &format!("Bearer {ADMIN}")).send(process.address).await
}

/// What a list names.
fn named(list: &Value, member: &str) -> Vec<String> {
    let entries = list.get("versions").unwrap_or(list).as_array().expect("a list");
    entries.iter().map(|entry| entry[member].as_str().expect("a name").to_owned()).collect()
}

/// How many lines of a log say that a list goes on without a file.
fn warnings(log: &str, path: &str) -> usize {
    let warns = |line: &&str| line.contains("WARN") && line.contains("left out of a list");
    log.lines().filter(warns).filter(|line| line.contains(path)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_read_takes_no_list_away() {
    let place = planted();
    let is_bad = |path: &&str| path.contains("bad") || path.ends_with("half.tar.gz");
    let bad: Vec<&str> = FILES.iter().map(|(path, _)| *path).filter(is_bad).collect();
    bad.iter().for_each(|path| lock(&place, path));
    let process = start(&place).await;
    for (target, member, expected) in LISTS {
        let answer = asked(&process, target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(named(&answer.json(), member), expected, "{target}");
    }
    let half = &asked(&process, "/sites/s/versions").await.json()["versions"][0];
    assert_eq!(half["size_bytes"], Value::Null, "nothing is known of its archive");

    let metrics = get("/metrics").send(process.management).await.text();
    let skipped = "stowage_jobs_documents_skipped_total 4\n";
    assert!(metrics.contains(skipped), "one of each of the four lists of jobs: {metrics}");
    for target in [
        "/jobs/bad",
        "/jobs/good/runs/bad",
        "/jobs/good/checkpoints/bad",
        "/jobs/good/runs/good/events/2-2-bad",
        "/sites/s/artifacts/bad",
    ] {
        let answer = asked(&process, target).await;
        assert_eq!(answer.status, 503, "{target}: {}", answer.text());
    }
    let (_, log) = process.terminate().await;
    for path in &bad {
        // Three lists of versions were asked for, and one of each of the others.
        let lists = if path.starts_with("sites/") { 3 } else { 1 };
        assert_eq!(warnings(&log, path), lists, "{path}, once a list: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_read_takes_no_list_away() {
    let place = planted();
    let locked = [
        ("jobs/locked", "job.json"),
        ("jobs/good/runs/locked", "run-setting.json"),
        ("jobs/bad/runs", "r/run-setting.json"),
        ("runtimes/locked", "main.json"),
        ("sites/s/artifacts", "one.tar.gz"),
    ];
    for (directory, file) in locked {
        let path = place.path("data").join(directory).join(file);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, "{}").expect("a file");
        lock(&place, directory);
    }
    let process = start(&place).await;
    let set = put("/runtimes/r/main", r#"{"revision":"c","files":[{"filepath":"a","config":1}]}"#);
    let set = set.header("Authorization", &format!("Bearer {ADMIN}")).send(process.address).await;
    assert_eq!(set.status, 201, "{}", set.text());
    let lists: [(&str, &str, &[&str]); 5] = [
        ("/jobs", "id", &["bad", "good"]),
        ("/runs", "runId", &["bad", "good"]),
        ("/runtimes", "repo_id", &["r"]),
        ("/sites/s/versions", "build_id", &["half", "bad", "good"]),
        ("/sites/s/versions?all=true", "build_id", &["half", "bad", "good"]),
    ];
    for (target, member, expected) in lists {
        let answer = asked(&process, target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(named(&answer.json(), member), expected, "{target}");
    }
    // What is asked for and cannot be read is not called empty.
    for target in ["/jobs/locked", "/jobs/locked/checkpoints", "/jobs/good/runs/locked/events"] {
        let answer = asked(&process, target).await;
        assert_eq!(answer.status, 503, "{target}: {}", answer.text());
    }
    let (_, log) = process.terminate().await;
    for (directory, _) in locked {
        assert!(warnings(&log, directory) > 0, "{directory} is named: {log}");
        let path = place.path("data").join(directory);
        fs::set_permissions(path, Permissions::from_mode(0o700)).expect("its mode");
    }
}
