//! Peers that ask and take nothing of what they get: what their answers hold comes back in time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::harness::{ADMIN, eventually};
use super::process::{Place, Process};
use super::raw::{Connection, PATIENCE, Request, get, put};
use super::watch::resident_bytes;

/// What the tests' servers give a peer: long enough for a test to ask for everything that is to stall.
const STALL: Duration = Duration::from_secs(4);
const LIMITS: &str = "limits: {stallTimeout: 4s, idleTimeout: 4s, maxArtifactBytes: 64Mi}";

/// How many of a kind a peer asks for; three have all coders.
const HELD: usize = 12;

/// What the kernel keeps for a connection on its way is less.
const ARCHIVE_BYTES: usize = 32 << 20;

fn admin(request: Request) -> Request {
    request.header("Authorization", &format!("Bearer {ADMIN}"))
}

async fn served() -> (Place, Process) {
    let place = Place::new();
    place.configure("127.0.0.1:0", "127.0.0.1:0", LIMITS);
    let process = place.start().await;
    let archive = vec![b'a'; ARCHIVE_BYTES];
    // It stays larger than every window in any coding.
    let mut random = fastrand::Rng::with_seed(7);
    let numbers: Vec<u64> = std::iter::repeat_with(|| random.u64(..)).take(30_000).collect();
    let document = serde_json::to_vec(&numbers).expect("JSON");
    for (target, body) in [("/artifacts/a/b", archive), ("/", document)] {
        let answer = admin(put(target, body)).send(process.address).await;
        assert!(answer.status < 300, "{target}: {answer:?}");
    }
    (place, process)
}

/// A connection of HTTP/2 whose streams have a window of so many bytes until they are read.
pub(super) struct Peer {
    sender: http2::SendRequest<Empty<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
    address: SocketAddr,
}

impl Peer {
    pub(super) async fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        Self { sender, connection: tokio::spawn(connection), address }
    }

    /// Asks with a token and one field more.
    pub(super) async fn ask(
        &mut self,
        target: &str,
        token: &str,
        (name, value): (&str, &str),
    ) -> Response<Incoming> {
        let request = hyper::Request::get(format!("http://{}{target}", self.address))
            .header("Authorization", format!("Bearer {token}"))
            .header(name, value)
            .body(Empty::new())
            .expect("a request");
        let answer = timeout(PATIENCE, self.sender.send_request(request)).await;
        answer.expect("an answer in time").expect("an answer")
    }

    async fn get(&mut self, target: &str, name: &str, value: &str) -> Response<Incoming> {
        let answer = self.ask(target, ADMIN, (name, value)).await;
        assert!(answer.status().is_success(), "{target}: {}", answer.status());
        answer
    }

    async fn watch(&mut self) -> Response<Incoming> {
        self.get("/", "Accept", "text/event-stream").await
    }
}

async fn metric(process: &Process, name: &str) -> u64 {
    let text = get("/metrics").send(process.management).await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().expect("a number")
}

fn open_archives(process: &Process) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", process.pid())).expect("it runs");
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().ends_with(".tar.gz")).count()
}

/// Whether an answer is coded says whether there is a place for a coder.
async fn coder_is_free(process: &Process) -> bool {
    let request = admin(get("/")).header("Accept-Encoding", "gzip").header("Connection", "close");
    let mut connection = Connection::open(process.address).await;
    connection.send(&request.bytes()).await;
    let answer = connection.head().await.expect("a head");
    answer.header("content-encoding").is_some()
}

