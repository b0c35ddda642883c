//! What cannot be read as a request is refused as everything else: by a problem document with the fields of
//! every answer. The HTTP library would refuse it with a bare head.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{Server, Setup};
use super::process::Place;
use super::raw::{Answer, Connection, PATIENCE, get, put};

const GOOD: &str = "GET /health HTTP/1.1\r\nHost: t\r\nX-Request-Id: good\r\n\r\n";

const TARGET_TOO_LONG: &str = "target_too_long";

fn head(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

/// What is refused, with the status and the problem's name.
fn table() -> Vec<(String, u16, &'static str)> {
    let unreadable = [
        "\r\n\r\nnonsense\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nXX".to_owned(),
        "GET / HTTP/3.7\r\nHost: t\r\n\r\n".to_owned(),
        "\u{1}\u{2}\u{3} / HTTP/1.1\r\n\r\n".to_owned(),
        head("GET /", "X: a\0b\r\n"),
        head("GET /", " X: a\r\n"),
        head("GET / /", ""),
        head("GET /\u{7f}", ""),
        head("PUT /", "Content-Length: x\r\n"),
        head("PUT /", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        head("PUT /", "Transfer-Encoding: chunked, gzip\r\n"),
        // TLS, where it is not spoken.
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n".to_owned(),
    ];
    let many: String = (0..101).map(|i| format!("X-{i}: a\r\n")).collect();
    let large = [
        head("GET /", &many),
        head("GET /", &format!("X: {}\r\n", "x".repeat(65_520))),
        head("GET /", &format!("X: {}\r\n", "x".repeat(150_000))),
        head("GET /", &format!("X: {}\r\n", "x".repeat(1 << 20))),
        head(&format!("GET /{}", "x".repeat(1 << 20)), ""),
    ];
    // Which of the two it is found to be depends on how much arrives at once.
    let long = head(&format!("GET /{}", "x".repeat(66_000)), "");
    let rows = unreadable.map(|it| (it, 400, "malformed_request")).into_iter();
    let rows = rows.chain(large.map(|it| (it, 431, "head_too_large")));
    rows.chain([(long, 414, TARGET_TOO_LONG)]).collect()
}

/// Holds an answer to what every refusal carries.
fn verify(answer: &Answer, status: u16, error: &str, name: &str) {
    assert_eq!(answer.status, status, "{name}: {answer:?}");
    let field = |field: &str| answer.header(field).unwrap_or_default();
    assert_eq!(field("content-type"), "application/problem+json", "{name}");
    assert_eq!(field("x-storage-backend"), "local", "{name}");
    assert_eq!(field("connection"), "close", "{name}");
    assert_eq!(field("cache-control"), "no-store", "{name}");
    assert_eq!(field("x-request-id").len(), 32, "{name}: an id is made");
    assert!(httpdate::parse_http_date(&field("date")).is_ok(), "{name}: {:?}", field("date"));
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{name}");
    assert_eq!(problem["error"], error, "{name}");
    assert!(problem["detail"].as_str().is_some_and(|it| it.len() > 20), "{name}: {problem}");
}

#[tokio::test]
async fn what_is_no_request_is_refused_as_a_problem() {
    let server = Setup::default().in_memory().start().await;
    for (request, status, error) in table() {
        let name = format!("{:?}", request.chars().take(40).collect::<String>());
        // Alone, behind a request that was answered, and behind one that has not been answered yet.
        for good in [0, 1, 2] {
            let mut connection = Connection::open(server.address).await;
            if good == 1 {
                connection.send(GOOD.as_bytes()).await;
                assert_eq!(connection.answer(false).await.expect("it is good").status, 200);
            }
            let before = if good == 2 { GOOD } else { "" };
            connection.send(format!("{before}{request}").as_bytes()).await;
            if good == 2 {
                let answer = connection.answer(false).await.expect("it is good");
                assert_eq!(answer.header("x-request-id").as_deref(), Some("good"), "{name}");
            }
            let answer = connection.answer(false).await;
            let answer = answer.unwrap_or_else(|| panic!("{name}: expected a refusal"));
            let (status, error) = match answer.status {
                431 if error == TARGET_TOO_LONG => (431, "head_too_large"),
                _ => (status, error),
            };
            verify(&answer, status, error, &name);
            assert!(connection.ends().await, "{name}: nothing else is sent");
        }
    }
    assert_eq!(server.send(&get("/health")).await.status, 200);
}

#[tokio::test]
async fn the_second_port_refuses_alike() {
    let server = Setup::default().in_memory().start().await;
    let long = head("GET /livez", &format!("X: {}\r\n", "x".repeat(150_000)));
    let rows = [
        ("GET /livez HTTP/9.9\r\n\r\n", 400, "malformed_request"),
        (long.as_str(), 431, "head_too_large"),
    ];
    for (request, status, error) in rows {
        let mut connection = Connection::open(server.management).await;
        connection.send(request.as_bytes()).await;
        let answer = connection.answer(false).await.expect("a refusal");
        verify(&answer, status, error, error);
        assert!(connection.ends().await);
    }
    let metrics = get("/metrics").send(server.management).await.text();
    let counted = metrics.lines().any(|line| line.starts_with("stowage_http_requests_total{"));
    assert!(!counted, "nothing of it is a request of the main port: {metrics}");
}

#[tokio::test]
async fn a_head_that_ends_early_is_no_request_and_gets_no_answer() {
    let server = Setup::default().in_memory().start().await;
    let mut connection = Connection::open(server.address).await;
    connection.send(b"GET /health HTTP/1.1\r\nHost").await;
    connection.half_close().await;
    assert!(connection.ends().await, "nobody waits for an answer to half a request");
}

/// An archive may hold the very text of such a refusal: it is the archive's.
#[tokio::test]
async fn what_only_looks_like_a_refusal_is_sent_as_it_is() {
    let server = Server::start().await;
    let bare = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\
                date: Sun, 22 Nov 2026 20:08:39 GMT\r\n\r\n";
    let tag = server.send(&put("/run-stores/doc", "1")).await.etag();
    let held = format!(
        "GET /run-stores/doc HTTP/1.1\r\nHost: t\r\nPrefer: wait=60\r\nIf-None-Match: {tag}\r\n\r\n"
    );
    let archives = [bare.to_owned(), format!("{}{bare}", "x".repeat(100_000))];
    for (at, archive) in archives.iter().enumerate() {
        let target = format!("/artifacts/a/b{at}");
        assert_eq!(server.send(&put(&target, archive)).await.status, 201);
        let asked = format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n");
        // Behind it comes nothing, another request, one that is answered after a while, one that cannot be read,
        // the preface of another version, or the end.
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for behind in ["", GOOD, &held, "nonsense\r\n\r\n", preface] {
            let mut connection = Connection::open(server.address).await;
            connection.send(format!("{asked}{behind}").as_bytes()).await;
            let answer = connection.answer(false).await.expect("the archive");
            assert_eq!(answer.text(), *archive, "before {behind:?}");
            if behind == GOOD {
                let answer = connection.answer(false).await.expect("the next answer");
                assert_eq!(answer.header("x-request-id").as_deref(), Some("good"));
            }
            if behind.starts_with("nonsense") || behind == preface {
                let answer = connection.answer(false).await.expect("a refusal");
                verify(&answer, 400, "malformed_request", behind);
                assert!(connection.ends().await);
            }
        }
        let mut connection = Connection::open(server.address).await;
        let close = asked.replace("Host: t", "Host: t\r\nConnection: close");
        connection.send(close.as_bytes()).await;
        assert_eq!(connection.answer(false).await.expect("the archive").text(), *archive);
        assert!(connection.ends().await);
    }
}

/// A client that sends half a body and takes its answer later: what comes behind the body must not get into the
/// answer, so the connection ends with it, and says so.
#[tokio::test]
async fn a_long_answer_before_the_end_of_the_body_ends_its_connection() {
    let server = Server::start().await;
    let archive = vec![b'a'; 1 << 20];
    assert_eq!(server.send(&put("/artifacts/a/b", &archive)).await.status, 201);
    for (target, ends) in [("/artifacts/a/b", true), ("/health", false)] {
        let mut connection = Connection::open(server.address).await;
        let head = format!("GET {target} HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhell");
        connection.send(head.as_bytes()).await;
        let answer = connection.head().await.expect("an answer");
        let length = answer.header("content-length").and_then(|it| it.parse().ok());
        let says = answer.header("connection").is_some_and(|it| it == "close");
        assert_eq!(says, ends, "{target}: {answer:?}");
        connection.send(format!("o{GOOD}").as_bytes()).await;
        let body = connection.body(length.expect("a length")).await.expect("a body");
        assert!(!ends || body == archive, "{target}: its own bytes");
        let next = connection.answer(false).await;
        let next = next.and_then(|answer| answer.header("x-request-id"));
        assert_eq!(next.as_deref(), (!ends).then_some("good"), "{target}");
    }
}

#[tokio::test]
async fn a_refusal_is_logged_and_counted() {
    let place = Place::new();
    let process = place.start_with(&["--log-format", "json"]).await;
    let mut connection = Connection::open(process.address).await;
    connection.send(b"secret-in-a-request-line\r\n\r\n").await;
    let answer = connection.answer(false).await.expect("a refusal");
    let id = answer.header("x-request-id").expect("an id");
    let metrics = get("/metrics").send(process.management).await.text();
    let counted = metrics.lines().any(|line| {
        line.starts_with("stowage_http_requests_total")
            && ["route=\"unmatched\"", "method=\"other\"", "status=\"400\""]
                .iter()
                .all(|label| line.contains(label))
    });
    assert!(counted, "{metrics}");
    let in_flight =
        metrics.lines().find(|line| line.starts_with("stowage_http_requests_in_flight"));
    assert!(in_flight.is_some_and(|line| line.ends_with(" 0")), "{in_flight:?}");
    let (_, log) = process.terminate().await;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["request_id"] == id.as_str());
    let line = line.unwrap_or_else(|| panic!("expected a line of {id}: {log}"));
    assert_eq!((&line["status"], &line["route"]), (&400.into(), &"unmatched".into()));
    assert!(!log.contains("secret-in"), "{log}");
}

/// HTTP/2 tells a client how large a head may be, and one that is a little larger is refused as a problem.
#[tokio::test]
async fn a_head_over_the_limit_is_a_problem_over_h2c_too() {
    let server = Setup::default().in_memory().start().await;
    heads_over_h2c(server.address, "/health").await;
    heads_over_h2c(server.management, "/livez").await;
}

async fn heads_over_h2c(address: SocketAddr, path: &str) {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let builder = http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let table =
        [(60_000, 1, 200), (70_000, 1, 431), (200_000, 1, 431), (1, 101, 431), (1, 90, 200)];
    for (length, count, expected) in table {
        let request = http::Request::get(format!("http://{address}{path}"));
        let request = (0..count).fold(request, |it, _| it.header("x-long", "x".repeat(length)));
        let request = request.body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.expect("a request"));
        let answer = timeout(PATIENCE, answer).await.expect("in time").expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = timeout(Duration::from_secs(10), body.collect()).await.expect("in time");
        let body = body.expect("a body").to_bytes();
        assert_eq!(parts.status, expected, "{path} {count} of {length}: {body:?}");
        assert_eq!(parts.headers["x-storage-backend"], "local");
        if expected == 431 {
            let problem: Value = serde_json::from_slice(&body).expect("a problem");
            assert_eq!(problem["error"], "head_too_large");
            assert_eq!(parts.headers["content-type"], "application/problem+json");
        }
    }
    connection.abort();
}
