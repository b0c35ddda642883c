//! The one thread that changes the tree.
//!
//! It takes commands from a bounded queue, decides each on the committed state, carries it out,
//! and answers. Nothing else compares or writes, so that no check can be outdated when its write
//! happens.
//!
//! After a failure it goes on, to refuse what is queued: those writes were not applied. Only of
//! the one that was under way that is unknown, [`StoreError::Indeterminate`]; where a defect
//! stopped it, its answer is dropped, and that reads as the same.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::cache::Entry;
use super::committed::{Committed, DEFECT, object};
use super::disk::{ChangeError, Disk, Staged};
use super::lock::DirectoryLock;
use super::namespace_file;
use super::revision::Revision;
use super::tree::FILE_BYTES_MAX;
use crate::{
    Change, Edit, Key, NamespaceKey, Object, Patch, Patched, Preconditions, Put, Result,
    StoreError, Updated, Verdict,
};

/// Where the result of a command goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T>>;

/// What the payload of a panic is.
pub(super) type Panic = Box<dyn Any + Send>;

/// What the writer does.
pub(super) enum Command {
    Put {
        key: Key,
        body: Bytes,
        preconditions: Preconditions,
        answer: Answer<Put>,
    },
    Update {
        key: Key,
        preconditions: Preconditions,
        edit: Edit,
        answer: Answer<Result<Updated, Panic>>,
    },
    Delete {
        key: Key,
        preconditions: Preconditions,
        answer: Answer<bool>,
    },
    Patch {
        key: NamespaceKey,
        patch: Patch,
        answer: Answer<Patched>,
    },
    Check {
        answer: Answer<()>,
    },
}

/// The state of the thread.
pub(super) struct Writer {
    committed: Arc<Committed>,
    disk: Disk,
    /// Held until the last write is done.
    _lock: DirectoryLock,
}

impl Writer {
    pub(super) fn new(committed: Arc<Committed>, disk: Disk, lock: DirectoryLock) -> Self {
        Self { committed, disk, _lock: lock }
    }

