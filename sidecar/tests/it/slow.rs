//! Clients that send a byte now and then: they hold nobody up, and their connections end in time.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::harness::{Server, Setup};
use super::raw::{Connection, get, put};

const HEAD_MAX: Duration = Duration::from_secs(2);
const REST_MAX: Duration = Duration::from_secs(4);

/// Beyond the limits: how late a busy machine may be.
const LATE_MAX: Duration = Duration::from_secs(15);

/// How slow clients behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// The first head never ends.
    Head,
    /// The second head never ends.
    SecondHead,
    /// Nothing is ever sent.
    Silent,
    /// Nothing is sent after an answer.
    Resting,
    /// A body comes byte by byte.
    Body,
}

/// Sends a byte every tenth of a second until the connection ends; how long that took, for what it
/// was to end.
async fn trickle(
    mut stream: TcpStream,
    kind: Kind,
    began: Instant,
    most: Duration,
) -> Option<Duration> {
    let head = b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n";
    match kind {
        Kind::SecondHead | Kind::Resting => {
            stream.write_all(head).await.expect("a request");
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
        Kind::Body => {
            let head =
                b"PUT /run-stores/slow HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n[";
            stream.write_all(head).await.expect("a head");
        }
        Kind::Head => stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.expect("a part"),
        Kind::Silent => {}
    }
    let (mut reader, mut writer) = stream.into_split();
    let ended = async {
        let mut buffer = [0; 1024];
        // An answer that says so may come first, or a reset.
        while let Ok(1..) = reader.read(&mut buffer).await {}
    };
    let sent = async {
        if matches!(kind, Kind::Silent | Kind::Resting) {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if writer.write_all(b"1").await.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = ended => Some(began.elapsed()),
        () = sent => None,
        () = tokio::time::sleep(most) => None,
    }
}

/// The time of the median of so many writes, one after another.
async fn median(server: &Server, count: usize) -> Duration {
    let mut connection = Connection::open(server.address).await;
    let mut times = Vec::new();
    for number in 0..count {
        let began = Instant::now();
        connection.send(&put("/run-stores/fast", number.to_string()).bytes()).await;
        let answer = connection.answer(false).await.expect("an answer");
        assert_eq!(answer.status, 200);
        times.push(began.elapsed());
    }
    times.sort();
    times[count / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_hold_nobody_up_and_end_in_their_time() {
    let limits = "limits: {headerTimeout: 2s, idleTimeout: 4s}";
    let server = Setup::default().config(limits).start().await;
    let alone = median(&server, 100).await;
    let kinds = [
        (Kind::Head, Some(HEAD_MAX)),
        (Kind::Silent, Some(HEAD_MAX)),
        (Kind::SecondHead, Some(REST_MAX)),
        (Kind::Resting, Some(REST_MAX)),
        // A body has its own time, 30 s and more where it comes steadily: see `http::body`.
        (Kind::Body, None),
    ];
    let mut clients = JoinSet::new();
    for (kind, limit) in kinds {
        for _ in 0..100 {
            let most = limit.map_or(REST_MAX, |limit| limit + LATE_MAX);
            // One after another: a queue that runs over leaves connections that only the client knows.
            let began = Instant::now();
            let stream = TcpStream::connect(server.address).await.expect("a connection");
            clients.spawn(async move { (kind, limit, trickle(stream, kind, began, most).await) });
        }
    }
    // Among five hundred of them.
    let beside = median(&server, 100).await;
    assert!(
        beside < alone * 10 + Duration::from_millis(50),
        "a write took {alone:?} alone and {beside:?} beside slow clients"
    );
    for (kind, limit, ended) in clients.join_all().await {
        match (limit, ended) {
            (Some(limit), Some(ended)) => {
                assert!(ended >= limit, "{kind:?} ended after {ended:?} of {limit:?}");
            }
            (None, None) => {}
            (limit, ended) => panic!("{kind:?} of {limit:?} ended: {ended:?}"),
        }
    }
    assert_eq!(server.send(&get("/health")).await.status, 200);
    assert_eq!(server.send(&get("/run-stores/slow")).await.status, 404, "no half body is applied");
}
