//! One connection: HTTP/1.1 or h2c, with time limits at every place where a peer can stall.

use std::convert::Infallible;
use std::future::Future;
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

/// How long a request's head may take, and how long a kept-alive connection may rest.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
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
        .header_read_timeout(HEAD_TIME_MAX)
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
    let mut first_head = pin!(sleep(HEAD_TIME_MAX));
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended early");
                }
                return;
            }
            // The version is told apart before hyper's own limit starts to count.
            () = first_head.as_mut(), if !started.load(Ordering::Relaxed) => return,
            () = ends.soon.cancelled(), if !goes_away && is_h2.load(Ordering::Relaxed) => {
                goes_away = true;
                connection.as_mut().graceful_shutdown();
            }
            () = end_of(&ends, &started), if !goes_away => {
                goes_away = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Until a connection is to be closed as soon as it rests.
async fn end_of(ends: &Ends, started: &AtomicBool) {
    ends.now.cancelled().await;
    if !started.load(Ordering::Relaxed) {
        sleep(FIRST_REQUEST_GRACE).await;
    }
}
