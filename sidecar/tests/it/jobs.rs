//! Contract 3, "Jobs": every row, over a bound port. What is about the tree on a volume stands in
//! `jobs_tree`, what is about pages and streams in `jobs_pages`.

use serde_json::Value;

use super::harness::{ADMIN, Server, Setup};
use super::raw::{Answer, Request, delete, get, head, put};
use super::rows::{row, run};

pub(crate) const JOB: &str = "/jobs/j";
pub(crate) const CHECKPOINT: &str = "/jobs/j/checkpoints/c";
pub(crate) const RUN: &str = "/jobs/j/runs/r";
pub(crate) const EVENTS: &str = "/jobs/j/runs/r/events";

pub(crate) fn post(target: &str, body: impl AsRef<[u8]>) -> Request {
    Request::new("POST", target).header("Content-Type", "application/json").body(body)
}

/// An event as the runtime sends it.
pub(crate) fn event(timestamp: u64, step: u64, kind: &str) -> Request {
    let body = format!(
        r#"{{"id":"x","jobId":"j","runId":"r","timestamp":{timestamp},"stepNumber":{step},"type":"{kind}"}}"#
    );
    post(EVENTS, body)
}

/// What a list holds of each entry at a member.
pub(crate) fn members(answer: &Answer, member: &str) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    // A lone surrogate is JSON that this parser does not take.
    let text = answer.text().replace(r"\ud83d", "?");
    let list: Value = serde_json::from_str(&text).expect("JSON");
    let list = list.as_array().unwrap_or_else(|| panic!("expected a list, got {list}"));
    list.iter().map(|entry| entry[member].clone()).collect()
}

pub(crate) async fn listed(server: &Server, target: &str, member: &str) -> Vec<Value> {
    members(&server.send(&get(target)).await, member)
}

#[tokio::test]
async fn every_row_of_single_documents() {
    let job = r#"{"id":"j","startedAt":1}"#;
    let spelled =
        "{ \"id\": \"j\",\n  \"n\": 9007199254740993, \"x\": 1.50e+3, \"s\": \"\\ud83d\" }\n";
    let checkpoint = r#"{"id":"c","jobId":"j","stepNumber":1}"#;
    let rows = [
        row("storeJob: 201").when(put(JOB, job)).then(201).body(job).has("ETag"),
        row("again: 200").given(put(JOB, job)).when(put(JOB, job)).then(200).has("ETag"),
        row("retrieveJob")
            .given(put(JOB, job))
            .when(get(JOB))
            .then(200)
            .body(job)
            .header("ETag", "{etag}")
            .header("Cache-Control", "no-cache, no-transform")
            .header("Content-Type", "application/json"),
        row("retrieveJob of none: 404").when(get(JOB)).then(404).holds("not_found"),
        row("the bytes are those that came").given(put(JOB, spelled)).when(get(JOB)).body(spelled),
        row("and are answered so").when(put(JOB, spelled)).then(201).body(spelled),
        row("a smaller answer")
            .when(put(JOB, job).header("Prefer", "return=minimal"))
            .then(201)
            .body("")
            .has("ETag")
            .header("Preference-Applied", "return=minimal"),
        row("HEAD")
            .given(put(JOB, job))
            .when(head(JOB))
            .then(200)
            .header("Content-Length", job.len().to_string())
            .header("ETag", "{etag}"),
        row("304")
            .given(put(JOB, job))
            .when(get(JOB).header("If-None-Match", "{etag}"))
            .then(304)
            .header("ETag", "{etag}"),
        row("If-None-Match: * creates").when(put(JOB, job).header("If-None-Match", "*")).then(201),
        row("and is 412 where it exists")
            .given(put(JOB, job))
            .when(put(JOB, job).header("If-None-Match", "*"))
            .then(412)
            .header("ETag", "{etag}"),
        row("If-Match")
            .given(put(JOB, job))
            .when(put(JOB, job).header("If-Match", "{etag}"))
            .then(200),
        row("If-Match of another: 412")
            .given(put(JOB, job))
            .when(put(JOB, job).header("If-Match", "\"x\""))
            .then(412)
            .header("ETag", "{etag}"),
        row("If-Match of none: 412")
            .when(put(JOB, job).header("If-Match", "*"))
            .then(412)
            .lacks("ETag"),
        row("storeCheckpoint: 201").when(put(CHECKPOINT, checkpoint)).then(201).has("ETag"),
        row("again: 200")
            .given(put(CHECKPOINT, checkpoint))
            .when(put(CHECKPOINT, checkpoint))
            .then(200),
        row("a checkpoint needs no job")
            .given(put(CHECKPOINT, checkpoint))
            .when(get(CHECKPOINT))
            .then(200)
            .body(checkpoint),
        row("retrieveCheckpoint of none: 404").when(get(CHECKPOINT)).then(404),
        row("a checkpoint's conditions")
            .given(put(CHECKPOINT, checkpoint))
            .when(put(CHECKPOINT, checkpoint).header("If-None-Match", "*"))
            .then(412),
        row("a malformed condition: 400")
            .when(put(JOB, job).header("If-Match", "x"))
            .then(400)
            .holds("invalid_header"),
    ];
    run(Setup::default, rows).await;
}

