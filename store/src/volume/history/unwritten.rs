//! What the history of one path has yet to get.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Namespace;
use crate::history::{What, Written};
use crate::volume::cache::Entry;

/// The writes of one path that its history lacks, in order.
#[derive(Debug, Clone, Default)]
pub(in crate::volume) struct Unwritten {
    /// The write that has ended what was kept before; what is in files is gone then.
    forgotten_at: Option<u64>,
    /// The namespace before the first of them.
    base: Option<Arc<Namespace>>,
    entries: VecDeque<Arc<Written>>,
    bytes: u64,
}

impl Unwritten {
    /// The memory that it takes, roughly.
    pub(in crate::volume) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is nothing to be done.
    pub(in crate::volume) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.forgotten_at.is_none()
    }

    /// Whether what is in files is gone.
    pub(in crate::volume) fn is_forgetting(&self) -> bool {
        self.forgotten_at.is_some()
    }

    pub(super) fn base(&self) -> Option<&Arc<Namespace>> {
        self.base.as_ref()
    }

    pub(super) fn entries(&self) -> &VecDeque<Arc<Written>> {
        &self.entries
    }

    /// Ends what is in files before the first of these writes.
    pub(in crate::volume) fn forget_before(&mut self, sequence: u64) {
        self.forgotten_at.get_or_insert(sequence);
    }

    /// Takes a write in, or the end of all that is kept; at most so many are. `before` is what stood
    /// at the path.
    pub(in crate::volume) fn take(
        &mut self,
        (sequence, written): (u64, Option<Written>),
        before: Option<&Entry>,
        most: usize,
    ) {
        let is_end =
            written.as_ref().is_none_or(|written| matches!(written.what, What::Whole { .. }));
        // What is in files of a document that is not there was ended without it: by a person.
        let is_first = matches!(before, Some(Entry::Document(None)));
        if is_end || is_first {
            *self = Self { forgotten_at: Some(sequence), ..Self::default() };
        }
        let Some(written) = written else { return };
        if self.entries.is_empty() && matches!(written.what, What::Patch { .. }) {
            self.base = before.and_then(Entry::as_namespace).cloned();
        }
        self.bytes += written.bytes();
        self.entries.push_back(Arc::new(written));
        if self.entries.len() > most {
            self.drop_first();
        }
    }

    /// Goes on behind the first write.
    fn drop_first(&mut self) {
        let Some(first) = self.entries.pop_front() else { return };
        self.bytes -= first.bytes();
        self.base = after(self.base.take(), &first);
    }

    /// Takes note that everything up to a write is in the files; it made this entry.
    pub(in crate::volume) fn has_saved(&mut self, sequence: u64, made: &Entry) {
        self.forgotten_at.take_if(|at| *at <= sequence);
        let mut has_gone_on = false;
        while self.entries.front().is_some_and(|first| first.sequence <= sequence) {
            self.bytes -= self.entries.pop_front().map_or(0, |first| first.bytes());
            has_gone_on = true;
        }
        // Where later ones have taken the place of all of those, the base is later, too.
        if has_gone_on {
            let is_patch = |written: &Arc<Written>| matches!(written.what, What::Patch { .. });
            let follows = self.entries.front().is_some_and(is_patch);
            self.base = if follows { made.as_namespace().cloned() } else { None };
        }
    }
}

/// The namespace that a write makes of the one before.
pub(super) fn after(base: Option<Arc<Namespace>>, written: &Written) -> Option<Arc<Namespace>> {
    match &written.what {
        What::Document(_) => None,
        What::Whole { namespace, .. } => Some(Arc::clone(namespace)),
        What::Patch { operations, .. } => {
            let mut next = base?;
            Arc::make_mut(&mut next).apply(operations);
            Some(next)
        }
    }
}
