//! `run`: from the start of a process to its end.

use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::{Api, Client};
use stowage_crds::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::arguments::RunOptions;
use super::lease::{Candidate, Lost, Spans};
use super::probes::Readiness;
use super::{logs, probes};
use crate::kubernetes::{in_words, innermost};
use crate::{Context, Scope, run_controllers};

/// How often the API server is asked whether it knows the resources by now.
const DEFINITIONS_EVERY: Duration = Duration::from_secs(2);

/// Why a process ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Neither a service account nor a kubeconfig.
    #[error(
        "no cluster: run this in a pod, or name a kubeconfig in KUBECONFIG ({})", innermost(&**.0)
    )]
    NoCluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The system refused a port or signals.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[source] std::io::Error),
    /// The controllers ended by themselves, which is a fault.
    #[error("the controllers have ended{}", .0.as_ref().map(|e| format!(": {e}")).unwrap_or_default())]
    Controllers(#[source] Option<tokio::task::JoinError>),
    /// Another operator may lead.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`RunError`]; starting again is the remedy for a lost Lease.
pub async fn run(arguments: RunOptions) -> Result<(), RunError> {
    logs::start(arguments.log_format);
    let client = Client::try_default().await.map_err(|e| RunError::NoCluster(Box::new(e)))?;
    let shutdown = CancellationToken::new();
    cancel_on_signals(&shutdown).map_err(RunError::Signals)?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|source| RunError::Listen { address: arguments.listen.to_string(), source })?;
    // With port 0 the system chose one.
    let listen =
        listener.local_addr().map_or_else(|e| e.to_string(), |address| address.to_string());
    let context = Arc::new(Context::new(client.clone(), arguments.reconcile_options()));
    let (readiness, ready) = watch::channel(Readiness::Waiting("starting".into()));
    let probes_end = CancellationToken::new();
    let probes =
        tokio::spawn(probes::serve(listener, Arc::clone(&context), ready, probes_end.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen, "started");

    let ended = lead(&arguments, context, client, &readiness, &shutdown).await;
    readiness.send_replace(Readiness::Waiting("stopping".into()));
    probes_end.cancel();
    let _ = probes.await;
    ended
}

async fn lead(
    arguments: &RunOptions,
    context: Arc<Context>,
    client: Client,
    readiness: &watch::Sender<Readiness>,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    if !await_definitions(&context, readiness, shutdown).await {
        return Ok(());
    }
    // One that stands by is ready too: it is there to take over.
    readiness.send_replace(Readiness::Ready);
    if !arguments.leader_elect {
        context.metrics.leads();
        run_controllers(context, shutdown.clone()).await;
        return Ok(());
    }
    let mut candidate = Candidate::new(
        client,
        &arguments.lease_namespace,
        &arguments.lease_name,
        &identity(),
        Spans::default(),
    );
    if !candidate.acquire(shutdown).await {
        return Ok(());
    }
    context.metrics.leads();
    // Ends before the Lease is given up, and at once where it was lost.
    let work = CancellationToken::new();
    let holding = shutdown.clone();
    let mut controllers = tokio::spawn(run_controllers(context, work.clone()));
    tokio::select! {
        held = candidate.hold(&holding) => if let Err(lost) = held {
            controllers.abort();
            return Err(lost.into());
        },
        // Nothing ends them but a fault, and a leader without them must not lead.
        ended = &mut controllers => {
            candidate.release().await;
            return Err(RunError::Controllers(ended.err()));
        }
    }
    work.cancel();
    let _ = (&mut controllers).await;
    candidate.release().await;
    Ok(())
}

/// Waits until the API server serves the resources: without them every watch would fail.
async fn await_definitions(
    context: &Context,
    readiness: &watch::Sender<Readiness>,
    shutdown: &CancellationToken,
) -> bool {
    let mut told = false;
    loop {
        let error = match list_stores(context).await {
            Ok(()) => return true,
            Err(error) => error,
        };
        let why = match &error {
            kube::Error::Api(status) if status.code == 404 => {
                "the cluster does not know the kind Store: install the CustomResourceDefinitions \
                 (helm upgrade --install does)"
                    .to_owned()
            }
            kube::Error::Api(status) if status.is_forbidden() => {
                format!("the operator lacks a right: {}", status.message)
            }
            other => format!("the API server cannot be asked: {}", in_words(other)),
        };
        // First the probe, so that whoever reads the log finds the same there.
        readiness.send_replace(Readiness::Waiting(why.clone()));
        if !told {
            tracing::error!(why, "waiting");
            told = true;
        }
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = tokio::time::sleep(DEFINITIONS_EVERY) => {}
        }
    }
}

async fn list_stores(context: &Context) -> Result<(), kube::Error> {
    let api: Api<kube::core::PartialObjectMeta<Store>> = match &context.options.scope {
        Scope::Cluster => Api::all(context.client.clone()),
        Scope::Namespaces(namespaces) => match namespaces.first() {
            Some(first) => Api::namespaced(context.client.clone(), first),
            None => return Ok(()),
        },
    };
    api.list_metadata(&ListParams::default().limit(1)).await.map(|_| ())
}

fn cancel_on_signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            signals.recv().await;
            tracing::info!("stopping");
            shutdown.cancel();
        });
    }
    Ok(())
}

/// The pod's name and something that no other process has: a container that is started anew in the
/// same pod is another candidate.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "stowage-operator".to_owned());
    let random = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
    format!("{host}_{random:016x}")
}
