//! The life of a server: bound listeners in, a clean end out.

mod accept;
mod connection;
mod descriptors;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use stowage_store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

use crate::http::{App, answer, management_router};
use crate::settings::Settings;
use accept::Acceptor;

/// How many connections the main port holds at once, where the process may open that many; more
/// wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 10_000;
/// The same for the second port, which a few probes use.
const MANAGEMENT_CONNECTIONS_MAX: usize = 64;
/// How long a server that is to end still takes connections while some are open: a client whose
/// keep-alive connection is told to close comes back on a new one, and is not turned away.
const LINGER: Duration = Duration::from_millis(300);
/// How long answers may take after the store failed: they can only be refusals.
const FAILED_GRACE: Duration = Duration::from_secs(1);

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
    let app = App::new(Arc::clone(&store), settings, ending.clone());
    let places = descriptors::connections_max(CONNECTIONS_MAX);
    let main = Acceptor::new(listeners.main, places, ending.clone());
    let management_ending = CancellationToken::new();
    let management =
        Acceptor::new(listeners.management, MANAGEMENT_CONNECTIONS_MAX, management_ending.clone());

    let management_routes = management_router(Arc::clone(&app));
    // Aborted when this future is dropped: a server does not outlive its caller.
    let management_task = AbortOnDropHandle::new(tokio::spawn(management.run(
        Duration::ZERO,
        Duration::from_secs(1),
        move |request| plain(management_routes.clone(), request),
        None,
    )));
    let main_task = AbortOnDropHandle::new(tokio::spawn(main.run(
        LINGER,
        grace,
        {
            let app = Arc::clone(&app);
            move |request| answer(Arc::clone(&app), request)
        },
        Some(Arc::clone(&app)),
    )));

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
    store.shutdown().await;
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
