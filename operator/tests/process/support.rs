//! What these tests start from: a namespace, the binary, its log.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::Value;
use stowage_e2e::ControlPlane;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn client() -> Client {
    Client::try_from(ControlPlane::shared().config()).expect("a client")
}

pub(crate) async fn namespace() -> String {
    ControlPlane::shared().namespace("process").await.expect("a namespace")
}

pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
    }
}

/// The binary, and what it logs.
pub(crate) struct Operator {
    pub(crate) child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Operator {
    /// Starts it with a kubeconfig.
    pub(crate) fn start(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stowage-operator"))
            .args(["run", "--sidecar-image", "sidecar", "--sync-image", "sync"])
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { child, log }
    }

    /// The next entry of its log that `matches`.
    pub(crate) async fn logged(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let line = self.log.next_line().await.expect("a log").expect("it has not ended");
                let entry: Value = serde_json::from_str(&line).expect("a JSON log");
                if matches(&entry) {
                    return entry;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("waited in vain for {what} in the log"))
    }

    /// The next entry with this message.
    pub(crate) async fn says(&mut self, message: &str) -> Value {
        self.logged(&format!("{message:?}"), |entry| entry["message"] == message).await
    }

    /// Waits until it has started; gives the URL of its probes.
    pub(crate) async fn url(&mut self) -> String {
        let listen = self.says("started").await["listen"].as_str().expect("an address").to_owned();
        format!("http://{listen}")
    }

    /// Reads no more of the log than has to be: whoever reads none stops the writer one day.
    pub(crate) fn unread(self) -> Child {
        let Self { child, mut log } = self;
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        child
    }
}
