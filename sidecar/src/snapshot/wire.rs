//! What is said on the socket: a line of JSON each way, and nothing of what is stored.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stowage_store::volume::snapshot::Span;

/// The socket's name in `.stowage`.
pub(super) const NAME: &str = "snapshot.sock";

/// The version of what is said.
pub(super) const VERSION: u32 = 1;

/// What the command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Ask {
    /// How far the journal is, once all that was accepted so far is durable.
    Barrier,
    /// That everything was kept up to now.
    End,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Answer {
    /// First of all, unasked: the journal is kept from now on.
    Kept { version: u32 },
    /// To [`Ask::Barrier`].
    Reached(Reached),
    /// To [`Ask::End`].
    Ended,
    /// At any time, and then nothing more: why the journal is not kept.
    Refused(String),
}

/// A [`Span`]. Its clock is text, since it may be beyond the integers of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reached {
    first_segment: u64,
    after: u64,
    up_to: u64,
    clock: String,
}

impl From<Span> for Reached {
    fn from(Span { first_segment, after, up_to, clock }: Span) -> Self {
        Self { first_segment, after, up_to, clock: clock.to_string() }
    }
}

impl Reached {
    pub(super) fn span(&self) -> Option<Span> {
        let Self { first_segment, after, up_to, .. } = *self;
        Some(Span { first_segment, after, up_to, clock: self.clock.parse().ok()? })
    }
}

/// The directory that the socket stands in, held open, and the socket's path by way of it: the
/// path of a socket may have 107 bytes, and that of a directory many more.
pub(super) fn place(directory: &Path) -> io::Result<(File, PathBuf)> {
    let private = File::open(directory.join(".stowage"))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", private.as_raw_fd()));
    Ok((private, path))
}
