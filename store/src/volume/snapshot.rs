//! What a snapshot is made of: the files of the tree, and the part of the journal that brings them
//! to one sequence. Archives are copied after that, as they stand: they are not in the journal, and
//! what was published before that sequence is there.
//!
//! The tree is copied file by file. Each is replaced by a rename, so each is whole; but one is
//! older than another, and some are gone before they are reached. The journal has the rest: it is
//! kept from the moment on when the copy begins ([`Pin`](super::Pin)), and copied last, up to a
//! sequence that is durable by then and that no file is later than. A start brings the copy up to
//! date, as it does after a crash. So the copy differs from what a crash leaves in three ways only:
//! - The checkpoints in the journal say how far the tree was, not how far the copy is. They are
//!   copied as of the sequence before the first record.
//! - Of a history, it has what is of writes up to the sequence. It is copied once that is known: the
//!   tree that was copied before has nothing that it lacks.
//! - A file may have been missed, where the file system does not list one that is renamed while
//!   its directory is read. A document stands whole in the journal then; of a namespace it has
//!   the patches alone, so these are looked for by name ([`Source::patched`]).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::history;
use super::inspect::{InspectError, require_store, take};
use super::lock::DirectoryLock;
use super::open::{self, OpenError};
use crate::disk::{Access, Disk, DiskFile, Kind, Metadata, OsDisk};
use crate::journal::entry::{Change, Entry};
use crate::journal::format::{RecordKind, SEGMENT_HEADER, Seed, SegmentHeader, append_record};
use crate::journal::scan::{Damage, Reason, Replayed, Scanner, Tail};
use crate::journal::segments;
use crate::key::{ArchiveKey, NAMESPACES};

/// A part of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number of the first segment that may hold a part of it.
    pub first_segment: u64,
    /// Everything up to this sequence stands in the tree.
    pub after: u64,
    /// The last sequence that belongs to it; it is durable.
    pub up_to: u64,
    /// No revision up to this one may be handed out again, in nanoseconds since 1970.
    pub clock: i128,
}

/// A directory that is copied.
#[derive(Debug)]
pub struct Source {
    disk: Arc<dyn Disk>,
    /// Held where nobody serves the directory.
    _lock: Option<DirectoryLock>,
}

/// An open file of the tree: it stays as it is, whatever is written meanwhile.
#[derive(Debug)]
pub struct TreeFile {
    file: Box<dyn DiskFile>,
    metadata: Metadata,
    offset: u64,
}

impl Source {
    /// The directory that versions before the current ones stand below.
    pub const HISTORY: &str = history::DIRECTORY;

    /// The directory that archives stand below.
    pub const ARCHIVES: &str = "sites";

    /// Whether that is the path of an archive. The journal knows nothing of them.
    #[must_use]
    pub fn is_archive(path: &str) -> bool {
        ArchiveKey::from_path(path).is_some()
    }

    /// The directory of a store that is open, and of which a [`Pin`](super::Pin) is held.
    ///
    /// # Errors
    /// [`InspectError`], where it holds no store or cannot be read.
    pub fn served(path: &Path) -> Result<Self, InspectError> {
        require_store(path)?;
        let disk = OsDisk::open(path).map_err(|error| OpenError::from_io(path, error))?;
        Ok(Self { disk: Arc::new(disk), _lock: None })
    }

    /// A directory that nobody serves: keeps it so until it is dropped. Nothing is changed in it.
    /// Also gives what of its journal is not in the tree, `None` where there is no journal.
    ///
    /// # Errors
    /// [`InspectError`], where it is in use, holds no store, or its journal does not check out.
    pub fn unserved(path: &Path) -> Result<(Self, Option<Span>), InspectError> {
        let (disk, lock) = take(path)?;
        let span = whole_journal(&disk).map_err(|error| match error {
            CopyError::Damaged(reason) => OpenError::Journal { path: path.into(), reason }.into(),
            CopyError::Read(error) | CopyError::Write(error) => InspectError::Io(error),
        })?;
        Ok((Self { disk: Arc::new(disk), _lock: Some(lock) }, span))
    }

