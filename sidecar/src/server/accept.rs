//! Accepting connections, up to a bound, and ending them.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use futures_util::FutureExt;
use http::StatusCode;
use hyper::Request;
use hyper::body::Incoming;
use stowage_config::Limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Ends, Times, serve_connection};
use crate::http::{App, Peer};

/// How long accepting rests after an error such as "too many open files".
const ERROR_REST: Duration = Duration::from_millis(100);

/// How often a server that is to end looks whether connections are still open.
const LINGER_STEP: Duration = Duration::from_millis(10);

/// A connection, and the address of its peer.
type Accepted = (TcpStream, SocketAddr);

/// One port's connections.
pub(super) struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
    places_max: usize,
    ending: CancellationToken,
}

impl Acceptor {
    /// A port that holds at most `places_max` connections until `ending` is cancelled.
    pub(super) fn new(listener: TcpListener, places_max: usize, ending: CancellationToken) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(places_max)), places_max, ending }
    }

    /// Accepts and serves until the end: then takes connections for `linger` as long as some are
    /// open, lets requests in flight finish within `grace`, and drops what is left. `refusal` answers what
    /// is no request.
    pub(super) async fn run<H, F, R>(
        self,
        linger: Duration,
        grace: Duration,
        handler: H,
        refusal: R,
        counted: Option<Arc<App>>,
    ) where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Infallible>> + Send + 'static,
        R: Fn(StatusCode, &str) -> Response + Clone + Send + Sync + 'static,
    {
        let mut connections = JoinSet::new();
        let ends = Ends { soon: self.ending.clone(), now: CancellationToken::new() };
        let spawn = |connections: &mut JoinSet<()>, (stream, peer): Accepted, place| {
            let (handler, refusal, ends) = (handler.clone(), refusal.clone(), ends.clone());
            let peer = Peer::from(peer.ip());
            let handler = move |request| handler(peer, request);
            let guard = counted.as_ref().map(|app| app.metrics.connection());
            let times = counted.as_ref().map_or_else(
                || Times::of(&Limits::default()),
                |app| Times::of(&app.settings.borrow().limits),
            );
            let counted = counted.clone();
            connections.spawn(async move {
                serve_connection(stream, handler, refusal, times, ends, counted).await;
                drop((guard, place));
            });
        };

        let mut linger_until = None;
        loop {
            // One that has ended keeps its memory until it is joined.
            while connections.try_join_next().is_some() {}
            // A place first: without one, connections wait in the kernel's queue.
            let open = self.places_max - self.places.available_permits();
            if self.ending.is_cancelled() {
                let until = *linger_until.get_or_insert_with(|| Instant::now() + linger);
                if open == 0 || Instant::now() >= until {
                    break;
                }
            }
            let next = async {
                let place = Arc::clone(&self.places).acquire_owned().await.ok();
                (self.listener.accept().await, place)
            };
            let accepted = tokio::select! {
                accepted = next => accepted,
                () = self.ending.cancelled(), if linger_until.is_none() => continue,
                () = sleep(LINGER_STEP), if linger_until.is_some() => continue,
            };
            match accepted {
                (Ok(accepted), place) => spawn(&mut connections, accepted, place),
                (Err(error), _) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ERROR_REST).await;
                }
            }
        }
        // What the kernel has taken already would otherwise be reset.
        while let Some(Ok(accepted)) = self.listener.accept().now_or_never() {
            let place = Arc::clone(&self.places).try_acquire_owned().ok();
            spawn(&mut connections, accepted, place);
        }
        drop(self.listener);
        ends.now.cancel();
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(grace, all).await.is_err() {
            tracing::warn!(
                open = connections.len(),
                "requests did not finish within the grace period and were cut off"
            );
        }
        connections.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Asks on a connection and reads the start of the answer.
    async fn ask(stream: &mut TcpStream) -> std::io::Result<[u8; 12]> {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").await?;
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.map(|_| start)
    }

    #[tokio::test]
    async fn connections_above_the_bound_wait_for_a_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ending = CancellationToken::new();
        let acceptor = Acceptor::new(listener, 1, ending.clone());
        let task = tokio::spawn(acceptor.run(
            Duration::ZERO,
            Duration::from_secs(5),
            async |_, _| Ok(Response::new(Body::from("x"))),
            |_, _: &str| Response::default(),
            None,
        ));
        let mut first = TcpStream::connect(address).await.unwrap();
        assert_eq!(&ask(&mut first).await.unwrap(), b"HTTP/1.1 200");
        let mut second = TcpStream::connect(address).await.unwrap();
        let waits = timeout(Duration::from_millis(100), ask(&mut second)).await;
        assert!(waits.is_err(), "expected it to wait, got {waits:?}");
        drop(first);
        let mut rest = [0; 12];
        let answered = timeout(Duration::from_secs(10), second.read_exact(&mut rest)).await;
        answered.expect("the place is free again").unwrap();
        assert_eq!(&rest, b"HTTP/1.1 200");
        ending.cancel();
        task.await.unwrap();
    }
}
