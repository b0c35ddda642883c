//! The list of a site's versions as JSON: a short one at once, a long one as the client takes it.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use stowage_store::{Name, Store};

use super::problem::Problem;
use crate::builds::{Listing, VersionError};

/// A list of up to so many bytes is answered with its length; a longer one streams.
const START_BYTES_MAX: usize = 1 << 20;
/// The length of a piece of one that streams, and what it may be longer by is one version.
const PIECE_BYTES: usize = 64 << 10;

/// The body of an answer: `{"site_id","count","versions":[…]}`.
///
/// # Errors
/// Those of its first megabyte; what goes wrong later breaks the answer off.
pub(super) async fn body(
    store: Arc<dyn Store>,
    site: &Name,
    listing: Listing,
) -> Result<Body, Problem> {
    let mut list = VersionList::new(store, site, listing);
    let start = list.next(START_BYTES_MAX).await?;
    if list.is_done {
        return Ok(Body::from(start));
    }
    let rest = stream::try_unfold(list, async |mut list| {
        if list.is_done {
            return Ok(None);
        }
        match list.next(PIECE_BYTES).await {
            Ok(piece) => Ok(Some((piece, list))),
            Err(error) => {
                tracing::warn!(%error, "a list of versions broke off");
                Err(io::Error::other("the list could not be read to its end"))
            }
        }
    });
    Ok(Body::from_stream(stream::once(async { Ok(start) }).chain(rest)))
}

/// How far a list is.
struct VersionList {
    store: Arc<dyn Store>,
    listing: Listing,
    /// What comes first in the next piece.
    begun: Vec<u8>,
    /// The place of the next version.
    place: usize,
    is_done: bool,
}

impl VersionList {
    fn new(store: Arc<dyn Store>, site: &Name, listing: Listing) -> Self {
        // A name holds nothing that JSON would escape.
        let begun = format!(r#"{{"site_id":"{site}","count":{},"versions":["#, listing.len());
        Self { store, listing, begun: begun.into_bytes(), place: 0, is_done: false }
    }

    /// The next piece, which is full or the last.
    async fn next(&mut self, full_bytes: usize) -> Result<Bytes, VersionError> {
        let mut piece = std::mem::take(&mut self.begun);
        while piece.len() < full_bytes {
            let Some(version) = self.listing.version(self.store.as_ref(), self.place).await? else {
                piece.extend_from_slice(b"]}");
                self.is_done = true;
                break;
            };
            if self.place > 0 {
                piece.push(b',');
            }
            self.place += 1;
            serde_json::to_writer(&mut piece, &version).map_err(io::Error::from)?;
        }
        Ok(piece.into())
    }
}

impl From<VersionError> for Problem {
    fn from(error: VersionError) -> Self {
        match error {
            VersionError::Changed => {
                Self::unavailable("a log was changed while it was listed; try again")
            }
            VersionError::Store(e) => e.into(),
        }
    }
}
