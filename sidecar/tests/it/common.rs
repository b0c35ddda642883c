//! Common: what every answer carries, and errors that belong to no contract.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::failing::Failing;
use super::harness::{Server, Setup};
use super::raw::{Connection, Request, delete, get, head, patch, put};
use super::rows::{row, run};

#[tokio::test]
async fn every_row_of_the_router() {
    let rows = [
        row("404 of an unknown path").when(get("/nowhere")).then(404).holds("not_found"),
        row("400 of an empty name").when(get("/run-stores/")).then(400),
        row("404 of a path below a document").when(get("/run-stores/a/b")).then(404),
        row("404 of an emptied path").when(get("//")).then(404),
        row("405 of /health")
            .when(put("/health", "{}"))
            .then(405)
            .header("Allow", "GET, HEAD, OPTIONS"),
        row("405 of /runtimes")
            .when(super::raw::delete("/runtimes"))
            .then(405)
            .header("Allow", "GET, HEAD, OPTIONS"),
        row("405 of a method that nobody knows").when(Request::new("BREW", "/")).then(405),
        row("405 of TRACE").when(Request::new("TRACE", "/")).then(405),
        row("HEAD of an unknown path").when(head("/nowhere")).then(404),
        row("a target in absolute form")
            .given(put("/", "1"))
            .when(get("http://test/"))
            .then(200)
            .body("1"),
    ];
    run(|| Setup::default().in_memory(), rows).await;
}

#[tokio::test]
async fn every_row_of_the_description() {
    let rows = [
        row("200 without credentials")
            .when(get("/openapi.json"))
            .then(200)
            .holds(r#""openapi":"3.1.0""#),
        row("200 with credentials that are no good")
            .when(get("/openapi.json").header("Authorization", "Bearer wrong-0123456789abc"))
            .then(200),
        row("304")
            .given(get("/openapi.json"))
            .when(get("/openapi.json").header("If-None-Match", "{etag}"))
            .then(304),
        row("405").when(delete("/openapi.json")).then(405).header("Allow", "GET, HEAD, OPTIONS"),
    ];
    run(|| Setup::default().in_memory().token("admin", super::harness::ADMIN), rows).await;
}

#[tokio::test]
async fn every_row_of_request_ids() {
    let long = "x".repeat(129);
    let rows = [
        row("taken").when(get("/").header("X-Request-Id", "abc-1")).header("X-Request-Id", "abc-1"),
        row("taken on errors")
            .when(get("/nowhere").header("X-Request-Id", "abc-2"))
            .then(404)
            .header("X-Request-Id", "abc-2"),
    ];
    run(|| Setup::default().in_memory(), rows).await;
    let server = Setup::default().in_memory().start().await;
    for id in ["a b", "", &long] {
        let made = server.send(&get("/").header("X-Request-Id", id)).await;
        let made = made.header("x-request-id").expect("an id");
        assert_eq!(made.len(), 32, "{id:?} is replaced, not {made}");
    }
}

#[tokio::test]
async fn a_panic_is_500_without_a_word_about_it() {
    let store = Arc::new(Failing::default());
    let server = Setup::default().store(store.clone()).start().await;
    store.panics.store(true, Ordering::Relaxed);
    let answer = server.send(&get("/")).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.header("x-storage-backend").as_deref(), Some("local"));
    assert_eq!(answer.json()["error"], "internal");
    let detail = answer.json()["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.contains("X-Request-Id"), "it says where to look: {detail}");
    assert!(!detail.contains("panic") && !detail.contains("the test"), "{detail}");
    store.panics.store(false, Ordering::Relaxed);
    assert_eq!(server.send(&get("/")).await.status, 404, "the server lives on");
}

#[tokio::test]
async fn a_store_that_takes_no_more_work_is_503_with_retry_after() {
    let store = Arc::new(Failing::default());
    let server = Setup::default().store(store.clone()).start().await;
    stowage_store::Store::shutdown(store.as_ref()).await;
    let archive = "/artifacts/a/b";
    let requests = [
        get("/"),
        put("/", "1"),
        get("/storage?ns=a"),
        get("/runtimes/a/b"),
        get(archive),
        put(archive, "1"),
        delete(archive),
        get("/sites/a/versions"),
        get("/jobs"),
        get("/runs"),
        get("/jobs/j/runs/r/events"),
        put("/jobs/j", "{}"),
        delete("/jobs/j"),
    ];
    for request in requests {
        let answer = server.send(&request).await;
        assert_eq!(answer.status, 503, "{} {}", request.method, request.target);
        assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_write_with_an_unknown_outcome_is_500_and_says_to_read_first() {
    let set = r#"{"revision":"c1","files":[{"filepath":"a","config":1}]}"#;
    let kv = "/api/storage?ns=cart";
    // In this order: each write is applied, as the read after it shows.
    let rows = [
        (put("/", "1"), "/", 200),
        (put("/run-stores/a", "1"), "/run-stores/a", 200),
        (delete("/run-stores/a"), "/run-stores/a", 404),
        (
            patch(kv, "0", r#"[{"op":"set","key":"k","value":1}]"#),
            "/api/storage?ns=cart&key=k",
            200,
        ),
        (delete(kv).header("If-Match", "1"), "/api/storage?ns=cart&key=k", 404),
        (put("/runtimes/etl/main", set), "/runtimes/etl/main/a", 200),
        (delete("/runtimes/etl/main"), "/runtimes/etl/main/a", 404),
        (put("/artifacts/blog/b", "1"), "/artifacts/blog/b", 200),
        (delete("/artifacts/blog/b"), "/artifacts/blog/b", 404),
        (put("/jobs/j", "{}"), "/jobs/j", 200),
        (delete("/jobs/j"), "/jobs/j", 404),
        (put("/jobs/j/runs/r", "{}"), "/jobs/j/runs/r", 200),
        (
            Request::new("POST", "/sites/blog/logs")
                .body(r#"{"build_id":"b","action":"a","status":"s"}"#),
            "/sites/blog/versions",
            200,
        ),
    ];
    let store = Arc::new(Failing::default());
    let server = Setup::default().store(store.clone()).start().await;
    store.forgets.store(true, Ordering::Relaxed);
    for (write, read, status) in rows {
        let name = format!("{} {}", write.method, write.target);
        let answer = server.send(&write).await;
        assert_eq!(answer.status, 500, "{name}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), None, "{name}");
        assert_eq!(answer.header("etag"), None, "{name}");
        let problem = answer.json();
        assert_eq!(problem["error"], "indeterminate", "{name}");
        assert_eq!(
            problem["detail"],
            "it is unknown whether the write was applied; read the current state before writing \
             again",
            "{name}"
        );
        assert_eq!(server.send(&get(read)).await.status, status, "GET {read} after {name}");
    }

    // A write that is refused is no unknown one.
    let lost = put("/", "2").header("If-None-Match", "*");
    assert_eq!(server.send(&lost).await.status, 412);
    store.forgets.store(false, Ordering::Relaxed);
    let read = server.send(&get("/")).await;
    let again = put("/", "2").header("If-Match", &read.etag());
    assert_eq!(server.send(&again).await.status, 200, "what was read can be written on");
}

#[tokio::test]
async fn a_connection_is_kept_alive_and_takes_pipelined_requests() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let two = [put("/", "1").bytes(), get("/").bytes()].concat();
    connection.send(&two).await;
    for _ in 0..2 {
        assert_eq!(connection.answer(false).await.expect("an answer").text(), "1");
    }
    connection.send(&get("/health").bytes()).await;
    assert_eq!(connection.answer(false).await.expect("an answer").status, 200);
}
