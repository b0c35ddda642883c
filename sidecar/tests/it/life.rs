//! The life of a server: h2c, its end, and what it takes along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Client;
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

/// Clients that send one request after another while the server ends. Every request that got a
/// whole answer with 200 is in the store, and none breaks off: it is answered, or its connection
/// is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_under_load_loses_no_request() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || -> Arc<dyn stowage_store::Store> {
        let options = stowage_store::VolumeOptions::default();
        Arc::new(
            stowage_store::VolumeStore::open(&dir.path().join("d"), &options).expect("a store"),
        )
    };
    let server = Setup::default().store(open()).start().await;
    let url = server.url("/run-stores/");
    let (sent, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let client = Client::new();
    let mut clients = JoinSet::new();
    for number in 0..16 {
        let (client, url, sent, stop) =
            (client.clone(), url.clone(), Arc::clone(&sent), Arc::clone(&stop));
        clients.spawn(async move {
            let mut acknowledged = None;
            for round in 0u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let put = client.put(format!("{url}{number}")).json(&round);
                match put.send().await {
                    Ok(answer) => {
                        assert_eq!(answer.status(), 200);
                        acknowledged = Some(round);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) if error.is_connect() => break,
                    Err(error) => panic!("client {number}, request {round} broke off: {error:?}"),
                }
            }
            (number, acknowledged)
        });
    }
    eventually("the load is on", async || (sent.load(Ordering::Relaxed) > 200).then_some(())).await;
    server.shutdown.cancel();
    server.ended().await.expect("a clean end");
    stop.store(true, Ordering::Relaxed);
    let acknowledged = clients.join_all().await;

    let server = Setup::default().store(open()).start().await;
    for (number, last) in acknowledged {
        let stored = server.send(&get(&format!("/run-stores/{number}"))).await.text();
        assert_eq!(stored, last.expect("at least one").to_string(), "client {number}");
    }
}
