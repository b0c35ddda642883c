//! Many connections and many requests that are wrong: what they cost in memory.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::task::JoinSet;

use super::process::{Place, Process};
use super::raw::{Connection, Request, get, patch, put};

const MIB: u64 = 1 << 20;

/// So many connections at rest.
const CONNECTIONS: u64 = 10_000;

/// May take so much memory, all of the process included.
const MEMORY_MAX: u64 = 150 * MIB;

/// What malformed requests may leave behind.
const GROWTH_MAX: u64 = 16 * MIB;

/// The memory that a process holds, in bytes.
fn resident(process: &Process) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of it");
    let kibibytes = line.trim().trim_end_matches(" kB").trim().parse::<u64>();
    kibibytes.expect("a number") << 10
}

/// A connection that has had an answer.
async fn rested(address: SocketAddr) -> Connection {
    let mut connection = Connection::open(address).await;
    connection.send(&get("/health").bytes()).await;
    assert_eq!(connection.answer(false).await.expect("an answer").status, 200);
    connection
}

/// Under a low limit of open files there are fewer, and the memory is counted as if there were all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "it says what was measured")]
async fn ten_thousand_connections_at_rest_take_little_memory_and_are_served() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    // Half of the descriptors are for connections, here and there.
    let count = limit.map_or(CONNECTIONS, |limit| CONNECTIONS.min(limit / 2));
    assert!(count >= 500, "with {limit:?} open files nothing can be said");
    let place = Place::new();
    let limits = format!("limits: {{maxConnections: {CONNECTIONS}, idleTimeout: 10m}}");
    place.configure("127.0.0.1:0", "127.0.0.1:0", &limits);
    let server = place.start().await;
    drop(rested(server.address).await);
    let before = resident(&server);
    let began = Instant::now();
    let mut opened = JoinSet::new();
    for _ in 0..20 {
        let address = server.address;
        let share = count / 20;
        opened.spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..share {
                connections.push(rested(address).await);
            }
            connections
        });
    }
    let mut connections: Vec<_> = opened.join_all().await.into_iter().flatten().collect();
    let after = resident(&server);
    let each = after.saturating_sub(before) / connections.len() as u64;
    let all = before + each * CONNECTIONS;
    eprintln!(
        "{} connections at rest in {:.1?}: {} MiB before, {} MiB after, {each} bytes each, {} MiB \
         for {CONNECTIONS}",
        connections.len(),
        began.elapsed(),
        before / MIB,
        after / MIB,
        all / MIB,
    );
    assert!(all <= MEMORY_MAX, "{} MiB", all / MIB);
    let last = connections.len() - 1;
    for index in (0..=last).step_by(37).chain([last]) {
        let connection = &mut connections[index];
        connection.send(&get("/health").bytes()).await;
        let answer = connection.answer(false).await.expect("it is served still");
        assert_eq!(answer.status, 200, "connection {index}");
    }
    assert_eq!(get("/readyz").send(server.management).await.status, 200);
}

