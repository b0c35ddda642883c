//! What a start finds in the journal and brings to bear on the tree.

use std::collections::{BTreeSet, HashMap, VecDeque, hash_map};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::cache::Entry;
use super::history::{self, Unwritten};
use super::namespace_file;
use super::read::object;
use super::save::{Due, Saver};
use super::state::Live;
use super::tree::Tree;
use crate::disk::Disk;
use crate::history::{What, Written};
use crate::journal::entry::{Change, Entry as Record, Note};
use crate::journal::scan::{Damage, Scanner, Tail};
use crate::journal::segments;
use crate::key::jobs::{JOBS, job_at};
use crate::key::{NAMESPACES, has_history};
use crate::revision::Revision;
use crate::{Key, Namespace, NamespaceKey, Operation, StoreError};

/// Why the journal cannot be brought to bear.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecoverError {
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error(
        "{path} is at version {found}, and the journal goes on at {next}: restore the file from where it was moved"
    )]
    Gap { path: Arc<str>, found: u64, next: u64 },
    #[error("a record is about {0:?}, where no such thing stands: another version wrote it")]
    Place(Arc<str>),
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
    /// The memory that its records hold on to, roughly.
    pub(super) bytes: u64,
    /// What its history lacks, or has already: who writes it knows.
    pub(super) kept: Option<Box<Unwritten>>,
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
#[derive(Debug)]
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
        kept: Option<Box<Unwritten>>,
    },
    Namespace(Vec<Patched>),
}

/// A patch of a namespace, and the sequence of its record.
struct Patched {
    sequence: u64,
    version: u64,
    operations: Vec<Operation>,
    note: Option<Box<Note>>,
}

/// What a row of segments holds, but for the changes.
#[derive(Debug)]
pub(super) struct Journal {
    used: VecDeque<Read>,
    unused: Vec<(u64, u64)>,
    /// The last record that is known to be in the tree with all before it, and the clock then.
    checkpoint: (u64, Option<i128>),
    last_number: Option<u64>,
    scanner: Scanner,
}

impl Journal {
    /// Reads all segments once.
    pub(super) fn read(disk: &dyn Disk) -> Result<Self, RecoverError> {
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
        Ok(Self { used, unused, checkpoint, last_number: numbers.last().copied(), scanner })
    }

    /// Reads the segments again that hold changes after the last checkpoint, and hands those out.
    fn changes(
        &self,
        disk: &dyn Disk,
        mut visit: impl FnMut(u64, Arc<str>, Change) -> Result<(), RecoverError>,
    ) -> Result<(), RecoverError> {
        let saved = self.checkpoint.0;
        for read in self.used.iter().filter(|read| read.last > saved) {
            let bytes = segments::read(disk, read.live.number)?;
            Scanner::default().segment(read.live.number, &bytes, |record| {
                if record.sequence() > saved
                    && let Record::Change { path, change } = record.entry()?
                {
                    let is_patch = matches!(change, Change::Patch { .. });
                    if is_patch != path.starts_with(NAMESPACES) {
                        return Err(RecoverError::Place(path));
                    }
                    visit(record.sequence(), path, change)?;
                }
                Ok::<_, RecoverError>(())
            })?;
        }
        Ok(())
    }
}

