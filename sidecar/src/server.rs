//! The life of a server: bound listeners in, a clean end out.

mod accept;
mod bare_head;
mod connection;
mod descriptors;
pub(crate) use descriptors::downloads_max;
mod guarded;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use stowage_store::Store;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

use crate::auth::keep_fresh;
use crate::http::{App, answer, management_refuses, management_router, refuse_malformed};
use crate::settings::Settings;
use crate::telemetry;
use accept::Acceptor;

/// How many connections the second port holds, which a few probes use.
const MANAGEMENT_CONNECTIONS_MAX: usize = 64;
/// How long a server that is to end still takes connections while some are open: a client whose
/// keep-alive connection is told to close comes back on a new one, and is not turned away.
const LINGER: Duration = Duration::from_millis(300);
/// How long answers may take after the store failed: they can only be refusals.
const FAILED_GRACE: Duration = Duration::from_secs(1);

/// How many connections wait in the kernel's queue, where it lets as many (`net.core.somaxconn`). One
/// for which there is no place is lost, and its client learns of that after seconds only.
const QUEUE_MAX: u32 = 16_384;

/// Listens on an address, with a queue that takes a crowd which connects all at once.
///
/// # Errors
/// As the system says.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart is not kept waiting by connections that have ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE_MAX)
}

/// The two bound ports of a server.
#[derive(Debug)]
pub struct Listeners {
    /// The contracts.
    pub main: TcpListener,
    /// Health, readiness and metrics.
    pub management: TcpListener,
}

/// Why a server ended other than by its shutdown.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store failed for good; only a restart finds out what is durable.
    #[error("the store failed: {0}")]
    Store(stowage_store::StoreError),
}

/// Serves until `shutdown` is cancelled: readiness fails first, then requests in flight finish
/// within `grace`, then the store is shut down.
///
/// # Errors
/// [`ServeError`] where the store failed meanwhile.
pub async fn serve(
    listeners: Listeners,
    store: Arc<dyn Store>,
    settings: watch::Receiver<Arc<Settings>>,
    shutdown: CancellationToken,
    grace: Duration,
) -> Result<(), ServeError> {
    // Of its own, so that a failed store can end the server without ending its caller's others.
    let ending = shutdown.child_token();
    let (tracer, traces) = {
        let settings = settings.borrow();
        let tracing = settings.tracing.as_ref();
        tracing.map(|tracing| telemetry::start(&tracing.otlp, &settings.store)).unzip()
    };
    let places = descriptors::connections_max(settings.borrow().limits.max_connections);
    let app = App::new(Arc::clone(&store), settings, tracer, ending.clone());
    let main = Acceptor::new(listeners.main, places, ending.clone());
    let management_ending = CancellationToken::new();
    let management =
        Acceptor::new(listeners.management, MANAGEMENT_CONNECTIONS_MAX, management_ending.clone());

    let management_routes = management_router(Arc::clone(&app));
    // Aborted when this future is dropped: a server does not outlive its caller.
    let management_task = AbortOnDropHandle::new(tokio::spawn(management.run(
        Duration::ZERO,
        Duration::from_secs(1),
        move |_, request| plain(management_routes.clone(), request),
        {
            let app = Arc::clone(&app);
            move |status, reason: &str| management_refuses(&app, status, reason)
        },
        None,
    )));
    let main_task = AbortOnDropHandle::new(tokio::spawn(main.run(
        LINGER,
        grace,
        {
            let app = Arc::clone(&app);
            // A connection keeps room for its request's work: at rest that is to be a pointer's.
            move |peer, request| Box::pin(answer(Arc::clone(&app), peer, request))
        },
        {
            let app = Arc::clone(&app);
            move |status, reason: &str| refuse_malformed(&app, status, reason)
        },
        Some(Arc::clone(&app)),
    )));

    let keys_task = AbortOnDropHandle::new(tokio::spawn({
        let app = Arc::clone(&app);
        async move {
            let fetched = |is_ok| app.metrics.keys_fetched(is_ok);
            keep_fresh(&app.jwt_keys, app.settings.clone(), fetched).await;
        }
    }));

    let result = tokio::select! {
        () = ending.cancelled() => Ok(()),
        error = store.failed() => Err(ServeError::Store(error)),
    };
    ending.cancel();
    let end = match &result {
        Ok(()) => LINGER + grace,
        Err(_) => FAILED_GRACE,
    };
    // The task ends by itself within its grace; after a failure it gets less.
    let _ = tokio::time::timeout(end + Duration::from_secs(1), main_task).await;
    // At the same time, so that a collector which does not answer takes nothing of the grace.
    let flushed = async {
        if let Some(traces) = traces {
            traces.finish().await;
        }
    };
    drop(keys_task);
    tokio::join!(store.shutdown(), flushed);
    management_ending.cancel();
    let _ = management_task.await;
    result
}

async fn plain(
    router: Router,
    request: Request<Incoming>,
) -> Result<Response, std::convert::Infallible> {
    router.oneshot(request.map(axum::body::Body::new)).await
}
