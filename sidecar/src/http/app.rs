//! What all requests of one server share.

use std::sync::Arc;

use stowage_store::Store;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::runtimes::SetCache;
use crate::settings::Settings;

/// How many archives are uploaded at once. Each may hold some megabytes on their way to the disk,
/// so without a bound their number would decide about the process's memory.
const UPLOADS_MAX: usize = 64;

/// The state behind every handler.
pub(crate) struct App {
    /// Where documents and namespaces stand.
    pub(crate) store: Arc<dyn Store>,
    /// The settings of this very moment.
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    /// Sets of runtime configs that were parsed already.
    pub(crate) sets: SetCache,
    /// Permits for the uploads of archives that go on at once.
    pub(crate) uploads: Semaphore,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// Cancelled once the server is to end.
    pub(crate) shutdown: CancellationToken,
}

impl App {
    /// The state of a server over a store.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        settings: watch::Receiver<Arc<Settings>>,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let metrics = Metrics::new(&settings.borrow().store, store.kind());
        Arc::new(Self {
            store,
            settings,
            sets: SetCache::new(),
            uploads: Semaphore::new(UPLOADS_MAX),
            metrics,
            shutdown,
        })
    }
}
