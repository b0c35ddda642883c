//! Watching: every durable change of a document or a namespace, in order.
//!
//! A watch begins with what stands there durably, and none of the changes after that is missed or
//! comes twice. The changes of what is watched stand in a ring that all of its watchers read from,
//! each at its own pace and with nothing of its own in memory. Rings are bounded; a watcher that
//! has fallen out of its ring is told so ([`Ended::Behind`]), and begins again.
//!
//! A ring outlives its last watcher by a minute, so that one whose connection broke can go on
//! where it was ([`Changes::resume_after`]).

mod hub;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{Object, Operation};

pub use hub::Changes;
pub(crate) use hub::{Topic, Watches};

/// One durable change of what is watched.
#[derive(Debug)]
pub struct Changed {
    /// What it came to.
    pub what: What,
    written: OnceLock<Vec<Bytes>>,
}

/// What a change came to.
#[derive(Debug)]
pub enum What {
    /// This document stands there now, or none.
    Document(Option<Arc<Object>>),
    /// The namespace stands at this version now.
    Namespace {
        /// One more than that of the change before.
        version: u64,
        /// What was done, in order.
        operations: Vec<Operation>,
        /// Whether what was there before it is not to be read any more.
        forgets: bool,
    },
}

impl What {
    /// Whether nobody is told any more what came before it: it was deleted, and its history with it.
    fn forgets(&self) -> bool {
        match self {
            Self::Document(document) => document.is_none(),
            Self::Namespace { forgets, .. } => *forgets,
        }
    }
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Changes that were not taken yet have left the ring.
    #[error("the watcher was too slow: changes that it has not seen are not kept any more")]
    Behind,
    /// The store takes no more work.
    #[error("the store takes no more work")]
    Closed,
}

/// What a change takes beside its content, roughly, in bytes.
const CHANGE_BYTES: u64 = 256;

/// What an operation takes beside its content, roughly, in bytes.
const OPERATION_BYTES: u64 = 96;

impl Changed {
    fn new(what: What) -> Self {
        Self { what, written: OnceLock::new() }
    }

    /// What the change is on the wire, made once for all who watch.
    pub fn written(&self, write: impl FnOnce(&What) -> Vec<Bytes>) -> &[Bytes] {
        self.written.get_or_init(|| write(&self.what))
    }

    /// The memory that it takes, roughly, [`Self::written`] included.
    fn bytes(&self) -> u64 {
        let content = match &self.what {
            What::Document(document) => document.as_ref().map_or(0, |it| it.body.len() as u64),
            What::Namespace { operations, .. } => operations.iter().map(operation_bytes).sum(),
        };
        CHANGE_BYTES + 2 * content
    }
}

fn operation_bytes(operation: &Operation) -> u64 {
    let content = match operation {
        Operation::Set { key, value } | Operation::SetUntil { key, value, .. } => {
            key.as_str().len() + value.len()
        }
        Operation::Delete { key } => key.as_str().len(),
        Operation::Clear => 0,
    };
    OPERATION_BYTES + content as u64
}