/// Reads the journal, all of it once and what is not in the tree a second time, and compares with
/// the tree. What stands there is forgotten on the way; and where more is missing there than
/// `bytes_max` of memory hold, the tree is brought up to date. That changes nothing for the next
/// start, whenever this one ends: it finds the same journal, and in the tree what some of its
/// records came to.
///
/// Where there is no room for that, it takes more memory rather than refuse to start.
pub(super) fn recover(
    disk: &dyn Disk,
    tree: &Tree,
    saver: &mut Saver<'_>,
    bytes_max: u64,
) -> Result<Recovered, RecoverError> {
    let journal = Journal::read(disk)?;
    let mut backlog = Backlog { versions: saver.versions(), ..Backlog::default() };
    let mut latest = None;
    let mut limit = bytes_max;
    journal.changes(disk, |sequence, path, change| {
        latest = latest.max(revision(&change));
        if let Change::DeleteJob { revision } = change {
            backlog.remove_job(tree, &path, sequence, revision)?;
        } else {
            if !backlog.pending.contains_key(&path) {
                require_place(&path)?;
            }
            backlog.add(path, sequence, change);
        }
        if backlog.bytes > limit {
            limit = bytes_max;
            backlog.settle(tree)?;
            // With less room than that, it would soon be here again.
            if backlog.bytes > bytes_max / 4 * 3 {
                backlog.save(tree, saver, bytes_max)?;
                // What did not fit stays.
                limit = bytes_max.max(2 * backlog.bytes);
            }
        }
        Ok(())
    })?;
    let mut unsaved = HashMap::new();
    for (path, pending) in &backlog.pending {
        if let Some(found) = compare(tree, path, pending, backlog.versions)? {
            unsaved.insert(Arc::clone(path), found);
        }
    }
    let Journal { used, unused, checkpoint, last_number, scanner } = journal;
    Ok(Recovered {
        unsaved,
        live: used.into_iter().map(|read| read.live).collect(),
        unused,
        next_sequence: scanner.next_sequence(),
        next_number: last_number.map_or(1, |last| last + 1),
        told: checkpoint.0,
        clock: scanner.clock().max(checkpoint.1),
        latest,
        tail: scanner.tail(),
    })
}

/// The last record that the journal says to be in the tree, with all before it.
pub(super) fn saved(disk: &dyn Disk) -> Result<u64, RecoverError> {
    Ok(Journal::read(disk)?.checkpoint.0)
}

