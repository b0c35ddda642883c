//! What a start finds in the journal and brings to bear on the tree.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::cache::Entry;
use super::namespace_file;
use super::read::object;
use super::state::Live;
use super::tree::Tree;
use crate::disk::Disk;
use crate::journal::entry::{Change, Entry as Record};
use crate::journal::scan::{Damage, Scanner, Tail};
use crate::journal::segments;
use crate::revision::Revision;
use crate::{Namespace, Operation, StoreError};

/// Why the journal cannot be brought to bear.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecoverError {
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error(
        "{path} is at version {found}, and the journal goes on at {next}: restore the file from where it was moved"
    )]
    Gap { path: Arc<str>, found: u64, next: u64 },
    #[error(transparent)]
    Tree(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A path whose last changes are not in the tree.
#[derive(Debug)]
pub(super) struct Unsaved {
    pub(super) entry: Entry,
    /// The first record that is missing in the tree, or an earlier one.
    pub(super) oldest: u64,
    /// The last record.
    pub(super) sequence: u64,
}

/// What the journal holds.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) unsaved: HashMap<Arc<str>, Unsaved>,
    /// The segments that hold records, in order.
    pub(super) live: VecDeque<Live>,
    /// The segments that were made ahead and not used, number and capacity.
    pub(super) unused: Vec<(u64, u64)>,
    pub(super) next_sequence: u64,
    pub(super) next_number: u64,
    /// The last record that a checkpoint says to be in the tree.
    pub(super) told: u64,
    /// No revision up to this one may be handed out again.
    pub(super) clock: Option<i128>,
    /// The revisions of the records that were read, the latest.
    pub(super) latest: Option<Revision>,
    /// Where the records end, `None` where there is none.
    pub(super) tail: Option<Tail>,
}

/// A segment, and the sequences of its records.
struct Read {
    live: Live,
    last: u64,
}

/// What the records of a path come to.
enum Pending {
    Document {
        oldest: u64,
        sequence: u64,
        revision: Revision,
        body: Option<Bytes>,
        /// The latest revision of all. What replaces a deleted document that a person dated into
        /// the future is of the present, and so earlier.
        latest: Revision,
    },
    Namespace(Vec<(u64, u64, Vec<Operation>)>),
}

/// Reads the journal, all of it once and what is not in the tree a second time, and compares with
/// the tree. Changes nothing.
pub(super) fn recover(disk: &dyn Disk, tree: &Tree) -> Result<Recovered, RecoverError> {
    let numbers = segments::numbers(disk)?;
    let mut scanner = Scanner::default();
    let mut checkpoint = (0, None);
    let mut used = VecDeque::new();
    let mut unused = Vec::new();
    for number in &numbers {
        let bytes = segments::read(disk, *number)?;
        let capacity = bytes.len() as u64;
        let mut read: Option<Read> = None;
        scanner.segment(*number, &bytes, |record| {
            let sequence = record.sequence();
            let live = || Live { number: *number, capacity, first: sequence };
            read.get_or_insert_with(|| Read { live: live(), last: sequence }).last = sequence;
            if record.is_checkpoint()
                && let Record::Checkpoint { sequence, clock } = record.entry()?
            {
                checkpoint = (sequence, Some(clock));
            }
            Ok::<_, Damage>(())
        })?;
        match read {
            Some(read) => used.push_back(read),
            None => unused.push((*number, capacity)),
        }
    }
    let mut pending: HashMap<Arc<str>, Pending> = HashMap::new();
    let mut latest = None;
    for read in used.iter().filter(|read| read.last > checkpoint.0) {
        let bytes = segments::read(disk, read.live.number)?;
        Scanner::default().segment(read.live.number, &bytes, |record| {
            if record.sequence() > checkpoint.0
                && let Record::Change { path, change } = record.entry()?
            {
                latest = latest.max(revision(&change));
                add(&mut pending, path, record.sequence(), change);
            }
            Ok::<_, Damage>(())
        })?;
    }
    let mut unsaved = HashMap::new();
    for (path, pending) in pending {
        if let Some(found) = compare(tree, &path, pending)? {
            unsaved.insert(path, found);
        }
    }
    Ok(Recovered {
        unsaved,
        live: used.into_iter().map(|read| read.live).collect(),
        unused,
        next_sequence: scanner.next_sequence(),
        next_number: numbers.last().map_or(1, |last| last + 1),
        told: checkpoint.0,
        clock: scanner.clock().max(checkpoint.1),
        latest,
        tail: scanner.tail(),
    })
}

fn revision(change: &Change) -> Option<Revision> {
    match change {
        Change::Put { revision, .. } | Change::Delete { revision } => Some(*revision),
        Change::Patch { .. } => None,
    }
}

fn add(pending: &mut HashMap<Arc<str>, Pending>, path: Arc<str>, sequence: u64, change: Change) {
    let (revision, body) = match change {
        Change::Put { revision, body } => (revision, Some(body)),
        Change::Delete { revision } => (revision, None),
        Change::Patch { version, operations } => {
            let patches = pending.entry(path).or_insert_with(|| Pending::Namespace(Vec::new()));
            if let Pending::Namespace(patches) = patches {
                patches.push((sequence, version, operations));
            }
            return;
        }
    };
    let (oldest, latest) = match pending.get(&path) {
        Some(Pending::Document { oldest, latest, .. }) => (*oldest, revision.max(*latest)),
        _ => (sequence, revision),
    };
    pending.insert(path, Pending::Document { oldest, sequence, revision, body, latest });
}

/// What of the records at a path is missing in the tree.
fn compare(
    tree: &Tree,
    path: &Arc<str>,
    pending: Pending,
) -> Result<Option<Unsaved>, RecoverError> {
    match pending {
        Pending::Document { oldest, sequence, revision, body, latest } => {
            let is_saved = match tree.modified(path)? {
                // What is later was put there by a person, after the crash.
                Some(found) => found > latest || found == revision && body.is_some(),
                None => body.is_none(),
            };
            let object = body.map(|body| Arc::new(object(revision, body)));
            let entry = Entry::Document(object);
            Ok((!is_saved).then_some(Unsaved { entry, oldest, sequence }))
        }
        Pending::Namespace(patches) => {
            let mut namespace = match tree.read(path)? {
                None => Namespace::default(),
                Some((_, bytes)) => namespace_file::decode(&bytes).map_err(|damage| {
                    StoreError::Corrupt { key: path.to_string(), reason: damage.to_string() }
                })?,
            };
            let mut oldest = None;
            let mut last = 0;
            for (sequence, version, operations) in patches {
                let found = namespace.version();
                if version <= found {
                    continue;
                }
                if version != found + 1 {
                    return Err(RecoverError::Gap { path: Arc::clone(path), found, next: version });
                }
                namespace.apply(&operations);
                oldest = oldest.or(Some(sequence));
                last = sequence;
            }
            let entry = Entry::Namespace(Arc::new(namespace));
            Ok(oldest.map(|oldest| Unsaved { entry, oldest, sequence: last }))
        }
    }
}
