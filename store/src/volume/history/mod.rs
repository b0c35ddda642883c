//! The versions before the current one, of namespaces and documents that have a history.
//!
//! ```text
//! .stowage/history/{path}/{number}   versions of what stands at the path, one after the other
//! ```
//! A write is in the journal with all that its history tells. Until the tree has what it made, it is
//! held in memory as well (`unwritten`). The round that brings a path into the tree appends what is
//! held of it to the last of its files, and syncs that, before anything gets its name in the tree
//! (`keeper`): what the tree has, the history has. So a start takes from the journal what it takes
//! for the tree, and passes over what was appended already.
//!
//! A file begins with a whole namespace, and goes on with operations; documents are whole. It holds
//! as many versions as are kept, and is followed by another; then the one before it
//! goes. So a version is written once, and what is whole is written again only after as many bytes
//! of operations as it has itself, or four times as many versions as are kept. Reading looks at the
//! heads of all entries, and at the content of those alone that lead to the version (`look`).
//!
//! A namespace that was not yet written to since the start begins whole again: its file may have been
//! edited meanwhile.
//!
//! On a full volume there is no history of what does not fit, rather than no room for the tree: the
//! histories of other paths are evicted first (`evict`), then all of that path's is given up. What
//! cannot be read when it is to be appended to is left as it is, and another file follows; where
//! that is not to be had either, there is no history of what came.

mod ends;
mod evict;
mod file;
mod keeper;
mod look;
mod unwritten;

use std::io;
use std::sync::Arc;

pub(super) use self::evict::Evictions;
pub(super) use self::file::{check, cut, is_file_name, prefix};
pub(super) use self::keeper::Keeper;
pub(super) use self::unwritten::Unwritten;
use super::cache::Entry;
use super::engine::Engine;
use super::open::PRIVATE;
use super::stage::Stage;
use crate::disk::Disk;
use crate::history::{What, Written};
use crate::journal::entry::{Change, Note};
use crate::key::has_history;

/// The directory of all of it.
pub(super) const DIRECTORY: &str = ".stowage/history";

/// The directory of one path's.
fn directory(path: &str) -> String {
    format!("{DIRECTORY}/{path}")
}

impl Engine {
    /// Whether what stands at a path has a history here.
    pub(super) fn keeps(&self, path: &str) -> bool {
        self.options.history > 0 && has_history(path)
    }

    /// What is told of a patch: nothing, where there is no history; but that a history ends, always:
    /// a start may be told to keep one.
    pub(super) fn noted(
        &self,
        path: &str,
        author: Option<&Arc<str>>,
        forgets: bool,
    ) -> Option<Box<Note>> {
        let is_told = forgets || self.keeps(path);
        let note = || {
            let (time, author) = (self.options.clock.now(), author.cloned());
            Box::new(Note { time, author, forgets })
        };
        is_told.then(note)
    }
}

/// What is kept of a change that made this entry; `None` where it only ends the history.
pub(super) fn written(sequence: u64, entry: &Entry, change: &Change) -> Option<Written> {
    let (author, what) = match (change, entry) {
        (Change::Put { author, .. }, Entry::Document(Some(object))) => {
            (author.clone(), What::Document(Arc::clone(object)))
        }
        (Change::Patch { version, operations, note }, Entry::Namespace(namespace)) => {
            let time = note.as_ref().map(|note| note.time);
            let what = if note.as_ref().is_some_and(|note| note.forgets) {
                What::Whole { namespace: Arc::clone(namespace), time }
            } else {
                What::Patch { version: *version, time, operations: operations.clone() }
            };
            (note.as_ref().and_then(|note| note.author.clone()), what)
        }
        _ => return None,
    };
    Some(Written { sequence, author, what })
}

/// Ends the history of everything.
///
/// # Errors
/// As the disk says.
pub(super) fn give_up(disk: &dyn Disk, stage: &Stage) -> io::Result<()> {
    match stage.sweep_directory(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        swept => swept?,
    }
    disk.remove_directory(DIRECTORY)?;
    disk.sync_directory(PRIVATE)
}