    /// The format that the copy is in, as its last file is to say it.
    ///
    /// # Errors
    /// As the disk says.
    pub fn format(&self) -> io::Result<String> {
        Ok(open::read_format(&*self.disk)?.unwrap_or_else(|| open::FORMAT.to_owned()))
    }

    /// The names in a directory of the tree (the root is the empty path), in order, without what is
    /// the store's own and without `lost+found`.
    ///
    /// # Errors
    /// As the disk says.
    pub fn entries(&self, directory: &str) -> io::Result<Vec<(String, Kind)>> {
        let mut entries = match self.disk.entries(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => entries?,
        };
        if directory.is_empty() {
            entries.retain(|(name, _)| name != open::PRIVATE && name != open::LOST_AND_FOUND);
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }

    /// Opens a file of the tree; `None` where there is none any more.
    ///
    /// # Errors
    /// As the disk says.
    pub fn open(&self, path: &str) -> io::Result<Option<TreeFile>> {
        match self.disk.open(path, Access::Read) {
            Ok(file) => {
                let metadata = file.metadata()?;
                Ok(Some(TreeFile { file, metadata, offset: 0 }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a file below [`Self::HISTORY`], up to what it tells of writes after a sequence; `None`
    /// where there is none any more, or nothing before that.
    ///
    /// # Errors
    /// As the disk says.
    pub fn open_history(&self, path: &str, up_to: u64) -> io::Result<Option<TreeFile>> {
        let Some(mut file) = self.open(path)? else { return Ok(None) };
        file.metadata.length = history::prefix(&*file.file, up_to)?;
        Ok((file.metadata.length > 0).then_some(file))
    }

    /// The namespaces that the part of the journal has patches of and not the first one: their
    /// files have to be in the copy.
    ///
    /// # Errors
    /// [`CopyError`], where that part is not there any more.
    pub fn patched(&self, span: &Span) -> Result<Vec<String>, CopyError> {
        let mut first: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        self.records(span, &mut |_, record| {
            if let Entry::Change { path, change: Change::Patch { version, .. } } = record.entry()?
                && path.starts_with(NAMESPACES)
            {
                first.entry(path).or_insert(version);
            }
            Ok(())
        })?;
        let has_base = |(path, version): (Arc<str>, u64)| (version > 1).then(|| path.to_string());
        Ok(first.into_iter().filter_map(has_base).collect())
    }

    /// Hands out segments that hold the part of the journal and nothing else: each one's path and
    /// bytes. Each has the length that it needs, and the numbers are in a row.
    ///
    /// # Errors
    /// [`CopyError`], where that part is not there any more; [`CopyError::Write`] with what `emit`
    /// fails with.
    pub fn journal(
        &self,
        span: &Span,
        mut emit: impl FnMut(&str, &[u8]) -> io::Result<()>,
    ) -> Result<(), CopyError> {
        let mut emit = |segment: &Segment| {
            let path = segments::file_name(segment.number);
            emit(&path, &segment.encode(span)).map_err(CopyError::Write)
        };
        let mut last: Option<Segment> = None;
        self.records(span, &mut |number, record| {
            let segment = last.get_or_insert_with(|| Segment::new(number));
            // One that was passed over, because a record did not fit into it, has its place too.
            while segment.number < number {
                emit(segment)?;
                *segment = Segment::new(segment.number + 1);
            }
            segment.add(record, span)
        })?;
        let mut last = last.unwrap_or_else(|| Segment::new(span.first_segment));
        last.confirm(span.up_to + 1);
        emit(&last)
    }

    /// Visits every record of the part with the number of its segment.
    fn records(
        &self,
        span: &Span,
        visit: &mut dyn FnMut(u64, &Replayed<'_>) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        if span.up_to <= span.after {
            return Ok(());
        }
        let numbers = segments::numbers(&*self.disk)?;
        let mut scanner = Scanner::default();
        let mut last = span.after;
        for number in numbers.into_iter().filter(|number| *number >= span.first_segment) {
            let bytes = segments::read(&*self.disk, number)?;
            scanner.segment_up_to(number, &bytes, span.up_to, |record: Replayed<'_>| {
                let sequence = record.sequence();
                if sequence <= span.after {
                    return Ok(());
                }
                if sequence != last + 1 {
                    let reason = Reason::Missing { first: last + 1, last: sequence - 1 };
                    return Err(Damage { number, offset: 0, reason }.into());
                }
                last = sequence;
                visit(number, &record)
            })?;
            if last == span.up_to {
                return Ok(());
            }
        }
        let at = Tail { number: span.first_segment, offset: 0, is_torn: false };
        let Tail { number, offset, .. } = scanner.tail().unwrap_or(at);
        let reason = Reason::Missing { first: last + 1, last: span.up_to };
        Err(Damage { number, offset, reason }.into())
    }
}

impl TreeFile {
    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.metadata.length
    }

    /// When it was modified, in nanoseconds since 1970.
    #[must_use]
    pub fn modified(&self) -> i128 {
        self.metadata.modified
    }
}

impl io::Read for TreeFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.metadata.length - self.offset;
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_exact_at(&mut buffer[..length], self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// Why the journal cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It does not check out, or is not kept any longer.
    #[error("{0}")]
    Damaged(String),
    /// A segment cannot be read.
    #[error("the journal cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The copy cannot be written.
    #[error("{0}")]
    Write(io::Error),
}

impl From<Damage> for CopyError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage.to_string())
    }
}

/// A segment that is made.
struct Segment {
    number: u64,
    /// The sequence of the first record.
    first: Option<u64>,
    records: Vec<u8>,
}

impl Segment {
    fn new(number: u64) -> Self {
        Self { number, first: None, records: Vec::new() }
    }

