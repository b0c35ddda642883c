//! Hashes a body on a thread of its own while more of it comes in: SHA-256 is the longest step of
//! an upload.

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::super::digest::Hashing;
use super::super::problem::Problem;

/// So much is collected before the thread is given it: less would be gone sooner than it wakes.
const BATCH_BYTES: usize = 512 << 10;
/// So many pieces at most, because each may be a small part of a buffer that it keeps.
const BATCH_PIECES: usize = 32;
/// So many batches wait behind the one that is hashed, so that the thread need not wait for them.
const BATCHES_WAITING: usize = 1;

/// A body that is being hashed. A small one needs no thread.
pub(crate) struct Hasher {
    /// `None` once the thread has it.
    hashing: Option<Hashing>,
    thread: Option<Thread>,
    collected: Vec<Bytes>,
    collected_bytes: usize,
}

struct Thread {
    batches: mpsc::Sender<Vec<Bytes>>,
    hashing: JoinHandle<Hashing>,
}

impl Hasher {
    pub(crate) fn new(hashing: Hashing) -> Self {
        Self { hashing: Some(hashing), thread: None, collected: Vec::new(), collected_bytes: 0 }
    }

    /// Takes the next piece; waits where hashing is behind.
    ///
    /// # Errors
    /// 500 where hashing panicked.
    pub(crate) async fn update(&mut self, piece: Bytes) -> Result<(), Problem> {
        self.collected_bytes += piece.len();
        self.collected.push(piece);
        if self.collected_bytes < BATCH_BYTES && self.collected.len() < BATCH_PIECES {
            return Ok(());
        }
        if let Some(hashing) = self.hashing.take() {
            self.thread = Some(Thread::start(hashing));
        }
        let thread = self.thread.as_ref().ok_or_else(Problem::internal)?;
        self.collected_bytes = 0;
        let batch = std::mem::take(&mut self.collected);
        thread.batches.send(batch).await.map_err(|_| Problem::internal())
    }

    /// As [`Hashing::verify`], of all that was taken.
    ///
    /// # Errors
    /// As there; 500 where hashing panicked.
    pub(crate) async fn verify(self, trailers: &HeaderMap) -> Result<[u8; 32], Problem> {
        let mut hashing = match self.thread {
            Some(thread) => Some(thread.finish().await?),
            None => self.hashing,
        }
        .ok_or_else(Problem::internal)?;
        self.collected.iter().for_each(|piece| hashing.update(piece));
        hashing.verify(trailers)
    }
}

impl Thread {
    fn start(mut hashing: Hashing) -> Self {
        let (batches, mut received) = mpsc::channel::<Vec<Bytes>>(BATCHES_WAITING);
        // It ends with the sender, so with the request too.
        let hash = move || {
            while let Some(batch) = received.blocking_recv() {
                batch.iter().for_each(|piece| hashing.update(piece));
            }
            hashing
        };
        Self { batches, hashing: spawn_blocking(hash) }
    }

    async fn finish(self) -> Result<Hashing, Problem> {
        drop(self.batches);
        self.hashing.await.map_err(|_| Problem::internal())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use sha2::{Digest as _, Sha256};

    use super::*;

    async fn hashed(body: &[u8], piece: usize) -> Result<[u8; 32], Problem> {
        let mut hasher = Hasher::new(Hashing::of(&HeaderMap::new())?);
        for piece in body.chunks(piece) {
            hasher.update(Bytes::copy_from_slice(piece)).await?;
        }
        hasher.verify(&HeaderMap::new()).await
    }

    #[tokio::test]
    async fn every_piece_is_hashed_once_and_in_order_whatever_its_size() {
        let body: Vec<u8> = (0..5 * BATCH_BYTES / 2 + 7).map(|n| (n % 251) as u8).collect();
        let lengths = [0, 1, BATCH_PIECES * 10, BATCH_BYTES - 1, BATCH_BYTES, body.len()];
        for length in lengths {
            let body = &body[..length];
            let expected: [u8; 32] = Sha256::digest(body).into();
            for piece in [10, 1_000, 64 << 10, BATCH_BYTES, 2 * BATCH_BYTES] {
                let found = hashed(body, piece).await.unwrap();
                assert_eq!(found, expected, "{length} bytes in pieces of {piece}");
            }
        }
    }

    #[tokio::test]
    async fn a_digest_of_something_else_is_found_on_the_thread_too() {
        let mut headers = HeaderMap::new();
        let digest = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==");
        headers.insert("content-md5", digest);
        let mut hasher = Hasher::new(Hashing::of(&headers).unwrap());
        hasher.update(Bytes::from(vec![0; BATCH_BYTES])).await.unwrap();
        assert!(hasher.thread.is_some(), "a whole batch is hashed here");
        let problem = hasher.verify(&HeaderMap::new()).await.expect_err("it is refused");
        assert_eq!(problem.status(), 400);
    }
}
