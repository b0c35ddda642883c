//! Additions, "Watch": streams of events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events::{Event, Events};
use super::failing::Failing;
use super::harness::{ADMIN, Server, Setup, eventually};
use super::raw::{Connection, Request, delete, get, head, patch, put};
use super::rows::{row, run};

const CART: &str = "/api/storage?ns=cart";
const SET: &str = "/runtimes/team%2Fetl/main";

/// How many watch, as the server counts them.
pub(crate) async fn watchers(server: &Server) -> u64 {
    let text = get("/metrics").send(server.management).await.text();
    let line = text.lines().find_map(|line| line.strip_prefix("stowage_watchers "));
    line.expect("the gauge").parse().expect("a number")
}

async fn sent(server: &Server, request: Request) -> String {
    let answer = server.send(&request).await;
    assert!(
        (200..300).contains(&answer.status),
        "{} {}: {answer:?}",
        request.method,
        request.target
    );
    answer.header("etag").map_or_else(String::new, |tag| tag.trim_matches('"').to_owned())
}

fn set(revision: &str, files: &str) -> Request {
    put(SET, format!(r#"{{"revision":"{revision}","files":[{files}]}}"#))
}

fn step(name: &str, id: &str, data: &str) -> Event {
    Event { name: name.into(), id: Some(id.into()), data: data.into() }
}

#[tokio::test]
async fn a_document_is_told_from_before_its_creation_to_after_its_end() {
    for path in ["/", "/run-stores/nightly"] {
        let server = Server::start().await;
        let mut events = Events::open(&server.url(path)).await;
        assert_eq!(events.expect().await, step("snapshot", "", "null"), "nothing is there yet");
        let first = sent(&server, put(path, "{ \"a\": 1 }")).await;
        assert_eq!(events.expect().await, step("change", &first, r#"{"a":1}"#));
        let second =
            sent(&server, put(path, "2").header("If-Match", &format!("\"{first}\""))).await;
        assert_eq!(events.expect().await, step("change", &second, "2"));
        sent(&server, delete(path)).await;
        assert_eq!(events.expect().await, step("change", "", "null"));
        let third = sent(&server, put(path, "null")).await;
        assert_eq!(events.expect().await, step("change", &third, "null"), "the document null");
        let mut late = Events::open(&server.url(path)).await;
        assert_eq!(late.expect().await, step("snapshot", &third, "null"));
    }
}

#[tokio::test]
async fn a_namespace_tells_its_operations() {
    let server = Server::start().await;
    let mut events = Events::open(&server.url("/storage?ns=cart")).await;
    assert_eq!(events.expect().await, step("snapshot", "0", "{}"));
    sent(&server, patch(CART, "0", r#"[{"op":"set","key":"a","value":[1, 2.0]}]"#)).await;
    let told = r#"{"version":"1","ops":[{"op":"set","key":"a","value":[1,2.0]}]}"#;
    assert_eq!(events.expect().await, step("change", "1", told));
    let two = r#"[{"op":"del","key":"a"},{"op":"set","key":"\"é\n","value":null}]"#;
    sent(&server, patch(CART, "1", two)).await;
    let told =
        r#"{"version":"2","ops":[{"op":"del","key":"a"},{"op":"set","key":"\"é\n","value":null}]}"#;
    assert_eq!(events.expect().await, step("change", "2", told));
    sent(&server, delete(CART).header("If-Match", "2")).await;
    let told = r#"{"version":"3","ops":[{"op":"clear"}]}"#;
    assert_eq!(events.expect().await, step("change", "3", told));
    sent(&server, patch(CART, "3", r#"[{"op":"set","key":"k","value":1}]"#)).await;
    let mut late = Events::open(&server.url(CART)).await;
    assert_eq!(late.expect().await, step("snapshot", "4", r#"{"k":1}"#));
}

#[tokio::test]
async fn a_set_is_told_when_its_files_change() {
    let server = Server::start().await;
    let mut events = Events::open(&server.url(SET)).await;
    assert_eq!(events.expect().await, step("snapshot", "", "null"), "no set is served");
    let first = sent(&server, set("c1", r#"{"filepath":"a","config":{"x":1}}"#)).await;
    let told = events.expect().await;
    assert_eq!((told.name.as_str(), told.id.as_deref()), ("change", Some(first.as_str())));
    assert_eq!(told.data, server.send(&get(SET)).await.text(), "what a GET answers");
    // The same files: nothing is told. Then others.
    sent(&server, set("c2", r#"{"filepath":"a","config":{"x":1}}"#)).await;
    let third = sent(&server, set("c3", r#"{"filepath":"a","config":{"x":3}}"#)).await;
    let told = events.expect().await;
    assert_eq!(told.id, Some(third));
    assert_eq!(told.json()[0]["config"]["x"], 3);
    sent(&server, set("c4", "")).await;
    assert_eq!(events.expect().await, step("change", "", "null"), "an empty set is not served");
    sent(&server, set("c1", r#"{"filepath":"a","config":{"x":1}}"#)).await;
    assert_eq!(events.expect().await.json()[0]["config"]["x"], 1);
    sent(&server, delete(SET)).await;
    assert_eq!(events.expect().await, step("change", "", "null"));
}

#[tokio::test]
async fn large_states_come_whole() {
    let server = Server::start().await;
    let large = "x".repeat(300_000);
    sent(&server, put("/", format!("\"{large}\""))).await;
    let mut events = Events::open(&server.url("/")).await;
    assert_eq!(events.expect().await.data.len(), large.len() + 2);
    sent(&server, put("/", format!("[\"{large}\"]"))).await;
    assert_eq!(events.expect().await.data.len(), large.len() + 4);

    let set = |i: usize| format!(r#"{{"op":"set","key":"{i}","value":"{}"}}"#, &large[..1_000]);
    let operations: Vec<_> = (0..500).map(set).collect();
    sent(&server, patch(CART, "0", format!("[{}]", operations.join(",")))).await;
    let mut events = Events::open(&server.url(CART)).await;
    let snapshot = events.expect().await;
    assert_eq!(snapshot.data, server.send(&get(CART)).await.text(), "what a GET answers");
    assert_eq!(snapshot.json().as_object().expect("an object").len(), 500);
    sent(&server, patch(CART, "1", "[]")).await;
    assert_eq!(events.expect().await.data, r#"{"version":"2","ops":[]}"#);
}

#[tokio::test]
async fn who_comes_back_goes_on_where_they_were() {
    let server = Server::start().await;
    for version in 0..4 {
        if version == 1 {
            // Someone watches for a while, so that what follows is kept.
            Events::open(&server.url(CART)).await.expect().await;
        }
        sent(&server, patch(CART, &version.to_string(), "[]")).await;
    }
    let open =
        async |id: &str| Events::open_with(&server.url(CART), &[("Last-Event-ID", id)]).await;
    let mut events = open("2").await;
    let parts = |event: Event| (event.name.clone(), event.id.clone().expect("an id"));
    for id in ["3", "4"] {
        assert_eq!(parts(events.expect().await), ("change".into(), id.into()));
    }
    let mut current = open("4").await;
    assert_eq!(current.next_or_comment().await.expect("it is open").name, "comment");
    for unknown in ["0", "5", "nonsense", ""] {
        let snapshot = open(unknown).await.expect().await;
        assert_eq!(parts(snapshot), ("snapshot".into(), "4".into()), "{unknown:?}");
    }
    sent(&server, patch(CART, "4", "[]")).await;
    for events in [&mut events, &mut current] {
        assert_eq!(parts(events.expect().await), ("change".into(), "5".into()));
    }

    let mut events = Events::open(&server.url("/")).await;
    let tag = sent(&server, put("/", "1")).await;
    for _ in 0..2 {
        events.expect().await;
    }
    drop(events);
    let next = sent(&server, put("/", "2")).await;
    let last = sent(&server, put("/", "1")).await;
    let mut events = Events::open_with(&server.url("/"), &[("Last-Event-ID", &tag)]).await;
    assert_eq!(events.expect().await, step("change", &next, "2"));
    assert_eq!(events.expect().await, step("change", &last, "1"));
    sent(&server, delete("/")).await;
    assert_eq!(events.expect().await, step("change", "", "null"));
    let again = sent(&server, put("/", "3")).await;
    let mut back = Events::open_with(&server.url("/"), &[("Last-Event-ID", &last)]).await;
    assert_eq!(back.expect().await, step("snapshot", &again, "3"), "its versions went with it");
}

/// Contract 2: a DELETE clears the namespace and its history; docs/http.md says it of documents, too.
#[tokio::test]
async fn who_comes_back_is_not_told_what_stood_there_before_a_deletion() {
    let server = Server::start().await;
    let mut live = Events::open(&server.url(CART)).await;
    live.expect().await;
    let secret = r#"[{"op":"set","key":"k","value":"before"}]"#;
    sent(&server, patch(CART, "0", "[]")).await;
    sent(&server, patch(CART, "1", secret)).await;
    sent(&server, delete(CART).header("If-Match", "2")).await;
    sent(&server, patch(CART, "3", "[]")).await;
    let open =
        async |id: &str| Events::open_with(&server.url(CART), &[("Last-Event-ID", id)]).await;
    let parts = |event: Event| (event.name.clone(), event.id.clone().expect("an id"));
    for before in ["1", "2"] {
        let snapshot = open(before).await.expect().await;
        assert_eq!(snapshot.data, "{}", "after {before}");
        assert_eq!(parts(snapshot), ("snapshot".into(), "4".into()), "after {before}");
    }
    let change = open("3").await.expect().await;
    assert_eq!(parts(change), ("change".into(), "4".into()), "what came behind it is told");
    for id in ["1", "2", "3", "4"] {
        let change = live.expect().await;
        assert_eq!(parts(change), ("change".into(), id.into()), "to who was there all the time");
    }
}

#[tokio::test]
async fn every_row_of_streams() {
    let events = |request: Request| request.header("Accept", "text/event-stream");
    let rows = [
        row("HEAD answers without a stream")
            .when(events(head("/")))
            .then(200)
            .header("Content-Type", "text/event-stream")
            .header("Cache-Control", "no-cache, no-transform")
            .header("X-Accel-Buffering", "no")
            .header("Vary", "Accept, Origin, Accept-Encoding")
            .lacks("Content-Length")
            .lacks("ETag"),
        row("JSON where a range weighs it more")
            .given(put("/", "1"))
            .when(get("/").header("Accept", "*/*, text/event-stream;q=0.1"))
            .then(200)
            .body("1"),
        row("JSON where that is wanted more")
            .given(put("/", "1"))
            .when(get("/").header("Accept", "application/json, text/event-stream;q=0.9"))
            .then(200)
            .body("1"),
        row("q=0 is a no")
            .given(put("/", "1"))
            .when(get("/").header("Accept", "text/event-stream;q=0"))
            .then(200)
            .body("1"),
        row("a stream is of a whole namespace")
            .when(events(get("/api/storage?ns=a&key=k")))
            .then(400)
            .holds("invalid_query"),
        row("a name must be one").when(events(get("/run-stores/a%20b"))).then(400),
        row("a namespace must be said").when(events(get("/storage"))).then(400),
        row("the list of sets is no stream").when(events(get("/runtimes"))).then(200).body("[]"),
    ];
    run(|| Setup::default().in_memory(), rows).await;
}

#[tokio::test]
async fn a_stream_s_head_says_that_nobody_may_keep_or_change_it() {
    let server = Server::start().await;
    let events = Events::open(&server.url(CART)).await;
    assert_eq!(events.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(events.header("x-accel-buffering"), Some("no"));
    assert_eq!(events.header("content-length"), None);
    assert_eq!(events.header("x-storage-backend"), Some("local"));
    assert_eq!(watchers(&server).await, 1);
    drop(events);
    eventually("nobody watches", async || (watchers(&server).await == 0).then_some(())).await;
}

#[tokio::test]
async fn rights_are_those_of_a_get_and_a_stream_ends_with_them() {
    const READER: &str = "reader-0123456789abcd";
    let grant = |namespace: &str| {
        format!(r#"{{"token":"{READER}","namespaces":["{namespace}"],"access":"read"}}"#)
    };
    let setup = |namespace: &str| {
        Setup::default().in_memory().token("admin", ADMIN).token("reader", &grant(namespace))
    };
    let server = setup("cart").start().await;
    let events = |path| get(path).header("Accept", "text/event-stream");
    assert_eq!(server.send(&events(CART)).await.status, 401);
    let reader = format!("Bearer {READER}");
    let admin = format!("Bearer {ADMIN}");
    let other = events("/storage?ns=other").header("Authorization", &reader);
    assert_eq!(server.send(&other).await.status, 403);

    let open = async |authorization: &str| {
        let mut events =
            Events::open_with(&server.url(CART), &[("Authorization", authorization)]).await;
        events.expect().await;
        events
    };
    let (mut of_reader, mut of_admin) = (open(&reader).await, open(&admin).await);
    // What changes nothing for it, ends nothing.
    server.reconfigure(setup("cart").config("debug: true").settings());
    let change = patch(CART, "0", "[]").header("Authorization", &admin);
    assert_eq!(server.send(&change).await.status, 201);
    assert_eq!(of_reader.expect().await.id.as_deref(), Some("1"));
    assert_eq!(of_admin.expect().await.id.as_deref(), Some("1"));

    server.reconfigure(setup("other").settings());
    assert_eq!(of_reader.next().await, None, "the right is gone");
    let change = patch(CART, "1", "[]").header("Authorization", &admin);
    assert_eq!(server.send(&change).await.status, 200);
    assert_eq!(of_admin.expect().await.id.as_deref(), Some("2"), "the other one goes on");

    let revoked = Setup::default().token("admin", "another-0123456789abcdef").settings();
    server.reconfigure(revoked);
    assert_eq!(of_admin.next().await, None, "the token is gone");

    let server = setup("cart").start().await;
    let authorization = [("Authorization", admin.as_str())];
    let mut events = Events::open_with(&server.url(CART), &authorization).await;
    events.expect().await;
    let without = setup("cart").config("contracts: [runStore]").settings();
    server.reconfigure(without);
    assert_eq!(events.next().await, None, "the contract is not served any more");
}

#[tokio::test]
async fn a_shutdown_ends_streams_at_once_and_cleanly() {
    let server = Setup::default().grace(Duration::from_secs(60)).start().await;
    let mut events = Vec::new();
    for path in ["/", CART, SET] {
        let mut one = Events::open(&server.url(path)).await;
        one.expect().await;
        events.push(one);
    }
    let begun = Instant::now();
    server.shutdown.cancel();
    for mut one in events {
        assert_eq!(one.next().await, None, "the end of a whole answer");
    }
    server.ended().await.expect("a clean end");
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_store_that_fails_takes_its_streams_along() {
    let store = Arc::new(Failing::default());
    let server = Setup::default().store(store.clone()).start().await;
    let mut events = Events::open(&server.url("/")).await;
    events.expect().await;
    store.fail.notify_one();
    assert_eq!(events.next().await, None);
    server.ended().await.expect_err("the store's failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_costs_no_memory_and_is_closed() {
    const WRITES: usize = 3_000;
    const BODY_BYTES: usize = 64 << 10;
    let place = super::process::Place::new();
    let process = place.start().await;
    let authorization = format!("Bearer {ADMIN}");
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut connection = Connection::open(process.address).await;
        let request =
            get("/").header("Accept", "text/event-stream").header("Authorization", &authorization);
        connection.send(&request.bytes()).await;
        assert_eq!(connection.head().await.expect("a head").status, 200);
        silent.push(connection);
    }
    let body = format!("\"{}\"", "x".repeat(BODY_BYTES));
    let write = put("/", &body).header("Authorization", &authorization).bytes();
    let mut writer = Connection::open(process.address).await;
    let mut write_some = async |count: usize| {
        for _ in 0..count {
            writer.send(&write).await;
            assert_eq!(writer.answer(false).await.expect("an answer").status, 200);
        }
    };
    // The ring is full by then.
    write_some(WRITES / 3).await;
    let before = resident_bytes(process.pid());
    write_some(WRITES).await;
    let growth = resident_bytes(process.pid()).saturating_sub(before);
    let written = WRITES * BODY_BYTES;
    assert!(growth < 24 << 20, "{growth} bytes more after {written} were written");
    // Who reads after all finds the end behind what was on its way.
    for mut connection in silent {
        let rest = connection.rest_of_chunks().await;
        assert!(rest < WRITES * BODY_BYTES, "{rest} bytes");
    }
    process.kill().await;
}

/// The memory that a process has in use.
pub(crate) fn resident_bytes(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes << 10
}
