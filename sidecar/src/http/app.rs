//! What all requests of one server share.

use std::sync::Arc;

use stowage_config::Limits;
use stowage_store::Store;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::coding::CODERS_MAX;
use super::metrics::Metrics;
use super::places::Places;
use super::watch::Texts;
use crate::auth::RemoteKeys;
use crate::rate::RateLimiter;
use crate::runtimes::SetCache;
use crate::server::downloads_max;
use crate::settings::Settings;
use crate::telemetry::{self, Tracer};

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
    /// The keys of JWTs that are fetched.
    pub(crate) jwt_keys: RemoteKeys,
    /// Permits for answers that are coded.
    pub(crate) coders: Arc<Semaphore>,
    /// Those who read histories.
    pub(crate) histories: Semaphore,
    /// How fast each identity sends.
    pub(crate) rates: RateLimiter,
    /// How fast credentials of each address are refused.
    pub(crate) refusals: RateLimiter,
    /// The places of those who watch.
    pub(crate) watchers: Places,
    /// The places of those who fetch archives.
    pub(crate) downloads: Places,
    /// What those who come back late are told.
    pub(crate) texts: Texts,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// Makes traces, where there is a collector.
    pub(crate) tracer: Option<Arc<Tracer>>,
    /// Cancelled once the server is to end.
    pub(crate) shutdown: CancellationToken,
}

impl App {
    /// The state of a server over a store.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        settings: watch::Receiver<Arc<Settings>>,
        tracer: Option<Arc<Tracer>>,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let metrics = Metrics::new(&settings.borrow().store, store.kind(), tracer.clone());
        let store = if tracer.is_some() { telemetry::traced(store) } else { store };
        Arc::new(Self {
            store,
            settings,
            sets: SetCache::new(),
            uploads: Semaphore::new(UPLOADS_MAX),
            jwt_keys: RemoteKeys::new(),
            coders: Arc::new(Semaphore::new(CODERS_MAX)),
            histories: Semaphore::new(super::history::READ_AT_ONCE),
            rates: RateLimiter::new(),
            refusals: RateLimiter::new(),
            watchers: Places::new(Limits::WATCHES),
            downloads: Places::new(downloads_max()),
            texts: Texts::default(),
            metrics,
            tracer,
            shutdown,
        })
    }
}
