//! What the audit line tells of each kind of write: which of the things that its name holds, and
//! the tag of what it replaced, whatever its condition was.

use std::collections::HashMap;

use serde_json::Value;

use super::audit::lines;
use super::harness::ADMIN;
use super::jobs::{CHECKPOINT, EVENTS, JOB, RUN, event, post};
use super::process::{Place, Process};
use super::raw::{Request, delete, patch, put};

const DOC: &str = "/run-stores/doc";
const CART: &str = "/api/storage?ns=cart";
const SET: &str = "/runtimes/team%2Fetl/feature%2Fx";
const ARCHIVE: &str = "/sites/s/artifacts/b-1";
const ALIAS: &str = "/artifacts/s/b-1";
const LOGS: &str = "/sites/s/logs";
const EVENT_ITEM: &str = "runs/r/events/1-2-t";

/// A write, and what its line tells beside what every line does. `{id}` in its condition stands for
/// the tag that the write of this id was answered with; `old` is such an id, or a version.
struct Write {
    id: &'static str,
    request: Request,
    status: u16,
    item: Option<&'static str>,
    old: Option<&'static str>,
}

fn write(id: &'static str, request: Request, status: u16) -> Write {
    Write { id, request, status, item: None, old: None }
}

impl Write {
    fn item(mut self, item: &'static str) -> Self {
        self.item = Some(item);
        self
    }

    fn old(mut self, old: &'static str) -> Self {
        self.old = Some(old);
        self
    }

    fn when(mut self, name: &str, condition: &str) -> Self {
        self.request = self.request.header(name, condition);
        self
    }
}

/// Makes the writes one after the other, and compares each with its line.
async fn run(name: &str, writes: Vec<Write>) {
    let place = Place::new();
    let process = place.start_with(&["--log-format", "json"]).await;
    let (mut tags, mut expected) = (HashMap::new(), Vec::new());
    for write in &writes {
        let new = send(&process, write, &tags).await;
        let of_id = |old| tags.get(old).map_or(old, String::as_str).to_owned();
        let item = write.item.map(str::to_owned);
        expected.push((write.id, item, write.old.map(of_id), new.clone()));
        tags.extend(new.map(|new| (write.id, new)));
    }
    let (_, log) = process.terminate().await;
    let found = lines(&log);
    for ((id, item, old, new), line) in expected.into_iter().zip(&found) {
        let told = |member: &str| line[member].as_str().map(str::to_owned);
        assert_eq!(told("request_id").as_deref(), Some(id), "in order: {found:#?}");
        assert_eq!(told("name").as_deref(), Some(name), "{id}: the name of {line}");
        assert_eq!(told("item"), item, "{id}: the item of {line}");
        assert_eq!(told("old_etag"), old, "{id}: the tag that was replaced, of {line}");
        assert_eq!(told("new_etag"), new, "{id}: the tag that was answered, of {line}");
    }
    assert_eq!(found.len(), writes.len(), "a line for each write: {found:#?}");
}

/// Gives the tag that a write was answered with, where it was applied.
async fn send(process: &Process, write: &Write, tags: &HashMap<&str, String>) -> Option<String> {
    let mut request = write.request.clone().header("X-Request-Id", write.id);
    for (_, value) in &mut request.headers {
        for (id, tag) in tags {
            *value = value.replace(&format!("{{{id}}}"), &format!("\"{tag}\""));
        }
    }
    let request = request.header("Authorization", &format!("Bearer {ADMIN}"));
    let answer = request.send(process.address).await;
    assert_eq!(answer.status, write.status, "{}: {}", write.id, answer.text());
    let tag = answer.header("ETag").filter(|_| answer.status < 300);
    tag.map(|tag| tag.trim_matches('"').to_owned())
}

#[tokio::test]
async fn of_a_document() {
    let doc = |id, body: &str| write(id, put(DOC, body), 200);
    run(
        "doc",
        vec![
            doc("created", "1"),
            doc("unconditional", "2").old("created"),
            doc("the-same", "2").old("unconditional"),
            doc("any", "3").when("If-Match", "*").old("the-same"),
            doc("list", "4").when("If-Match", "\"other\", {any}").old("any"),
            doc("one", "5").when("If-Match", "{list}").old("list"),
            doc("none-match", "6").when("If-None-Match", "{any}").old("one"),
            write("lost", put(DOC, "7"), 412).when("If-Match", "{one}").old("none-match"),
            write("no-json", put(DOC, "{"), 400).when("If-Match", "{none-match}"),
            write("gone", delete(DOC), 204).old("none-match"),
            write("nothing", delete(DOC), 404),
            doc("again", "1"),
            write("gone-again", delete(DOC), 204).when("If-Match", "*").old("again"),
        ],
    )
    .await;
}

#[tokio::test]
async fn of_the_default_document() {
    let writes = vec![
        write("created", put("/", "1"), 200),
        write("replaced", put("/", "2"), 200).old("created"),
        write("gone", delete("/"), 204).old("replaced"),
    ];
    run("/", writes).await;
}