    fn add(&mut self, record: &Replayed<'_>, span: &Span) -> Result<(), CopyError> {
        let entry = match record.entry()? {
            // The copy's files may be older than what is said here.
            Entry::Checkpoint { sequence, clock } => {
                Entry::Checkpoint { sequence: sequence.min(span.after), clock }
            }
            change @ Entry::Change { .. } => change,
        };
        let (seed, place) = (Seed::of_segment(self.number), (record.sequence(), record.batch()));
        append_record(&mut self.records, seed, entry.kind(), place, |out| entry.write(out));
        self.first = self.first.or(Some(record.sequence()));
        Ok(())
    }

    /// Says that everything before this sequence was durable, so that damage is told from a tear.
    fn confirm(&mut self, next: u64) {
        let seed = Seed::of_segment(self.number);
        self.first = self.first.or(Some(next));
        append_record(&mut self.records, seed, RecordKind::Confirmation, (next, next), |_| {});
    }

    fn encode(&self, span: &Span) -> Vec<u8> {
        let capacity = SEGMENT_HEADER + self.records.len() as u64;
        let sequence = self.first.unwrap_or(span.after + 1);
        let header = SegmentHeader { number: self.number, capacity, sequence, clock: span.clock };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&self.records);
        bytes
    }
}

/// What a journal at rest holds behind its last checkpoint.
fn whole_journal(disk: &dyn Disk) -> Result<Option<Span>, CopyError> {
    let numbers = match segments::numbers(disk) {
        // Of the format before there was a journal.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        numbers => numbers?,
    };
    let Some(first_segment) = numbers.first().copied() else { return Ok(None) };
    let mut scanner = Scanner::default();
    let mut checkpoint = (0, None);
    let mut first = None;
    for number in numbers {
        let bytes = segments::read(disk, number)?;
        scanner.segment(number, &bytes, |record| {
            first = first.or(Some(record.sequence()));
            if let Entry::Checkpoint { sequence, clock } = record.entry()? {
                checkpoint = (sequence, Some(clock));
            }
            Ok::<_, Damage>(())
        })?;
    }
    let (checkpoint, clock) = checkpoint;
    let up_to = scanner.next_sequence() - 1;
    // What is freed is in the tree, also where there was no room to say so.
    let after = checkpoint.max(first.unwrap_or(up_to + 1) - 1);
    let clock = scanner.clock().max(clock).unwrap_or(i128::MIN / 2);
    Ok(Some(Span { first_segment, after, up_to, clock }))
}
