//! The end of a server under load, as clients see it that heed what they are told: `Connection: close`
//! of HTTP/1.1, GOAWAY of HTTP/2. No request of theirs fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use stowage_store::{Store, VolumeOptions, VolumeStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::harness::{Setup, eventually};
use super::raw::{Connection, get, put};

/// Who sends the next request so soon after an answer meets no connection that is closed at rest.
const SOON: Duration = Duration::from_millis(100);

/// How a client's last request ended.
#[derive(Debug)]
struct End {
    name: String,
    /// What was answered last.
    last: Option<u64>,
    /// What went wrong, if it did.
    failure: Option<String>,
}

async fn one(address: std::net::SocketAddr, name: String, count: Arc<AtomicUsize>) -> End {
    let mut connection = Connection::open(address).await;
    let (mut last, mut answered) = (None, Instant::now());
    for round in 0.. {
        let rested = answered.elapsed();
        connection.send(&put(&format!("/run-stores/{name}"), round.to_string()).bytes()).await;
        let answer = connection.answer(false).await;
        answered = Instant::now();
        let failure = match &answer {
            None if rested > SOON => None,
            None => Some(format!("request {round} got no answer, {rested:?} after the one before")),
            Some(answer) if answer.status != 200 => Some(format!("{round}: {}", answer.status)),
            Some(answer) => {
                last = Some(round);
                count.fetch_add(1, Ordering::Relaxed);
                if answer.header("connection").as_deref() != Some("close") {
                    continue;
                }
                None
            }
        };
        return End { name, last, failure };
    }
    unreachable!("rounds have no end")
}

async fn stream(
    mut sender: http2::SendRequest<Full<Bytes>>,
    name: String,
    count: Arc<AtomicUsize>,
) -> End {
    let mut last = None;
    for round in 0_u64.. {
        if sender.ready().await.is_err() {
            return End { name, last, failure: None };
        }
        let body = Full::new(Bytes::from(round.to_string()));
        let uri = format!("http://test/run-stores/{name}");
        let request = hyper::Request::put(uri).body(body).expect("a request");
        let failure = match sender.send_request(request).await {
            Ok(answer) if answer.status() == 200 => match answer.into_body().collect().await {
                Ok(_) => {
                    last = Some(round);
                    count.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Err(error) => Some(format!("request {round}: half an answer: {error}")),
            },
            Ok(answer) => Some(format!("request {round}: {}", answer.status())),
            // It was not sent any more, or was not taken: the GOAWAY came first, and says so (RFC 9113
            // §6.8). That it was not is looked at below.
            Err(error) if error.is_canceled() || is_refused(&error) => None,
            Err(error) => Some(format!("request {round}: {error:?}")),
        };
        return End { name, last, failure };
    }
    unreachable!("rounds have no end")
}

fn is_refused(error: &hyper::Error) -> bool {
    format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_of_heedful_clients_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || -> Arc<dyn Store> {
        let options = VolumeOptions::default();
        Arc::new(VolumeStore::open(&dir.path().join("d"), &options).expect("a store"))
    };
    let server = Setup::default().store(open()).start().await;
    let count = Arc::<AtomicUsize>::default();
    let mut clients = JoinSet::new();
    for client in 0..16 {
        clients.spawn(one(server.address, format!("one-{client}"), Arc::clone(&count)));
    }
    for connection in 0..4 {
        let tcp = TcpStream::connect(server.address).await.expect("a connection");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await;
        let (sender, connected) = handshake.expect("HTTP/2");
        tokio::spawn(connected);
        for client in 0..8 {
            let name = format!("two-{connection}-{client}");
            clients.spawn(stream(sender.clone(), name, Arc::clone(&count)));
        }
    }
    eventually("the load is on", async || (count.load(Ordering::Relaxed) > 500).then_some(()))
        .await;
    server.shutdown.cancel();
    server.ended().await.expect("a clean end");
    let ends = clients.join_all().await;
    let failures: Vec<_> = ends.iter().filter(|end| end.failure.is_some()).collect();
    assert!(failures.is_empty(), "{failures:?}");

    let server = Setup::default().store(open()).start().await;
    for End { name, last, .. } in &ends {
        let stored = server.send(&get(&format!("/run-stores/{name}"))).await.text();
        let last = last.expect("at least one answer");
        assert_eq!(stored, last.to_string(), "{name}: stored is what was answered");
    }
}
