//! `serve`: a configuration file becomes a running server.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use stowage_config::{Backend, SidecarConfig, Tracing};
use stowage_store::VolumeStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::arguments::ServeOptions;
use super::check::Loaded;
use super::failure::Failure;
use super::reload::reload;
use super::{check, logs};
use crate::backend::volume_options;
use crate::server::{Listeners, listen, serve};
use crate::settings::Settings;
use crate::snapshot::Socket;
use crate::telemetry::from_environment;

/// What the ready file says.
#[derive(Serialize)]
struct Ready {
    url: String,
    management: String,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure::Configuration`] before any port is bound; [`Failure::Environment`] where a port,
/// the directory or the store stands in the way.
pub(super) fn run(options: &ServeOptions) -> Result<ExitCode, Failure> {
    let no_auth = check::no_auth(options.insecure_no_auth);
    let loaded = check::load(&options.config)?;
    let mut settings = loaded.settings(no_auth)?;
    let _logs = logs::start(options.log_format);
    if settings.tracing.is_none() {
        let otlp = from_environment(
            |name| std::env::var(name).ok(),
            |warning| tracing::warn!(warning, "the environment names a collector"),
        );
        settings.tracing = otlp.map(|otlp| Tracing { otlp });
    }
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Environment(format!("the runtime could not be started: {e}")))?;
    runtime.block_on(run_loaded(options, loaded, settings))
}

async fn run_loaded(
    options: &ServeOptions,
    loaded: Loaded,
    settings: Settings,
) -> Result<ExitCode, Failure> {
    let config = loaded.config.clone();
    // Taken before the ports are, so that a signal during the start is not lost.
    let shutdown = CancellationToken::new();
    cancel_on_signals(&shutdown)?;
    let listeners = Listeners {
        main: bind("listen", config.listen)?,
        management: bind("managementListen", config.management_listen)?,
    };
    let store = open(&config).await?;
    let Backend::Volume(volume) = &config.backend;
    let snapshots = Socket::try_open(&volume.path, &store);
    let ended = shutdown.clone();
    tokio::spawn(async move {
        ended.cancelled().await;
        drop(snapshots);
    });
    let urls = urls(&listeners)?;
    let grace = config.shutdown_grace.duration();
    let name = config.store.clone();
    let (sender, settings) = watch::channel(Arc::new(settings));
    let reload = tokio::spawn(reload(options.config.clone(), loaded, sender));

    tracing::info!(store = name, url = urls.url, management = urls.management, "serving");
    if let Some(file) = &options.ready_file {
        write_ready(file, &urls)?;
    }
    let served = serve(listeners, store, settings, shutdown, grace).await;
    reload.abort();
    if let Some(file) = &options.ready_file {
        // It says that the ports are open, which they are no longer.
        let _ = std::fs::remove_file(file);
    }
    served.map_err(|e| {
        Failure::Environment(format!(
            "{e}; nothing that was acknowledged is lost: look at the volume, then start again"
        ))
    })?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn cancel_on_signals(shutdown: &CancellationToken) -> Result<(), Failure> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)
            .map_err(|e| Failure::Environment(format!("signals cannot be received: {e}")))?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            signals.recv().await;
            tracing::info!("stopping: requests in flight are finished first");
            shutdown.cancel();
        });
    }
    Ok(())
}

fn bind(field: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    listen(address).map_err(|e| {
        let advice = match e.kind() {
            io::ErrorKind::AddrInUse => {
                "the port is in use; stop what holds it, or choose another one"
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            io::ErrorKind::PermissionDenied => {
                "a port below 1024 needs more rights; choose another"
            }
            _ => "the system refused it",
        };
        Failure::Environment(format!("{field}: cannot listen on {address}: {advice} ({e})"))
    })
}

async fn open(config: &SidecarConfig) -> Result<Arc<VolumeStore>, Failure> {
    let (path, options) = volume_options(config);
    let opened = tokio::task::spawn_blocking(move || VolumeStore::open(&path, &options));
    match opened.await {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(e)) => Err(Failure::Environment(format!("backend.volume.path: {e}"))),
        Err(_) => Err(Failure::Environment(
            "backend.volume.path: the directory could not be opened; this is a bug".into(),
        )),
    }
}

fn urls(listeners: &Listeners) -> Result<Ready, Failure> {
    let url = |listener: &TcpListener| {
        listener
            .local_addr()
            .map(|address| format!("http://{address}"))
            .map_err(|e| Failure::Environment(format!("a bound port has no address: {e}")))
    };
    Ok(Ready { url: url(&listeners.main)?, management: url(&listeners.management)? })
}

/// Appears whole: whoever waits for the file must not read half of it.
fn write_ready(file: &Path, ready: &Ready) -> Result<(), Failure> {
    let failed =
        |e: io::Error| Failure::Environment(format!("cannot write {}: {e}", file.display()));
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut temporary =
        tempfile::NamedTempFile::new_in(dir.unwrap_or_else(|| Path::new("."))).map_err(failed)?;
    serde_json::to_writer(&mut temporary, ready).map_err(|e| failed(e.into()))?;
    temporary.persist(file).map(|_| ()).map_err(|e| failed(e.error))
}
