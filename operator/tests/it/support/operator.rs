//! The controllers in this process, and every request that they make.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Config;
use kube::client::ClientBuilder;
use stowage_operator::{Context, Options, Scope, run_controllers};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::requests::Requests;

pub(crate) const SIDECAR_IMAGE: &str = "stowage.test/stowage-sidecar:1";
pub(crate) const SYNC_IMAGE: &str = "stowage.test/stowage-sync:1";

/// How long nothing may be asked until the operator counts as at rest.
const QUIET: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(45);

/// A running operator; ends when it is dropped.
pub(crate) struct Operator {
    shutdown: CancellationToken,
    task: Option<JoinHandle<()>>,
    requests: Requests,
    context: Arc<Context>,
}

impl Operator {
    /// Runs all controllers on one namespace, as the user of the configuration.
    pub(crate) fn start(config: Config, namespace: &str) -> Self {
        Self::start_with(config, namespace, run_controllers)
    }

    /// As [`Self::start`], with the controller of sources alone: their tests say themselves how
    /// Stores are.
    pub(crate) fn start_sources(config: Config, namespace: &str) -> Self {
        let scope = Some(namespace.to_owned());
        Self::start_with(config, namespace, |context, shutdown| {
            stowage_operator::source::run(context, scope, shutdown)
        })
    }

    fn start_with<R>(
        config: Config,
        namespace: &str,
        run: impl FnOnce(Arc<Context>, CancellationToken) -> R,
    ) -> Self
    where
        R: Future<Output = ()> + Send + 'static,
    {
        let requests = Requests::default();
        let client = ClientBuilder::try_from(config).unwrap().with_layer(&requests).build();
        let context = Arc::new(Context::new(client, options(namespace)));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(Arc::clone(&context), shutdown.clone()));
        Self { shutdown, task: Some(task), requests, context }
    }

    /// Ends it as SIGTERM would, and waits for that.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        if let Some(task) = self.task.take() {
            tokio::time::timeout(PATIENCE, task).await.expect("it ends when it is told").unwrap();
        }
    }

    /// Ends it in the middle of whatever it does, as SIGKILL would.
    pub(crate) fn kill(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// Waits until it has asked nothing for a while: it is done with everything there is to do.
    pub(crate) async fn rest(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let last = self.requests.lock().last().map(|asked| asked.at);
            if last.is_some_and(|last| last.elapsed() > QUIET) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "expected that the operator comes to rest; its last requests: {:#?}",
                self.requests.lock().iter().rev().take(30).collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every request since its start that was meant to change something.
    pub(crate) fn writes(&self) -> Vec<String> {
        let requests = self.requests.lock();
        let writes = requests.iter().filter(|asked| asked.writes());
        writes.map(|asked| asked.line.clone()).collect()
    }

    /// How many of them succeeded, by the resource in the URL.
    pub(crate) fn written(&self) -> BTreeMap<String, usize> {
        self.requests.written()
    }

    /// The process's metrics, as they are read.
    pub(crate) fn metrics(&self) -> String {
        self.context.metrics.encode().unwrap()
    }

    /// How many requests it has made, watches among them.
    pub(crate) fn request_count(&self) -> usize {
        self.requests.lock().len()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// What whoever installs the operator decides.
pub(super) fn options(namespace: &str) -> Options {
    Options {
        scope: Scope::Namespaces(vec![namespace.to_owned()]),
        sidecar_image: SIDECAR_IMAGE.into(),
        sync_image: SYNC_IMAGE.into(),
        image_pull_policy: "IfNotPresent".into(),
        image_pull_secrets: Vec::new(),
        allow_insecure_git_urls: false,
        concurrency: 4,
    }
}
