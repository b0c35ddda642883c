//! A Store that is served: its engine, its two ports, and the settings that can be swapped.

use std::sync::Arc;
use std::time::Duration;

use stowage_sidecar::backend::volume_options;
use stowage_sidecar::server::{self, Listeners, ServeError};
use stowage_sidecar::settings::Settings;
use stowage_sidecar::snapshot::Socket;
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
    snapshots: Option<Socket>,
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
    let directory = path.clone();
    let (_, options) = volume_options(&plan.config);
    let opened = tokio::task::spawn_blocking(move || VolumeStore::open(&path, &options));
    let store = match opened.await {
        Ok(Ok(store)) => Arc::new(store),
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
        snapshots: Socket::try_open(&directory, &store),
        store,
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
    snapshots: Option<Socket>,
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
        let Self { name, listeners, place, store, snapshots, grace } = self;
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
        ServedStore { place, store, snapshots, settings, shutdown, done }
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
        settings.succeed(&self.settings);
    }

    /// Stops serving: readiness fails, requests finish, data is closed, ports are free.
    pub(crate) async fn stop(self) {
        // Before the directory may be served by another process.
        drop(self.snapshots);
        self.shutdown.cancel();
        // An error says that the task is gone, which is what is waited for.
        let _ = self.done.await;
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;
    use stowage_config::SidecarConfig;
    use stowage_sidecar::settings::NoAuth;
    use stowage_store::{
        Archive, ArchiveInfo, ArchiveKey, BackendKind, Changes, Edit, EntityTag, Folder, Kept, Key,
        MemoryStore, Name, Namespace, NamespaceKey, Object, Patch, Patched, Preconditions, Prefix,
        Put, RemovedJob, Result, Segment, StoreError, Updated, Upload, Version,
    };

    use super::*;

    /// A store that works, and fails for good when told to.
    struct Doomed {
        inner: MemoryStore,
        doom: CancellationToken,
    }

    #[async_trait]
    impl Store for Doomed {
        fn kind(&self) -> BackendKind {
            self.inner.kind()
        }
        async fn get(&self, key: &Key) -> Result<Option<Arc<Object>>> {
            self.inner.get(key).await
        }
        async fn put_by(
            &self,
            key: &Key,
            body: Bytes,
            preconditions: Preconditions,
            author: Option<Arc<str>>,
        ) -> Result<Put> {
            self.inner.put_by(key, body, preconditions, author).await
        }

        async fn update_by(
            &self,
            key: &Key,
            preconditions: Preconditions,
            edit: Edit,
            author: Option<Arc<str>>,
        ) -> Result<Updated> {
            self.inner.update_by(key, preconditions, edit, author).await
        }

        fn history_length(&self) -> usize {
            self.inner.history_length()
        }

        async fn history(&self, key: &Key) -> Result<Vec<Version>> {
            self.inner.history(key).await
        }

        async fn version(&self, key: &Key, version: &Version) -> Result<Option<Arc<Object>>> {
            self.inner.version(key, version).await
        }

        async fn namespace_history(&self, key: &NamespaceKey) -> Result<Vec<Version>> {
            self.inner.namespace_history(key).await
        }

        async fn namespace_version(
            &self,
            key: &NamespaceKey,
            version: u64,
        ) -> Result<Option<Arc<Namespace>>> {
            self.inner.namespace_version(key, version).await
        }

        async fn namespace_changes(
            &self,
            key: &NamespaceKey,
            after: u64,
            up_to: u64,
            bytes: u64,
        ) -> Result<Option<Vec<Kept>>> {
            let changes = self.inner.namespace_changes(key, after, up_to, bytes);
            changes.await
        }

        async fn delete(&self, key: &Key, when: Preconditions) -> Result<Option<EntityTag>> {
            self.inner.delete(key, when).await
        }
        async fn delete_job(
            &self,
            job: &Segment,
            when: Preconditions,
        ) -> Result<Option<RemovedJob>> {
            self.inner.delete_job(job, when).await
        }
        async fn list(&self, at: &Prefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
            self.inner.list(at, after, limit).await
        }
        async fn directories(
            &self,
            folder: &Folder,
            after: Option<&Segment>,
            limit: usize,
        ) -> Result<Vec<Segment>> {
            self.inner.directories(folder, after, limit).await
        }
        async fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>> {
            self.inner.namespace(key).await
        }
        async fn patch(&self, key: &NamespaceKey, patch: Patch) -> Result<Patched> {
            self.inner.patch(key, patch).await
        }
        async fn watch(&self, key: &Key) -> Result<(Option<Arc<Object>>, Changes)> {
            self.inner.watch(key).await
        }
        async fn watch_namespace(&self, at: &NamespaceKey) -> Result<(Arc<Namespace>, Changes)> {
            self.inner.watch_namespace(at).await
        }
        async fn upload(&self, key: &ArchiveKey) -> Result<Box<dyn Upload>> {
            self.inner.upload(key).await
        }
        async fn archive(&self, key: &ArchiveKey) -> Result<Option<Archive>> {
            self.inner.archive(key).await
        }
        async fn delete_archive(
            &self,
            key: &ArchiveKey,
            when: Preconditions,
        ) -> Result<Option<EntityTag>> {
            self.inner.delete_archive(key, when).await
        }
        async fn archives(
            &self,
            site: &Name,
            after: Option<&ArchiveKey>,
            limit: usize,
        ) -> Result<Vec<(ArchiveKey, ArchiveInfo)>> {
            self.inner.archives(site, after, limit).await
        }
        async fn check(&self) -> Result<()> {
            self.inner.check().await
        }
        async fn failed(&self) -> StoreError {
            self.doom.cancelled().await;
            StoreError::Unavailable { reason: "the disk is gone".to_owned() }
        }
        async fn shutdown(&self) {
            self.inner.shutdown().await;
        }
    }

    async fn serving(doom: CancellationToken) -> (ServedStore, mpsc::UnboundedReceiver<Ended>) {
        let config: SidecarConfig = serde_json::from_value(serde_json::json!({
            "store": "demo", "backend": {"volume": {"path": "unused"}},
        }))
        .unwrap();
        let settings = Settings::new(&config, Vec::new(), NoAuth::Insecure).unwrap();
        // An address that nobody else uses: what connects somewhere has a port of 127.0.0.1.
        let any = "127.0.0.73:0".parse().unwrap();
        let any = Place { main: any, management: any };
        let (listeners, place) = addresses::bind("demo", any).await.unwrap();
        let store = Arc::new(Doomed { inner: MemoryStore::default(), doom });
        let grace = Duration::from_secs(5);
        let prepared =
            Prepared { name: "demo".to_owned(), listeners, place, store, snapshots: None, grace };
        let (ended, endings) = mpsc::unbounded_channel();
        (prepared.serve(Arc::new(settings), ended), endings)
    }

    #[tokio::test]
    async fn a_store_that_fails_for_good_is_heard_of() {
        let doom = CancellationToken::new();
        let (_served, mut endings) = serving(doom.clone()).await;
        doom.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), endings.recv()).await;
        let ended = ended.expect("in time").expect("an end");
        assert_eq!(ended.store, "demo");
        let error = ended.error.expect("why").to_string();
        assert!(error.contains("the disk is gone"), "{error}");
    }

    #[tokio::test]
    async fn a_store_that_is_stopped_is_not() {
        let _forks = crate::up::FORKS.lock().await;
        let (served, mut endings) = serving(CancellationToken::new()).await;
        let Place { main, management } = served.place();
        served.stop().await;
        assert!(endings.recv().await.is_none(), "nothing ended by itself");
        for address in [main, management] {
            tokio::net::TcpListener::bind(address).await.expect("the port is free");
        }
    }
}
