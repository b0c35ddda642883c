//! Contract 3, lists in pages and in streams.

use std::sync::Arc;

use serde_json::Value;
use stowage_store::{VolumeOptions, VolumeStore};
use tempfile::TempDir;

use super::harness::{Server, Setup};
use super::jobs::{EVENTS, event, members};
use super::raw::{Answer, get, put};

fn job(number: u64) -> super::raw::Request {
    // Two of each time, so that names decide.
    let body = format!(r#"{{"id":"{number:03}","startedAt":{}}}"#, number / 2);
    put(&format!("/jobs/{number:03}"), body)
}

/// Where the next page is, by its header.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    let token = answer.header("x-stowage-continue");
    assert_eq!(link.is_some(), token.is_some(), "{answer:?}");
    let token = token?;
    let link = link?;
    assert!(link.ends_with(&format!("continue={token}>; rel=\"next\"")), "{link}");
    Some(link.split('?').nth(1)?.split('>').next()?.to_owned())
}

/// Follows the pages of a list; `between` is done after each.
async fn pages(
    server: &Server,
    path: &str,
    query: &str,
    member: &str,
    mut between: impl AsyncFnMut(usize),
) -> Vec<Vec<Value>> {
    let mut query = query.to_owned();
    let mut pages = Vec::new();
    loop {
        let answer = server.send(&get(&format!("{path}?{query}"))).await;
        pages.push(members(&answer, member));
        between(pages.len()).await;
        match next(&answer) {
            Some(follows) => query = follows,
            None => return pages,
        }
    }
}

fn expected_jobs(count: u64) -> Vec<Value> {
    let mut numbers: Vec<u64> = (0..count).collect();
    numbers.sort_by_key(|number| (std::cmp::Reverse(number / 2), *number));
    numbers.into_iter().map(|number| format!("{number:03}").into()).collect()
}

#[tokio::test]
async fn pages_together_are_the_list() {
    let server = Server::start().await;
    for number in 0..20 {
        assert_eq!(server.send(&job(number)).await.status, 201);
    }
    let expected = expected_jobs(20);
    for limit in [1, 3, 19, 20, 21, u64::MAX] {
        let query = format!("limit={limit}");
        let found = pages(&server, "/jobs", &query, "id", async |_| {}).await;
        let full = found.iter().rev().skip(1).all(|page| page.len() as u64 == limit);
        assert!(full, "a page is full or the last, at {limit}: {found:?}");
        assert_eq!(found.concat(), expected, "in pages of {limit}");
    }
    let whole = server.send(&get("/jobs")).await;
    assert_eq!((members(&whole, "id"), next(&whole)), (expected, None));
    // A token belongs to one list.
    let token = server.send(&get("/jobs?limit=1")).await.header("x-stowage-continue");
    let token = token.expect("there are more");
    assert_eq!(server.send(&get(&format!("/runs?continue={token}"))).await.status, 400);
}

/// Names of which one begins with the other: `/` is above `+`, `-` and `.` in the bytes of a path.
const ALIKE: [&str; 4] = ["a", "a+b", "a-b", "a.b"];

#[tokio::test]
async fn equals_are_in_the_order_of_their_names() {
    let server = Server::start().await;
    let mut expected = Vec::new();
    for job in ALIKE {
        let body = format!(r#"{{"id":"{job}","startedAt":1}}"#);
        assert_eq!(server.send(&put(&format!("/jobs/{job}"), body)).await.status, 201);
        for run in ALIKE {
            let body = format!(
                r#"{{"jobId":"{job}","runId":"{run}","updatedAt":1,"name":"{job} {run}"}}"#
            );
            let target = format!("/jobs/{job}/runs/{run}");
            assert_eq!(server.send(&put(&target, body)).await.status, 201, "{target}");
            expected.push(Value::from(format!("{job} {run}")));
        }
    }
    for limit in [1, 3, 100] {
        let query = format!("limit={limit}");
        let jobs = pages(&server, "/jobs", &query, "id", async |_| {}).await.concat();
        assert_eq!(jobs, ALIKE, "in pages of {limit}");
        let runs = pages(&server, "/runs", &query, "name", async |_| {}).await;
        assert_eq!(runs.len(), expected.len().div_ceil(limit), "pages of {limit}");
        assert_eq!(runs.concat(), expected, "in pages of {limit}");
    }
}

#[tokio::test]
async fn pages_of_checkpoints_are_the_list() {
    let server = Server::start().await;
    let mut expected = Vec::new();
    for number in 0..7_u64 {
        let body = format!(r#"{{"id":"c{number}","jobId":"j","stepNumber":{}}}"#, number / 2);
        let target = format!("/jobs/j/checkpoints/c{number}");
        assert_eq!(server.send(&put(&target, body)).await.status, 201, "{target}");
        expected.push(Value::from(format!("c{number}")));
    }
    for limit in [1, 3, 7] {
        let query = format!("limit={limit}");
        let found = pages(&server, "/jobs/j/checkpoints", &query, "id", async |_| {}).await;
        assert_eq!(found.len(), 7_usize.div_ceil(limit), "pages of {limit}");
        assert_eq!(found.concat(), expected, "in pages of {limit}");
    }
}

#[tokio::test]
async fn every_list_of_documents_is_answered_line_by_line() {
    let server = Server::start().await;
    for number in 1..=2 {
        for (target, body) in [
            (format!("/jobs/{number}"), format!("{{\"id\":\"{number}\",\n\"n\":{number}}}")),
            (
                format!("/jobs/j/checkpoints/{number}"),
                format!("{{\"stepNumber\":{number},\n\"n\":{number}}}"),
            ),
            (
                format!("/jobs/j/runs/{number}"),
                format!("{{\"updatedAt\":{number},\n\"n\":{number}}}"),
            ),
        ] {
            assert_eq!(server.send(&put(&target, body)).await.status, 201, "{target}");
        }
    }
    // Jobs of no time by name, runs the newest first, checkpoints by step.
    let lists = [("/jobs", [1, 2]), ("/runs", [2, 1]), ("/jobs/j/checkpoints", [1, 2])];
    for (target, expected) in lists {
        let answer = server.send(&get(target).header("Accept", "application/x-ndjson")).await;
        assert_eq!(answer.header("content-type").as_deref(), Some("application/x-ndjson"));
        let text = answer.text();
        assert!(text.ends_with('\n'), "{target}: {text:?}");
        let lines = text.lines().map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| {
                panic!("{target}: expected an entry a line, got {line:?}: {e}")
            });
            entry["n"].as_u64().expect("a number")
        });
        assert_eq!(lines.collect::<Vec<_>>(), expected, "{target}: {text:?}");
    }
}