#[tokio::test]
async fn every_row_of_methods() {
    let rows = [
        ("/jobs", "GET, HEAD, OPTIONS"),
        ("/runs", "GET, HEAD, OPTIONS"),
        (JOB, "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/jobs/j/checkpoints", "GET, HEAD, OPTIONS"),
        (CHECKPOINT, "GET, HEAD, PUT, OPTIONS"),
        (RUN, "GET, HEAD, PUT, OPTIONS"),
        (EVENTS, "GET, HEAD, POST, OPTIONS"),
        ("/jobs/j/runs/r/events/1-2-a", "GET, HEAD, OPTIONS"),
    ];
    let rows = rows.into_iter().flat_map(|(target, allow)| {
        [
            row("405").when(Request::new("PATCH", target)).then(405).header("Allow", allow),
            row("OPTIONS").when(Request::new("OPTIONS", target)).then(204).header("Allow", allow),
        ]
    });
    run(|| Setup::default().in_memory(), rows).await;
    let off = [
        row("another contract alone: 404").when(get("/jobs")).then(404).holds("jobs"),
        row("404 before 405").when(Request::new("PATCH", JOB)).then(404),
    ];
    run(|| Setup::default().in_memory().config("contracts: [kv]"), off).await;
    let paths = ["/jobs/j/", "/jobs/j/runs", "/jobs/j/other", "/runs/r", "/jobs/j/runs/r/events/"];
    let rows = paths.map(|target| row("404 of no path").when(get(target)).then(404));
    run(|| Setup::default().in_memory(), rows).await;
}

