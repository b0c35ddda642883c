//! A store in a directory: one readable file for each document and namespace.
//!
//! The tree is that of [`crate::key`], and beside it the store's own directory:
//! ```text
//! .stowage/lock      locked while the store is open; names the process
//! .stowage/format    the format's version: 1
//! .stowage/tmp/      files that are being written; emptied at the start
//! ```
//! A document is its bytes. A namespace is `{"version":"<n>","snapshot":{…}}`.
//!
//! # How a write goes
//! One thread owns all writes (`writer`). It decides the preconditions, writes the new content
//! to a temporary file, syncs it, renames it into place and syncs the directory; then the write
//! is acknowledged. A kill at any instant leaves the old file or the new one.
//!
//! Readers get what is committed: from a bounded memory, or from the tree while the writer is
//! not between the rename and the sync (`committed`). They never see what a power cut could
//! take back.
//!
//! A failed sync of a directory leaves it unknown what is durable: the write that it was for gets
//! [`StoreError::Indeterminate`]. The store then takes no more work, [`Store::failed`] says why,
//! and the process is to exit: a restart finds out.
//!
//! # Revisions
//! A document's revision is its file's modification time in nanoseconds. The writer sets it on
//! the temporary file, later than every one before, so that content and revision change in one
//! rename, no second file can disagree, `tar` and `rsync` keep it, and a file that a person
//! edits while the store is stopped has another one. The entity tag is the revision and 64 bits
//! of the content's SHA-256: A→B→A has three tags, and an edit that keeps the time has its own.
//!
//! Where a file system keeps times more coarsely, the writer steps by what it keeps, up to two
//! seconds a write; times then run ahead of the clock under load. What is not caught: a document
//! that is deleted and, after a restart, written again with the same bytes at the same
//! nanosecond as before, which takes a clock that was set back to it.
//!
//! What other programs change in the tree while the store is open is seen after its restart.

mod cache;
mod committed;
mod disk;
mod lock;
mod namespace_file;
mod open;
mod reserve;
mod revision;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use self::committed::{Committed, DEFECT};
use self::disk::{OsSync, Sync};
pub use self::open::OpenError;
use self::writer::{Answer, Command, Writer};
use crate::{
    BackendKind, Edit, Key, Namespace, NamespaceKey, Object, Patch, Patched, Preconditions, Prefix,
    Put, Result, Store, StoreError, Updated,
};

/// How a [`VolumeStore`] uses the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeOptions {
    /// The most memory for documents and namespaces that are read again, in bytes. A store may
    /// be larger.
    pub cache_bytes: u64,
    /// How many writes may wait for the writer; further callers wait for a place.
    pub queue_length: usize,
}

impl Default for VolumeOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, queue_length: 1_024 }
    }
}

/// A store in a directory. See the [module](self) for what it promises.
///
/// Its methods must be called on a Tokio runtime. Dropping it finishes the writes under way, as
/// [`Store::shutdown`] does, and blocks for that long.
#[derive(Debug)]
pub struct VolumeStore {
    committed: Arc<Committed>,
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    writer: Option<JoinHandle<()>>,
    ended: watch::Receiver<()>,
}

impl VolumeStore {
    /// Opens a directory, and makes it where its parent exists. Blocks.
    ///
    /// # Errors
    /// [`OpenError`], each variant a sentence that says what to do.
    pub fn open(path: &Path, options: &VolumeOptions) -> Result<Self, OpenError> {
        Self::open_with(path, options, Box::new(OsSync))
    }

    fn open_with(
        path: &Path,
        options: &VolumeOptions,
        sync: Box<dyn Sync>,
    ) -> Result<Self, OpenError> {
        let opened = open::open(path, sync)?;
        let committed = Arc::new(Committed::new(opened.tree, options.cache_bytes));
        let (commands, queue) = mpsc::channel(options.queue_length.max(1));
        let writer = Writer::new(Arc::clone(&committed), opened.disk, opened.lock);
        let (end, ended) = watch::channel(());
        let run = move || {
            writer.run(queue);
            drop(end);
        };
        let thread = thread::Builder::new()
            .name("stowage-writer".into())
            .spawn(run)
            .map_err(|error| OpenError::Io { path: path.into(), error })?;
        Ok(Self { committed, commands: Mutex::new(Some(commands)), writer: Some(thread), ended })
    }

