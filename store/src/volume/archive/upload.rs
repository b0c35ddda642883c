//! An archive on its way to the disk: collected into large pieces that are written on threads
//! that may block, at most one at a time, while the next is collected.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::piece::Piece;
use super::publish::Temporary;
use super::turns::Permit;
use crate::disk::{DiskFile, Reached};
use crate::volume::blocking;
use crate::volume::engine::{DEFECT, Engine};
use crate::{ArchiveKey, Preconditions, Put, Result, StoreError, Upload};

/// So many pieces may stand in the page cache before the disk is made to work on them, in the
/// background. Where pieces go past it there is nothing to be done.
const SYNC_PIECES: u64 = 16;

/// The outcome of work on another thread.
type Outcome<T> = oneshot::Receiver<Result<T>>;

/// Begins to write an archive, see [`crate::Store::upload`].
pub(in crate::volume) async fn begin(
    engine: &Arc<Engine>,
    key: &ArchiveKey,
) -> Result<Box<dyn Upload>> {
    let (permit, key) = (Permit::take(engine)?, key.clone());
    let make = move |engine: &Arc<Engine>| {
        let (path, file) = engine.stage.create().map_err(StoreError::from_io)?;
        engine.turns.has_made(&path);
        drop(permit);
        let progress = Progress::new(Temporary { path, file: file.into(), length: 0 });
        let engine = Arc::clone(engine);
        // Made here, so that it cleans up where nobody waits for it any more.
        Ok(VolumeUpload { engine, key, progress: Some(progress), is_interrupted: false })
    };
    Ok(Box::new(engine.told(blocking(engine, make).await)?))
}

/// An archive that is being written.
struct VolumeUpload {
    engine: Arc<Engine>,
    key: ArchiveKey,
    /// `None` once it has ended.
    progress: Option<Progress>,
    /// Whether a write was begun and did not end.
    is_interrupted: bool,
}

/// How far it is.
struct Progress {
    /// Its length is that of what was handed to the disk.
    temporary: Temporary,
    /// What comes next.
    collected: Piece,
    /// An empty buffer, to be used again.
    spare: Option<Piece>,
    /// The piece that is being written; gives its buffer back.
    written: Option<Outcome<(Piece, Reached)>>,
    /// The sync that is under way.
    synced: Option<Outcome<()>>,
    /// How many pieces the page cache got since that began.
    cached_pieces: u64,
}

#[async_trait]
impl Upload for VolumeUpload {
    async fn announce(&mut self, length: u64) -> Result<()> {
        let permit = Permit::take(&self.engine)?;
        let look = move |_: &Arc<Engine>| permit.could_take(length);
        if blocking(&self.engine, look).await? {
            return Ok(());
        }
        self.is_interrupted = true;
        if let Some(removed) = self.abandon() {
            let _ = removed.await;
        }
        self.engine.told(Err(StoreError::OutOfSpace))
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.engine.available()?;
        if std::mem::replace(&mut self.is_interrupted, true) {
            return Err(ended());
        }
        let Some(progress) = &mut self.progress else { return Err(ended()) };
        match progress.append(&self.engine, bytes).await {
            Ok(()) => {
                self.is_interrupted = false;
                Ok(())
            }
            Err(error) => {
                // Where the disk is full, others are to have the room by the time they hear of it.
                if let Some(removed) = self.abandon() {
                    let _ = removed.await;
                }
                self.engine.told(Err(error))
            }
        }
    }

    async fn publish(mut self: Box<Self>, preconditions: Preconditions) -> Result<Put> {
        // Taken before anything is waited for: from here on a shutdown waits for it.
        let permit = Permit::take(&self.engine)?;
        if self.is_interrupted {
            return Err(ended());
        }
        let Some(progress) = self.progress.take() else { return Err(ended()) };
        let key = self.key.clone();
        let publish = move |_: &Arc<Engine>| progress.publish(&permit, &key, &preconditions);
        self.engine.told(blocking(&self.engine, publish).await)
    }
}

/// The answer to whoever goes on with an upload that has ended.
fn ended() -> StoreError {
    StoreError::Io(io::Error::other("the upload was given up after an earlier write of it"))
}

impl VolumeUpload {
    /// Removes what stands on the disk, on a thread that may block. A store that is closed has
    /// seen to it already.
    fn abandon(&mut self) -> Option<tokio::task::JoinHandle<()>> {
        let progress = self.progress.take()?;
        let permit = Permit::take(&self.engine).ok()?;
        let remove = move || progress.remove(&permit);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => Some(runtime.spawn_blocking(remove)),
            Err(_) => {
                remove();
                None
            }
        }
    }
}

impl Drop for VolumeUpload {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Progress {
    fn new(temporary: Temporary) -> Self {
        Self {
            temporary,
            collected: Piece::default(),
            spare: None,
            written: None,
            synced: None,
            cached_pieces: 0,
        }
    }

