//! A server on a volume of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stowage_config::{SidecarConfig, Token};
use stowage_sidecar::server::{Listeners, serve};
use stowage_sidecar::settings::{NoAuth, Settings};
use stowage_store::{VolumeOptions, VolumeStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const ADMIN: &str = "admin-0123456789abcdef";

/// A running server; it ends when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    _settings: watch::Sender<Arc<Settings>>,
    _shutdown: DropGuard,
    _directory: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let yaml = "store: test\nbackend: {volume: {path: /srv/test}}\n";
        let config: SidecarConfig = serde_saphyr::from_str(yaml).unwrap();
        let tokens = vec![("admin".to_owned(), Token::parse(ADMIN).unwrap())];
        let settings = Settings::new(&config, tokens, NoAuth::Refuse).unwrap();
        let (sender, watched) = watch::channel(Arc::new(settings));

        let main = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let management = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = main.local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let options = VolumeOptions::default();
        let store = VolumeStore::open(&directory.path().join("data"), &options).unwrap();

        let shutdown = CancellationToken::new();
        let grace = Duration::from_secs(5);
        let listeners = Listeners { main, management };
        tokio::spawn(serve(listeners, Arc::new(store), watched, shutdown.clone(), grace));
        Self { address, _settings: sender, _shutdown: shutdown.drop_guard(), _directory: directory }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