/// What stands in the way of bringing a journal to bear that checks out, each with its path.
/// Changes nothing.
pub(super) fn check(disk: &dyn Disk, tree: &Tree) -> Result<Vec<String>, RecoverError> {
    let mut found = Vec::new();
    // The version of each namespace; of a document, and of what was told, none.
    let mut seen: HashMap<Arc<str>, Option<u64>> = HashMap::new();
    Journal::read(disk)?.changes(disk, |_, path, change| {
        if matches!(change, Change::DeleteJob { .. }) {
            return job_at(&path).map(drop).ok_or(RecoverError::Place(path));
        }
        if !seen.contains_key(&path) {
            require_place(&path)?;
        }
        let version = match seen.entry(Arc::clone(&path)) {
            hash_map::Entry::Occupied(seen) => seen.into_mut(),
            hash_map::Entry::Vacant(vacant) => vacant.insert(match &change {
                Change::Patch { .. } => match namespace(tree, &path) {
                    Ok(namespace) => Some(namespace.version()),
                    Err(error) => {
                        found.push(error.to_string());
                        None
                    }
                },
                Change::Put { .. } | Change::Delete { .. } | Change::DeleteJob { .. } => {
                    found.extend(tree.modified(&path).err().map(|error| error.to_string()));
                    None
                }
            }),
        };
        if let (Change::Patch { version: next, .. }, Some(at)) = (change, *version)
            && next > at
        {
            *version = Some(next).filter(|next| *next == at + 1);
            if version.is_none() {
                found.push(RecoverError::Gap { path, found: at, next }.to_string());
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// Whether a key leads to a path: what does not come from a key may lead out of the tree.
fn require_place(path: &Arc<str>) -> Result<(), RecoverError> {
    if Key::from_path(path).is_some() || NamespaceKey::from_path(path).is_some() {
        Ok(())
    } else {
        Err(RecoverError::Place(Arc::clone(path)))
    }
}

fn revision(change: &Change) -> Option<Revision> {
    match change {
        Change::Put { revision, .. }
        | Change::Delete { revision }
        | Change::DeleteJob { revision } => Some(*revision),
        Change::Patch { .. } => None,
    }
}

/// What was read of the journal and not yet compared with the tree.
#[derive(Default)]
struct Backlog {
    pending: HashMap<Arc<str>, Pending>,
    /// The paths of those that belong to jobs, in order.
    in_jobs: BTreeSet<Arc<str>>,
    /// The memory that it takes, roughly.
    bytes: u64,
    /// How many versions are kept of each path.
    versions: usize,
}

/// What a path takes beside its content, roughly, in bytes.
const PATH_BYTES: u64 = 300;

impl Pending {
    fn bytes(&self, path: &str) -> u64 {
        let content = match self {
            Self::Document { body, kept, .. } => {
                let kept = kept.as_ref().map_or(0, |kept| kept.bytes());
                kept + body.as_ref().map_or(0, Bytes::len) as u64
            }
            Self::Namespace(patches) => {
                patches.iter().map(|patch| operations_bytes(&patch.operations)).sum()
            }
        };
        PATH_BYTES + path.len() as u64 + content
    }
}

fn operations_bytes(operations: &[Operation]) -> u64 {
    // Each has allocations of its own.
    const EACH: u64 = 150;
    let bytes = |operation: &Operation| match operation {
        Operation::Set { key, value } | Operation::SetUntil { key, value, .. } => {
            EACH + (key.as_str().len() + value.len()) as u64
        }
        Operation::Delete { key } => EACH + key.as_str().len() as u64,
        Operation::Clear => EACH,
    };
    EACH + operations.iter().map(bytes).sum::<u64>()
}

impl Backlog {
    fn add(&mut self, path: Arc<str>, sequence: u64, change: Change) {
        let (revision, body, author) = match change {
            Change::Put { revision, body, author } => (revision, Some(body), author),
            Change::Delete { revision } | Change::DeleteJob { revision } => (revision, None, None),
            Change::Patch { version, operations, note } => {
                self.bytes += operations_bytes(&operations);
                let patches = self.pending.entry(path).or_insert_with_key(|path| {
                    let new = Pending::Namespace(Vec::new());
                    self.bytes += new.bytes(path);
                    new
                });
                if let Pending::Namespace(patches) = patches {
                    patches.push(Patched { sequence, version, operations, note });
                }
                return;
            }
        };
        let before = self.pending.remove(&path);
        self.bytes -= before.as_ref().map_or(0, |before| before.bytes(&path));
        let (oldest, latest, mut kept) = match before {
            Some(Pending::Document { oldest, latest, kept, .. }) => {
                (oldest, revision.max(latest), kept)
            }
            _ => (sequence, revision, None),
        };
        if self.versions > 0 && has_history(&path) {
            let made = body.clone().map(|body| Arc::new(object(revision, body)));
            let written =
                made.map(|object| Written { sequence, author, what: What::Document(object) });
            kept.get_or_insert_default().take((sequence, written), None, self.versions);
        }
        let next = Pending::Document { oldest, sequence, revision, body, latest, kept };
        self.bytes += next.bytes(&path);
        if path.starts_with(JOBS) {
            self.in_jobs.insert(Arc::clone(&path));
        }
        self.pending.insert(path, next);
    }

    /// Forgets what is in the tree.
    fn settle(&mut self, tree: &Tree) -> Result<(), RecoverError> {
        let mut settled = Vec::new();
        for (path, pending) in &self.pending {
            if compare(tree, path, pending, self.versions)?.is_none() {
                settled.push(Arc::clone(path));
            }
        }
        settled.iter().for_each(|path| self.forget(path));
        Ok(())
    }

    fn forget(&mut self, path: &Arc<str>) {
        if let Some(pending) = self.pending.remove(path) {
            self.bytes -= pending.bytes(path);
            self.in_jobs.remove(path);
        }
    }

    /// Takes in that a job was deleted: what records before this one made, and what the tree has. A
    /// file there that is later than the record is told from those where it is compared.
    fn remove_job(
        &mut self,
        tree: &Tree,
        directory: &Arc<str>,
        sequence: u64,
        revision: Revision,
    ) -> Result<(), RecoverError> {
        job_at(directory).ok_or_else(|| RecoverError::Place(Arc::clone(directory)))?;
        let below = format!("{directory}/");
        let pending = self.in_jobs.range::<str, _>((Bound::Included(&*below), Bound::Unbounded));
        let mut paths: BTreeSet<Arc<str>> =
            pending.take_while(|path| path.starts_with(&below)).cloned().collect();
        tree.walk(directory, &mut |path| {
            if Key::from_path(path).is_some() {
                paths.insert(path.into());
            }
        })?;
        for path in paths {
            self.add(path, sequence, Change::Delete { revision });
        }
        Ok(())
    }

    /// Brings the tree up to date with what is pending, and forgets what fitted. Namespaces are
    /// held whole for that, a few at a time.
    fn save(
        &mut self,
        tree: &Tree,
        saver: &mut Saver<'_>,
        bytes_max: u64,
    ) -> Result<(), RecoverError> {
        let mut settled: Vec<Arc<str>> = Vec::new();
        let mut due = Vec::new();
        let mut held = 0;
        for (path, pending) in &self.pending {
            match compare(tree, path, pending, self.versions)? {
                None => settled.push(Arc::clone(path)),
                Some(Unsaved { entry, sequence, kept, .. }) => {
                    held += entry.bytes() + kept.as_ref().map_or(0, |kept| kept.bytes());
                    let path = Arc::clone(path);
                    due.push(Due { path, entry, sequence, may_take_room: false, kept });
                }
            }
            if held > bytes_max {
                settled
                    .extend(saver.save(std::mem::take(&mut due), 0)?.into_iter().map(|it| it.path));
                held = 0;
            }
        }
        settled.extend(saver.save(due, 0)?.into_iter().map(|it| it.path));
        settled.iter().for_each(|path| self.forget(path));
        Ok(())
    }
}

/// What of the records at a path is missing in the tree.
fn compare(
    tree: &Tree,
    path: &Arc<str>,
    pending: &Pending,
    versions: usize,
) -> Result<Option<Unsaved>, RecoverError> {
    match pending {
        Pending::Document { oldest, sequence, revision, body, latest, kept } => {
            let found = tree.modified(path)?;
            let is_missing = found.is_none();
            let is_saved = match found {
                // What is later was put there by a person, after the crash; or by a record that is
                // yet to be read.
                Some(found) => found > *latest || found == *revision && body.is_some(),
                // Of what the tree never had, the history may have some.
                None => body.is_none() && !kept.as_ref().is_some_and(|kept| kept.is_forgetting()),
            };
            let mut kept = kept.clone();
            if is_missing && let Some(kept) = &mut kept {
                kept.forget_before(*oldest);
            }
            let object = body.clone().map(|body| Arc::new(object(*revision, body)));
            let entry = Entry::Document(object);
            let bytes = pending.bytes(path);
            Ok((!is_saved).then_some(Unsaved {
                entry,
                oldest: *oldest,
                sequence: *sequence,
                bytes,
                kept,
            }))
        }
        Pending::Namespace(patches) => {
            let mut namespace = namespace(tree, path)?;
            let mut oldest = None;
            let mut last = 0;
            let keeps = versions > 0 && has_history(path);
            let mut kept: Option<Box<Unwritten>> = None;
            for Patched { sequence, version, operations, note } in patches {
                let found = namespace.version();
                if *version <= found {
                    continue;
                }
                if *version != found + 1 {
                    return Err(RecoverError::Gap {
                        path: Arc::clone(path),
                        found,
                        next: *version,
                    });
                }
                let is_first = kept.as_ref().is_none_or(|kept| kept.bytes() == 0);
                let before =
                    (keeps && is_first).then(|| Entry::Namespace(Arc::new(namespace.clone())));
                namespace.apply(operations);
                if keeps {
                    let made = Entry::Namespace(Arc::new(namespace.clone()));
                    let (operations, note) = (operations.clone(), note.clone());
                    let change = Change::Patch { version: *version, operations, note };
                    let written = history::written(*sequence, &made, &change);
                    let kept = kept.get_or_insert_default();
                    kept.take((*sequence, written), before.as_ref(), versions);
                }
                oldest = oldest.or(Some(*sequence));
                last = *sequence;
            }
            let entry = Entry::Namespace(Arc::new(namespace));
            let bytes = pending.bytes(path);
            Ok(oldest.map(|oldest| Unsaved { entry, oldest, sequence: last, bytes, kept }))
        }
    }
}

/// What the tree has of a namespace.
fn namespace(tree: &Tree, path: &str) -> Result<Namespace, StoreError> {
    match tree.read(path)? {
        None => Ok(Namespace::default()),
        Some((_, bytes)) => namespace_file::decode(&bytes).map_err(|damage| StoreError::Corrupt {
            key: path.to_owned(),
            reason: damage.to_string(),
        }),
    }
}
