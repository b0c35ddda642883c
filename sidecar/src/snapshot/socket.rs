//! The socket by which a snapshot keeps the journal of a running server.
//!
//! It stands in the store's own directory and is open to the server's user alone, who can read and
//! write everything there anyway. A connection holds a pin; its end, however it ends, lets go.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::fs::AtFlags;
use stowage_store::VolumeStore;
use stowage_store::volume::Pin;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::wire::{self, Answer, Ask};

/// How many snapshots may be taken at once.
const SNAPSHOTS_MAX: usize = 8;

/// No question is longer, in bytes.
const LINE_MAX: u64 = 1 << 10;

/// The socket of a store that is served. It goes when this is dropped, and every snapshot that is
/// being taken with it.
#[derive(Debug)]
pub struct Socket {
    directory: File,
    _task: AbortOnDropHandle<()>,
}

impl Socket {
    /// Opens the socket of a store's directory, which this process holds the lock of. To be called
    /// on a Tokio runtime.
    ///
    /// # Errors
    /// As the operating system says. Some file systems take no sockets.
    pub fn open(directory: &Path, store: &Arc<VolumeStore>) -> io::Result<Self> {
        let (directory, path) = wire::place(directory)?;
        // A server that was killed has left it.
        remove(&directory)?;
        let listener = StdListener::bind(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let task = tokio::spawn(accept(listener, Arc::downgrade(store)));
        Ok(Self { directory, _task: AbortOnDropHandle::new(task) })
    }

    /// The same, where snapshots are no condition for serving: the log says why there are none.
    pub fn try_open(directory: &Path, store: &Arc<VolumeStore>) -> Option<Self> {
        Self::open(directory, store)
            .inspect_err(|error| {
                tracing::warn!(%error, "no snapshot can be taken while this store is served");
            })
            .ok()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A socket that is left behind refuses connections, which tells as much.
        let _ = remove(&self.directory);
    }
}

fn remove(directory: &File) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, wire::NAME, AtFlags::empty()) {
        Err(error) if error != rustix::io::Errno::NOENT => Err(error.into()),
        _ => Ok(()),
    }
}

async fn accept(listener: UnixListener, store: Weak<VolumeStore>) {
    let places = Arc::new(Semaphore::new(SNAPSHOTS_MAX));
    // Aborted with this task.
    let mut snapshots = tokio::task::JoinSet::new();
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            Some(_) = snapshots.join_next() => continue,
        };
        let stream = match connection {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a snapshot could not connect");
                // Out of descriptors, most likely.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let place = Arc::clone(&places).try_acquire_owned().ok();
        let store = store.clone();
        snapshots.spawn(async move {
            let (from, mut to) = stream.into_split();
            let refusal = match (&place, store.upgrade().map(|store| store.pin())) {
                (None, _) => "too many snapshots are being taken: wait for one to end".to_owned(),
                (_, None) => "the store is shutting down".to_owned(),
                (_, Some(Err(error))) => error.to_string(),
                (Some(_), Some(Ok(pin))) => {
                    tracing::info!("a snapshot is being taken: the journal is kept for it");
                    let ended = serve(&pin, from, &mut to).await;
                    tracing::info!(complete = ended, "the journal is not kept for it any longer");
                    return;
                }
            };
            let _ = say(&mut to, &Answer::Refused(refusal)).await;
        });
    }
}

/// Answers one snapshot; says whether it came to its end.
async fn serve(pin: &Pin, from: OwnedReadHalf, to: &mut OwnedWriteHalf) -> bool {
    let mut questions = BufReader::new(tokio::io::AsyncReadExt::take(from, LINE_MAX)).lines();
    if say(to, &Answer::Kept { version: wire::VERSION }).await.is_err() {
        return false;
    }
    loop {
        let line = tokio::select! {
            biased;
            reason = pin.until_given_up() => {
                tracing::warn!(%reason, "a snapshot is given up");
                let _ = say(to, &Answer::Refused(reason.to_string())).await;
                return false;
            }
            line = questions.next_line() => line,
        };
        // A command that was killed has nothing more to say.
        let Ok(Some(line)) = line else { return false };
        let answer = match serde_json::from_str(&line) {
            Ok(Ask::Barrier) => match pin.barrier().await {
                Ok(span) => Answer::Reached(span.into()),
                Err(error) => Answer::Refused(error.to_string()),
            },
            Ok(Ask::End) => Answer::Ended,
            Err(_) => Answer::Refused("the server is of another version".to_owned()),
        };
        let is_last = !matches!(answer, Answer::Reached(_));
        if say(to, &answer).await.is_err() || is_last {
            return answer == Answer::Ended;
        }
    }
}

async fn say(to: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    to.write_all(&line).await
}
