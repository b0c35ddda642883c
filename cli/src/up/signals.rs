//! What the process is told from outside.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// The signals, listened to from the first moment on.
pub(crate) struct Signals {
    /// Cancelled by the first SIGTERM or SIGINT: finish and end.
    pub(crate) shutdown: CancellationToken,
    /// Cancelled by a SIGINT after that: end at once.
    pub(crate) at_once: CancellationToken,
    /// SIGHUP: sync every source now.
    pub(crate) hangup: Signal,
}

/// Starts listening.
///
/// # Errors
/// [`Failure::Environment`] where the system refuses.
pub(crate) fn listen() -> Result<Signals, Failure> {
    let on = |kind| {
        signal(kind).map_err(|e| {
            Failure::Environment(format!("cannot listen to the system's signals: {e}"))
        })
    };
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let at_once = CancellationToken::new();
    let (first, second) = (shutdown.clone(), at_once.clone());
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        first.cancel();
        interrupt.recv().await;
        second.cancel();
    });
    Ok(Signals { shutdown, at_once, hangup: on(SignalKind::hangup())? })
}
