//! The entries of a list: how they are read, and how they are put together.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use stowage_store::{EntityTag, JobDocument, Key, Result, StoreError};

use super::super::accept::ListFormat;
use super::super::app::App;
use crate::jobs::{self, EventMeta};

/// What a list shows of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// What stands there.
    Document,
    /// What an event's key says.
    EventMeta,
}

/// An entry of a list.
pub(super) struct Entry {
    pub(super) key: Key,
    /// Of the document; what a key says needs none.
    pub(super) tag: Option<EntityTag>,
}

/// Why a list that streams breaks off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BreakOff {
    /// A document is not the one that the list's tag was made of.
    #[error("a document was changed while it was listed")]
    Changed,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads entries.
pub(super) struct Reader {
    app: Arc<App>,
    shown: Shown,
}

impl Reader {
    pub(super) fn new(app: Arc<App>, shown: Shown) -> Self {
        Self { app, shown }
    }

    /// What stands for a key, with the document's tag; `None` where it is gone by now, does not parse,
    /// or cannot be read.
    ///
    /// # Errors
    /// As [`stowage_store::Store::get`].
    pub(super) async fn first(&self, key: &Key) -> Result<Option<(Bytes, Option<EntityTag>)>> {
        if self.shown == Shown::EventMeta {
            return Ok(meta(key)?.map(|text| (text, None)));
        }
        match self.app.store.get(key).await {
            Ok(None) => return Ok(None),
            Ok(Some(object)) if jobs::is_document(&object.body) => {
                return Ok(Some((object.body.clone(), Some(object.tag.clone()))));
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

    /// What stands for an entry of a list whose tag was told.
    ///
    /// # Errors
    /// [`BreakOff`].
    pub(super) async fn again(&self, entry: &Entry) -> Result<Bytes, BreakOff> {
        if self.shown == Shown::EventMeta {
            return meta(&entry.key)?.ok_or(BreakOff::Changed);
        }
        let object = self.app.store.get(&entry.key).await?;
        let object = object.filter(|object| Some(&object.tag) == entry.tag.as_ref());
        object.map(|object| object.body.clone()).ok_or(BreakOff::Changed)
    }
}

/// What an event's key says.
fn meta(key: &Key) -> Result<Option<Bytes>> {
    let Some(JobDocument::Event { id }) = key.as_job_document() else { return Ok(None) };
    let text = EventMeta::parse(id).map(|meta| serde_json::to_vec(&meta));
    Ok(text.transpose().map_err(io::Error::from)?.map(Bytes::from))
}

/// Puts entries together.
pub(super) struct Writer {
    format: ListFormat,
    is_begun: bool,
}

impl Writer {
    pub(super) fn new(format: ListFormat) -> Self {
        Self { format, is_begun: false }
    }

    /// What comes before the first entry.
    pub(super) fn start(&self) -> Vec<u8> {
        match self.format {
            ListFormat::Array => b"[".to_vec(),
            ListFormat::Lines => Vec::new(),
        }
    }

    /// Adds an entry.
    pub(super) fn write(&mut self, piece: &mut Vec<u8>, text: &[u8]) {
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

    /// Adds what comes behind the last.
    pub(super) fn end(&self, piece: &mut Vec<u8>) {
        if self.format == ListFormat::Array {
            piece.push(b']');
        }
    }
}
