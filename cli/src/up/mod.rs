//! `stowage up`: the Stores of some manifests, served by this process.
//!
//! Manifests become a [`plan::Plan`] once; [`diff`] says which steps lead from what runs to the
//! plan; [`supervisor`] takes them. The first start is the same thing as a change, from nothing.

mod addresses;
mod announce;
mod bindings;
mod credentials;
mod data_dir;
mod departed;
mod diff;
#[cfg(test)]
mod examples;
mod kept_keys;
mod kept_token;
mod namespace_tokens;
mod pending;
mod plan;
mod private_file;
mod read;
mod readiness;
mod ready_file;
mod resolution;
mod schedule;
mod served;
mod session;
mod signals;
mod sources;
mod supervisor;
mod sync_log;
mod token_command;
mod transitions;
mod watcher;

use std::time::Duration;

#[cfg(test)]
use tokio::sync::Mutex;
use tokio::sync::mpsc;
use tracing::info;

use self::data_dir::DataDir;
use self::ready_file::Published;
use self::session::Session;
use self::signals::Signals;
use self::supervisor::{OnFailure, Supervisor};
use self::watcher::Watcher;
use crate::args::UpArgs;
use crate::exit::Failure;

/// Held by a test that starts a process, and by one that finds a port free: from its fork to its exec
/// a process holds whatever is open here, and with it the ports.
#[cfg(test)]
static FORKS: Mutex<()> = Mutex::const_new(());

/// Serves until a signal ends it.
///
/// # Errors
/// [`Failure`] says what is wrong, and whether with the input or with the machine.
pub(crate) fn run(args: &UpArgs) -> Result<(), Failure> {
    crate::logging::start(args.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Environment(format!("cannot start threads: {e}")))?;
    let result = runtime.block_on(async {
        let signals = signals::listen()?;
        let at_once = signals.at_once.clone();
        tokio::select! {
            result = up(args, signals) => result,
            () = at_once.cancelled() => Err(Failure::Interrupted),
        }
    });
    // What still runs after an end at once is not waited for.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

/// What is wrong with the input is said before anything of the machine is touched; then the
/// directory is taken, and everything starts or nothing does.
async fn up(args: &UpArgs, signals: Signals) -> Result<(), Failure> {
    let watcher = Watcher::new(&args.files);
    let first = read::first_plan(args).inspect_err(|_| {
        // A script that waits for the file must not take the last run's for this one's.
        if !DataDir::is_in_use(&args.data) {
            drop(Published::new(args.ready_file.clone()));
        }
    })?;
    let data = DataDir::open(&args.data)?;
    let mut ready = Published::new(args.ready_file.clone())?;
    let (ended, endings) = mpsc::unbounded_channel();
    let mut supervisor = Supervisor::new(data, first.chosen, ended);
    let result = match supervisor.take_up(first.plan, OnFailure::GiveUp).await {
        Ok(()) => {
            Session::new(args, watcher, &mut supervisor, &mut ready).run(signals, endings).await
        }
        Err(refused) => Err(refused.failure),
    };
    ready.withdraw();
    if result.is_ok() {
        info!("ending; requests under way are finished first");
    }
    supervisor.shut_down().await;
    result
}