#[tokio::test]
async fn every_row_of_bodies() {
    let deep = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let rows = [
        row("another id: 400")
            .when(put(JOB, r#"{"id":"k"}"#))
            .then(400)
            .holds(r#""pointer":"/id""#),
        row("no id").when(put(JOB, "{}")).then(201),
        row("an id that is no text: 400").when(put(JOB, r#"{"id":1}"#)).then(400).holds("/id"),
        row("two ids: 400")
            .when(put(JOB, r#"{"id":"k","id":"j"}"#))
            .then(400)
            .holds("more than once"),
        row("other members twice")
            .given(put(JOB, r#"{"a":1,"a":2}"#))
            .when(get(JOB))
            .body(r#"{"a":1,"a":2}"#),
        row("a checkpoint of another job: 400")
            .when(put(CHECKPOINT, r#"{"id":"c","jobId":"k"}"#))
            .then(400)
            .holds(r#""pointer":"/jobId""#),
        row("another checkpoint: 400")
            .when(put(CHECKPOINT, r#"{"id":"d"}"#))
            .then(400)
            .holds("/id"),
        row("a run of another job: 400")
            .when(put(RUN, r#"{"jobId":"k"}"#))
            .then(400)
            .holds("/jobId"),
        row("another run: 400").when(put(RUN, r#"{"runId":"s"}"#)).then(400).holds("/runId"),
        row("an event of another job: 400")
            .when(post(EVENTS, r#"{"jobId":"k","timestamp":1,"stepNumber":1,"type":"a"}"#))
            .then(400)
            .holds("/jobId"),
        row("an event without a time: 400")
            .when(post(EVENTS, r#"{"stepNumber":1,"type":"a"}"#))
            .then(400)
            .holds("/timestamp"),
        row("an event without a step: 400")
            .when(post(EVENTS, r#"{"timestamp":1,"type":"a"}"#))
            .then(400)
            .holds("/stepNumber"),
        row("an event without a type: 400")
            .when(post(EVENTS, r#"{"timestamp":1,"stepNumber":1}"#))
            .then(400)
            .holds("/type"),
        row("a type that climbs: 400").when(event(1, 1, "../../../x")).then(400).holds("/type"),
        row("a time beyond 2^53: 400").when(event(1 << 53, 1, "a")).then(400).holds("/timestamp"),
        row("a list: 400").when(put(JOB, "[]")).then(400).holds("invalid_document"),
        row("nothing: 400").when(put(JOB, "")).then(400).holds("invalid_json"),
        row("half of it: 400").when(put(JOB, "{\"a\":")).then(400).holds("invalid_json"),
        row("two: 400").when(put(JOB, "{}{}")).then(400).holds("invalid_json"),
        row("bad UTF-8: 400").when(put(JOB, b"{\"a\":\"\xff\"}")).then(400).holds("invalid_json"),
        row("128 levels").when(put(JOB, deep(127))).then(201),
        row("129 levels: 400").when(put(JOB, deep(128))).then(400).holds("invalid_json"),
        row("numbers that no float holds")
            .when(put(JOB, r#"{"a":1e999,"b":123456789012345678901}"#))
            .then(201),
        row("415").when(put(JOB, "{}").header("Content-Type", "text/plain")).then(415),
        row("413").when(put(JOB, format!("{{{}}}", " ".repeat(4096)))).then(413).holds("4096"),
    ];
    run(|| Setup::default().in_memory().config("limits: {maxJsonBytes: 4Ki}"), rows).await;
}

#[tokio::test]
async fn every_row_of_names() {
    let long = "a".repeat(129);
    let longest = "a".repeat(128);
    let bad = [
        "..", "%2e", "%2E%2E", "a%2Fb", "a%252Fb", "a%00", "a%zz", "%FF", "%C3%A9", "a%20b", &long,
    ];
    for name in bad {
        let targets = [
            format!("/jobs/{name}"),
            format!("/jobs/{name}/checkpoints"),
            format!("/jobs/j/checkpoints/{name}"),
            format!("/jobs/j/runs/{name}"),
            format!("/jobs/j/runs/{name}/events"),
            format!("/jobs/j/runs/r/events/{name}"),
            format!("/jobs/j/runs/r/events/1-2-{name}"),
        ];
        let rows = targets.iter().map(|target| row("a bad name").when(get(target)).then(400));
        run(|| Setup::default().in_memory(), rows).await;
    }
    let good = ["aZ0._:@+~-", "...", ".hidden", &longest];
    let rows = good.into_iter().flat_map(|name| {
        [
            row("a good name")
                .when(put(&format!("/jobs/{name}/checkpoints/{name}"), "{}"))
                .then(201),
            row("a good name").when(put(&format!("/jobs/{name}/runs/{name}"), "{}")).then(201),
        ]
    });
    run(Setup::default, rows).await;
    let rows = ["1-2", "x-2-a", "01-2-a", "-1-2-a", "9007199254740992-1-a"].map(|id| {
        row("no event's id").when(get(&format!("{EVENTS}/{id}"))).then(400).holds("invalid_name")
    });
    run(|| Setup::default().in_memory(), rows).await;
}

#[tokio::test]
async fn every_row_of_events() {
    let rows = [
        row("storeEvent: 201")
            .when(event(1_700_000_000_000, 1, "startRun"))
            .then(201)
            .header("Location", "/jobs/j/runs/r/events/1700000000000-1-startRun")
            .has("ETag"),
        row("it can be read there")
            .given(event(17, 1, "startRun"))
            .when(get("/jobs/j/runs/r/events/17-1-startRun"))
            .then(200)
            .header("ETag", "{etag}")
            .holds(r#""timestamp":17"#),
        row("none: 404").when(get("/jobs/j/runs/r/events/17-1-startRun")).then(404),
        row("the same three parts replace").given(event(17, 1, "a")).when(event(17, 1, "a")).then(201),
        row("unless a condition forbids it")
            .given(event(17, 1, "a"))
            .when(event(17, 1, "a").header("If-None-Match", "*"))
            .then(412),
        row("numbers in another spelling")
            .when(post(EVENTS, r#"{"timestamp":1.7e12,"stepNumber":2.0,"type":"a"}"#))
            .header("Location", "/jobs/j/runs/r/events/1700000000000-2-a"),
        row("an unknown run is []").when(get(EVENTS)).then(200).body("[]").has("ETag"),
        row("with contents, too").when(get(&format!("{EVENTS}?contents=true"))).then(200).body("[]"),
        row("getEventsByRun")
            .given(event(30, 1, "a"))
            .when(get(EVENTS))
            .then(200)
            .body(r#"[{"timestamp":30,"stepNumber":1,"type":"a"}]"#)
            .header("Content-Type", "application/json"),
        row("line by line")
            .given(event(30, 2, "b"))
            .given(event(40, 1, "a"))
            .when(get(EVENTS).header("Accept", "application/x-ndjson"))
            .then(200)
            .header("Content-Type", "application/x-ndjson")
            .body("{\"timestamp\":40,\"stepNumber\":1,\"type\":\"a\"}\n{\"timestamp\":30,\"stepNumber\":2,\"type\":\"b\"}\n"),
        row("a list's tag: 304")
            .given(event(30, 1, "a"))
            .given(get(EVENTS))
            .when(get(EVENTS).header("If-None-Match", "{etag}"))
            .then(304),
        row("which an event changes")
            .given(get(EVENTS))
            .given(event(30, 1, "a").header("Prefer", "return=minimal"))
            .when(get(EVENTS).header("If-None-Match", "\"0\""))
            .then(200),
        row("HEAD").when(head(EVENTS)).then(200).header("Content-Length", "2"),
        row("contents=1: 400").when(get(&format!("{EVENTS}?contents=1"))).then(400),
        row("maxStep=-1: 400").when(get(&format!("{EVENTS}?maxStep=-1"))).then(400),
        row("limit=0: 400").when(get(&format!("{EVENTS}?limit=0"))).then(400),
        row("limit=x: 400").when(get(&format!("{EVENTS}?limit=x"))).then(400),
        row("continue=x: 400").when(get(&format!("{EVENTS}?continue=x"))).then(400),
    ];
    run(Setup::default, rows).await;
}

#[tokio::test]
async fn every_row_of_deletes() {
    let rows = [
        row("204").given(put(JOB, "{}")).when(delete(JOB)).then(204).body("").lacks("ETag"),
        row("nothing of it: 404").when(delete(JOB)).then(404).holds("not_found"),
        row("also of a job without its own document")
            .given(event(1, 1, "a"))
            .when(delete(JOB))
            .then(204),
        row("the job is gone").given(put(JOB, "{}")).given(delete(JOB)).when(get(JOB)).then(404),
        row("its events, too")
            .given(event(1, 1, "a"))
            .given(delete(JOB))
            .when(get(EVENTS))
            .body("[]"),
        row("and its runs").given(put(RUN, "{}")).given(delete(JOB)).when(get("/runs")).body("[]"),
        row("and its checkpoints")
            .given(put(CHECKPOINT, "{}"))
            .given(delete(JOB))
            .when(get("/jobs/j/checkpoints"))
            .body("[]"),
        row("others stay")
            .given(put(JOB, "{}"))
            .given(put("/jobs/j-", r#"{"id":"j-"}"#))
            .given(delete(JOB))
            .when(get("/jobs"))
            .body(r#"[{"id":"j-"}]"#),
        row("If-Match")
            .given(put(JOB, "{}"))
            .when(delete(JOB).header("If-Match", "{etag}"))
            .then(204),
        row("If-Match of another: 412")
            .given(put(JOB, "{}"))
            .when(delete(JOB).header("If-Match", "\"x\""))
            .then(412)
            .header("ETag", "{etag}"),
        row("it can be made again")
            .given(put(JOB, "{}"))
            .given(delete(JOB))
            .when(put(JOB, "{}").header("If-None-Match", "*"))
            .then(201),
        row("a single event is not deleted").when(delete("/jobs/j/runs/r/events/1-1-a")).then(405),
    ];
    run(Setup::default, rows).await;
}

#[tokio::test]
async fn events_are_sorted_by_step_or_with_contents_by_time() {
    let server = Server::start().await;
    for (timestamp, step, kind) in
        [(30, 2, "b"), (9, 10, "z"), (100, 2, "a"), (30, 1, "c"), (30, 2, "a")]
    {
        assert_eq!(server.send(&event(timestamp, step, kind)).await.status, 201);
    }
    let list = async |query: &str| {
        let answer = server.send(&get(&format!("{EVENTS}{query}"))).await;
        let all = ["timestamp", "stepNumber", "type"].map(|member| members(&answer, member));
        let [times, steps, types] = all;
        let entries = times.iter().zip(&steps).zip(&types);
        let text = |v: &Value| v.as_str().expect("a type").to_owned();
        entries
            .map(|((time, step), kind)| format!("{time}-{step}-{}", text(kind)))
            .collect::<Vec<_>>()
    };
    // Equal steps are in the order of the file names, where 100 comes before 30.
    assert_eq!(list("").await, ["30-1-c", "100-2-a", "30-2-a", "30-2-b", "9-10-z"]);
    let by_time = ["9-10-z", "30-1-c", "30-2-a", "30-2-b", "100-2-a"];
    assert_eq!(list("?contents=true").await, by_time);
    assert_eq!(list("?contents=true&maxStep=2").await, by_time[1..]);
    assert_eq!(list("?contents=true&maxStep=1").await, ["30-1-c"]);
    assert_eq!(list("?contents=true&maxStep=0").await, [""; 0]);
    assert_eq!(list("?maxStep=2").await, ["30-1-c", "100-2-a", "30-2-a", "30-2-b"]);
}

#[tokio::test]
async fn jobs_and_checkpoints_are_sorted_by_what_they_say() {
    let server = Server::start().await;
    for (id, started) in [("a", "5"), ("b", "1e3"), ("c", "-1"), ("d", "5"), ("e", "\"7\"")] {
        let body = format!(r#"{{"id":"{id}","startedAt":{started}}}"#);
        assert_eq!(server.send(&put(&format!("/jobs/{id}"), body)).await.status, 201);
    }
    // What says no number is the oldest.
    assert_eq!(listed(&server, "/jobs", "id").await, ["b", "a", "d", "c", "e"]);
    for (id, step) in [("x", "10"), ("y", "9"), ("b", "1"), ("a", "1"), ("z", "null")] {
        let body = format!(r#"{{"id":"{id}","jobId":"j","stepNumber":{step}}}"#);
        assert_eq!(server.send(&put(&format!("/jobs/j/checkpoints/{id}"), body)).await.status, 201);
    }
    let found = listed(&server, "/jobs/j/checkpoints", "id").await;
    assert_eq!(found, ["z", "a", "b", "y", "x"]);
    assert_eq!(listed(&server, "/jobs/nobody/checkpoints", "id").await, [""; 0]);
}

#[tokio::test]
async fn a_setting_stays_and_gets_another_time() {
    let server = Server::start().await;
    let before = jiff::Timestamp::now().as_millisecond();
    let first = "{\"jobId\": \"j\", \"runId\": \"r\", \"model\": \"one\", \"updatedAt\": 17 }";
    let created = server.send(&put(RUN, first)).await;
    assert_eq!((created.status, created.text().as_str()), (201, first));
    let other = r#"{"jobId":"j","runId":"r","model":"two","updatedAt":18}"#;
    let refused = server.send(&put(RUN, other).header("If-None-Match", "*")).await;
    assert_eq!((refused.status, refused.etag()), (412, created.etag()));
    let kept = server.send(&put(RUN, other).header("If-Match", &created.etag())).await;
    assert_eq!(kept.status, 200, "{}", kept.text());
    let updated = kept.json()["updatedAt"].as_i64().expect("a number");
    let after = jiff::Timestamp::now().as_millisecond();
    assert!((before..=after).contains(&updated), "{before} {updated} {after}");
    assert_eq!(kept.text(), first.replace("17", &updated.to_string()), "nothing else changes");
    assert_ne!(kept.etag(), created.etag());
    let read = server.send(&get(RUN)).await;
    assert_eq!((read.text(), read.etag()), (kept.text(), kept.etag()));

    for (job, updated) in [("k", 3), ("l", 1), ("m", 2)] {
        let body = format!(r#"{{"jobId":"{job}","runId":"r","updatedAt":{updated}}}"#);
        let target = format!("/jobs/{job}/runs/r");
        assert_eq!(server.send(&put(&target, body)).await.status, 201);
    }
    assert_eq!(listed(&server, "/runs", "jobId").await, ["j", "k", "m", "l"], "newest first");
}

#[tokio::test]
async fn no_writer_of_a_setting_loses_the_first_one() {
    let server = Server::start().await;
    let writers = (0..16).map(|writer| {
        let request = put(RUN, format!(r#"{{"model":{writer},"updatedAt":1}}"#));
        async { server.send(&{ request }).await }
    });
    let answers = futures_util::future::join_all(writers).await;
    let created: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(created.len(), 1, "one creates");
    let model = created[0].json()["model"].clone();
    for answer in &answers {
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        assert_eq!(answer.json()["model"], model, "it stays");
    }
}

#[tokio::test]
async fn a_token_reaches_the_jobs_that_it_names() {
    let limited = r#"{"token":"limited-0123456789abc","contracts":["jobs"],"namespaces":["j"]}"#;
    let reader = r#"{"token":"reader-0123456789abc","contracts":["jobs"],"access":"read"}"#;
    let other = r#"{"token":"other-0123456789abcd","contracts":["kv"]}"#;
    let setup = Setup::default().in_memory().token("admin", ADMIN);
    let setup = setup.token("limited", limited).token("reader", reader).token("other", other);
    let server = setup.start().await;
    let send = async |request: Request, token: &str| {
        server.send(&request.header("Authorization", &format!("Bearer {token}"))).await
    };
    let limited = "limited-0123456789abc";
    for job in ["j", "k"] {
        let run = format!("/jobs/{job}/runs/r");
        assert_eq!(
            send(put(&format!("/jobs/{job}"), format!(r#"{{"id":"{job}"}}"#)), ADMIN).await.status,
            201
        );
        assert_eq!(send(put(&run, format!(r#"{{"jobId":"{job}"}}"#)), ADMIN).await.status, 201);
    }
    assert_eq!(members(&send(get("/jobs"), ADMIN).await, "id"), ["j", "k"]);
    assert_eq!(members(&send(get("/jobs"), limited).await, "id"), ["j"]);
    assert_eq!(members(&send(get("/runs"), limited).await, "jobId"), ["j"]);
    for target in [JOB, RUN, EVENTS, "/jobs/j/checkpoints"] {
        assert_eq!(send(get(target), limited).await.status, 200, "{target}");
        let elsewhere = target.replace("/j", "/k").replacen("/kobs", "/jobs", 1);
        assert_eq!(send(get(&elsewhere), limited).await.status, 403, "{elsewhere}");
        assert_eq!(send(get(target), "other-0123456789abcd").await.status, 403, "{target}");
        assert_eq!(server.send(&get(target)).await.status, 401, "{target}");
    }
    assert_eq!(send(event(1, 1, "a"), limited).await.status, 201);
    for request in
        [delete(JOB), put(JOB, "{}"), put(CHECKPOINT, "{}"), put(RUN, "{}"), event(1, 1, "a")]
    {
        let target = request.target.clone();
        assert_eq!(send(request, "reader-0123456789abc").await.status, 403, "{target}");
    }
    for list in ["/jobs", "/runs"] {
        assert_eq!(send(get(list), "other-0123456789abcd").await.status, 403, "{list}");
        assert_eq!(server.send(&get(list)).await.status, 401, "{list}");
    }
}
