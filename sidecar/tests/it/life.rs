//! The life of a server: h2c, its end, and what it takes along.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::failing::Failing;
use super::harness::{Server, Setup, eventually};
use super::raw::{Connection, get, put};

async fn h2c(server: &Server) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.address).await.expect("a connection");
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

fn request(server: &Server, method: &str, path: &str, body: &str) -> hyper::Request<Full<Bytes>> {
    hyper::Request::builder()
        .method(method)
        .uri(server.url(path))
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("a request")
}

#[tokio::test]
async fn h2c_serves_the_same() {
    let server = Server::start().await;
    let mut sender = h2c(&server).await;
    let put = sender.send_request(request(&server, "PUT", "/", "[1, 2]")).await.expect("an answer");
    assert_eq!(put.status(), 200);
    let tag = put.headers()["etag"].clone();
    let got = sender.send_request(request(&server, "GET", "/", "")).await.expect("an answer");
    assert_eq!(got.version(), hyper::Version::HTTP_2);
    assert_eq!(got.headers()["etag"], tag);
    let body = got.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body, "[1,2]");
    let refused = request(&server, "PUT", "/nowhere", "{}");
    assert_eq!(sender.send_request(refused).await.expect("an answer").status(), 404);
}

#[tokio::test]
async fn h2c_streams_archives() {
    let server = Server::start().await;
    let mut sender = h2c(&server).await;
    let (path, content) = ("/artifacts/blog/b-1", "0123456789".repeat(500_000));
    let put = request(&server, "PUT", path, &content);
    assert_eq!(sender.send_request(put).await.expect("an answer").status(), 201);
    let got = sender.send_request(request(&server, "GET", path, "")).await.expect("an answer");
    assert_eq!(got.headers()["content-length"], content.len().to_string());
    let body = got.into_body().collect().await.expect("a body").to_bytes();
    assert!(body == content.as_bytes(), "the bytes are those that were sent");
}

#[tokio::test]
async fn h2c_tells_a_body_over_the_limit() {
    let server = Setup::default().config("limits: {maxJsonBytes: 1Ki}").start().await;
    let mut sender = h2c(&server).await;
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let answer =
        sender.send_request(request(&server, "PUT", "/", &large)).await.expect("an answer");
    assert_eq!(answer.status(), 413);
    assert!(!answer.headers().contains_key("connection"), "HTTP/2 has no such field");
    let next = sender.send_request(request(&server, "GET", "/", "")).await;
    assert_eq!(next.expect("the connection lives on").status(), 404);
}

#[tokio::test]
async fn readiness_fails_first_and_requests_in_flight_finish() {
    let store = Arc::new(Failing::gated());
    let server = Setup::default().store(store.clone()).start().await;
    let address = server.address;
    let mut idle = Connection::open(address).await;
    idle.send(&get("/health").bytes()).await;
    assert_eq!(idle.answer(false).await.expect("an answer").status, 200);

    let in_flight = tokio::spawn(async move { put("/", "1").send(address).await });
    eventually("the write is under way", async || {
        (store.puts.load(Ordering::Relaxed) == 1).then_some(())
    })
    .await;
    server.shutdown.cancel();
    let ready = get("/readyz").send(server.management).await;
    assert_eq!((ready.status, ready.header("retry-after").as_deref()), (503, Some("1")));
    assert!(idle.ends().await, "a connection at rest is closed");
    assert!(!store.closed.load(Ordering::Relaxed), "the store is not closed under a write");
    eventually("the port is closed", async || TcpStream::connect(address).await.err()).await;

    store.gate.add_permits(1);
    let answer = in_flight.await.expect("no panic");
    assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
    server.ended().await.expect("a clean end");
    assert!(store.closed.load(Ordering::Relaxed), "the store is shut down last");
}

#[tokio::test]
async fn what_does_not_finish_within_the_grace_is_cut_off() {
    let store = Arc::new(Failing::gated());
    let grace = Duration::from_millis(200);
    let server = Setup::default().store(store.clone()).grace(grace).start().await;
    let mut connection = Connection::open(server.address).await;
    connection.send(&put("/", "1").bytes()).await;
    eventually("the write is under way", async || {
        (store.puts.load(Ordering::Relaxed) == 1).then_some(())
    })
    .await;
    server.shutdown.cancel();
    assert!(connection.answer(false).await.is_none(), "no answer");
    server.ended().await.expect("a clean end all the same");
}

/// Clients that send one request after another, each on a connection of its own, while the server
/// ends. Each is told so by an answer with `Connection: close`. Whatever was applied was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_under_load_loses_no_request() {
    const CLIENTS: u64 = 16;
    let dir = tempfile::tempdir().expect("a directory");
    let open = || -> Arc<dyn stowage_store::Store> {
        let options = stowage_store::VolumeOptions::default();
        Arc::new(
            stowage_store::VolumeStore::open(&dir.path().join("d"), &options).expect("a store"),
        )
    };
    let server = Setup::default().store(open()).start().await;
    let address = server.address;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let acknowledged = Arc::clone(&acknowledged);
        clients.spawn(async move {
            let mut connection = Connection::open(address).await;
            for round in 0u64.. {
                connection
                    .send(&put(&format!("/run-stores/{client}"), round.to_string()).bytes())
                    .await;
                // None: the connection was closed while it rested, just before this request.
                let Some(answer) = connection.answer(false).await else {
                    return (client, round.checked_sub(1), false);
                };
                assert_eq!(answer.status, 200, "client {client}, request {round}");
                acknowledged.fetch_add(1, Ordering::Relaxed);
                if answer.header("connection").as_deref() == Some("close") {
                    return (client, Some(round), true);
                }
            }
            unreachable!("rounds have no end")
        });
    }
    eventually("the load is on", async || {
        (acknowledged.load(Ordering::Relaxed) > 200).then_some(())
    })
    .await;
    server.shutdown.cancel();
    server.ended().await.expect("a clean end");
    let ends = clients.join_all().await;

    let server = Setup::default().store(open()).start().await;
    for (client, last, _) in &ends {
        let stored = server.send(&get(&format!("/run-stores/{client}"))).await.text();
        let last = last.expect("at least one answer");
        assert_eq!(stored, last.to_string(), "client {client}: stored is what was answered");
    }
    let told = ends.iter().filter(|(_, _, told)| *told).count();
    assert!(told * 2 >= ends.len(), "most were told by Connection: close: {ends:?}");
}

#[tokio::test]
async fn a_connection_that_was_just_taken_is_answered_before_the_end() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    server.shutdown.cancel();
    connection.send(&put("/", "1").bytes()).await;
    let answer = connection.answer(false).await.expect("an answer");
    assert_eq!((answer.status, answer.header("connection").as_deref()), (200, Some("close")));
    server.ended().await.expect("a clean end");
}