/// Requests of which each is wrong in another way; the connection goes on.
fn wrong() -> Vec<(Request, u16)> {
    let admin = format!("Bearer {}", super::harness::ADMIN);
    let with = |request: Request| request.header("Authorization", &admin);
    let long = "x".repeat(3_000);
    let deep = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
    vec![
        (with(put("/", "{")), 400),
        (with(put("/", &deep)), 400),
        (with(put("/", [0xff, 0xfe])), 400),
        (with(put("/run-stores/..", "1")), 400),
        (with(get(&format!("/run-stores/{long}"))), 400),
        (with(get(&format!("/{long}"))), 404),
        (with(put("/", "1").header("If-Match", "W/\"")), 400),
        (with(put("/", "1").header("If-Match", "\"a\"")), 412),
        (with(patch("/api/storage?ns=a", "x y", "[]")), 400),
        (with(patch("/api/storage?ns=a", "0", r#"[{"op":"burn"}]"#)), 400),
        (with(patch("/api/storage", "0", "[]")), 400),
        (with(get("/api/storage?ns=%zz")), 400),
        (with(put("/runtimes/a/b", r#"{"revision":1}"#)), 400),
        (with(put("/jobs/a", r#"{"id":"b"}"#)), 400),
        (with(Request::new("POST", "/sites/a/logs").body("[]")), 400),
        (with(Request::new("BREW", "/")), 405),
        (get("/").header("Authorization", &format!("Bearer {long}")), 401),
        (with(put("/", "1").header("Content-Type", "text/plain")), 415),
        (with(get("/").header("X-Request-Id", &long).header("Cookie", &long)), 404),
        (get("/").header("traceparent", "00-0-0-0").header("Origin", "null"), 401),
    ]
}

/// What is no request; the connection ends.
const BROKEN: &[&[u8]] = &[
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff\xff\xff\xff\xff\xff\xff",
    b"\r\n\r\n\r\n\r\n\0\0\0\0\r\n\r\n",
];

/// Sends so many wrong requests, and checks each answer.
async fn flood(address: SocketAddr, count: usize) {
    let wrong = wrong();
    let bytes: Vec<u8> = wrong.iter().flat_map(|(request, _)| request.bytes()).collect();
    let mut connection = Connection::open(address).await;
    for round in 0..count / wrong.len() {
        connection.send(&bytes).await;
        for (request, expected) in &wrong {
            let answer = connection.answer(false).await;
            let answer = answer.unwrap_or_else(|| panic!("round {round}: {request:?}"));
            assert_eq!(answer.status, *expected, "{request:?}: {}", answer.text());
        }
        if round % 20 == 0 {
            let mut broken = Connection::open(address).await;
            broken.send(BROKEN[round / 20 % BROKEN.len()]).await;
            broken.half_close().await;
            broken.rest().await;
        }
    }
}

/// Some seconds of them; a million with `STOWAGE_LONG=1`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "it says what was measured")]
async fn malformed_requests_leave_no_memory_behind() {
    let is_long = std::env::var_os("STOWAGE_LONG").is_some_and(|value| value == "1");
    let count = if is_long { 1_000_000 } else { 40_000 };
    let place = Place::new();
    // Each is to be told what is wrong with it.
    place.configure("127.0.0.1:0", "127.0.0.1:0", "limits: {refusalsPerSecond: 1000000}");
    let server = place.start_quietly().await;
    // What is made once is there afterwards.
    flood(server.address, 4_000).await;
    let before = resident(&server);
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(flood(server.address, count / 4));
    }
    clients.join_all().await;
    let after = resident(&server);
    eprintln!(
        "{count} malformed requests in {:.1?}: {:.1} MiB before, {:.1} MiB after",
        began.elapsed(),
        before as f64 / MIB as f64,
        after as f64 / MIB as f64,
    );
    assert!(after <= before + GROWTH_MAX, "{} MiB became {} MiB", before / MIB, after / MIB);
    assert_eq!(get("/health").send(server.address).await.status, 200);
    let (status, log) = server.terminate().await;
    assert!(status.success() && !log.contains("panicked"), "{status}: {log}");
}

/// So many connections come and go after each other.
const PASSING: u64 = 20_000;

/// What they may leave behind: half of what each left when the task of an ended connection was kept.
const PASSING_GROWTH_MAX: u64 = 2 * MIB;

async fn pass(address: SocketAddr, count: u64) {
    let mut passing = JoinSet::new();
    for _ in 0..16 {
        passing.spawn(async move {
            for _ in 0..count / 16 {
                let request = get("/health").header("Connection", "close");
                assert_eq!(request.send(address).await.status, 200);
            }
        });
    }
    passing.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_have_ended_leave_nothing_behind() {
    let place = Place::new();
    let server = place.start().await;
    pass(server.address, 2_000).await;
    let before = resident(&server);
    pass(server.address, PASSING).await;
    let growth = resident(&server).saturating_sub(before);
    assert!(growth <= PASSING_GROWTH_MAX, "{PASSING} connections left {growth} bytes");
}
