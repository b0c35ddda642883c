//! Contract 5: the log of a site's builds, and the list of its versions.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::harness::{Server, Setup};
use super::raw::{Answer, Request, get, head, put};
use super::rows::{row, run};

const VERSIONS: &str = "/sites/blog/versions";

fn log(body: impl AsRef<[u8]>) -> Request {
    Request::new("POST", "/sites/blog/logs").header("Content-Type", "application/json").body(body)
}

fn entry(build: &str, action: &str) -> Request {
    log(json!({"build_id": build, "action": action, "status": "success"}).to_string())
}

fn time(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("expected a time, got {value}"));
    assert!(text.ends_with('Z'), "{text} is in UTC");
    text.parse().unwrap_or_else(|e| panic!("expected a time, got {text}: {e}"))
}

async fn versions(server: &Server, target: &str) -> Value {
    let answer = server.send(&get(target)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn builds(list: &Value) -> Vec<&str> {
    let versions = list["versions"].as_array().expect("a list");
    assert_eq!(list["count"], versions.len(), "{list}");
    versions.iter().map(|version| version["build_id"].as_str().expect("a build")).collect()
}

#[tokio::test]
async fn every_row_of_logging() {
    let rows = [
        row("POST: 201").when(entry("b-1", "build")).then(201).lacks("ETag"),
        row("metadata may hold anything")
            .when(log(r#"{"build_id":"b","action":"a","status":"s","metadata":{"deep":[1.50,null,"\ud83d"]}}"#))
            .then(201),
        row("metadata may be null")
            .when(log(r#"{"build_id":"b","action":"a","status":"s","metadata":null}"#))
            .then(201),
        row("other members are ignored")
            .when(log(r#"{"build_id":"b","action":"a","status":"s","timestamp":"x","site_id":"y"}"#))
            .then(201),
        row("without a type")
            .when(Request::new("POST", "/sites/blog/logs").body(r#"{"build_id":"b","action":"a","status":"s"}"#))
            .then(201),
        row("a condition that is malformed: 400")
            .when(entry("b", "a").header("If-Match", "junk"))
            .then(400)
            .holds("If-Match"),
        row("If-Match: no representation stands here, so it is 412, without an ETag")
            .given(entry("b", "a"))
            .when(entry("b", "a").header("If-Match", "\"x\""))
            .then(412)
            .lacks("ETag"),
        row("If-Match: *, likewise").when(entry("b", "a").header("If-Match", "*")).then(412),
        row("If-None-Match holds")
            .given(entry("b", "a"))
            .when(entry("b", "a").header("If-None-Match", "*"))
            .then(201),
        row("400 comes before the condition")
            .when(log("{}").header("If-Match", "*"))
            .then(400)
            .holds("invalid_log"),
        row("no build_id: 400").when(log(r#"{"action":"a","status":"s"}"#)).then(400).holds("build_id"),
        row("no action: 400").when(log(r#"{"build_id":"b","status":"s"}"#)).then(400).holds("action"),
        row("no status: 400").when(log(r#"{"build_id":"b","action":"a"}"#)).then(400).holds("status"),
        row("an empty build_id: 400")
            .when(log(r#"{"build_id":"","action":"a","status":"s"}"#))
            .then(400)
            .holds("build"),
        row("an empty action: 400")
            .when(log(r#"{"build_id":"b","action":"","status":"s"}"#))
            .then(400)
            .holds("action"),
        row("an empty status: 400")
            .when(log(r#"{"build_id":"b","action":"a","status":""}"#))
            .then(400)
            .holds("status"),
        row("a build_id that climbs: 400")
            .when(log(r#"{"build_id":"../b","action":"a","status":"s"}"#))
            .then(400)
            .holds("invalid_name"),
        row("an action that is no text: 400")
            .when(log(r#"{"build_id":"b","action":1,"status":"s"}"#))
            .then(400),
        row("metadata that is no object: 400")
            .when(log(r#"{"build_id":"b","action":"a","status":"s","metadata":[1]}"#))
            .then(400)
            .holds("metadata"),
        row("nothing: 400").when(log("")).then(400),
        row("an array: 400").when(log("[]")).then(400).holds("it must be an object"),
        row("an array of what an object holds: 400")
            .when(log(r#"["b","a","s",{"m":1}]"#))
            .then(400)
            .holds("it must be an object"),
        row("malformed JSON: 400").when(log("{")).then(400).holds("invalid_json"),
        row("415").when(entry("b", "a").header("Content-Type", "text/plain")).then(415),
        row("413: the limit of JSON").when(log("x".repeat(1025))).then(413).holds("1024 bytes"),
    ];
    run(|| Setup::default().in_memory().config("limits: {maxJsonBytes: 1Ki}"), rows).await;
}

#[tokio::test]
async fn every_row_of_listing() {
    let empty = r#"{"site_id":"blog","count":0,"versions":[]}"#;
    let rows = [
        row("an unknown site is an empty list").when(get(VERSIONS)).then(200).body(empty),
        row("also with all").when(get("/sites/blog/versions?all=true")).then(200).body(empty),
        row("an archive without a log is no version")
            .given(put("/artifacts/blog/b-1", "x"))
            .when(get(VERSIONS))
            .then(200)
            .body(empty),
        row("all=false is the default")
            .given(put("/artifacts/blog/b-1", "x"))
            .when(get("/sites/blog/versions?all=false"))
            .then(200)
            .body(empty),
        row("another value of all: 400").when(get("/sites/blog/versions?all=1")).then(400),
        row("all twice: 400").when(get("/sites/blog/versions?all=true&all=true")).then(400),
        row("it has an ETag")
            .given(entry("b-1", "build"))
            .given(get(VERSIONS))
            .when(get(VERSIONS).header("If-None-Match", "{etag}"))
            .then(304),
        row("which an entry changes")
            .given(get(VERSIONS))
            .given(entry("b-1", "build"))
            .when(get(VERSIONS).header("If-None-Match", "{etag}"))
            .then(200)
            .header("Content-Type", "application/json"),
        row("HEAD")
            .when(head(VERSIONS))
            .then(200)
            .header("Content-Length", empty.len().to_string()),
    ];
    run(Setup::default, rows).await;
}

#[tokio::test]
async fn a_version_holds_what_its_archive_and_its_log_say() {
    let server = Server::start().await;
    let before = Timestamp::now();
    let upload = server.send(&put("/sites/blog/artifacts/b-1", "12345")).await;
    assert_eq!(upload.status, 201);
    let first = server.send(&entry("b-1", "build")).await;
    let with_metadata = r#"{"build_id":"b-1","action":"deploy","status":"failed","metadata":{"n":1.50,"s":"\ud83d"}}"#;
    let second = server.send(&log(with_metadata)).await;
    let logged = |answer: &Answer| {
        let json = answer.json();
        assert_eq!((&json["status"], &json["site_id"]), (&json!("success"), &json!("blog")));
        assert_eq!(json["build_id"], "b-1");
        json["timestamp"].clone()
    };
    let (first, second) = (logged(&first), logged(&second));
    assert!(before < time(&first) && time(&first) < time(&second), "{before} {first} {second}");

    let answer = server.send(&get(VERSIONS)).await;
    assert!(answer.text().contains(r#""metadata":{"n":1.50,"s":"\ud83d"}"#), "{}", answer.text());
    // Its spelling is not what a parser of JSON would take.
    let text = answer.text().replace(r"\ud83d", "?");
    let list: Value = serde_json::from_str(&text).expect("JSON");
    let metadata = json!({"n": 1.5, "s": "?"});
    let created = list["versions"][0]["created_at"].clone();
    assert!(before < time(&created) && time(&created) < time(&first), "{created}");
    let expected = json!({"site_id": "blog", "count": 1, "versions": [{
        "build_id": "b-1", "size_bytes": 5, "created_at": created, "timestamp": second,
        "action": "deploy", "status": "failed", "metadata": metadata,
        "logs": [
            {"action": "build", "status": "success", "timestamp": first, "metadata": {}},
            {"action": "deploy", "status": "failed", "timestamp": second, "metadata": metadata},
        ],
    }]});
    assert_eq!(list, expected);
}

#[tokio::test]
async fn versions_are_the_newest_first_with_and_without_archives() {
    let server = Server::start().await;
    for build in ["with", "silent"] {
        let target = format!("/sites/blog/artifacts/{build}");
        assert_eq!(server.send(&put(&target, build)).await.status, 201);
    }
    // Far more than one a second, so that only what is below it can tell them apart.
    let mut logged: Vec<String> = (0..20).map(|n| format!("b-{:02}", n * 7 % 20)).collect();
    logged.push("with".into());
    for build in &logged {
        assert_eq!(server.send(&entry(build, "build")).await.status, 201);
    }
    logged.reverse();
    let list = versions(&server, VERSIONS).await;
    assert_eq!(builds(&list), logged, "the newest first");
    assert_eq!(list["versions"][0]["size_bytes"], 4);
    assert_eq!(list["versions"][1]["size_bytes"], Value::Null, "no archive");

    logged.push("silent".into());
    let list = versions(&server, "/sites/blog/versions?all=true").await;
    assert_eq!(builds(&list), logged, "the archive came before every entry");
    let silent = list["versions"].as_array().and_then(|all| all.last()).expect("the oldest");
    let at = silent["created_at"].clone();
    assert_eq!(
        *silent,
        json!({"build_id": "silent", "size_bytes": 6, "created_at": at, "timestamp": at,
               "action": null, "status": null, "metadata": {}, "logs": []})
    );
}

#[tokio::test]
async fn a_log_stays_when_its_archive_goes() {
    let server = Server::start().await;
    assert_eq!(server.send(&put("/artifacts/blog/b", "x")).await.status, 201);
    assert_eq!(server.send(&entry("b", "build")).await.status, 201);
    assert_eq!(server.send(&super::raw::delete("/artifacts/blog/b")).await.status, 204);
    let list = versions(&server, VERSIONS).await;
    assert_eq!((builds(&list), &list["versions"][0]["size_bytes"]), (vec!["b"], &Value::Null));
}

#[tokio::test]
async fn every_one_of_many_entries_at_once_is_there() {
    let server = Server::start().await;
    let actions: Vec<String> = (0..40).map(|n| format!("a-{n:02}")).collect();
    let posts = actions.iter().map(|action| entry("b", action));
    let posts = posts.map(|post| async { server.send(&{ post }).await.status });
    let statuses = futures_util::future::join_all(posts).await;
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
    let list = versions(&server, VERSIONS).await;
    let logs = list["versions"][0]["logs"].as_array().expect("entries");
    let mut found: Vec<_> = logs.iter().map(|e| e["action"].as_str().expect("text")).collect();
    let times: Vec<_> = logs.iter().map(|e| time(&e["timestamp"])).collect();
    assert!(times.is_sorted(), "the oldest first: {times:?}");
    found.sort_unstable();
    assert_eq!(found, actions);
}

#[tokio::test]
async fn a_full_log_is_507_and_stays_as_it_is() {
    let server = Setup::default().in_memory().config("limits: {maxJsonBytes: 300}").start().await;
    assert_eq!(server.send(&entry("b", "one")).await.status, 201);
    let mut answer = server.send(&entry("b", "two")).await;
    for _ in 0..5 {
        answer = server.send(&entry("b", "more")).await;
    }
    assert_eq!(answer.status, 507, "{}", answer.text());
    assert_eq!(answer.json()["error"], "log_full");
    assert!(answer.text().contains("300 bytes"), "{}", answer.text());
    let list = versions(&server, VERSIONS).await;
    assert_eq!(list["versions"][0]["logs"][0]["action"], "one");
    assert_eq!(server.send(&entry("other", "one")).await.status, 201, "each build has its own");
}

/// Logs builds `b-00` and so on, each with so many bytes of metadata.
async fn log_large(server: &Server, builds: usize, bytes: usize) {
    for number in 0..builds {
        let metadata = json!({"text": "x".repeat(bytes)});
        let build = format!("b-{number:02}");
        let entry = json!({"build_id": build, "action": "a", "status": "s", "metadata": metadata});
        assert_eq!(server.send(&log(entry.to_string())).await.status, 201);
    }
}

#[tokio::test]
async fn a_long_list_streams() {
    const BYTES: usize = 1 << 20;
    let server = Setup::default().in_memory().start().await;
    log_large(&server, 8, BYTES).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(server.url(VERSIONS)).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.content_length(), None, "nobody has counted it");
    let etag = answer.headers()["etag"].to_str().expect("text").to_owned();
    let list: Value = answer.json().await.expect("JSON");
    let expected: Vec<String> = (0..8).rev().map(|number| format!("b-{number:02}")).collect();
    assert_eq!(builds(&list), expected);
    for version in list["versions"].as_array().expect("a list") {
        let text = version["logs"][0]["metadata"]["text"].as_str().expect("text");
        assert_eq!(text.len(), BYTES, "{}", version["build_id"]);
    }
    let again = server.send(&get(VERSIONS).header("If-None-Match", &etag)).await;
    assert_eq!(again.status, 304);
    assert_eq!(server.send(&head(VERSIONS)).await.etag(), etag);
}

#[tokio::test]
async fn a_long_list_breaks_off_where_what_is_left_of_it_has_changed() {
    let server = Setup::default().in_memory().start().await;
    log_large(&server, 40, 1 << 20).await;
    let mut slow = super::raw::Connection::open(server.address).await;
    slow.send(&get(VERSIONS).bytes()).await;
    let answer = slow.head().await.expect("the head of an answer");
    assert_eq!((answer.status, answer.header("content-length")), (200, None));
    // Not among those that stay in memory, and the last but some to be sent.
    assert_eq!(server.send(&entry("b-08", "again")).await.status, 201);
    let mut end = slow.rest().await;
    let end = end.split_off(end.len().saturating_sub(5));
    assert_ne!(end, b"0\r\n\r\n", "a mixture of two states must not look whole");
    assert_eq!(server.send(&get("/health")).await.status, 200);
}
