//! One connection: HTTP/1.1 or h2c, with time limits at every place where a peer can stall.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use stowage_config::Limits;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::guarded::{Unreadable, guard};
use super::streams::{Offered, Streams};
use crate::http::{App, HEAD_BYTES_MAX};

/// From how many bytes on hyper refuses a head over HTTP/2 by itself, with a bare status; it tells clients this
/// limit. What is over [`HEAD_BYTES_MAX`] and not over this is refused as everything else.
const H2_HEAD_BYTES_MAX: usize = 4 * HEAD_BYTES_MAX;
/// How many requests one h2c connection may have in flight.
const STREAMS_MAX: u32 = 256;
/// How often, and how long, an h2c peer that says nothing is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How many bytes of an h2c stream wait for the peer's machine to take them, beyond a piece.
const SEND_BYTES_MAX: usize = 128 << 10;
/// How long a connection that has not sent its first request yet is waited for once the server
/// ends: it may have been taken in the very last moment, with a request on its way.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// What HTTP/2 with prior knowledge begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How soon it is looked at again where a part of it has come, at first and in the end.
const PREFACE_STEP: Duration = Duration::from_millis(10);
const PREFACE_STEP_MAX: Duration = Duration::from_secs(1);

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// For the head of a connection's first request.
    pub(super) head_max: Duration,
    /// Between requests, the next one's head included. Clients keep connections for 90 s (Go's and
    /// Rust's common ones): one that the server closes first may lose a request that is on its way,
    /// and a client may not repeat a write by itself (RFC 9110 §9.2.2).
    pub(super) rest_max: Duration,
    /// While the peer takes nothing of what is sent.
    pub(super) stall_max: Duration,
}

impl Times {
    /// Those of the limits.
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            head_max: limits.head_max(),
            rest_max: limits.rest_max(),
            stall_max: limits.stall_max(),
        }
    }
}

/// The two steps in which connections end.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// HTTP/1.1 answers say `Connection: close` from here on; h2c connections get their GOAWAY.
    pub(super) soon: CancellationToken,
    /// Connections that rest are closed; those with a request in flight after its answer.
    pub(super) now: CancellationToken,
}

