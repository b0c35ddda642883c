//! A server of its own for each test: ports of the system's choice, a directory of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stowage_config::{SidecarConfig, Token};
use stowage_sidecar::server::{Listeners, ServeError, serve};
use stowage_sidecar::settings::{NoAuth, Pace, Secrets, Settings};
use stowage_store::{MemoryStore, Store, VolumeOptions, VolumeStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::raw::{Answer, Request};

/// A token with every right.
pub(crate) const ADMIN: &str = "admin-0123456789abcdef";

/// How a test's server differs from the usual one: a volume, and everyone may do everything.
#[derive(Default)]
pub(crate) struct Setup {
    config: Vec<String>,
    tokens: Vec<(String, String)>,
    keys: Option<String>,
    grace: Option<Duration>,
    store: Option<Arc<dyn Store>>,
    history: usize,
    pace: Pace,
}

impl Setup {
    /// Adds lines of the configuration file.
    pub(crate) fn config(mut self, yaml: &str) -> Self {
        self.config.push(yaml.to_owned());
        self
    }

    /// Adds a token as a Secret holds it.
    pub(crate) fn token(mut self, name: &str, text: &str) -> Self {
        self.tokens.push((name.to_owned(), text.to_owned()));
        self
    }

    /// What stands in the file of the keys of JWTs.
    pub(crate) fn keys(mut self, text: &str) -> Self {
        self.keys = Some(text.to_owned());
        self
    }

    pub(crate) fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Serves a store of the test's own.
    pub(crate) fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// How long what takes its own time takes.
    pub(crate) fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// So many versions are kept.
    pub(crate) fn history(mut self, versions: usize) -> Self {
        self.history = versions;
        self
    }

    pub(crate) fn in_memory(self) -> Self {
        self.store(Arc::new(MemoryStore::new()))
    }

    /// The settings that it makes.
    pub(crate) fn settings(&self) -> Settings {
        let yaml = format!(
            "store: test\nbackend: {{volume: {{path: /srv/test}}}}\n{}",
            self.config.join("\n")
        );
        let config: SidecarConfig = serde_saphyr::from_str(&yaml).expect("a configuration");
        let token =
            |(name, text): &(String, String)| (name.clone(), Token::parse(text).expect("a token"));
        let secrets = Secrets {
            tokens: self.tokens.iter().map(token).collect(),
            jwt_keys: self.keys.clone().map(String::into_bytes),
        };
        let mut settings = Settings::new(&config, secrets, NoAuth::Insecure).expect("settings");
        settings.pace = self.pace;
        settings
    }

    pub(crate) async fn start(self) -> Server {
        let listener = || async { TcpListener::bind("127.0.0.1:0").await.expect("a free port") };
        let listeners = Listeners { main: listener().await, management: listener().await };
        let address = listeners.main.local_addr().expect("an address");
        let management = listeners.management.local_addr().expect("an address");
        let (settings, watched) = watch::channel(Arc::new(self.settings()));
        let dir = tempfile::tempdir().expect("a directory");
        let store = match self.store {
            Some(store) => store,
            None => {
                let options = VolumeOptions { history: self.history, ..VolumeOptions::default() };
                Arc::new(VolumeStore::open(&dir.path().join("data"), &options).expect("a store"))
            }
        };
        let shutdown = CancellationToken::new();
        let grace = self.grace.unwrap_or(Duration::from_secs(10));
        let task = tokio::spawn(serve(listeners, store, watched, shutdown.clone(), grace));
        Server { address, management, settings, shutdown, task, dir }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) management: SocketAddr,
    settings: watch::Sender<Arc<Settings>>,
    pub(crate) shutdown: CancellationToken,
    task: JoinHandle<Result<(), ServeError>>,
    dir: TempDir,
}

impl Server {
    /// Puts other settings in force.
    pub(crate) fn reconfigure(&self, settings: Settings) {
        Arc::new(settings).succeed(&self.settings);
    }

    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    pub(crate) async fn send(&self, request: &Request) -> Answer {
        request.send(self.address).await
    }

    /// Where its volume is.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How the server ended.
    pub(crate) async fn ended(self) -> Result<(), ServeError> {
        tokio::time::timeout(Duration::from_secs(30), self.task)
            .await
            .expect("the server ends")
            .expect("the server does not panic")
    }
}

/// Waits until something holds, and fails with what was waited for.
pub(crate) async fn eventually<F, T>(what: &str, mut check: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut tick = interval(Duration::from_millis(10));
    loop {
        tick.tick().await;
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
    }
}