#[tokio::test]
async fn pages_of_events_keep_what_was_asked() {
    let server = Server::start().await;
    for number in 0..12 {
        assert_eq!(server.send(&event(100 - number, number, "a")).await.status, 201);
    }
    let query = "contents=true&maxStep=6&limit=3";
    let found = pages(&server, EVENTS, query, "stepNumber", async |_| {}).await;
    let expected: Vec<u64> = (0..=6).rev().collect();
    assert_eq!(found.concat(), expected);
    assert_eq!(found.len(), 3);
    let found = pages(&server, EVENTS, "limit=5", "stepNumber", async |_| {}).await;
    assert_eq!(found.concat(), (0..12).collect::<Vec<u64>>());
}

#[tokio::test]
async fn what_stays_is_listed_once_while_others_write() {
    let server = Server::start().await;
    for number in 0..30 {
        assert_eq!(server.send(&job(number)).await.status, 201);
    }
    let found = pages(&server, "/jobs", "limit=4", "id", async |page| {
        for n in 0..3 {
            let id = format!("new-{page}-{n}");
            // Above, among and below the others.
            let started = [1_000, 7, 0][n];
            let body = format!(r#"{{"id":"{id}","startedAt":{started}}}"#);
            assert_eq!(server.send(&put(&format!("/jobs/{id}"), body)).await.status, 201);
        }
    })
    .await
    .concat();
    let old: Vec<Value> = found
        .iter()
        .filter(|id| !id.as_str().expect("an id").starts_with("new"))
        .cloned()
        .collect();
    assert_eq!(old, expected_jobs(30));
    let mut once = found.clone();
    once.sort_by_key(ToString::to_string);
    once.dedup();
    assert_eq!(once.len(), found.len(), "nothing is there twice: {found:?}");
}

#[tokio::test]
async fn a_token_outlives_a_restart() {
    let directory = TempDir::new().expect("a directory");
    let open = || {
        let store = VolumeStore::open(directory.path(), &VolumeOptions::default());
        Setup::default().store(Arc::new(store.expect("a store")))
    };
    let server = open().start().await;
    for number in 0..10 {
        assert_eq!(server.send(&job(number)).await.status, 201);
    }
    let first = server.send(&get("/jobs?limit=4")).await;
    let query = next(&first).expect("there are more");
    server.shutdown.cancel();
    server.ended().await.expect("an orderly end");

    let server = open().start().await;
    let rest = pages(&server, "/jobs", &query, "id", async |_| {}).await.concat();
    assert_eq!([members(&first, "id"), rest].concat(), expected_jobs(10));
}

#[tokio::test]
async fn a_long_list_streams_and_a_short_one_has_a_length() {
    const BYTES: usize = 300 << 10;
    let server = Setup::default().in_memory().start().await;
    for number in 0..20 {
        let text = "x".repeat(BYTES);
        let body = format!(
            "{{\n\"timestamp\":{number},\"stepNumber\":1,\"type\":\"a\",\r\n\"text\":\"{text}\"}}"
        );
        assert_eq!(server.send(&super::jobs::post(EVENTS, body)).await.status, 201);
    }
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let send = async |accept: &str, query: &str| {
        let url = server.url(&format!("{EVENTS}?contents=true{query}"));
        client.get(url).header("Accept", accept).send().await.expect("an answer")
    };
    let answer = send("application/json", "").await;
    assert_eq!(answer.content_length(), None, "it streams");
    let list: Value = answer.json().await.expect("JSON");
    let times: Vec<u64> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| {
            assert_eq!(event["text"].as_str().map(str::len), Some(BYTES));
            event["timestamp"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(times, (0..20).collect::<Vec<u64>>());

    let answer = send("application/x-ndjson", "").await;
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let text = answer.text().await.expect("text");
    assert_eq!(text.lines().count(), 20);
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("a line is an event");
        assert_eq!(event["type"], "a");
    }

    let answer = send("application/json", "&limit=2").await;
    let tag = answer.headers()["etag"].to_str().expect("text").to_owned();
    assert!(answer.headers().contains_key("link"), "there are more");
    let length = answer.content_length();
    assert_eq!(length, Some(answer.bytes().await.expect("a body").len() as u64));
    let again = get(&format!("{EVENTS}?contents=true&limit=2")).header("If-None-Match", &tag);
    let again = server.send(&again).await;
    // RFC 9110 §15.4.5: of the fields of a 200, those that tell caches which it is.
    assert_eq!((again.status, again.header("content-type")), (304, None));
}
