//! Common: bodies that are too large, broken off, lied about, or no JSON. State stays as it was.

use std::time::Duration;

use super::harness::{Server, Setup};
use super::raw::{Connection, Request, get, put};
use super::rows::{row, run};

fn small() -> Setup {
    Setup::default().in_memory().config("limits: {maxJsonBytes: 1Ki, maxRuntimeSetBytes: 2Ki}")
}

/// A server with a document in it, and a check that the document is still the same.
async fn prepared() -> Server {
    let server = small().start().await;
    assert_eq!(server.send(&put("/", r#""before""#)).await.status, 200);
    server
}

async fn unchanged(server: &Server, what: &str) {
    assert_eq!(server.send(&get("/")).await.text(), r#""before""#, "after {what}");
}

fn json_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

#[tokio::test]
async fn every_row_of_limits_and_types() {
    let set = |bytes: usize| {
        let body = format!(
            r#"{{"revision":"c","files":[{{"filepath":"f","config":"{}"}}]}}"#,
            "x".repeat(bytes)
        );
        put("/runtimes/a/b", body)
    };
    let rows = [
        row("exactly the limit").when(put("/", json_of(1024))).then(200),
        row("413 says the limit, the connection ends")
            .when(put("/", json_of(1025)))
            .then(413)
            .header("Connection", "close")
            .holds("1024 bytes")
            .holds(r#""limit":1024"#),
        row("413 of a PATCH")
            .when(super::raw::patch("/storage?ns=a", "0", json_of(1025)))
            .then(413),
        row("a runtime set has a limit of its own").when(set(1500)).then(201),
        row("413 of a runtime set").when(set(2500)).then(413).holds("2048 bytes"),
        row("malformed JSON says where")
            .when(put("/", "{\n \"a\": }"))
            .then(400)
            .holds("line 2, column 7"),
        row("bad UTF-8").when(put("/", b"\"\xff\"")).then(400).holds("UTF-8"),
        row("128 levels").when(put("/", "[".repeat(128) + &"]".repeat(128))).then(200),
        row("deep JSON: 129 levels")
            .when(put("/", "[".repeat(129) + &"]".repeat(129)))
            .then(400)
            .holds("128 levels"),
        row("deep JSON in an operation")
            .when(super::raw::patch(
                "/storage?ns=a",
                "0",
                format!(
                    r#"[{{"op":"set","key":"a","value":{}1{}}}]"#,
                    "[".repeat(127),
                    "]".repeat(127)
                ),
            ))
            .then(400)
            .holds("128 levels"),
        row("415: text/plain").when(put("/", "{}").header("Content-Type", "text/plain")).then(415),
        row("415: a compressed body")
            .when(put("/", "{}").header("Content-Encoding", "gzip"))
            .then(415)
            .holds("Content-Encoding"),
        row("application/json with a charset")
            .when(put("/", "{}").header("Content-Type", "application/json; charset=utf-8"))
            .then(200),
        row("a part of a body")
            .when(put("/", "{}").header("Content-Range", "bytes 0-1/2"))
            .then(400),
    ];
    run(small, rows).await;
}

#[tokio::test]
async fn a_chunked_body_is_limited_as_it_streams_in() {
    let server = prepared().await;
    let mut connection = Connection::open(server.address).await;
    let head = b"PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(head).await;
    for _ in 0..40 {
        connection.send(format!("40\r\n{}\r\n", "x".repeat(64)).as_bytes()).await;
    }
    connection.send(b"0\r\n\r\n").await;
    let answer = connection.answer(false).await.expect("an answer");
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(connection.ends().await, "the connection is not left half-read");
    unchanged(&server, "a chunked body over the limit").await;

    let mut connection = Connection::open(server.address).await;
    connection.send(head).await;
    connection.send(b"2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n").await;
    assert_eq!(connection.answer(false).await.expect("an answer").text(), "[1]");
}

#[tokio::test]
async fn a_client_that_writes_all_of_a_large_body_first_still_reads_the_413() {
    let server = prepared().await;
    let mut connection = Connection::open(server.address).await;
    let written = connection.send(&put("/", json_of(32 << 20)).bytes()).await;
    assert!(written, "a client that cannot write its body never looks for an answer");
    let answer = connection.answer(false).await.expect("the answer, not a reset");
    assert_eq!(answer.status, 413);
    assert!(connection.ends().await, "the connection ends behind it");
}

#[tokio::test]
async fn a_refusal_that_reads_no_body_leaves_the_connection_usable() {
    let server = prepared().await;
    let mut connection = Connection::open(server.address).await;
    let refused = put("/", json_of(1000)).header("If-Match", "nonsense");
    connection.send(&refused.bytes()).await;
    assert_eq!(connection.answer(false).await.expect("an answer").status, 400);
    connection.send(&get("/").bytes()).await;
    let next = connection.answer(false).await.expect("an answer on the same connection");
    assert_eq!((next.status, next.text().as_str()), (200, r#""before""#));
}

#[tokio::test]
async fn expect_100_continue_is_not_asked_for_a_body_that_is_refused() {
    let server = prepared().await;
    let refused = [
        ("too large", Request::new("PUT", "/").header("Content-Length", "5000"), 413),
        ("no right", Request::new("PUT", "/nowhere").header("Content-Length", "5"), 404),
    ];
    for (name, request, status) in refused {
        let mut connection = Connection::open(server.address).await;
        connection.send(&request.header("Expect", "100-continue").bytes()).await;
        let answer = connection.answer(false).await.expect("an answer");
        assert_eq!(answer.status, status, "{name}: not 100");
    }
    let mut connection = Connection::open(server.address).await;
    let wanted =
        Request::new("PUT", "/").header("Content-Length", "2").header("Expect", "100-continue");
    connection.send(&wanted.bytes()).await;
    assert_eq!(connection.answer(true).await.expect("an interim answer").status, 100);
    connection.send(b"{}").await;
    assert_eq!(connection.answer(false).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_lying_content_length_changes_nothing() {
    let server = prepared().await;

    // Larger than the body, which then breaks off.
    let mut connection = Connection::open(server.address).await;
    connection.send(&put("/", "{}").header("Content-Length", "500").bytes()).await;
    connection.half_close().await;
    if let Some(answer) = connection.answer(false).await {
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    unchanged(&server, "a length that is too large").await;

    // Smaller than the body: what is left over is no request.
    let mut connection = Connection::open(server.address).await;
    connection.send(&put("/", "[1,2,3]").header("Content-Length", "3").bytes()).await;
    let answer = connection.answer(false).await.expect("an answer");
    assert_eq!(answer.status, 400, "the first three bytes are no JSON");
    unchanged(&server, "a length that is too small").await;

    // No number, a negative one, two different ones.
    for length in ["x", "-1", "1\r\nContent-Length: 2"] {
        let mut connection = Connection::open(server.address).await;
        connection.send(&put("/", "{}").header("Content-Length", length).bytes()).await;
        let answer = connection.answer(false).await;
        assert!(answer.is_none_or(|a| a.status == 400), "{length}");
        unchanged(&server, length).await;
    }

    // A length that declares more than the limit is refused before a byte comes.
    let mut connection = Connection::open(server.address).await;
    connection.send(&put("/", "").header("Content-Length", "99999999999").bytes()).await;
    assert_eq!(connection.answer(false).await.expect("an answer").status, 413);
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let server = prepared().await;
    for sent in [0, 1, 5] {
        let mut connection = Connection::open(server.address).await;
        let bytes = put("/", "[1,2,3]").bytes();
        connection.send(&bytes[..bytes.len() - 7 + sent]).await;
        drop(connection);
        unchanged(&server, "a body that breaks off").await;
    }
}

#[tokio::test]
async fn what_is_no_http_ends_its_connection_only() {
    let server = prepared().await;
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    for bytes in ["\r\n\r\nnonsense\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX", &huge] {
        let mut connection = Connection::open(server.address).await;
        connection.send(bytes.as_bytes()).await;
        let ended = tokio::time::timeout(Duration::from_secs(10), connection.answer(true)).await;
        let answer = ended.expect("the server does not wait for more").expect("a refusal");
        assert!((400..500).contains(&answer.status), "{bytes:.20}");
    }
    unchanged(&server, "nonsense").await;
}
