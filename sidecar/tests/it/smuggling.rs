//! Requests that two readers could understand differently (RFC 9112 §11.2), and heads that are too
//! large. Each is refused or read as exactly one request; the connection is in step afterwards, or
//! closed.

use std::time::Duration;

use super::harness::{Server, Setup};
use super::raw::{Connection, get};

/// What must never be read as a request of its own.
const HIDDEN: &str = "PUT /run-stores/hidden HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\n1";

/// Sent behind; its id tells its answer from others.
const PROBE: &str = "GET /health HTTP/1.1\r\nHost: t\r\nX-Request-Id: probe\r\n\r\n";

fn post(fields: &str, body: &str) -> String {
    format!("PUT /run-stores/open HTTP/1.1\r\nHost: t\r\n{fields}\r\n{body}")
}

/// What comes of a request and the probe behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// It is refused, and the connection is closed: the probe is not answered.
    Refused,
    /// It is answered with this status, and the connection is closed.
    Closed(u16),
    /// It is answered with this status, and then the probe.
    InStep(u16),
}

fn cases() -> Vec<(&'static str, String, Outcome)> {
    use Outcome::{Closed, InStep, Refused};
    let (hidden, length) = (HIDDEN, HIDDEN.len());
    let chunked = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
    let te = "Transfer-Encoding: chunked\r\n";
    vec![
        (
            "a length, and chunks that end before it",
            post(&format!("Content-Length: {}\r\n{te}", length + 5), &format!("0\r\n\r\n{hidden}")),
            Closed(200),
        ),
        (
            "chunks, and a length that ends before them",
            post(&format!("{te}Content-Length: 4\r\n"), &chunked),
            Refused,
        ),
        (
            "two lengths that differ",
            post(
                &format!("Content-Length: 1\r\nContent-Length: {}\r\n", length + 1),
                &format!("1{hidden}"),
            ),
            Refused,
        ),
        (
            "two lengths that agree",
            post("Content-Length: 1\r\nContent-Length: 1\r\n", "1"),
            InStep(200),
        ),
        (
            "a length that is a list",
            post("Content-Length: 1, 1\r\n", &format!("1{hidden}")),
            Refused,
        ),
        ("a length with a sign", post("Content-Length: +1\r\n", &format!("1{hidden}")), Refused),
        ("a negative length", post("Content-Length: -1\r\n", &format!("1{hidden}")), Refused),
        (
            "a length that is hexadecimal",
            post("Content-Length: 0x1\r\n", &format!("1{hidden}")),
            Refused,
        ),
        ("an empty length", post("Content-Length:\r\n", hidden), Refused),
        (
            "a length that no number holds",
            post("Content-Length: 18446744073709551617\r\n", &format!("1{hidden}")),
            Refused,
        ),
        ("chunked twice, in two lines", post(&format!("{te}{te}"), &chunked), Refused),
        (
            "chunked twice, in one line",
            post("Transfer-Encoding: chunked, chunked\r\n", &chunked),
            Refused,
        ),
        (
            "a coding before chunked",
            post("Transfer-Encoding: gzip, chunked\r\n", &chunked),
            Refused,
        ),
        (
            "chunked and then identity",
            post("Transfer-Encoding: chunked, identity\r\n", &chunked),
            Refused,
        ),
        ("almost chunked", post("Transfer-Encoding: xchunked\r\n", &chunked), Refused),
        ("chunked with a parameter", post("Transfer-Encoding: chunked;a=b\r\n", &chunked), Refused),
        ("chunked in quotes", post("Transfer-Encoding: \"chunked\"\r\n", &chunked), Refused),
        (
            "chunked behind a vertical tab",
            post("Transfer-Encoding: \u{b}chunked\r\n", &chunked),
            Refused,
        ),
        (
            "chunked behind a tab",
            post("Transfer-Encoding:\tchunked\r\n", "1\r\n1\r\n0\r\n\r\n"),
            InStep(200),
        ),
        ("CHUNKED", post("Transfer-Encoding: CHUNKED\r\n", "1\r\n1\r\n0\r\n\r\n"), InStep(200)),
        ("a space before the colon", post("Transfer-Encoding : chunked\r\n", &chunked), Refused),
        ("a space before the field", post(" Transfer-Encoding: chunked\r\n", &chunked), Refused),
        ("a folded field", post("Transfer-Encoding:\r\n chunked\r\n", &chunked), Refused),
        (
            "a folded field that hides a length",
            post("X: a\r\n Content-Length: 1\r\n", &format!("1{hidden}")),
            Refused,
        ),
        (
            "a field that hides one behind a line feed",
            post("X: a\nContent-Length: 1\r\n", "1"),
            InStep(200),
        ),
        (
            "a field with a carriage return in it",
            post("X: a\rContent-Length: 1\r\n", &format!("1{hidden}")),
            Refused,
        ),
        (
            "a field with a zero in it",
            post("X: a\0b\r\nContent-Length: 1\r\n", &format!("1{hidden}")),
            Refused,
        ),
        (
            "lines that end in a line feed alone",
            "PUT /run-stores/open HTTP/1.1\nHost: t\nContent-Length: 1\n\n1".to_owned(),
            InStep(200),
        ),
        ("a chunk with an extension", post(te, "1;a=b;c=\"d\"\r\n1\r\n0\r\n\r\n"), InStep(200)),
        (
            "a chunk whose extension holds a line feed",
            post(te, &format!("1;a\n1\r\n0\r\n\r\n{hidden}")),
            Refused,
        ),
        (
            "a chunk with a long extension",
            post(te, &format!("1;{}\r\n1\r\n0\r\n\r\n{hidden}", "a".repeat(20_000))),
            Refused,
        ),
        (
            "a chunk longer than any number",
            post(te, &format!("fffffffffffffffff\r\n1\r\n0\r\n\r\n{hidden}")),
            Refused,
        ),
        ("a chunk with a sign", post(te, &format!("+1\r\n1\r\n0\r\n\r\n{hidden}")), Refused),
        ("a negative chunk", post(te, &format!("-1\r\n1\r\n0\r\n\r\n{hidden}")), Refused),
        (
            "a hexadecimal chunk with its sign",
            post(te, &format!("0x1\r\n1\r\n0\r\n\r\n{hidden}")),
            Refused,
        ),
        (
            "a chunk longer than it says",
            post(te, &format!("1\r\n12\r\n0\r\n\r\n{hidden}")),
            Refused,
        ),
        ("an empty size of a chunk", post(te, &format!("\r\n1\r\n0\r\n\r\n{hidden}")), Refused),
        ("trailers", post(te, "1\r\n1\r\n0\r\nX: a\r\n\r\n"), InStep(200)),
        (
            "trailers that speak of a length",
            post(te, "1\r\n1\r\n0\r\nContent-Length: 100\r\n\r\n"),
            InStep(200),
        ),
        (
            "chunks under HTTP/1.0",
            format!("PUT /run-stores/open HTTP/1.0\r\nHost: t\r\n{te}\r\n{chunked}"),
            Refused,
        ),
        (
            "no Host",
            format!("PUT /run-stores/open HTTP/1.1\r\nContent-Length: 1\r\n\r\n1{hidden}"),
            Refused,
        ),
        ("two Hosts", post("Host: other\r\nContent-Length: 1\r\n", &format!("1{hidden}")), Refused),
        (
            "a Host that is none",
            format!(
                "PUT /run-stores/open HTTP/1.1\r\nHost: a/b\r\nContent-Length: 1\r\n\r\n1{hidden}"
            ),
            Refused,
        ),
        (
            "an upgrade that nobody asked for",
            post(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\
             Content-Length: 1\r\n",
                "1",
            ),
            InStep(200),
        ),
        (
            "a body of GET",
            format!("GET /health HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{hidden}"),
            InStep(200),
        ),
        (
            "a version that does not exist",
            format!(
                "PUT /run-stores/open HTTP/1.2\r\nHost: t\r\nContent-Length: 1\r\n\r\n1{hidden}"
            ),
            Refused,
        ),
        (
            "two spaces in the request line",
            format!(
                "PUT  /run-stores/open  HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\n1{hidden}"
            ),
            Refused,
        ),
    ]
}

