//! A Store that is served: its engine, its two ports, and the settings that can be swapped.

use std::sync::Arc;
use std::time::Duration;

use stowage_sidecar::server::{self, Listeners, ServeError};
use stowage_sidecar::settings::Settings;
use stowage_store::{Store, VolumeOptions, VolumeStore};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::addresses::{self, Place};
use super::data_dir::DataDir;
use super::plan::StorePlan;
use crate::exit::Failure;

/// A Store whose server ended without being asked to.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The Store.
    pub(crate) store: String,
    /// Why, where the server says so.
    pub(crate) error: Option<ServeError>,
}

/// A Store with its ports taken and its data open, not served yet. Dropped, it leaves nothing
/// behind.
pub(crate) struct Prepared {
    name: String,
    listeners: Listeners,
    place: Place,
    store: Arc<dyn Store>,
    grace: Duration,
}

/// Takes the ports of a Store, then opens its data.
///
/// # Errors
/// [`Failure::Environment`] says what is in the way.
pub(crate) async fn prepare(
    plan: &StorePlan,
    place: Place,
    data: &DataDir,
) -> Result<Prepared, Failure> {
    let (listeners, place) = addresses::bind(&plan.name, place).await?;
    let path = data.store(&plan.name);
    let opened =
        tokio::task::spawn_blocking(move || VolumeStore::open(&path, &VolumeOptions::default()));
    let store = match opened.await {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => {
            return Err(Failure::Environment(format!("Store {}: {error}", plan.name)));
        }
        Err(_) => {
            return Err(Failure::Environment(format!(
                "Store {}: its data could not be opened; this is a fault in stowage",
                plan.name
            )));
        }
    };
    Ok(Prepared {
        name: plan.name.clone(),
        listeners,
        place,
        store: Arc::new(store),
        grace: plan.config.shutdown_grace.duration(),
    })
}

/// Removes the data of a Store that is not served.
///
/// # Errors
/// A sentence, where the data is in use by another process or the system refuses.
pub(crate) fn delete(store: &str, data: &DataDir) -> Result<(), String> {
    let path = data.store(store);
    // Opening takes the lock: data that another process serves is never pulled from under it.
    if path.exists() {
        VolumeStore::open(&path, &VolumeOptions::default()).map_err(|e| e.to_string())?;
    }
    data.delete_store(store).map_err(|e| e.to_string())
}

/// A Store that is being served.
pub(crate) struct ServedStore {
    place: Place,
    store: Arc<dyn Store>,
    settings: watch::Sender<Arc<Settings>>,
    shutdown: CancellationToken,
    done: oneshot::Receiver<()>,
}

impl Prepared {
    /// Starts serving. `ended` hears of an end that nobody asked for.
    pub(crate) fn serve(
        self,
        settings: Arc<Settings>,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> ServedStore {
        let (settings, watched) = watch::channel(settings);
        let (finished, done) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let Self { name, listeners, place, store, grace } = self;
        let engine = Arc::clone(&store);
        let server = tokio::spawn(server::serve(listeners, engine, watched, stop.clone(), grace));
        tokio::spawn(async move {
            let error = match server.await {
                Ok(Ok(())) | Err(_) => None,
                Ok(Err(error)) => Some(error),
            };
            if !stop.is_cancelled() {
                // The receiver is gone only when the process ends anyway.
                let _ = ended.send(Ended { store: name, error });
            }
            let _ = finished.send(());
        });
        ServedStore { place, store, settings, shutdown, done }
    }
}

impl ServedStore {
    /// Its two addresses, with the ports that were taken.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Its engine.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Its settings, as they are at any time.
    pub(crate) fn settings(&self) -> watch::Receiver<Arc<Settings>> {
        self.settings.subscribe()
    }

    /// Swaps the settings; requests under way finish under the old ones, no connection is
    /// dropped.
    pub(crate) fn reconfigure(&self, settings: Arc<Settings>) {
        self.settings.send_replace(settings);
    }

    /// Stops serving: readiness fails, requests finish, data is closed, ports are free.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        // An error says that the task is gone, which is what is waited for.
        let _ = self.done.await;
    }
}
