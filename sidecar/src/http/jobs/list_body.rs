//! A list as bytes: a short one at once, a long one as the client takes it, a document at a time.
//!
//! The tag of a long one is told before its bytes are, so its documents are read twice: first for
//! their tags, of which that of the list is made, then for what they hold. What is another by then is
//! not sent: the answer breaks off.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use sha2::{Digest, Sha256};
use stowage_store::{EntityTag, Key, Result};

use super::super::accept::ListFormat;
use super::super::app::App;
use super::list_entries::{BreakOff, Entry, Reader, Shown, Writer};
use crate::runtimes::digest_tag;

/// A list of up to so many bytes is answered with its length; a longer one streams.
const START_BYTES_MAX: usize = 1 << 20;
/// The length of a piece of one that streams, and what it may be longer by is one document.
const PIECE_BYTES: usize = 64 << 10;

/// A list whose entries are read for the first time.
pub(super) struct ListBody {
    reader: Reader,
    writer: Writer,
    keys: std::vec::IntoIter<Key>,
    /// Of the entries that were read.
    digest: Sha256,
    is_done: bool,
}

impl ListBody {
    pub(super) fn new(app: Arc<App>, keys: Vec<Key>, format: ListFormat, shown: Shown) -> Self {
        let mut digest = Sha256::new();
        // Of the same documents, these are other bytes.
        digest.update(match format {
            ListFormat::Array => b"array\0",
            ListFormat::Lines => b"lines\0",
        });
        let (reader, writer) = (Reader::new(app, shown), Writer::new(format));
        Self { reader, writer, keys: keys.into_iter(), digest, is_done: false }
    }

    /// The first megabyte, or all of it.
    ///
    /// # Errors
    /// As [`stowage_store::Store::get`].
    pub(super) async fn start(&mut self) -> Result<Bytes> {
        let mut start = self.writer.start();
        while start.len() < START_BYTES_MAX {
            let Some(key) = self.keys.next() else {
                self.writer.end(&mut start);
                self.is_done = true;
                break;
            };
            if let Some((text, tag)) = self.reader.first(&key).await? {
                self.writer.write(&mut start, &text);
                self.note(&Entry { key, tag });
            }
        }
        Ok(start.into())
    }

    /// Whether there is nothing behind what was taken.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Looks at what is behind the start: the tag of the whole list, and how it goes on.
    ///
    /// # Errors
    /// As [`stowage_store::Store::get`].
    pub(super) async fn rest(mut self) -> Result<(EntityTag, Rest)> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some(key) = self.keys.next() {
            let Some((text, tag)) = self.reader.first(&key).await? else { continue };
            bytes += text.len();
            let entry = Entry { key, tag };
            self.note(&entry);
            entries.push(entry);
            if bytes >= START_BYTES_MAX {
                bytes = 0;
                // What is in memory is read without a wait, and others want this thread, too.
                tokio::task::yield_now().await;
            }
        }
        let tag = digest_tag(&self.digest.finalize());
        let (reader, writer) = (self.reader, self.writer);
        Ok((tag, Rest { reader, writer, entries: entries.into_iter(), is_done: false }))
    }

    /// Takes an entry into the list's tag. No path and no tag holds a zero.
    fn note(&mut self, Entry { key, tag }: &Entry) {
        self.digest.update(key.as_str());
        self.digest.update(b"\0");
        if let Some(tag) = tag {
            self.digest.update(tag.opaque().as_bytes());
        }
        self.digest.update(b"\0");
    }
}

/// What follows the start of a list whose tag is known.
pub(super) struct Rest {
    reader: Reader,
    writer: Writer,
    entries: std::vec::IntoIter<Entry>,
    is_done: bool,
}

impl Rest {
    /// All of the list, its start and what follows; what goes wrong then breaks the answer off.
    pub(super) fn into_body(self, start: Bytes) -> Body {
        let rest = stream::try_unfold(self, async |mut rest| {
            if rest.is_done {
                return Ok(None);
            }
            match rest.piece().await {
                Ok(piece) => Ok(Some((piece, rest))),
                Err(error) => {
                    tracing::warn!(%error, "a list of the jobs' documents broke off");
                    Err(io::Error::other("the list could not be read to its end"))
                }
            }
        });
        Body::from_stream(stream::once(async { Ok(start) }).chain(rest))
    }

    /// The next piece, which is full or the last.
    async fn piece(&mut self) -> Result<Bytes, BreakOff> {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES {
            let Some(entry) = self.entries.next() else {
                self.writer.end(&mut piece);
                self.is_done = true;
                break;
            };
            let text = self.reader.again(&entry).await?;
            self.writer.write(&mut piece, &text);
        }
        Ok(piece.into())
    }
}
