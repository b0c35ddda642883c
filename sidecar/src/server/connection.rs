//! One connection: HTTP/1.1 or h2c, with time limits at every place where a peer can stall.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long the head of a connection's first request may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a connection may rest after that, the next request's head included. Clients keep theirs for
/// 90 s (Go's and Rust's common ones): a connection that the server closes first may lose a request
/// that is on its way, and a client may not repeat a write by itself (RFC 9110 §9.2.2).
const REST_TIME_MAX: Duration = Duration::from_secs(120);
/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How many requests one h2c connection may have in flight.
const STREAMS_MAX: u32 = 256;
/// How often, and how long, an h2c peer that says nothing is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How long a peer may leave sent bytes unacknowledged, or its window shut.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a connection that has not sent its first request yet is waited for once the server
/// ends: it may have been taken in the very last moment, with a request on its way.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// The two steps in which connections end.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// HTTP/1.1 answers say `Connection: close` from here on; h2c connections get their GOAWAY.
    pub(super) soon: CancellationToken,
    /// Connections that rest are closed; those with a request in flight after its answer.
    pub(super) now: CancellationToken,
}

/// Serves a connection until the peer leaves, it stalls, or the server ends.
pub(super) async fn serve_connection<H, F>(stream: TcpStream, handler: H, ends: Ends)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    // Answers are written whole; waiting to fill a segment would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    // A peer that takes nothing of its answer would keep it in memory for good.
    let unread_ms = u32::try_from(UNREAD_TIME_MAX.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&stream, unread_ms) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    let started = Arc::new(AtomicBool::new(false));
    let is_h2 = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let (started, is_h2) = (Arc::clone(&started), Arc::clone(&is_h2));
        move |request: Request<Incoming>| {
            started.store(true, Ordering::Relaxed);
            is_h2.store(request.version() == http::Version::HTTP_2, Ordering::Relaxed);
            handler(request)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(REST_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

    let mut goes_away = false;
    let mut silence = pin!(silence(&started));
    loop {
        // A condition of a branch is looked at when the loop comes round, which is hardly ever: what
        // changes meanwhile is looked at by the branch itself.
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended early");
                }
                return;
            }
            () = silence.as_mut() => return,
            () = going_away(&ends, &is_h2, &started), if !goes_away => {
                goes_away = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Until a connection has been open for too long without a request. The version is told apart before
/// hyper's own limit, which is that of later requests, starts to count.
async fn silence(started: &AtomicBool) {
    sleep(HEAD_TIME_MAX).await;
    if started.load(Ordering::Relaxed) {
        pending::<()>().await;
    }
}

/// Until a connection is to end with its last request: one of h2c as soon as the server is to end.
async fn going_away(ends: &Ends, is_h2: &AtomicBool, started: &AtomicBool) {
    ends.soon.cancelled().await;
    if !is_h2.load(Ordering::Relaxed) {
        end_of(ends, started).await;
    }
}

/// Until a connection is to be closed as soon as it rests.
async fn end_of(ends: &Ends, started: &AtomicBool) {
    ends.now.cancelled().await;
    if !started.load(Ordering::Relaxed) {
        sleep(FIRST_REQUEST_GRACE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use axum::body::Body;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// Asks and reads the answer's first bytes; nothing where the connection is closed.
    fn ask(stream: &mut std::net::TcpStream) -> Vec<u8> {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("a request");
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).expect("an answer");
        answer[..length.min(12)].to_vec()
    }

    /// The clock stands still while a blocking task is under way, but for what the test says.
    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_longer_than_clients_keep_one_and_not_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (passes, mut passed) = mpsc::channel::<(Duration, std::sync::mpsc::Sender<()>)>(1);
        let client = tokio::task::spawn_blocking(move || {
            let pass = |time: Duration| {
                let (done, is_done) = std::sync::mpsc::channel();
                passes.blocking_send((time, done)).expect("the clock");
                is_done.recv().expect("the time");
            };
            let mut stream = std::net::TcpStream::connect(address).expect("a connection");
            assert_eq!(ask(&mut stream), b"HTTP/1.1 200");
            pass(Duration::from_secs(95));
            assert_eq!(ask(&mut stream), b"HTTP/1.1 200", "after 95 s");
            let ends = |mut stream: std::net::TcpStream, time: Duration| {
                stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a limit");
                // Time may pass before the server begins to count.
                (0..100).any(|_| {
                    pass(time);
                    stream.read(&mut [0; 1]).is_ok_and(|length| length == 0)
                })
            };
            assert!(ends(stream, REST_TIME_MAX + Duration::from_secs(1)), "one that rests");
            let silent = std::net::TcpStream::connect(address).expect("a connection");
            assert!(ends(silent, HEAD_TIME_MAX + Duration::from_secs(1)), "no request ever came");
        });
        tokio::spawn(async move {
            while let Some((time, done)) = passed.recv().await {
                tokio::time::advance(time).await;
                done.send(()).expect("it waits");
            }
        });
        let ends = Ends { soon: CancellationToken::new(), now: CancellationToken::new() };
        let handler = |_| async { Ok(Response::new(Body::from("here"))) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_connection(stream, handler, ends.clone()));
            }
        });
        client.await.expect("the client's end");
    }
}