    /// Puts a command into the writer's queue and waits for its answer.
    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T> {
        self.committed.available()?;
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (answer, answered) = oneshot::channel();
        let is_queued = match commands {
            Some(commands) => commands.send(command(answer)).await.is_ok(),
            None => false,
        };
        if !is_queued {
            self.committed.available()?;
            return Err(StoreError::Unavailable { reason: DEFECT.into() });
        }
        // An answer is dropped where a defect ended the command, at an unknown point.
        let lost = |_| Err(StoreError::Indeterminate { reason: DEFECT.into() });
        answered.await.unwrap_or_else(lost)
    }

    /// Reads on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Committed) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let committed = Arc::clone(&self.committed);
        let read = move || {
            let result = read(&committed)?;
            // A write that failed while this waited for it is not to be seen.
            committed.available()?;
            Ok(result)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Err(StoreError::Unavailable { reason: "it is shutting down".into() }),
        }
    }

    /// Takes no more commands; the writer ends once it has done those that it has.
    fn close(&self) {
        self.committed.close();
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for VolumeStore {
    fn drop(&mut self) {
        self.close();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been told to every caller.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Store for VolumeStore {
    fn kind(&self) -> BackendKind {
        BackendKind::Local
    }

    async fn get(&self, key: &Key) -> Result<Option<Arc<Object>>> {
        self.committed.available()?;
        if let Some(document) = self.committed.cached_document(key) {
            return Ok(document);
        }
        let key = key.clone();
        self.read(move |committed| committed.document(&key)).await
    }

    async fn put(&self, key: &Key, body: Bytes, preconditions: Preconditions) -> Result<Put> {
        let key = key.clone();
        self.ask(|answer| Command::Put { key, body, preconditions, answer }).await
    }

    async fn update(&self, key: &Key, preconditions: Preconditions, edit: Edit) -> Result<Updated> {
        let key = key.clone();
        self.ask(|answer| Command::Update { key, preconditions, edit, answer })
            .await?
            .or_else(|panic| resume_unwind(panic))
    }

    async fn delete(&self, key: &Key, preconditions: Preconditions) -> Result<bool> {
        let key = key.clone();
        self.ask(|answer| Command::Delete { key, preconditions, answer }).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.committed.available()?;
        let (prefix, after) = (prefix.clone(), after.cloned());
        self.read(move |committed| committed.list(&prefix, after.as_ref(), limit)).await
    }

    async fn namespace(&self, key: &NamespaceKey) -> Result<Arc<Namespace>> {
        self.committed.available()?;
        if let Some(namespace) = self.committed.cached_namespace(key) {
            return Ok(namespace);
        }
        let key = key.clone();
        self.read(move |committed| committed.namespace(&key)).await
    }

    async fn patch(&self, key: &NamespaceKey, patch: Patch) -> Result<Patched> {
        let key = key.clone();
        self.ask(|answer| Command::Patch { key, patch, answer }).await
    }

    async fn check(&self) -> Result<()> {
        self.ask(|answer| Command::Check { answer }).await.map_err(|error| match error {
            // A probe changes nothing that anybody reads.
            StoreError::Indeterminate { reason } => StoreError::Unavailable { reason },
            other => other,
        })
    }

    async fn failed(&self) -> StoreError {
        let mut status = self.committed.status.subscribe();
        loop {
            if let Some(error) = status.borrow_and_update().failure() {
                return error;
            }
            if status.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn shutdown(&self) {
        self.close();
        // Nothing is ever sent: it ends when the writer does.
        let _ = self.ended.clone().changed().await;
    }
}