#[tokio::test]
async fn a_request_is_one_request_or_none() {
    let server = Setup::default().in_memory().start().await;
    let mut wrong = Vec::new();
    for (name, request, expected) in cases() {
        let mut connection = Connection::open(server.address).await;
        connection.send(request.as_bytes()).await;
        connection.send(PROBE.as_bytes()).await;
        let mut answers = Vec::new();
        let mut is_told = true;
        while let Some(answer) = connection.answer(false).await {
            let is_probe = answer.header("x-request-id").as_deref() == Some("probe");
            answers.push((answer.status, is_probe));
            let kind = answer.header("content-type");
            is_told &=
                kind.as_deref() == Some("application/problem+json") && !answer.text().is_empty();
            if is_probe {
                break;
            }
        }
        let is_as_expected = match (expected, answers.as_slice()) {
            (Outcome::Refused, [(status, false)]) => (400..500).contains(status) && is_told,
            (Outcome::Closed(status), [(got, false)]) => *got == status,
            (Outcome::InStep(status), [(got, false), (200, true)]) => *got == status,
            _ => false,
        };
        let hidden = server.send(&get("/run-stores/hidden")).await.status;
        if !is_as_expected || hidden != 404 {
            wrong.push(format!("{name}: expected {expected:?}, got {answers:?}, hidden: {hidden}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_frame_that_is_refused_is_told_as_a_problem() {
    let server = Setup::default().in_memory().start().await;
    let table = [
        ("GET / HTTP/1.1\r\n\r\n", "requires the field Host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "more than once"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "not a host"),
    ];
    for (request, part) in table {
        let mut connection = Connection::open(server.address).await;
        connection.send(request.as_bytes()).await;
        let answer = connection.answer(false).await.unwrap_or_else(|| panic!("{request:?}"));
        assert_eq!(answer.status, 400, "{request:?}");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
        assert_eq!(answer.header("connection").as_deref(), Some("close"), "{request:?}");
        assert_eq!(answer.json()["error"], "bad_frame", "{request:?}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(part), "{request:?}: {detail}");
        assert!(connection.ends().await, "{request:?}: the connection ends");
    }
    // HTTP/1.0 has no Host.
    let mut connection = Connection::open(server.address).await;
    connection.send(b"GET /health HTTP/1.0\r\n\r\n").await;
    assert_eq!(connection.answer(false).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_at_once() {
    let server = Server::start().await;
    let head = |line: String, fields: String| format!("{line} HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
    let many = |count: usize| (0..count).map(|i| format!("X-{i}: a\r\n")).collect::<String>();
    let table = [
        (
            "a long query",
            head(format!("GET /?{}", "a".repeat(60_000)), String::new()),
            &[200, 404][..],
        ),
        ("a longer one", head(format!("GET /?{}", "a".repeat(66_000)), String::new()), &[414, 431]),
        (
            "a path of a megabyte",
            head(format!("GET /{}", "a".repeat(1 << 20)), String::new()),
            &[414, 431],
        ),
        (
            "a long name",
            head(format!("GET /run-stores/{}", "a".repeat(10_000)), String::new()),
            &[400],
        ),
        ("many fields", head("GET /health".into(), many(90)), &[200]),
        ("too many fields", head("GET /health".into(), many(10_000)), &[431]),
        (
            "a long field",
            head("GET /health".into(), format!("X: {}\r\n", "a".repeat(60_000))),
            &[200],
        ),
        (
            "a longer field",
            head("GET /health".into(), format!("X: {}\r\n", "a".repeat(1 << 20))),
            &[431],
        ),
        (
            "a long method",
            head(format!("{} /health", "A".repeat(10_000)), String::new()),
            &[400, 405, 431],
        ),
    ];
    for (name, request, expected) in table {
        let mut connection = Connection::open(server.address).await;
        let began = std::time::Instant::now();
        // One that is refused before its end may not be taken whole.
        connection.send(request.as_bytes()).await;
        let answer = connection.answer(false).await;
        let status = answer.map(|answer| answer.status);
        assert!(status.is_some_and(|it| expected.contains(&it)), "{name}: {status:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{name} took {:?}", began.elapsed());
    }
    assert_eq!(server.send(&get("/health")).await.status, 200);
}
