//! One branch of one source, synced into its Store again and again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stowage_config::SyncConfig;
use stowage_sidecar::runtimes;
use stowage_sidecar::settings::Settings;
use stowage_store::{Name, NameKind, Store, StoreError};
use stowage_sync::{ConfigSet, Machine, PublishError, Published, Publisher};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::plan::BranchPlan;
use super::served::ServedStore;
use super::sync_log::SyncLog;
use super::{private_file, schedule};
use crate::exit::{Failure, io_failure};

/// How many syncs may run at once: each runs git and holds a set in memory.
pub(crate) const CONCURRENT_SYNCS_MAX: usize = 4;

/// When a sync may run.
pub(crate) struct SyncsWhen {
    /// Cancelled once syncs may begin at all.
    pub(crate) released: CancellationToken,
    /// One for each sync that may run at once.
    pub(crate) slots: Arc<Semaphore>,
}

/// A branch that is being synced.
#[derive(Debug)]
pub(crate) struct SyncedBranch {
    now: Arc<Notify>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
    directory: PathBuf,
}

impl SyncedBranch {
    /// Syncs at once, then at every interval. `subject` starts every line about it.
    ///
    /// # Errors
    /// [`Failure::Environment`] where Secrets cannot be written as files.
    pub(crate) fn start(
        subject: String,
        plan: &BranchPlan,
        served: &ServedStore,
        when: SyncsWhen,
    ) -> Result<Self, Failure> {
        write_files(plan)
            .map_err(|(path, e)| io_failure("write a Secret for a Git sync to", &path, &e))?;
        let now = Arc::new(Notify::new());
        let cancel = CancellationToken::new();
        let job = Job {
            log: SyncLog::new(subject, plan.environment.clone()),
            machine: Machine { scratch: plan.scratch(), ..Machine::from_env() },
            config: plan.config.clone(),
            interval: plan.interval,
            publisher: LocalPublisher { store: served.store(), settings: served.settings() },
            when,
            now: Arc::clone(&now),
        };
        let stopped = cancel.clone();
        let task = tokio::spawn(async move {
            stopped.run_until_cancelled(job.run()).await;
        });
        Ok(Self { now, cancel, task, directory: plan.directory.clone() })
    }

    /// Syncs now; where a sync is under way, once more after it, since it may have fetched
    /// before what the caller knows of was pushed.
    pub(crate) fn sync_now(&self) {
        self.now.notify_one();
    }

    /// Cancels a sync under way, and removes the files with its Secrets.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        if self.task.await.is_err() {
            tracing::error!("a Git sync ended unexpectedly");
        }
        if let Err(error) = private_file::remove_dir(&self.directory) {
            tracing::warn!(%error, "Secrets written for a Git sync could not be removed");
        }
    }
}

fn write_files(plan: &BranchPlan) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    private_file::remove_dir(&plan.directory).map_err(at(&plan.directory))?;
    private_file::make_dir(&plan.scratch()).map_err(at(&plan.scratch()))?;
    for (path, content) in &plan.files {
        if let Some(parent) = path.parent() {
            private_file::make_dir(parent).map_err(at(parent))?;
        }
        private_file::write(path, content).map_err(at(path))?;
    }
    Ok(())
}

struct Job {
    log: SyncLog,
    machine: Machine,
    config: SyncConfig,
    interval: Duration,
    publisher: LocalPublisher,
    when: SyncsWhen,
    now: Arc<Notify>,
}

impl Job {
    async fn run(mut self) {
        self.when.released.cancelled().await;
        // The semaphore is never closed, so the loop ends by cancellation only.
        while let Ok(slot) = self.when.slots.acquire().await {
            let report = stowage_sync::sync_on(&self.machine, &self.config, &self.publisher).await;
            drop(slot);
            self.log.record(&report);
            let wait = schedule::next_wait(self.interval, schedule::random());
            tokio::select! {
                () = self.now.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// Publishes straight into a Store of this process: no HTTP, no token, the same limit.
struct LocalPublisher {
    store: Arc<dyn Store>,
    settings: watch::Receiver<Arc<Settings>>,
}

#[async_trait]
impl Publisher for LocalPublisher {
    async fn publish(&self, set: &ConfigSet) -> Result<Published, PublishError> {
        use PublishError::Refused;
        let limit = self.settings.borrow().limits.max_runtime_set_bytes.bytes();
        let weight =
            body_bytes(set).map_err(|e| Refused(format!("the set cannot be encoded: {e}")))?;
        if weight > limit {
            return Err(Refused(format!(
                "the set is {weight} bytes, and the Store takes {limit}; raise its \
                 limits.maxRuntimeSetBytes or include fewer files"
            )));
        }
        let repository =
            Name::parse(NameKind::Repository, &set.repo_id).map_err(|e| Refused(e.to_string()))?;
        let branch =
            Name::parse(NameKind::Branch, &set.branch).map_err(|e| Refused(e.to_string()))?;
        let replaced =
            runtimes::replace(&*self.store, &repository, &branch, &set.revision, set.files.clone())
                .await
                .map_err(|e| explain(&e))?;
        Ok(Published { changed: replaced.changed, etag: replaced.tag.to_string() })
    }
}

/// What the set would weigh as the body of a PUT, which is what the limit is about.
fn body_bytes(set: &ConfigSet) -> serde_json::Result<u64> {
    struct Counter(u64);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, set)?;
    Ok(counter.0)
}

fn explain(error: &StoreError) -> PublishError {
    match error {
        StoreError::OutOfSpace => PublishError::Refused(
            "the disk with the data directory is full; make room there".to_owned(),
        ),
        StoreError::Indeterminate { reason } => PublishError::Unknown(reason.clone()),
        other => PublishError::Refused(format!("the store did not take the set: {other}")),
    }
}
