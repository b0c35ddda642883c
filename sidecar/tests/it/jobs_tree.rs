//! Contract 3 on a volume: the tree is the runtime's own, both ways.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stowage_store::{Store, VolumeOptions, VolumeStore};
use tempfile::TempDir;

use super::harness::{Server, Setup, eventually};
use super::jobs::{CHECKPOINT, EVENTS, JOB, RUN, event, listed, members};
use super::raw::{get, put};

/// A tree as the runtime left it; `jobs/empty` is there for a directory without a document.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/agent-runtime");

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).expect("a copy");
        }
    }
}

/// Every file below a directory, by its relative path.
fn files(root: &Path, below: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(root.join(below)).expect("a directory") {
        let entry = entry.expect("an entry");
        let path = format!("{below}/{}", entry.file_name().to_str().expect("UTF-8"));
        if entry.file_type().expect("its type").is_dir() {
            files(root, &path, found);
        } else {
            found.insert(path, fs::read(entry.path()).expect("a file"));
        }
    }
}

fn in_a_hurry() -> VolumeOptions {
    VolumeOptions { checkpoint_after: Duration::ZERO, ..VolumeOptions::default() }
}

fn open(directory: &TempDir) -> Arc<dyn Store> {
    Arc::new(VolumeStore::open(directory.path(), &in_a_hurry()).expect("a store"))
}

async fn serve_the_fixture() -> (TempDir, Server) {
    let directory = TempDir::new().expect("a directory");
    copy(Path::new(FIXTURE), directory.path());
    let server = Setup::default().store(open(&directory)).start().await;
    (directory, server)
}

#[tokio::test]
async fn a_directory_of_the_runtime_is_served_as_it_is() {
    let (directory, server) = serve_the_fixture().await;
    let read = |path: &str| fs::read_to_string(Path::new(FIXTURE).join(path)).expect(path);
    assert_eq!(listed(&server, "/jobs", "id").await, ["beta", "my job", "alpha-1"]);
    assert_eq!(listed(&server, "/runs", "runId").await, ["r2", "r 3", "r1"]);
    let checkpoints = listed(&server, "/jobs/alpha-1/checkpoints", "id");
    assert_eq!(checkpoints.await, ["c1", "c2", "c10"].map(|id| json!(id)));
    for path in ["jobs/alpha-1/job.json", "jobs/beta/job.json", "jobs/broken/job.json"] {
        let answer = server.send(&get(&format!("/{}", path.trim_end_matches("/job.json")))).await;
        assert_eq!((answer.status, answer.text()), (200, read(path)), "{path}");
    }
    let answer = server.send(&get("/jobs/alpha-1/checkpoints/c1")).await;
    assert_eq!(answer.text(), read("jobs/alpha-1/checkpoints/c1.json"));
    let answer = server.send(&get("/jobs/alpha-1/runs/r1/events/1700000000200-1-startRun")).await;
    assert_eq!(answer.text(), read("jobs/alpha-1/runs/r1/event-1700000000200-1-startRun.json"));

    let answer = server.send(&get("/jobs/alpha-1/runs/r1/events")).await;
    let meta = |timestamp: u64, step: u64, kind: &str| json!({"timestamp": timestamp, "stepNumber": step, "type": kind});
    let expected = [
        meta(1_700_000_000_200, 1, "startRun"),
        meta(1_700_000_000_400, 2, "startGeneration"),
        meta(999, 2, "callTools"),
        meta(1_700_000_000_900, 10, "callTools"),
        meta(1_700_000_000_950, 10, "finishToolCall"),
    ];
    assert_eq!(answer.json(), json!(expected));
    let contents = "/jobs/alpha-1/runs/r1/events?contents=true&maxStep=2";
    let expected = [999, 1_700_000_000_200_u64, 1_700_000_000_400].map(|time| json!(time));
    assert_eq!(listed(&server, contents, "timestamp").await, expected);

    let lines = get("/jobs").header("Accept", "application/x-ndjson");
    let lines = server.send(&lines).await.text();
    assert_eq!(lines.lines().count(), 3, "a pretty document is one line, too: {lines}");
    let first: serde_json::Value =
        serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["id"], "beta");

    let metrics = reqwest_text(&server).await;
    // `broken` in two lists of jobs, `r4`, `c3`, and `event-broken` in both lists of events.
    let expected = "stowage_jobs_documents_skipped_total 6";
    assert!(metrics.contains(expected), "{expected} is not in {metrics}");

    let mut untouched = BTreeMap::new();
    files(Path::new(FIXTURE), "jobs", &mut untouched);
    let mut found = BTreeMap::new();
    files(directory.path(), "jobs", &mut found);
    assert!(found == untouched, "reading changes nothing");
}

async fn reqwest_text(server: &Server) -> String {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://{}/metrics", server.management);
    client.get(url).send().await.expect("an answer").text().await.expect("text")
}

