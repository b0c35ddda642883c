//! The life of a started `stowage up`: it waits for what happens and passes it on.

use std::collections::BTreeSet;
use std::io::Write;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::pending::NotKept;
use super::ready_file::Published;
use super::served::Ended;
use super::signals::Signals;
use super::supervisor::{OnFailure, Supervisor};
use super::watcher::{POLL_INTERVAL, Watcher};
use super::{read, readiness};
use crate::args::UpArgs;
use crate::exit::Failure;

/// How many looks at the manifests pass between two attempts at what failed.
const POLLS_PER_RETRY: u32 = 10;

/// What a started process knows besides its supervisor.
pub(crate) struct Session<'a> {
    args: &'a UpArgs,
    watcher: Watcher,
    supervisor: &'a mut Supervisor,
    ready: &'a mut Published,
    /// Resolves once every Store answers that it is ready.
    readiness: OptionFuture<BoxFuture<'static, ()>>,
    /// The Stores that a person has been told of.
    announced: BTreeSet<String>,
    /// Why the manifests as they are now could not be taken up, where that is no fault of theirs.
    owed: Option<String>,
    /// Why what is missing of the manifests before could not be tried again.
    hindered: Option<String>,
}

impl<'a> Session<'a> {
    /// Shows the first screen, lets the sources sync, and begins to wait for the Stores to be
    /// ready.
    pub(crate) fn new(
        args: &'a UpArgs,
        watcher: Watcher,
        supervisor: &'a mut Supervisor,
        ready: &'a mut Published,
    ) -> Self {
        show(&supervisor.screen());
        let announced = supervisor.served_names();
        supervisor.release_syncs();
        let mut session = Self {
            args,
            watcher,
            supervisor,
            ready,
            readiness: None.into(),
            announced,
            owed: None,
            hindered: None,
        };
        session.await_readiness();
        session
    }

    /// Returns when a signal asks for the end.
    ///
    /// # Errors
    /// [`Failure::Environment`] where a Store has failed for good.
    pub(crate) async fn run(
        mut self,
        mut signals: Signals,
        mut endings: mpsc::UnboundedReceiver<Ended>,
    ) -> Result<(), Failure> {
        let mut polls = interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut polls_since_retry = 0;
        loop {
            tokio::select! {
                () = signals.shutdown.cancelled() => return Ok(()),
                Some(ended) = endings.recv() => return Err(gone(&ended)),
                Some(()) = &mut self.readiness => {
                    self.readiness = None.into();
                    let served = self.supervisor.served_names();
                    let added = served.difference(&self.announced).cloned().collect();
                    show(&self.supervisor.paste(&added));
                    self.announced = served;
                    self.ready.publish(self.supervisor.ready_file())?;
                }
                Some(()) = signals.hangup.recv() => self.supervisor.sync_now(),
                _ = polls.tick() => {
                    polls_since_retry += 1;
                    self.supervisor.renew();
                    if self.watcher.poll() {
                        self.reload().await;
                    } else if polls_since_retry >= POLLS_PER_RETRY {
                        polls_since_retry = 0;
                        self.retry().await;
                    }
                }
            }
        }
    }

    /// Takes up the manifests as they are now; what is wrong with them is said and changes
    /// nothing.
    async fn reload(&mut self) {
        let plan = read::plan(self.args);
        if !self.watcher.stood_still() {
            return;
        }
        let taken_up = match plan {
            Ok(plan) => self.supervisor.take_up(plan, OnFailure::RetryLater).await,
            Err(failure) => Err(failure.into()),
        };
        match taken_up {
            Ok(()) => {
                self.owed = None;
                info!("manifests changed: taken up");
                self.await_readiness();
            }
            Err(NotKept { failure, is_partial }) => {
                let is_environment = matches!(failure, Failure::Environment(_));
                let said = failure.to_string();
                let before = self.owed.take();
                self.owed = is_environment.then(|| said.clone());
                if before.as_ref() == Some(&said) {
                    return;
                }
                for line in said.lines() {
                    error!("{line}");
                }
                let changed = match is_partial {
                    false => "nothing was changed",
                    true => "a part of what is kept was changed, and nothing that is served",
                };
                let again = if is_environment { "; trying again" } else { "" };
                error!("manifests changed and cannot be taken up: {changed}{again}");
            }
        }
    }

    /// Tries again what the machine stood in the way of. What is missing of the manifests that are
    /// taken up does not wait for those that cannot be.
    async fn retry(&mut self) {
        if self.owed.is_some() {
            self.reload().await;
            if self.owed.is_none() {
                return;
            }
        }
        let before = self.hindered.take();
        match self.supervisor.retry().await {
            Ok(false) => {}
            Ok(true) => self.await_readiness(),
            Err(refused) => {
                let said = refused.to_string();
                if before.as_ref() != Some(&said) {
                    error!("{said}; trying again");
                }
                self.hindered = Some(said);
            }
        }
    }

    fn await_readiness(&mut self) {
        self.readiness = Some(readiness::wait(self.supervisor.management()).boxed()).into();
    }
}

/// Prints for a person; a closed standard output is no reason to stop serving.
fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn gone(ended: &Ended) -> Failure {
    let store = &ended.store;
    Failure::Environment(match &ended.error {
        Some(error) => format!("Store {store}: {error}; start again once that is mended"),
        None => format!("Store {store} ended unexpectedly; this is a fault in stowage"),
    })
}
