//! Many clients at once: no update is lost, and no reader sees half of anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Client;
use reqwest::header::{ETAG, HeaderMap, IF_MATCH};
use tokio::task::JoinSet;

use super::harness::Server;
use super::raw::{get, put};

const WRITERS: usize = 64;
const WINS_EACH: usize = 3;

fn etag(headers: &HeaderMap) -> String {
    headers.get(ETAG).expect("an ETag").to_str().expect("text").to_owned()
}

/// Every writer adds its own names to one document under compare-and-swap, until it has won
/// three times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_on_one_document_lose_no_update() {
    let server = Server::start().await;
    server.send(&put("/run-stores/log", "[]")).await;
    let url = server.url("/run-stores/log");
    let client = Client::new();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (client, url) = (client.clone(), url.clone());
        writers.spawn(async move {
            for round in 0..WINS_EACH {
                loop {
                    let read = client.get(&url).send().await.expect("an answer");
                    let tag = etag(read.headers());
                    let mut log: Vec<String> = read.json().await.expect("the document");
                    log.push(format!("{writer}.{round}"));
                    let put = client.put(&url).header(IF_MATCH, tag).json(&log);
                    match put.send().await.expect("an answer").status().as_u16() {
                        200 => break,
                        412 => {}
                        other => panic!("expected 200 or 412, got {other}"),
                    }
                }
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer ends well");
    }
    let log = server.send(&get("/run-stores/log")).await.json();
    let mut log: Vec<_> = log.as_array().expect("an array").clone();
    log.sort_by_key(std::string::ToString::to_string);
    log.dedup();
    assert_eq!(log.len(), WRITERS * WINS_EACH, "each acknowledged win is in it exactly once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_on_one_namespace_lose_no_update() {
    let server = Server::start().await;
    let url = server.url("/api/storage?ns=hot");
    let client = Client::new();
    let lost = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (client, url, lost) = (client.clone(), url.clone(), Arc::clone(&lost));
        writers.spawn(async move {
            let mut tag = "\"0\"".to_owned();
            for round in 0..WINS_EACH {
                loop {
                    let operations = serde_json::json!([
                        {"op": "set", "key": format!("{writer}.{round}"), "value": round},
                        {"op": "set", "key": "last", "value": writer},
                    ]);
                    let patch = client
                        .patch(&url)
                        .header(IF_MATCH, &tag)
                        .header("X-Thesara-App-Id", "test")
                        .json(&operations);
                    let answer = patch.send().await.expect("an answer");
                    tag = etag(answer.headers());
                    match answer.status().as_u16() {
                        200 | 201 => break,
                        412 => lost.fetch_add(1, Ordering::Relaxed),
                        other => panic!("expected 200, 201 or 412, got {other}"),
                    };
                }
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer ends well");
    }
    let read = server.send(&get("/api/storage?ns=hot")).await;
    let keys = read.json().as_object().expect("an object").len();
    assert_eq!(keys, WRITERS * WINS_EACH + 1, "each acknowledged win, and the key of all");
    assert_eq!(read.etag(), format!("\"{}\"", WRITERS * WINS_EACH), "one version for each win");
    assert!(lost.load(Ordering::Relaxed) > 0, "there were races at all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_creators_have_one_winner() {
    let server = Server::start().await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let address = server.address;
        writers.spawn(async move {
            let create = put("/", writer.to_string()).header("If-None-Match", "*");
            (writer, create.send(address).await.status)
        });
    }
    let answers = writers.join_all().await;
    let winners: Vec<_> = answers.iter().filter(|(_, status)| *status == 200).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert_eq!(server.send(&get("/")).await.text(), winners[0].0.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_that_replace_the_same_set_one_wins() {
    let server = Server::start().await;
    let set =
        |n: usize| format!(r#"{{"revision":"r{n}","files":[{{"filepath":"f","config":{n}}}]}}"#);
    let first = server.send(&put("/runtimes/a/b", set(1_000))).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (address, tag) = (server.address, first.etag());
        let replace = put("/runtimes/a/b", set(writer)).header("If-Match", &tag);
        writers.spawn(async move { (writer, replace.send(address).await.status) });
    }
    let answers = writers.join_all().await;
    let winners: Vec<_> = answers.iter().filter(|(_, status)| *status == 200).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert_eq!(server.send(&get("/runtimes/a/b/f")).await.text(), winners[0].0.to_string());
}

/// Each set is 20 files with the same number; a mixture would show two, nothing would be a 404.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_during_100_replacements_see_one_set_or_the_other() {
    const FILES: usize = 20;
    let server = Server::start().await;
    let set = |number: usize| {
        let files: Vec<_> = (0..FILES)
            .map(|f| serde_json::json!({"filepath": format!("f{f}.yaml"), "config": {"n": number}}))
            .collect();
        serde_json::json!({"revision": format!("r{number}"), "files": files}).to_string()
    };
    assert_eq!(server.send(&put("/runtimes/etl/main", set(0))).await.status, 201);
    let done = Arc::new(AtomicBool::new(false));
    let client = Client::new();
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let (client, done) = (client.clone(), Arc::clone(&done));
        let url = server.url("/runtimes/etl/main");
        readers.spawn(async move {
            let mut seen = 0;
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let read = client.get(&url).send().await.expect("an answer");
                assert_eq!(read.status(), 200, "never nothing");
                let revision = read.headers()["x-stowage-revision"].to_str().expect("text");
                let number: usize =
                    revision.strip_prefix('r').expect("r").parse().expect("a number");
                let files: Vec<serde_json::Value> = read.json().await.expect("a list");
                assert_eq!(files.len(), FILES, "all files of {number}");
                let same = files.iter().all(|file| file["config"]["n"] == number);
                assert!(same, "a mixture under r{number}: {files:?}");
                assert!(number >= last, "r{number} after r{last}");
                (last, seen) = (number, seen + 1);
            }
            seen
        });
    }
    for number in 1..=100 {
        let answer = server.send(&put("/runtimes/etl/main", set(number))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    done.store(true, Ordering::Relaxed);
    let seen = readers.join_all().await;
    assert!(seen.iter().all(|seen| *seen > 10), "the readers did read: {seen:?}");
}