/// Serves a connection until the peer leaves, it stalls, or the server ends. `refusal` answers what is no
/// request, by the status and the reason; `counted` hears of streams that stalled.
pub(super) async fn serve_connection<H, F, R>(
    stream: TcpStream,
    handler: H,
    refusal: R,
    times: Times,
    ends: Ends,
    counted: Option<Arc<App>>,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
    R: Fn(StatusCode, &str) -> Response + Send + 'static,
{
    // Answers are written whole; waiting to fill a segment would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    // A peer whose machine takes nothing of an answer would keep it in memory for good.
    let unread_ms = u32::try_from(times.stall_max.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&stream, unread_ms) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    let started = Arc::new(AtomicBool::new(false));
    let mut silence = pin!(silence(&started, times.head_max));
    let is_h2 = tokio::select! {
        version = speaks_h2(&stream) => version,
        () = silence.as_mut() => return,
        () = going_away(&ends, false, &started) => return,
    };
    let service = service_fn({
        let started = Arc::clone(&started);
        move |request: Request<Incoming>| {
            started.store(true, Ordering::Relaxed);
            handler(request)
        }
    });
    let away = going_away(&ends, is_h2, &started);
    if is_h2 {
        let streams = Streams::new();
        let mut builder = http2::Builder::new(streams.clone());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_send_buf_size(SEND_BYTES_MAX)
            .max_header_list_size(u32::try_from(H2_HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY);
        let service = service_fn(move |request| {
            let answer = service.call(request);
            async { Ok::<_, Infallible>(answer.await?.map(Offered::new)) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let stalled = |count| {
            tracing::debug!(count, "streams were reset: their peer took nothing of them");
            if let Some(app) = &counted {
                app.metrics.streams_stalled(count);
            }
        };
        let rest = Rest {
            rested: streams.rested(times.stall_max, times.rest_max, stalled),
            // What was handed over may still be on its way.
            closed: streams.rested(times.stall_max, times.stall_max, stalled),
        };
        // Apart, so that a connection of HTTP/1.1 does not carry the room for it.
        let end = http2::Connection::graceful_shutdown;
        let ended = Box::pin(drive(connection, |_| (), end, silence, away, rest)).await;
        log_end(ended.as_ref());
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(times.rest_max)
            .max_buf_size(HEAD_BYTES_MAX);
        let (stream, guard) = guard(stream);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        // It closes one at rest by itself.
        let rest = Rest { rested: pending(), closed: pending() };
        let (waits, end) = (
            |context: &mut Context<'_>| guard.release(context),
            http1::Connection::graceful_shutdown,
        );
        let ended = drive(connection, waits, end, silence, away, rest).await;
        log_end(ended.as_ref());
        let unreadable = ended.as_ref().and_then(Unreadable::of);
        let refusal = |status| {
            let reason = ended.as_ref().map(ToString::to_string).unwrap_or_default();
            refusal(status, &reason)
        };
        if let Err(error) = guard.end(unreadable, times.stall_max, refusal).await {
            tracing::debug!(%error, "the end of a connection could not be written");
        }
    }
}

fn log_end(error: Option<&hyper::Error>) {
    if let Some(error) = error {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Until a connection has rested for too long.
struct Rest<R, C> {
    /// So that it is told to end.
    rested: R,
    /// So that it is closed although its peer does not let it end.
    closed: C,
}

/// Serves until the connection ends, is silent for too long, or has ended its last request; gives hyper's error
/// where it ended with one. `waits` is called whenever it waits.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    waits: impl Fn(&mut Context<'_>),
    end: impl FnOnce(Pin<&mut C>),
    mut silence: Pin<&mut impl Future<Output = ()>>,
    away: impl Future<Output = ()>,
    rest: Rest<impl Future<Output = ()>, impl Future<Output = ()>>,
) -> Option<hyper::Error> {
    let (mut connection, mut away) = (pin!(connection), pin!(away));
    let (mut rested, mut closed) = (pin!(rest.rested), pin!(rest.closed));
    let mut end = Some(end);
    loop {
        let ended = poll_fn(|context| {
            let polled = connection.as_mut().poll(context);
            if polled.is_pending() {
                waits(context);
            }
            polled
        });
        tokio::select! {
            ended = ended => return ended.err(),
            () = silence.as_mut() => return None,
            () = away.as_mut(), if end.is_some() => {
                if let Some(end) = end.take() {
                    end(connection.as_mut());
                }
            }
            () = rested.as_mut(), if end.is_some() => {
                if let Some(end) = end.take() {
                    end(connection.as_mut());
                }
            }
            () = closed.as_mut(), if end.is_none() => return None,
        }
    }
}

/// Whether a peer begins with the preface of HTTP/2 (RFC 9113 §3.4). The bytes stay where they are: what
/// is read ahead of hyper makes its buffer grow to twice its length, for as long as the connection is open.
async fn speaks_h2(stream: &TcpStream) -> bool {
    let mut start = [0; PREFACE.len()];
    let mut step = PREFACE_STEP;
    loop {
        let Ok(length) = stream.peek(&mut start).await else { return false };
        if length == 0 || start[..length] != PREFACE[..length] {
            return false;
        }
        if length == PREFACE.len() {
            return true;
        }
        // There is something to be read as long as nobody does, so nothing else tells when there is more.
        // Who sends a byte and waits costs ever less.
        sleep(step).await;
        step = (step * 2).min(PREFACE_STEP_MAX);
    }
}

/// Until a connection has been open for too long without a request. The version is told apart before
/// hyper's own limit, which is that of later requests, starts to count.
async fn silence(started: &AtomicBool, head_max: Duration) {
    sleep(head_max).await;
    if started.load(Ordering::Relaxed) {
        pending::<()>().await;
    }
}

/// Until a connection is to end with its last request: one of h2c as soon as the server is to end,
/// another as soon as it rests.
async fn going_away(ends: &Ends, is_h2: bool, started: &AtomicBool) {
    ends.soon.cancelled().await;
    if is_h2 && started.load(Ordering::Relaxed) {
        return;
    }
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
        let times = Times::of(&Limits::default());
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
            assert!(ends(stream, times.rest_max + Duration::from_secs(1)), "one that rests");
            let silent = std::net::TcpStream::connect(address).expect("a connection");
            assert!(ends(silent, times.head_max + Duration::from_secs(1)), "no request ever came");
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
                let refusal = |_, _: &str| Response::default();
                let ends = ends.clone();
                tokio::spawn(serve_connection(stream, handler, refusal, times, ends, None));
            }
        });
        client.await.expect("the client's end");
    }
}
