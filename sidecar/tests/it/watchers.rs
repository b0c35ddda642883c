//! Ten thousand who watch one process: over connections of their own, as many as the machine lets a
//! process open, and the others over shared ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::harness::{ADMIN, eventually};
use super::process::{Place, Process};
use super::raw::{get, put};
use super::watch::resident_bytes;

const WATCHERS: usize = 10_000;

/// The server's own bound for one connection.
const STREAMS_OF_ONE: usize = 250;

/// The server gives connections a quarter of its descriptors.
const PART: usize = 4;

/// What neither side needs for these connections.
const SPARE: usize = 500;

/// So many connections are opened at once.
const AT_ONCE: usize = 128;

const DEADLINE: Duration = Duration::from_secs(120);

enum Watcher {
    Alone(TcpStream),
    /// What keeps the connection stands with the first of its streams.
    Shared(Incoming, Option<http2::SendRequest<Empty<Bytes>>>),
}

impl Watcher {
    /// Reads up to something that the stream tells.
    async fn sees(&mut self, what: &[u8]) {
        let mut seen = Vec::new();
        let mut piece = [0; 1024];
        while !seen.windows(what.len()).any(|it| it == what) {
            match self {
                Self::Alone(stream) => {
                    let length = stream.read(&mut piece).await.expect("an open connection");
                    assert!(length > 0, "the stream ended before the change");
                    seen.extend_from_slice(&piece[..length]);
                }
                Self::Shared(body, _) => {
                    let frame = body.frame().await.expect("an open stream").expect("a frame");
                    seen.extend_from_slice(frame.data_ref().expect("data"));
                }
            }
        }
    }
}

/// How many descriptors a process may have; more than it was given where it may ask for that.
fn descriptors() -> usize {
    let enough = Some(((WATCHERS + SPARE) * PART) as u64);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted =
        if maximum.is_some_and(|maximum| Some(maximum) < enough) { enough } else { maximum };
    let raised =
        |maximum| setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised(wanted) || !raised(maximum) { wanted } else { maximum };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

async fn alone(address: SocketAddr) -> Watcher {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = get("/")
        .header("Accept", "text/event-stream")
        .header("Authorization", &format!("Bearer {ADMIN}"));
    stream.write_all(&request.bytes()).await.expect("a request");
    Watcher::Alone(stream)
}

async fn shared(address: SocketAddr, count: usize) -> Vec<Watcher> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut watchers = Vec::new();
    for _ in 0..count {
        let request = hyper::Request::get(format!("http://{address}/"))
            .header("Accept", "text/event-stream")
            .header("Authorization", format!("Bearer {ADMIN}"))
            .body(Empty::new())
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        watchers.push(Watcher::Shared(answer.into_body(), None));
    }
    if let Some(Watcher::Shared(_, kept)) = watchers.first_mut() {
        *kept = Some(sender);
    }
    watchers
}

async fn open_all(process: &Process, alone_count: usize) -> Vec<Watcher> {
    let address = process.address;
    let mut opening = JoinSet::new();
    // The kernel's queue is not longer.
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for _ in 0..alone_count {
        let places = Arc::clone(&places);
        opening.spawn(async move {
            let _place = places.acquire().await.expect("an open semaphore");
            let mut watcher = alone(address).await;
            watcher.sees(b"event: snapshot").await;
            vec![watcher]
        });
    }
    let mut left = WATCHERS - alone_count;
    while left > 0 {
        let count = left.min(STREAMS_OF_ONE);
        left -= count;
        let places = Arc::clone(&places);
        opening.spawn(async move {
            let _place = places.acquire().await.expect("an open semaphore");
            let mut watchers = shared(address, count).await;
            for watcher in &mut watchers {
                watcher.sees(b"event: snapshot").await;
            }
            watchers
        });
    }
    let opened = timeout(DEADLINE, opening.join_all()).await.expect("all are open in time");
    opened.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_watchers_are_told_of_one_change() {
    let limit = descriptors();
    let alone_count = (limit / PART).saturating_sub(SPARE).min(WATCHERS);
    let place = Place::new();
    // All of them have the same token.
    let limits = format!("limits: {{maxWatchesPerIdentity: {WATCHERS}}}");
    place.configure("127.0.0.1:0", "127.0.0.1:0", &limits);
    let process = place.start().await;
    let address = process.address;
    let write = async |body: &str| {
        let authorization = format!("Bearer {ADMIN}");
        put("/", body).header("Authorization", &authorization).send(address).await
    };
    assert_eq!(write("1").await.status, 200);
    let at_rest = resident_bytes(process.pid());
    let watchers = open_all(&process, alone_count).await;
    eventually("all of them watch", async || {
        let text = get("/metrics").send(process.management).await.text();
        text.contains(&format!("stowage_watchers {WATCHERS}\n")).then_some(())
    })
    .await;
    let each = resident_bytes(process.pid()).saturating_sub(at_rest) / WATCHERS;

    let mut changes = JoinSet::new();
    for mut watcher in watchers {
        changes.spawn(async move {
            watcher.sees(b"event: change").await;
            watcher
        });
    }
    let begun = Instant::now();
    assert_eq!(write("2").await.status, 200);
    let answered = begun.elapsed();
    let watchers = timeout(DEADLINE, changes.join_all()).await.expect("all are told in time");
    let told = begun.elapsed();
    println!(
        "{WATCHERS} watchers, {alone_count} on connections of their own: {each} bytes each; \
         a write was answered after {answered:?}, all were told after {told:?}"
    );
    assert!(each < 64 << 10, "a watcher takes {each} bytes");
    drop(watchers);
    eventually("nobody watches", async || {
        let text = get("/metrics").send(process.management).await.text();
        text.contains("stowage_watchers 0\n").then_some(())
    })
    .await;
    process.kill().await;
}
