//! `sync`: one branch into one store, once.

use std::io::Write;
use std::process::ExitCode;

use stowage_config::SyncConfig;
use stowage_sync::{HttpPublisher, Outcome, SyncReport};
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::SyncOptions;
use super::failure::Failure;
use super::{logs, report};

/// Files are invalid: the author of the repository has to act, not the operator of the store.
const INVALID_FILES: u8 = 2;

/// `EX_TEMPFAIL` of sysexits.h: nothing has to change for another try to end well.
const TRY_AGAIN: u8 = 75;

/// Syncs, and prints the report as one line of JSON.
///
/// # Errors
/// [`Failure::Configuration`] where the configuration cannot be used, [`Failure::Environment`]
/// where the report cannot be written. How the sync itself ended is in the exit code.
pub(super) fn run(options: &SyncOptions) -> Result<ExitCode, Failure> {
    let config: SyncConfig =
        stowage_config::load(&options.config).map_err(|e| Failure::Configuration(e.to_string()))?;
    let _logs = logs::start(options.log_format);
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Environment(format!("the runtime could not be started: {e}")))?;
    let report = runtime.block_on(run_configured(&config))?;
    let code = match report.outcome {
        Outcome::Published | Outcome::Unchanged => ExitCode::SUCCESS,
        Outcome::Invalid => ExitCode::from(INVALID_FILES),
        Outcome::Failed | Outcome::Unknown if report.may_pass() => ExitCode::from(TRY_AGAIN),
        Outcome::Failed | Outcome::Unknown => ExitCode::FAILURE,
    };
    let line = serde_json::to_string(&report)
        .map_err(|e| Failure::Environment(format!("the report is no JSON: {e}")))?;
    // A reader that has gone does not want to know; the exit code says the rest.
    let _ = writeln!(std::io::stdout(), "{line}");
    if let Some(file) = &options.report_file {
        std::fs::write(file, report::shortened(report)).map_err(|e| {
            Failure::Environment(format!("cannot write the report to {}: {e}", file.display()))
        })?;
    }
    Ok(code)
}

async fn run_configured(config: &SyncConfig) -> Result<SyncReport, Failure> {
    let publisher = HttpPublisher::new(&config.target, config.timeout.duration())
        .map_err(|e| Failure::Configuration(format!("target.url: {e}")))?;
    let interrupted = |e| Failure::Environment(format!("signals cannot be received: {e}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(interrupted)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(interrupted)?;
    // Dropping a sync ends git and removes what was fetched.
    tokio::select! {
        report = stowage_sync::sync(config, &publisher) => Ok(report),
        _ = terminate.recv() => Err(stopped()),
        _ = interrupt.recv() => Err(stopped()),
    }
}

fn stopped() -> Failure {
    Failure::Environment("the sync was stopped by a signal before it was done".into())
}