#[tokio::test]
async fn of_a_namespace_whose_versions_are_numbers() {
    let patched = |id, if_match, status| {
        write(id, patch(CART, if_match, r#"[{"op":"set","key":"k","value":1}]"#), status)
    };
    let cleared = |id, if_match: &str| write(id, delete(CART), 200).when("If-Match", if_match);
    run(
        "cart",
        vec![
            patched("created", "*", 201).old("0"),
            patched("any", "*", 200).old("1"),
            patched("list", "\"9\", \"2\"", 200).old("2"),
            patched("number", "3", 200).old("3"),
            patched("lost", "3", 412).old("4"),
            cleared("cleared", "*").old("4"),
            cleared("cleared-at", "\"5\"").old("5"),
        ],
    )
    .await;
}

#[tokio::test]
async fn of_a_job_and_what_is_below_it() {
    let job = || put(JOB, r#"{"id":"j","startedAt":1}"#);
    let checkpoint = || put(CHECKPOINT, r#"{"id":"c","jobId":"j","stepNumber":1}"#);
    let setting = || put(RUN, r#"{"jobId":"j","runId":"r","updatedAt":1}"#);
    run(
        "j",
        vec![
            write("job", job(), 201),
            write("job-2", job(), 200).old("job"),
            write("checkpoint", checkpoint(), 201).item("checkpoints/c"),
            write("checkpoint-2", checkpoint(), 200).item("checkpoints/c").old("checkpoint"),
            write("other-id", put(CHECKPOINT, r#"{"id":"x"}"#), 400).item("checkpoints/c"),
            write("no-name", put("/jobs/j/checkpoints/a%2Fb", "{}"), 400),
            write("run", setting(), 201).item("runs/r"),
            write("run-2", setting(), 200).item("runs/r").old("run"),
            write("event", event(1, 2, "t"), 201).item(EVENT_ITEM),
            write("event-2", event(1, 2, "t"), 201).item(EVENT_ITEM).old("event"),
            write("event-3", event(1, 2, "t"), 201)
                .when("If-Match", "*")
                .item(EVENT_ITEM)
                .old("event-2"),
            write("no-event", post(EVENTS, "{}"), 400).item("runs/r/events"),
            write("all-of-it", delete(JOB), 204).old("job-2"),
            write("nothing", delete(JOB), 404),
            write("checkpoint-3", checkpoint(), 201).item("checkpoints/c"),
            write("without-its-own-document", delete(JOB), 204),
        ],
    )
    .await;
}

#[tokio::test]
async fn of_a_set_of_runtime_configs() {
    let set = |id, files: &str, status| {
        let body = format!(r#"{{"revision":"c1","files":[{files}]}}"#);
        write(id, put(SET, body), status).item("feature/x")
    };
    let (one, two) = (r#"{"filepath":"a","config":1}"#, r#"{"filepath":"a","config":2}"#);
    let delete = |id, status| write(id, delete(SET), status).item("feature/x");
    run(
        "team/etl",
        vec![
            set("created", one, 201),
            set("replaced", two, 200).old("created"),
            set("the-same", two, 200).old("replaced"),
            set("any", one, 200).when("If-Match", "*").old("the-same"),
            set("lost", two, 412).when("If-Match", "{created}").old("any"),
            delete("gone", 204).old("any"),
            delete("nothing", 404),
            set("of-no-file", "", 200),
            set("after-one-that-is-not-served", one, 201),
            delete("at-its-tag", 204)
                .when("If-Match", "{after-one-that-is-not-served}")
                .old("after-one-that-is-not-served"),
        ],
    )
    .await;
}

#[tokio::test]
async fn of_an_archive_and_the_log_of_a_build() {
    let upload = |id, path, content: &str| write(id, put(path, content), 201).item("b-1");
    let gone = |id, path, status| write(id, delete(path), status).item("b-1");
    let entry = r#"{"build_id":"b-1","action":"a","status":"s"}"#;
    run(
        "s",
        vec![
            upload("created", ARCHIVE, "1"),
            upload("replaced", ARCHIVE, "2").old("created"),
            upload("any", ALIAS, "3").when("If-Match", "*").old("replaced"),
            upload("one", ARCHIVE, "3").when("If-Match", "{any}").old("any"),
            write("lost", put(ARCHIVE, "4"), 412).when("If-None-Match", "*").item("b-1").old("one"),
            gone("gone", ARCHIVE, 204).old("one"),
            gone("nothing", ALIAS, 404),
            write("logged", post(LOGS, entry), 201).item("b-1"),
            write("logged-2", post(LOGS, entry), 201).item("b-1"),
            write("no-entry", post(LOGS, "{}"), 400),
        ],
    )
    .await;
}

/// A start has nothing in memory of what it replaces.
#[tokio::test]
async fn of_what_stands_there_since_before_the_start() {
    let place = Place::new();
    let process = place.start_with(&["--log-format", "json"]).await;
    let none = HashMap::new();
    let job = || put(JOB, r#"{"id":"j","startedAt":1}"#);
    let before = [
        write("doc", put(DOC, "1"), 200),
        write("job", job(), 201),
        write("archive", put(ARCHIVE, "1"), 201),
    ];
    let mut tags = Vec::new();
    for write in &before {
        tags.push(send(&process, write, &none).await.expect("a tag"));
    }
    process.terminate().await;

    let process = place.start_with(&["--log-format", "json"]).await;
    for (id, target) in [("doc", DOC), ("job", JOB), ("archive", ARCHIVE)] {
        send(&process, &write(id, delete(target), 204), &none).await;
    }
    let (_, log) = process.terminate().await;
    let told: Vec<Value> = lines(&log).iter().map(|line| line["old_etag"].clone()).collect();
    assert_eq!(told, tags, "the tags of before: {log}");
}