#[tokio::test]
async fn the_runtime_s_own_documents_are_gone_on_with() {
    let (directory, server) = serve_the_fixture().await;
    let setting = "/jobs/alpha-1/runs/r1";
    let kept = server.send(&put(setting, r#"{"runId":"r1","expertKey":"other"}"#)).await;
    assert_eq!(kept.status, 200);
    assert_eq!(kept.json()["expertKey"], "writer@1.0.0", "the one that was there stays");
    assert!(kept.json()["updatedAt"].as_u64().expect("a number") > 1_700_000_002_000);
    assert_eq!(listed(&server, "/runs", "runId").await, ["r1", "r2", "r 3"]);
    // Neither changed nor replaced: a person may want to look at it.
    let damaged = server.send(&put("/jobs/broken/runs/r4", "{}")).await;
    assert_eq!((damaged.status, damaged.json()["error"].as_str()), (500, Some("damaged")));
    let job = server.send(&get("/jobs/beta")).await;
    let done = put("/jobs/beta", r#"{"id":"beta","startedAt":1}"#);
    assert_eq!(server.send(&done.clone().header("If-Match", "\"x\"")).await.status, 412);
    assert_eq!(server.send(&done.header("If-Match", &job.etag())).await.status, 200);
    assert_eq!(listed(&server, "/jobs", "id").await, ["my job", "alpha-1", "beta"]);
    server.shutdown.cancel();
    server.ended().await.expect("an orderly end");
    let path = directory.path().join("jobs/alpha-1/runs/r1/run-setting.json");
    assert_eq!(fs::read_to_string(path).expect("a file"), kept.text());
    let path = directory.path().join("jobs/broken/runs/r4/run-setting.json");
    assert_eq!(fs::read_to_string(path).expect("a file"), "[]");
}

#[tokio::test]
async fn what_is_written_lies_as_the_runtime_lays_it() {
    let directory = TempDir::new().expect("a directory");
    let server = Setup::default().store(open(&directory)).start().await;
    let job = "{ \"id\": \"j\" }\n";
    let checkpoint = r#"{"id":"c","jobId":"j"}"#;
    let setting = r#"{"jobId":"j","runId":"r","updatedAt":1}"#;
    let written = [
        (put(JOB, job), "jobs/j/job.json"),
        (put(CHECKPOINT, checkpoint), "jobs/j/checkpoints/c.json"),
        (put(RUN, setting), "jobs/j/runs/r/run-setting.json"),
        (event(17, 3, "callTools"), "jobs/j/runs/r/event-17-3-callTools.json"),
        (event(17, 4, "callTools"), "jobs/j/runs/r/event-17-4-callTools.json"),
    ];
    let mut expected = BTreeMap::new();
    for (request, path) in &written {
        assert_eq!(server.send(request).await.status, 201, "{path}");
        expected.insert((*path).to_owned(), request.body.clone());
    }
    eventually("the tree is up to date", async || {
        let mut found = BTreeMap::new();
        if directory.path().join("jobs").is_dir() {
            files(directory.path(), "jobs", &mut found);
        }
        let unknown = found.keys().find(|path| !expected.contains_key(*path));
        assert_eq!(unknown, None, "nothing else is ever seen there");
        (found == expected).then_some(())
    })
    .await;
    server.shutdown.cancel();
    server.ended().await.expect("an orderly end");

    let server = Setup::default().store(open(&directory)).start().await;
    assert_eq!(server.send(&get(JOB)).await.text(), job, "after a restart");
    let events = server.send(&get(EVENTS)).await;
    assert_eq!(members(&events, "stepNumber"), [3, 4]);
}

#[tokio::test]
async fn what_another_program_writes_while_one_serves_is_seen_after_a_restart() {
    let (directory, server) = serve_the_fixture().await;
    assert_eq!(server.send(&put(JOB, r#"{"id":"j","startedAt":1}"#)).await.status, 201);
    assert!(!listed(&server, "/jobs", "id").await.contains(&json!("other")), "not there yet");
    // Of a job that the server has never heard of, and beside a document of its own.
    let jobs = directory.path().join("jobs");
    let other = r#"{"id":"other","startedAt":2}"#;
    let event = r#"{"timestamp":7,"stepNumber":3,"type":"b"}"#;
    fs::create_dir_all(jobs.join("other")).expect("a directory");
    fs::write(jobs.join("other/job.json"), other).expect("a file");
    fs::create_dir_all(jobs.join("j/runs/r")).expect("a directory");
    fs::write(jobs.join("j/runs/r/event-7-3-b.json"), event).expect("a file");
    server.shutdown.cancel();
    server.ended().await.expect("an orderly end");

    let server = Setup::default().store(open(&directory)).start().await;
    assert!(listed(&server, "/jobs", "id").await.contains(&json!("other")), "it is listed");
    assert_eq!(server.send(&get("/jobs/other")).await.text(), other, "it is read");
    assert_eq!(listed(&server, EVENTS, "stepNumber").await, [3], "the event is listed");
    let read = server.send(&get(&format!("{EVENTS}/7-3-b"))).await;
    assert_eq!(read.text(), event, "and read");
    assert_eq!(server.send(&get(JOB)).await.status, 200, "what was written here stays");
}