/// Reads until the stream tells of something; `None` where it ends before.
async fn sees(answer: &mut Response<Incoming>, what: &[u8]) -> Option<()> {
    let mut seen = Vec::new();
    while !seen.windows(what.len()).any(|it| it == what) {
        let frame = timeout(PATIENCE, answer.frame()).await.expect("a frame in time")?.ok()?;
        seen.extend_from_slice(frame.data_ref().expect("data"));
    }
    Some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_a_window_gives_back_all_that_it_was_given() {
    let (_place, process) = served().await;
    // Once, so that what is made once is there.
    let mut reading = Peer::connect(process.address, 1 << 20).await;
    let whole = reading.get("/artifacts/a/b", "Range", "bytes=0-0").await;
    drop(whole);
    let mut beside = reading.watch().await;
    sees(&mut beside, b"event: snapshot").await.expect("a snapshot");
    let before = resident_bytes(process.pid());

    let began = Instant::now();
    // Nothing, a byte, and less than the first piece.
    let mut held = Vec::new();
    let mut peers = Vec::new();
    for window in [0, 1, 10_000] {
        let mut peer = Peer::connect(process.address, window).await;
        for _ in 0..HELD {
            held.push(peer.watch().await);
            held.push(peer.get("/", "Accept-Encoding", "gzip").await);
            held.push(peer.get("/", "Accept-Encoding", "identity").await);
            held.push(peer.get("/artifacts/a/b", "Accept", "*/*").await);
        }
        peers.push(peer);
    }
    assert_eq!(open_archives(&process), 3 * HELD);
    assert!(!coder_is_free(&process).await, "they hold all coders");
    eventually("the archives are closed", async || (open_archives(&process) == 0).then_some(()))
        .await;
    eventually("a coder is free", async || coder_is_free(&process).await.then_some(())).await;
    eventually("their watches are over", async || {
        (metric(&process, "stowage_watchers").await == 1).then_some(())
    })
    .await;
    assert!(began.elapsed() >= STALL, "not before its time: {:?}", began.elapsed());
    assert!(metric(&process, "stowage_http_streams_stalled_total").await >= 3 * 4 * HELD as u64);
    let growth = resident_bytes(process.pid()).saturating_sub(before);
    assert!(growth < 24 << 20, "{growth} bytes are left");

    // The peers are told: their streams are reset, and not merely forgotten.
    let body = held.swap_remove(0).into_body();
    let end = timeout(PATIENCE, body.collect()).await.expect("the end of a stream in time");
    assert!(end.is_err(), "a stream that was cut is no whole answer");

    // Who reads saw nothing of it, and its idle watch lives on beyond every limit.
    sleep(STALL * 3).await;
    assert_eq!(admin(put("/", "2")).send(process.address).await.status, 200);
    sees(&mut beside, b"event: change").await.expect("the change");
    let archive = reading.get("/artifacts/a/b", "Accept", "*/*").await.into_body();
    let archive = archive.collect().await.expect("all of it").to_bytes();
    assert_eq!(archive.len(), ARCHIVE_BYTES);

    // With nothing left to do the others' connections end.
    for peer in peers {
        let ended = timeout(PATIENCE, peer.connection).await;
        ended.expect("a connection at rest ends").expect("no panic").ok();
    }
    assert!(!reading.connection.is_finished(), "one with an open stream does not rest");
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_its_time_gets_all_of_it() {
    let (_place, process) = served().await;
    let mut peer = Peer::connect(process.address, 64 << 10).await;
    let began = Instant::now();
    let mut body = peer.get("/artifacts/a/b", "Range", "bytes=0-999999").await.into_body();
    let mut length = 0;
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.expect("a frame in time") {
        length += frame.expect("the stream goes on").data_ref().map_or(0, Bytes::len);
        // Together that is longer than the limit.
        sleep(STALL / 25).await;
    }
    assert_eq!(length, 1_000_000);
    assert!(began.elapsed() > STALL + STALL / 2, "the time was taken: {:?}", began.elapsed());
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_answer_of_http1_is_closed_in_its_time() {
    let (_place, process) = served().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(process.address).await.expect("a connection");
        let request = admin(get("/artifacts/a/b"));
        stream.write_all(&request.bytes()).await.expect("a request");
        silent.push(stream);
    }
    eventually("all are sent", async || (open_archives(&process) == 20).then_some(())).await;
    eventually("all are given up", async || (open_archives(&process) == 0).then_some(())).await;
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_h2c_at_rest_is_told_to_go() {
    let (_place, process) = served().await;
    let mut peer = Peer::connect(process.address, 1 << 20).await;
    let began = Instant::now();
    let answer = peer.get("/health", "Accept", "*/*").await;
    assert_eq!(answer.status(), 200);
    answer.collect().await.expect("all of it");
    let ended = timeout(PATIENCE, peer.connection).await.expect("it ends");
    assert!(ended.expect("no panic").is_ok(), "it was told before");
    assert!(began.elapsed() >= Duration::from_secs(2), "it rested {:?}", began.elapsed());
    process.kill().await;
}
