//! What the threads and the callers of a volume share.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use super::VolumeOptions;
use super::archive::{Seconds, Turns};
use super::cache::Cache;
use super::expire::Agenda;
use super::names::Names;
use super::stage::Stage;
use super::state::{Item, State};
use super::tree::Tree;
use crate::disk::Disk;
use crate::stats::Counts;
use crate::watch::Watches;
use crate::{Result, StoreError};

/// What happened where a panic ended a change.
pub(super) const DEFECT: &str = "the store has stopped because of a defect";

/// The part of the memory for what is read again that sorted names may take.
const NAMES_PART: u64 = 4;

/// Whether the store answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    /// It was told to shut down.
    Closed,
    /// It cannot say any more what is durable, and why.
    Failed(String),
}

impl Status {
    /// The error that an operation gets in this state.
    pub(super) fn error(&self) -> Option<StoreError> {
        let reason = match self {
            Self::Open => return None,
            Self::Closed => "it is shutting down".to_owned(),
            Self::Failed(reason) => reason.clone(),
        };
        Some(StoreError::Unavailable { reason })
    }

    /// The error, if the store has failed.
    pub(super) fn failure(&self) -> Option<StoreError> {
        matches!(self, Self::Failed(_)).then(|| self.error()).flatten()
    }
}

/// The engine of an open volume.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) tree: Tree,
    pub(super) stage: Stage,
    pub(super) cache: Cache,
    pub(super) options: VolumeOptions,
    pub(super) status: watch::Sender<Status>,
    state: Mutex<State>,
    /// Wakes the commit thread.
    pub(super) work: Condvar,
    /// Wakes the checkpoint thread.
    pub(super) checkpoint: Condvar,
    /// Wakes the thread that makes segments.
    pub(super) allocate: Condvar,
    /// Wakes writes that wait for room.
    pub(super) room: Notify,
    pub(super) names: Names,
    /// The first sequence that is not of a write before the start.
    pub(super) started_at: u64,
    /// When keys of namespaces are over.
    pub(super) agenda: Agenda,
    /// Who watches what.
    pub(super) watches: Arc<Watches>,
    /// Who works on archives.
    pub(super) turns: Turns,
    /// Which of them a date stands for.
    pub(super) seconds: Seconds,
    /// How long the last batch took to be written and synced, in nanoseconds.
    last_sync: AtomicU64,
    /// What is told of its work.
    pub(super) counts: Counts,
}

impl Engine {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        stage: Stage,
        state: State,
        seconds: Seconds,
        options: VolumeOptions,
    ) -> Self {
        Self {
            tree: Tree::new(Arc::clone(&disk)),
            stage,
            disk,
            cache: Cache::new(options.cache_bytes - options.cache_bytes / NAMES_PART),
            names: Names::new(options.cache_bytes / NAMES_PART),
            started_at: state.layout.next_sequence,
            agenda: Agenda::default(),
            watches: Watches::new(options.watch_bytes),
            options,
            status: watch::Sender::new(Status::Open),
            state: Mutex::new(state),
            work: Condvar::new(),
            checkpoint: Condvar::new(),
            allocate: Condvar::new(),
            room: Notify::new(),
            turns: Turns::default(),
            seconds,
            last_sync: AtomicU64::new(u64::MAX),
            counts: Counts::new(),
        }
    }

    /// How long the last batch took to be written and synced; very long, where there was none.
    pub(super) fn last_sync(&self) -> Duration {
        Duration::from_nanos(self.last_sync.load(Ordering::Relaxed))
    }

    /// A batch was written and synced.
    pub(super) fn has_synced(&self, within: Duration) {
        let nanoseconds = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        self.last_sync.store(nanoseconds, Ordering::Relaxed);
    }

    /// The state. Where a panic left it half changed, the store fails for good.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            self.fail(DEFECT.into());
            poisoned.into_inner()
        })
    }

    /// Waits for a condition of the state.
    pub(super) fn wait<'a>(
        &self,
        wakeup: &Condvar,
        state: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        wakeup.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses while the store does not answer.
    pub(super) fn available(&self) -> Result<()> {
        self.status.borrow().error().map_or(Ok(()), Err)
    }

    /// Whether the store has failed for good.
    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.status.borrow(), Status::Failed(_))
    }

    /// Ends the store's service for good; the first reason stays.
    pub(super) fn fail(&self, reason: String) {
        self.status.send_if_modified(|status| {
            let is_first = !matches!(status, Status::Failed(_));
            if is_first {
                *status = Status::Failed(reason);
            }
            is_first
        });
        self.work.notify_all();
        self.checkpoint.notify_all();
        self.allocate.notify_all();
        self.room.notify_waiters();
        self.agenda.close();
        self.watches.close();
    }

    /// Ends the store's service because what is durable is unknown.
    pub(super) fn fail_io(&self, what: &str, error: &io::Error) {
        self.fail(format!("{what} failed ({error}), and only a restart finds out what is durable"));
    }

    /// Takes no more work; the threads end once they have done what there is.
    pub(super) fn close(&self) {
        self.status.send_if_modified(|status| {
            let is_open = *status == Status::Open;
            if is_open {
                *status = Status::Closed;
            }
            is_open
        });
        self.lock().is_closed = true;
        self.work.notify_all();
        self.checkpoint.notify_all();
        self.allocate.notify_all();
        self.room.notify_waiters();
        self.agenda.close();
        self.watches.close();
    }

    /// Wakes the commit thread, if it waits for no more than there is.
    pub(super) fn wake_commits(&self, state: &State) {
        if state.wake_commits_at.is_some_and(|length| state.queue.len() >= length) {
            self.work.notify_one();
        }
    }

    /// Something that resolves once all that was decided so far is durable.
    pub(super) fn barrier(&self, state: &mut State) -> oneshot::Receiver<Result<()>> {
        let (answer, answered) = oneshot::channel();
        state.queue.push(Item::Barrier(answer));
        self.wake_commits(state);
        answered
    }
}
