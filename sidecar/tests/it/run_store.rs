//! Contract 1: one JSON document under compare-and-swap.

use super::harness::{Server, Setup};
use super::raw::{delete, get, head, put};
use super::rows::{row, run};

/// Every path at which a document stands behaves the same.
const PATHS: [&str; 2] = ["/", "/run-stores/runs"];

#[tokio::test]
async fn every_row_of_the_table() {
    for path in PATHS {
        let first = || put(path, r#"{"a":1}"#);
        let rows = [
            row("GET: 404 when empty")
                .when(get(path))
                .then(404)
                .lacks("ETag")
                .header("Vary", "Accept, Origin, Accept-Encoding"),
            row("PUT: no representation is chosen by Accept")
                .when(first())
                .then(200)
                .header("Vary", "Origin, Accept-Encoding"),
            row("GET: 200, JSON, ETag")
                .given(first())
                .when(get(path))
                .then(200)
                .header("Content-Type", "application/json")
                .header("ETag", "{etag}")
                .header("Cache-Control", "no-cache, no-transform")
                .header("Vary", "Accept, Origin, Accept-Encoding")
                .body(r#"{"a":1}"#),
            row("HEAD wherever GET: the same headers, no body")
                .given(first())
                .when(head(path))
                .then(200)
                .header("ETag", "{etag}")
                .header("Content-Length", "7")
                .body(""),
            row("HEAD: 404 when empty").when(head(path)).then(404),
            row("GET answers 304 to a matching If-None-Match")
                .given(first())
                .when(get(path).header("If-None-Match", "{etag}"))
                .then(304)
                .header("ETag", "{etag}")
                .header("Cache-Control", "no-cache, no-transform")
                .header("Vary", "Accept, Origin, Accept-Encoding")
                .body(""),
            row("HEAD answers 304 to a matching If-None-Match")
                .given(first())
                .when(head(path).header("If-None-Match", "{etag}"))
                .then(304)
                .header("ETag", "{etag}")
                .lacks("Content-Length"),
            row("If-None-Match compares weakly")
                .given(first())
                .when(get(path).header("If-None-Match", "\"x\", W/{etag}"))
                .then(304),
            row("GET with another If-None-Match: 200")
                .given(first())
                .when(get(path).header("If-None-Match", "\"other\""))
                .then(200),
            row("GET with a failed If-Match: 412 with the current ETag")
                .given(first())
                .when(get(path).header("If-Match", "\"other\""))
                .then(412)
                .header("ETag", "{etag}"),
            row("PUT, If-None-Match: *: 200 on first write")
                .when(first().header("If-None-Match", "*"))
                .then(200)
                .has("ETag")
                .header("Content-Type", "application/json")
                .body(r#"{"a":1}"#),
            row("PUT, If-None-Match: *: 412 when it exists")
                .given(first())
                .when(first().header("If-None-Match", "*"))
                .then(412)
                .header("ETag", "{etag}")
                .holds("precondition_failed"),
            row("PUT, If-Match: 200 on match")
                .given(first())
                .when(put(path, "2").header("If-Match", "{etag}"))
                .then(200)
                .has("ETag")
                .body("2"),
            row("PUT, If-Match: a list, with a comma inside a tag")
                .given(first())
                .when(put(path, "2").header("If-Match", "\"a,b\", {etag}"))
                .then(200),
            row("PUT, If-Match: repeated header lines")
                .given(first())
                .when(put(path, "2").header("If-Match", "\"a\"").header("If-Match", "{etag}"))
                .then(200),
            row("PUT, If-Match: *: 200 when it exists")
                .given(first())
                .when(put(path, "2").header("If-Match", "*"))
                .then(200),
            row("PUT, If-Match: else 412")
                .given(first())
                .when(put(path, "2").header("If-Match", "\"other\""))
                .then(412)
                .header("ETag", "{etag}"),
            row("PUT, If-Match compares strongly")
                .given(first())
                .when(put(path, "2").header("If-Match", "W/{etag}"))
                .then(412),
            row("PUT, If-Match: 412 also when it does not exist, without an ETag")
                .when(put(path, "2").header("If-Match", "\"other\""))
                .then(412)
                .lacks("ETag"),
            row("PUT, If-Match: *: 412 when it does not exist")
                .when(put(path, "2").header("If-Match", "*"))
                .then(412)
                .lacks("ETag"),
            row("PUT with neither: 200 on first write").when(first()).then(200),
            row("PUT with neither: last writer wins")
                .given(first())
                .when(put(path, "2"))
                .then(200)
                .body("2"),
            row("DELETE: 204").given(first()).when(delete(path)).then(204).body(""),
            row("DELETE: 404 when empty").when(delete(path)).then(404),
            row("DELETE: 404 after a delete")
                .given(first())
                .given(delete(path))
                .when(delete(path))
                .then(404),
            row("DELETE, If-Match on match")
                .given(first())
                .when(delete(path).header("If-Match", "{etag}"))
                .then(204),
            row("DELETE, If-Match: else 412")
                .given(first())
                .when(delete(path).header("If-Match", "\"other\""))
                .then(412)
                .header("ETag", "{etag}"),
            row("DELETE, If-Match when empty: 404, conditions are ignored")
                .when(delete(path).header("If-Match", "\"other\""))
                .then(404),
            row("a bad ETag is 400")
                .given(first())
                .when(put(path, "2").header("If-Match", "not-quoted"))
                .then(400)
                .holds("If-Match"),
            row("a bare number is no ETag here")
                .given(first())
                .when(put(path, "2").header("If-Match", "0"))
                .then(400),
            row("405 with Allow")
                .when(super::raw::Request::new("POST", path))
                .then(405)
                .header("Allow", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ];
        run(Setup::default, rows).await;
    }
}

#[tokio::test]
async fn the_body_is_stored_compact_with_its_spelling() {
    let table = [
        ("", "{}"),
        ("{ \"z\" : 1.50e+3 ,\n \"a\" : [ ] }", "{\"z\":1.50e+3,\"a\":[]}"),
        ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
        ("\"\\ud83d \\u00e9 é\"", "\"\\ud83d \\u00e9 é\""),
        (" null ", "null"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ];
    let server = Server::start().await;
    for (body, stored) in table {
        let answer = server.send(&put("/", body)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, stored), "{body:?}");
        assert_eq!(server.send(&get("/")).await.text(), stored, "{body:?}");
    }
}

#[tokio::test]
async fn documents_are_apart_and_every_write_has_its_own_tag() {
    let server = Server::start().await;
    let a = server.send(&put("/run-stores/a", "1")).await;
    let b = server.send(&put("/run-stores/b", "2")).await;
    let default = server.send(&put("/", "3")).await;
    for (path, answer) in [("/run-stores/a", &a), ("/run-stores/b", &b), ("/", &default)] {
        let read = server.send(&get(path)).await;
        assert_eq!((read.text(), read.etag()), (answer.text(), answer.etag()), "{path}");
    }
    let other = server.send(&put("/run-stores/a", "9")).await.etag();
    let again = server.send(&put("/run-stores/a", "1")).await.etag();
    assert_ne!(a.etag(), other);
    assert_ne!(a.etag(), again, "A, B, A: the first tag must not come back");
}

#[tokio::test]
async fn a_store_may_require_a_condition() {
    let setup = || Setup::default().config("runStore: {requirePrecondition: true}");
    let rows = [
        row("PUT with neither: 428 where a condition is required")
            .when(put("/", "1"))
            .then(428)
            .header("Cache-Control", "no-store")
            .holds("If-Match"),
        row("PUT, If-None-Match: * is a condition")
            .when(put("/", "1").header("If-None-Match", "*"))
            .then(200),
        row("DELETE takes none")
            .given(put("/", "1").header("If-None-Match", "*"))
            .when(delete("/"))
            .then(204),
    ];
    run(setup, rows).await;
}
