//! A list as bytes: a short one at once, a long one as the client takes it, a document at a time.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use stowage_store::{JobDocument, Key, Result};

use super::super::accept::ListFormat;
use super::super::app::App;
use crate::jobs::{self, EventMeta};

/// A list of up to so many bytes is answered with its length and its tag; a longer one streams.
const START_BYTES_MAX: usize = 1 << 20;
/// The length of a piece of one that streams, and what it may be longer by is one document.
const PIECE_BYTES: usize = 64 << 10;

/// What a list shows of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// What stands there.
    Document,
    /// What an event's key says.
    EventMeta,
}

/// How far a list is.
pub(super) struct ListBody {
    app: Arc<App>,
    keys: std::vec::IntoIter<Key>,
    format: ListFormat,
    shown: Shown,
    is_begun: bool,
    is_done: bool,
}

impl ListBody {
    pub(super) fn new(app: Arc<App>, keys: Vec<Key>, format: ListFormat, shown: Shown) -> Self {
        Self { app, keys: keys.into_iter(), format, shown, is_begun: false, is_done: false }
    }

    /// The first megabyte, or all of it.
    ///
    /// # Errors
    /// As [`stowage_store::Store::get`].
    pub(super) async fn start(&mut self) -> Result<Bytes> {
        let mut start = Vec::new();
        if self.format == ListFormat::Array {
            start.push(b'[');
        }
        self.fill(start, START_BYTES_MAX).await
    }

    /// Whether there is nothing behind what was taken.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// All of it, its start and what follows; what goes wrong then breaks the answer off.
    pub(super) fn into_stream(self, start: Bytes) -> Body {
        let rest = stream::try_unfold(self, async |mut list| {
            if list.is_done {
                return Ok(None);
            }
            match list.fill(Vec::new(), PIECE_BYTES).await {
                Ok(piece) => Ok(Some((piece, list))),
                Err(error) => {
                    tracing::warn!(%error, "a list of the jobs' documents broke off");
                    Err(io::Error::other("the list could not be read to its end"))
                }
            }
        });
        Body::from_stream(stream::once(async { Ok(start) }).chain(rest))
    }

    /// Fills a piece until it is full or the last.
    async fn fill(&mut self, mut piece: Vec<u8>, full_bytes: usize) -> Result<Bytes> {
        while piece.len() < full_bytes {
            let Some(key) = self.keys.next() else {
                if self.format == ListFormat::Array {
                    piece.push(b']');
                }
                self.is_done = true;
                break;
            };
            if let Some(text) = self.entry(&key).await? {
                self.write(&mut piece, &text);
            }
        }
        Ok(piece.into())
    }

    /// What stands for a key; `None` where it is gone by now, does not parse, or cannot be read.
    async fn entry(&self, key: &Key) -> Result<Option<Bytes>> {
        if self.shown == Shown::EventMeta {
            let Some(JobDocument::Event { id }) = key.as_job_document() else { return Ok(None) };
            let text = EventMeta::parse(id).map(|meta| serde_json::to_vec(&meta));
            return Ok(text.transpose().map_err(io::Error::from)?.map(Bytes::from));
        }
        match self.app.store.get(key).await {
            Ok(None) => return Ok(None),
            Ok(Some(object)) if jobs::is_document(&object.body) => {
                return Ok(Some(object.body.clone()));
            }
            Ok(Some(_)) => {
                tracing::debug!(%key, "a document is left out of a list: it is no JSON object");
            }
            Err(error) if error.is_of_one() => {
                tracing::warn!(%key, %error, "a document is left out of a list");
            }
            Err(error) => return Err(error),
        }
        self.app.metrics.documents_skipped(1);
        Ok(None)
    }

    fn write(&mut self, piece: &mut Vec<u8>, text: &[u8]) {
        match self.format {
            ListFormat::Array => {
                if std::mem::replace(&mut self.is_begun, true) {
                    piece.push(b',');
                }
                piece.extend_from_slice(text);
            }
            // In JSON an end of line stands between tokens alone (RFC 8259 §2 and §7).
            ListFormat::Lines => {
                piece.extend(text.iter().filter(|b| !matches!(b, b'\n' | b'\r')));
                piece.push(b'\n');
            }
        }
    }
}
