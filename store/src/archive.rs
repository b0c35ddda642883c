//! Archives: large content that is streamed in and out, and never held in memory as a whole.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::{EntityTag, Preconditions, Put, Result};

/// What is known of an archive without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveInfo {
    /// Its length in bytes.
    pub length: u64,
    /// The tag of this very upload; another upload of equal bytes has another one.
    pub tag: EntityTag,
    /// When it was published.
    pub modified: Timestamp,
}

/// An archive that is open for reading: it stays what it is, whatever is published or removed
/// meanwhile.
#[derive(Debug, Clone)]
pub struct Archive {
    /// What is known of it.
    pub info: ArchiveInfo,
    /// Whether it is known that nothing else was published at its key within the second of its
    /// time, so that this second stands for it alone.
    pub has_own_second: bool,
    /// Its bytes.
    pub content: Arc<dyn ArchiveContent>,
}

/// The bytes of an open archive.
#[async_trait]
pub trait ArchiveContent: Send + Sync {
    /// The bytes from an offset on: at least one and at most `most`, perhaps fewer than there
    /// are; empty only at the end and beyond, or where `most` is 0.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`], [`crate::StoreError::Io`],
    /// [`crate::StoreError::Unavailable`].
    async fn read(&self, offset: u64, most: usize) -> Result<Bytes>;
}

/// An archive that is being written. Dropping it abandons it: nothing of it stays.
#[async_trait]
pub trait Upload: Send {
    /// Says before the first bytes how many there will be, where that is known: what cannot fit is
    /// refused before anything is given up for it. After an error the upload cannot go on.
    ///
    /// # Errors
    /// As for [`Self::write`].
    async fn announce(&mut self, length: u64) -> Result<()> {
        let _ = length;
        Ok(())
    }

    /// Appends bytes. After an error, and where its future was dropped before it was done, the
    /// upload cannot go on: every later call fails.
    ///
    /// # Errors
    /// [`crate::StoreError::OutOfSpace`], [`crate::StoreError::Io`],
    /// [`crate::StoreError::Unavailable`].
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes it durable, and visible under its key as a whole, if the preconditions hold.
    /// Dropping its future may leave it published, as a whole, or not.
    ///
    /// # Errors
    /// Every variant but [`crate::StoreError::QuotaExceeded`]. After any but
    /// [`crate::StoreError::Indeterminate`], nothing of the upload stays.
    async fn publish(self: Box<Self>, preconditions: Preconditions) -> Result<Put>;
}

impl fmt::Debug for dyn ArchiveContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArchiveContent")
    }
}

impl fmt::Debug for dyn Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload")
    }
}