    async fn append(&mut self, engine: &Arc<Engine>, mut bytes: Bytes) -> Result<()> {
        let piece = engine.options.archive_piece_bytes.max(1);
        while !bytes.is_empty() {
            if self.collected.bytes().len() >= piece {
                if let Some(written) = &mut self.written {
                    let outcome = written.await;
                    // Before an error is passed on: it is only told once.
                    self.written = None;
                    let (empty, reached) = outcome.unwrap_or_else(|_| Err(stopped()))?;
                    self.spare = Some(empty);
                    self.cached_pieces += u64::from(reached == Reached::Cache);
                }
                self.sync_behind(engine)?;
                self.write_piece(engine)?;
            }
            let room = piece - self.collected.bytes().len();
            self.collected.append(&bytes.split_to(room.min(bytes.len())), piece);
        }
        Ok(())
    }

    /// Hands what was collected to the disk.
    fn write_piece(&mut self, engine: &Arc<Engine>) -> Result<()> {
        let permit = Permit::take(engine)?;
        let next = self.spare.take().unwrap_or_default();
        let mut piece = std::mem::replace(&mut self.collected, next);
        let (file, offset) = (Arc::clone(&self.temporary.file), self.temporary.length);
        self.temporary.length += piece.bytes().len() as u64;
        self.written = Some(work(move || {
            let written = permit.write(&*file, piece.bytes(), offset);
            drop(permit);
            piece.clear();
            written.map(|reached| (piece, reached))
        }));
        Ok(())
    }

    /// Lets the disk work on what was written so far, so that the last sync has little to do.
    fn sync_behind(&mut self, engine: &Arc<Engine>) -> Result<()> {
        if let Some(synced) = &mut self.synced {
            let outcome = match synced.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => return Ok(()),
                Err(oneshot::error::TryRecvError::Closed) => Err(stopped()),
                Ok(outcome) => outcome,
            };
            self.synced = None;
            outcome?;
        }
        if self.cached_pieces < SYNC_PIECES {
            return Ok(());
        }
        self.cached_pieces = 0;
        let permit = Permit::take(engine)?;
        let file = Arc::clone(&self.temporary.file);
        self.synced = Some(work(move || file.sync_data().map_err(|error| permit.unsynced(error))));
        Ok(())
    }

    /// Waits for what is under way; blocks.
    fn settle(&mut self) -> Result<()> {
        let lost = |_| Err(stopped());
        let written = self.written.take().map(|it| it.blocking_recv().unwrap_or_else(lost));
        let synced =
            self.synced.take().map(|it| it.blocking_recv().unwrap_or_else(|_| Err(stopped())));
        written.transpose()?;
        synced.transpose()?;
        Ok(())
    }

    /// Writes the rest and publishes all of it; blocks.
    fn publish(
        mut self,
        permit: &Permit,
        key: &ArchiveKey,
        preconditions: &Preconditions,
    ) -> Result<Put> {
        let published = self
            .settle()
            .and_then(|()| {
                let Temporary { file, length, .. } = &mut self.temporary;
                permit.write(&**file, self.collected.bytes(), *length)?;
                *length += self.collected.bytes().len() as u64;
                Ok(())
            })
            .and_then(|()| permit.publish(&self.temporary, key, preconditions));
        match &published {
            Ok(_) => permit.turns.has_removed(&self.temporary.path),
            // What is left of it is for the next start to find out.
            Err(StoreError::Indeterminate { .. }) => {}
            Err(_) => self.remove(permit),
        }
        published
    }

    /// Removes the file once nobody writes to it any more; blocks.
    fn remove(mut self, permit: &Permit) {
        // Whatever came of it.
        let _ = self.settle();
        let path = &self.temporary.path;
        // Where the disk refuses, the next start sweeps it.
        if permit.disk.remove(path).is_ok() {
            permit.turns.has_removed(path);
        }
    }
}

impl Permit {
    /// Whether there is room for so many bytes, or will be once histories are evicted; blocks.
    fn could_take(&self, length: u64) -> Result<bool> {
        let wanted = length.saturating_add(self.options.room_for_journal());
        let missing = wanted.saturating_sub(self.disk.available()?);
        Ok(missing == 0 || self.could_evict(missing)?)
    }

    /// Writes a piece, where that leaves room for the journal: what makes room is to go on, and
    /// an archive is long before it is known whether it fits. Where it does not, histories are
    /// evicted first.
    fn write(&self, file: &dyn DiskFile, piece: &[u8], offset: u64) -> Result<Reached> {
        let bytes = piece.len() as u64 + self.options.room_for_journal();
        let has_room = || Ok::<_, StoreError>(self.disk.available()? >= bytes);
        let fits = has_room()? || self.evict_histories(bytes) && has_room()?;
        if !fits {
            return Err(StoreError::OutOfSpace);
        }
        file.write_direct_at(piece, offset).map_err(StoreError::from_io)
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable { reason: DEFECT.into() }
}

/// Runs what blocks on a thread that may.
fn work<T: Send + 'static>(run: impl FnOnce() -> Result<T> + Send + 'static) -> Outcome<T> {
    let (answer, outcome) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        // Whoever asked may be gone.
        let _ = answer.send(run());
    });
    outcome
}
