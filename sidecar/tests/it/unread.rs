//! Answers to requests whose body is not read: whether the connection goes on is said, and is so.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{ADMIN, Server, Setup};
use super::raw::{Answer, Connection, PATIENCE, Request, delete, get, patch, put};

const ARCHIVE: &str = "/artifacts/blog/b-1";

fn admin(request: Request) -> Request {
    request.header("Authorization", &format!("Bearer {ADMIN}"))
}

async fn prepared() -> Server {
    let limits = "limits: {maxJsonBytes: 4Ki, maxArtifactBytes: 8Gi}";
    let server = Setup::default().token("admin", ADMIN).config(limits).start().await;
    for target in ["/", "/run-stores/gone", ARCHIVE] {
        assert!(server.send(&admin(put(target, "1"))).await.status < 300, "{target}");
    }
    server
}

/// The head of a request whose body the server is to ask for.
fn waiting(request: Request) -> Request {
    request.header("Content-Length", "5").header("Expect", "100-continue")
}

fn says_close(answer: &Answer) -> bool {
    answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

#[tokio::test]
async fn an_answer_before_a_body_that_was_not_asked_for_says_that_the_connection_ends() {
    let server = prepared().await;
    let long = || Request::new("PUT", "/").header("Expect", "100-continue");
    let rows = [
        ("no credentials", waiting(put("/", "")), 401),
        ("no such path", waiting(admin(put("/nowhere", ""))), 404),
        ("another method", waiting(admin(put("/runs", ""))), 405),
        ("a malformed field", waiting(admin(put("/", "")).header("If-Match", "x")), 400),
        ("it exists", waiting(admin(put(ARCHIVE, "")).header("If-None-Match", "*")), 412),
        ("too large", admin(long()).header("Content-Length", "5000"), 413),
        ("no JSON", waiting(admin(put("/", "")).header("Content-Type", "text/plain")), 415),
        ("no condition", waiting(admin(Request::new("DELETE", "/storage?ns=a"))), 428),
        ("a body that nobody wants", waiting(admin(delete("/run-stores/gone"))), 204),
        ("a read with a body", waiting(admin(get("/"))), 200),
        ("in chunks", admin(put("/nowhere", "")).header("Transfer-Encoding", "chunked"), 404),
    ];
    for (what, request, status) in rows {
        let request =
            if what == "in chunks" { request.header("Expect", "100-Continue") } else { request };
        let mut connection = Connection::open(server.address).await;
        connection.send(&request.bytes()).await;
        let answer = connection.answer(false).await.unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(says_close(&answer), "{what}: expected Connection: close, got {answer:?}");
        assert!(connection.ends().await, "{what}: the connection ends behind the answer");
    }
}

#[tokio::test]
async fn an_answer_behind_a_body_that_was_read_keeps_the_connection() {
    let server = prepared().await;
    let mut connection = Connection::open(server.address).await;
    let operations = r#"[{"op":"set","key":"k","value":1}]"#;
    let kv =
        patch("/storage?ns=a", "*", "").header("Content-Length", &operations.len().to_string());
    let rows = [
        (admin(put("/", "")).header("Content-Length", "4"), "true", 200),
        (admin(put("/", "")).header("Content-Length", "4"), "nope", 400),
        (admin(kv), operations, 201),
        (admin(put(ARCHIVE, "")).header("Content-Length", "4"), "1234", 201),
    ];
    for (request, body, status) in rows {
        let said = format!("{} {} {body}", request.method, request.target);
        connection.send(&request.header("Expect", "100-continue").bytes()).await;
        let interim = connection.answer(true).await.unwrap_or_else(|| panic!("{said}: no answer"));
        assert_eq!(interim.status, 100, "{said}: {interim:?}");
        connection.send(body.as_bytes()).await;
        let answer = connection.answer(false).await.unwrap_or_else(|| panic!("{said}: no answer"));
        assert_eq!((answer.status, answer.header("connection")), (status, None), "{said}");
    }
    // There is no body to be asked for.
    let empty = admin(get("/")).header("Expect", "100-continue");
    connection.send(&empty.bytes()).await;
    let answer = connection.answer(false).await.expect("an answer on the same connection");
    assert_eq!((answer.status, answer.header("connection")), (200, None), "{answer:?}");
}

/// What a client sends that does not wait is read on, up to a bound; of a length above it is known at once that
/// it will not be.
#[tokio::test]
async fn an_answer_before_a_body_that_is_too_long_to_be_read_on_says_that_the_connection_ends() {
    let server = prepared().await;
    for (length, ends) in [("1000", false), ("2147483648", false), ("2147483649", true)] {
        let mut connection = Connection::open(server.address).await;
        let request = admin(put(ARCHIVE, "")).header("If-None-Match", "*");
        connection.send(&request.header("Content-Length", length).bytes()).await;
        let answer = connection.answer(false).await.expect("an answer before the body");
        assert_eq!(answer.status, 412, "{length}: {}", answer.text());
        assert_eq!(says_close(&answer), ends, "{length}: {answer:?}");
    }
    // All of it was read, however long it was.
    let mut connection = Connection::open(server.address).await;
    connection.send(&admin(put(ARCHIVE, "1234")).bytes()).await;
    let answer = connection.answer(false).await.expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (201, None));
}

#[tokio::test]
async fn over_h2c_no_connection_is_spoken_of_and_it_goes_on() {
    let server = prepared().await;
    let stream = TcpStream::connect(server.address).await.expect("a connection");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.expect("HTTP/2");
    tokio::spawn(connection);
    for expect in [true, false] {
        let request = hyper::Request::put(format!("http://{}{ARCHIVE}", server.address))
            .header("Authorization", format!("Bearer {ADMIN}"))
            .header("If-None-Match", "*");
        let request = if expect { request.header("Expect", "100-continue") } else { request };
        let request = request.body(Full::new(Bytes::from(vec![b'x'; 100_000])));
        let answer = timeout(PATIENCE, sender.send_request(request.expect("a request"))).await;
        let answer = answer.expect("an answer in time").expect("an answer");
        assert_eq!(answer.status(), 412, "Expect: {expect}");
        assert_eq!(answer.headers().get("connection"), None, "Expect: {expect}");
    }
}

#[tokio::test]
async fn the_second_port_says_so_too_and_reads_on_what_comes_unasked() {
    let server = prepared().await;
    let mut connection = Connection::open(server.management).await;
    connection.send(&waiting(put("/livez", "")).bytes()).await;
    let answer = connection.answer(false).await.expect("an answer");
    assert_eq!(answer.status, 405);
    assert!(says_close(&answer), "expected Connection: close, got {answer:?}");
    assert!(connection.ends().await, "the connection ends behind the answer");

    let mut connection = Connection::open(server.management).await;
    connection.send(&put("/livez", vec![b'x'; 4 << 20]).bytes()).await;
    let answer = connection.answer(false).await.expect("an answer that is not lost");
    assert_eq!((answer.status, answer.header("connection")), (405, None));
    connection.send(&get("/livez").bytes()).await;
    let answer = connection.answer(false).await.expect("an answer on the same connection");
    assert_eq!(answer.status, 200);
}