    /// Works until every sender is gone.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            if catch_unwind(AssertUnwindSafe(|| self.execute(command))).is_err() {
                self.committed.fail(DEFECT.into());
            }
        }
    }

    /// Carries out a command. Nobody may wait for the answer any more; that is no error.
    fn execute(&mut self, command: Command) {
        match command {
            Command::Put { key, body, preconditions, answer } => {
                let _ =
                    answer.send(self.sound().and_then(|()| self.put(&key, body, &preconditions)));
            }
            Command::Update { key, preconditions, edit, answer } => {
                let _ = answer
                    .send(self.sound().and_then(|()| self.update(&key, &preconditions, edit)));
            }
            Command::Delete { key, preconditions, answer } => {
                let _ = answer.send(self.sound().and_then(|()| self.delete(&key, &preconditions)));
            }
            Command::Patch { key, patch, answer } => {
                let _ = answer.send(self.sound().and_then(|()| self.patch(&key, patch)));
            }
            Command::Check { answer } => {
                let _ = answer.send(self.sound().and_then(|()| self.check()));
            }
        }
    }

    /// Refuses after a failure. What was queued before a shutdown is still carried out.
    fn sound(&self) -> Result<()> {
        self.committed.status.borrow().failure().map_or(Ok(()), Err)
    }

    fn put(&mut self, key: &Key, body: Bytes, preconditions: &Preconditions) -> Result<Put> {
        let current = self.committed.document(key)?;
        require(preconditions, current.as_deref())?;
        let object = self.replace(key, current.as_deref(), body)?;
        Ok(Put { tag: object.tag.clone(), created: current.is_none() })
    }

    fn update(
        &mut self,
        key: &Key,
        preconditions: &Preconditions,
        mut edit: Edit,
    ) -> Result<Result<Updated, Panic>> {
        let before = self.committed.document(key)?;
        require(preconditions, before.as_deref())?;
        // A panic in a caller's decision is that caller's, not the writer's.
        let change = match catch_unwind(AssertUnwindSafe(|| edit(before.as_deref()))) {
            Ok(change) => change,
            Err(panic) => return Ok(Err(panic)),
        };
        let after = match (change, &before) {
            (Change::Keep, _) => before.clone(),
            (Change::Put(body), _) => Some(self.replace(key, before.as_deref(), body)?),
            (Change::Delete, Some(_)) => {
                self.remove(key)?;
                None
            }
            (Change::Delete, None) => None,
        };
        Ok(Ok(Updated { before, after }))
    }

    fn delete(&mut self, key: &Key, preconditions: &Preconditions) -> Result<bool> {
        let Some(current) = self.committed.document(key)? else { return Ok(false) };
        require(preconditions, Some(&current))?;
        self.remove(key)?;
        Ok(true)
    }

    fn patch(&mut self, key: &NamespaceKey, patch: Patch) -> Result<Patched> {
        let current = self.committed.namespace(key)?;
        let namespace = Arc::new(current.patched(patch)?);
        let content = namespace_file::encode(&namespace);
        // Whoever makes room is let through where there is none.
        let shrinks = namespace.snapshot_bytes() < current.snapshot_bytes();
        let staged = if shrinks || namespace.is_empty() {
            self.disk
                .stage_smaller(&self.committed.tree, key.as_str(), &content)
                .map_err(|error| settle(&self.committed, error))?
        } else {
            self.stage(key.as_str(), &content, None)?
        };
        self.publish(key.as_str(), staged, Entry::Namespace(Arc::clone(&namespace)))?;
        Ok(Patched { namespace, created: current.version() == 0 })
    }

    /// A full volume passes: it still serves reads and deletes, and deletes are the way out.
    fn check(&mut self) -> Result<()> {
        match self.disk.probe() {
            Ok(()) | Err(StoreError::OutOfSpace) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn replace(&mut self, key: &Key, current: Option<&Object>, body: Bytes) -> Result<Arc<Object>> {
        let current = current.map(|object| Revision::at(object.modified));
        let staged = self.stage(key.as_str(), &body, current)?;
        let object = Arc::new(object(staged.revision, body));
        self.publish(key.as_str(), staged, Entry::Document(Some(Arc::clone(&object))))?;
        Ok(object)
    }

    fn stage(&mut self, path: &str, content: &[u8], current: Option<Revision>) -> Result<Staged> {
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(StoreError::Io(io::ErrorKind::FileTooLarge.into()));
        }
        self.disk
            .stage(&self.committed.tree, path, content, current)
            .map_err(|error| settle(&self.committed, error))
    }

    fn publish(&mut self, path: &str, staged: Staged, entry: Entry) -> Result<()> {
        let _guard = self.committed.exclude_readers(path);
        self.disk.publish(staged, path).map_err(|error| settle(&self.committed, error))?;
        self.committed.remember(path, entry);
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> Result<()> {
        let path = key.as_str();
        let _guard = self.committed.exclude_readers(path);
        self.disk
            .remove(&self.committed.tree, path)
            .map_err(|error| settle(&self.committed, error))?;
        self.committed.remember(path, Entry::Document(None));
        Ok(())
    }
}

/// Where it is unknown what is durable, ends the store's service: before the readers come back
/// to what the change may have left.
fn settle(committed: &Committed, error: ChangeError) -> StoreError {
    let fail = |error| {
        let reason = format!(
            "syncing a directory failed ({error}), and only a restart finds out what is durable"
        );
        committed.fail(reason.clone());
        reason
    };
    match error {
        ChangeError::Refused(error) => error,
        ChangeError::Unprepared(error) => StoreError::Unavailable { reason: fail(error) },
        ChangeError::Unknown(error) => StoreError::Indeterminate { reason: fail(error) },
    }
}

fn require(preconditions: &Preconditions, current: Option<&Object>) -> Result<()> {
    let current = current.map(|object| &object.tag);
    match preconditions.evaluate(current) {
        Verdict::Holds => Ok(()),
        Verdict::MatchFailed | Verdict::NoneMatchFailed => {
            Err(StoreError::PreconditionFailed { current: current.cloned() })
        }
    }
}
