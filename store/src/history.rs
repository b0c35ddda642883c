//! History: the last versions of a namespace or a document, which can be read as long as they are
//! kept, and what is known of each.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{EntityTag, Expiry, Namespace, Object, Operation};

/// The most versions of one namespace or document that a store can be told to keep.
pub const HISTORY_MAX: usize = 1_000;

/// One version of a namespace or a document.
#[derive(Debug, Clone)]
pub struct Version {
    /// The tag that it had, or has.
    pub tag: EntityTag,
    /// When it was written; `None` where that is not known.
    pub time: Option<Timestamp>,
    /// Who wrote it, by name; `None` where nobody did, or nobody knows.
    pub author: Option<Arc<str>>,
    pub(crate) place: Place,
}

/// One change of a namespace, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The version that it made.
    pub version: u64,
    /// What was done, in order.
    pub operations: Vec<Operation>,
}

/// Where a version is. Nothing of what it says: who lists versions may hold them for long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// In memory when it was listed; where it is by now, its tag finds.
    Memory,
    /// In a file.
    File(Span),
    /// Among the others of its namespace.
    Namespace,
}

/// A part of one of the files that the versions of one path are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The number of the file.
    pub(crate) file: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

/// One write, and what is kept of it.
#[derive(Debug)]
pub(crate) struct Written {
    /// Its place in the order of all writes.
    pub(crate) sequence: u64,
    pub(crate) author: Option<Arc<str>>,
    pub(crate) what: What,
}

/// What a write came to.
#[derive(Debug)]
pub(crate) enum What {
    /// This document.
    Document(Arc<Object>),
    /// The namespace that stood at the version before, with these operations.
    Patch { version: u64, time: Option<Expiry>, operations: Vec<Operation> },
    /// This namespace, and nothing of what was before can be read.
    Whole { namespace: Arc<Namespace>, time: Option<Expiry> },
}

/// What a write takes in memory beside its content, roughly, in bytes.
const WRITTEN_BYTES: u64 = 300;

/// What an operation takes beside its content, roughly, in bytes.
const OPERATION_BYTES: u64 = 100;

impl Written {
    /// The memory that it takes, roughly.
    pub(crate) fn bytes(&self) -> u64 {
        let content = match &self.what {
            What::Document(object) => object.body.len() as u64,
            What::Patch { operations, .. } => operations_bytes(operations),
            What::Whole { namespace, .. } => namespace.snapshot_bytes(),
        };
        WRITTEN_BYTES + content
    }
}

/// The memory that operations take, roughly.
pub(crate) fn operations_bytes(operations: &[Operation]) -> u64 {
    let bytes = |operation: &Operation| {
        OPERATION_BYTES
            + match operation {
                Operation::Set { key, value } | Operation::SetUntil { key, value, .. } => {
                    (key.as_str().len() + value.len()) as u64
                }
                Operation::Delete { key } => key.as_str().len() as u64,
                Operation::Clear => 0,
            }
    };
    operations.iter().map(bytes).sum()
}

/// The moment that a note tells.
pub(crate) fn timestamp(time: Expiry) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(time.milliseconds()).ok()?).ok()
}

/// Bytes that do not check out.
pub(crate) fn checks_out(span: &Span, bytes: &Bytes) -> bool {
    crc32c::crc32c(bytes) == span.crc
}
