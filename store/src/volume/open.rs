//! Taking a directory into service.

use std::collections::{HashMap, VecDeque};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::VolumeOptions;
use super::archive::Seconds;
use super::engine::Engine;
use super::history;
use super::lock::{DirectoryLock, LockError};
use super::names::Names;
use super::pin::Pins;
use super::recover::{RecoverError, Recovered, Unsaved, recover};
use super::rounds::Rounds;
use super::save::Saver;
use super::stage::{Stage, TEMPORARY};
use super::state::{Layout, Live, Slot, State};
use super::tree::Tree;
use crate::StoreError;
use crate::disk::{Access, Disk, DiskFile, split};
use crate::error::is_full;
use crate::journal::format::{SEGMENT_HEADER, SegmentHeader};
use crate::journal::segments::{self, Segment};
use crate::key::jobs::JOBS;
use crate::revision::{Clock, time_step};

/// The directory of what is the store's own, below the root. No key leads into it.
pub(super) const PRIVATE: &str = ".stowage";

/// What file systems put into their root.
pub(super) const LOST_AND_FOUND: &str = "lost+found";

/// The file that names the format, below the root.
pub const FORMAT_FILE: &str = ".stowage/format";

/// The length of the first segment of a new store, in bytes.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;

/// The format that this version writes, as `.stowage/format` says it: it may have a history, and
/// its journal what that tells.
pub(super) const FORMAT: &str = "5";

/// The formats that this version goes on from: before there was a journal, before a journal had
/// records of deleted jobs, before keys had a time, and before there was a history. Each is brought
/// up to date by having one.
const FORMATS_BEFORE: [&str; 4] = ["1", "2", "3", "4"];

/// What stands in [`FORMAT_FILE`] while a directory is restored. A snapshot has it in its first entry, and the
/// format only in its last, so that the tar of a cut one leaves it as well.
pub const RESTORING: &str = "a restore that has not ended";

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file stands there, or on the way there.
    #[error(
        "{path} is not a directory, or lies below something that is none: name a directory, or one that can be made"
    )]
    NotADirectory {
        /// The directory that was asked for.
        path: PathBuf,
    },
    /// The directory does not exist, nor the one that it would be made in.
    #[error(
        "{path} cannot be made, because the directory above it does not exist: make that first"
    )]
    NoParent {
        /// The directory that was asked for.
        path: PathBuf,
    },
    /// The operating system denies reading or writing.
    #[error(
        "no permission to read and write in {path}: let the user with id {uid}, which this process runs as, own it, on a file system that is mounted for writing"
    )]
    NoPermission {
        /// The directory that was asked for.
        path: PathBuf,
        /// The effective user of this process.
        uid: u32,
    },
    /// Another store has the directory open.
    #[error("{path} is in use by {}: stop that one first, or name another directory", holder(*.pid))]
    InUse {
        /// The directory that was asked for.
        path: PathBuf,
        /// The process that holds it, where it is known.
        pid: Option<u32>,
    },
    /// Another version wrote it in a format that this one does not know.
    #[error(
        "{path} is in format {found:?}, and this version reads formats 1 to {FORMAT} only: use the version that wrote it, or a newer one"
    )]
    Format {
        /// The directory that was asked for.
        path: PathBuf,
        /// What its format file says.
        found: String,
    },
    /// A restore did not come to its end.
    #[error(
        "{path} holds a part of a snapshot: its restore is under way, or did not end. Empty the directory (its .stowage too), then restore the snapshot again"
    )]
    Restoring {
        /// The directory that was asked for.
        path: PathBuf,
    },
    /// What was acknowledged cannot all be read back. The journal was not changed.
    #[error(
        "the journal of {path} cannot be used: {reason}; nothing of it was changed. Restore the directory from a backup; or look at what is lost with `stowage-sidecar verify`, and give it up with `stowage-sidecar repair`"
    )]
    Journal {
        /// The directory that was asked for.
        path: PathBuf,
        /// The file, the place in it, and what does not check out.
        reason: String,
    },
    /// Anything else.
    #[error("{path} cannot be opened: {error}; see that the volume is mounted, sound and not full")]
    Io {
        /// The directory that was asked for.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("the process {pid}"))
}

impl OpenError {
    pub(super) fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NoPermission { path, uid: rustix::process::geteuid().as_raw() }
            }
            _ => Self::Io { path, error },
        }
    }
}

/// Makes the root, durably, unless it exists.
fn make_root(path: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::from_io(path, error);
    if path.is_dir() {
        return Ok(());
    }
    match make_directory(path) {
        Ok(()) if path.is_dir() => {}
        Ok(()) => return Err(OpenError::NotADirectory { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NoParent { path: path.into() });
        }
        Err(error) => return Err(failed(error)),
    }
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_directory(parent).map_err(failed),
        None => sync_directory(Path::new(".")).map_err(failed),
    }
}

/// Makes a directory that other users cannot look into, unless something stands there.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Locks a directory of the operating system; makes it where its parent exists.
pub(super) fn lock(path: &Path) -> Result<DirectoryLock, OpenError> {
    make_root(path)?;
    let private = path.join(PRIVATE);
    make_directory(&private).map_err(|error| OpenError::from_io(path, error))?;
    DirectoryLock::acquire(&private).map_err(|error| match error {
        LockError::Held(pid) => OpenError::InUse { path: path.into(), pid },
        LockError::Io(error) => OpenError::from_io(path, error),
    })
}

/// Takes a disk into service that nobody else uses. `path` is for messages.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    path: &Path,
    options: &VolumeOptions,
) -> Result<Engine, OpenError> {
    let failed = |error| OpenError::from_io(path, error);
    make_private_directories(&*disk).map_err(failed)?;
    let format = require_known_format(&*disk, path)?;
    let seconds = Seconds::new(format.is_none(), Timestamp::now());
    let stage = Stage::new(Arc::clone(&disk));
    stage.sweep().map_err(failed)?;
    if format.as_deref() != Some(FORMAT) {
        bring_up_to_date(&*disk, &stage).map_err(failed)?;
    }
    segments::sweep(&*disk).map_err(failed)?;
    // A name that stands in the tree may not be durable yet, and nobody must see what a power cut
    // could take back.
    disk.sync_everything().map_err(failed)?;
    let format = disk.open(FORMAT_FILE, Access::ReadWrite).map_err(failed)?;
    let step = time_step(&*format).map_err(failed)?;
    let options = options.fitting(disk.size().map_err(failed)?);
    if options.history == 0 {
        history::give_up(&*disk, &stage).map_err(failed)?;
    }
    let names = Names::new(0);
    let mut saver = Saver::new(&*disk, &stage, &names, &options, u64::MAX);
    let tree = Tree::new(Arc::clone(&disk));
    let recovered =
        recover(&*disk, &tree, &mut saver, options.dirty_bytes).map_err(|error| match error {
            RecoverError::Io(error) | RecoverError::Tree(StoreError::Io(error)) => failed(error),
            other => OpenError::Journal { path: path.into(), reason: other.to_string() },
        })?;
    let mut clock = Clock::new(recovered.clock, step);
    if let Some(latest) = recovered.latest {
        clock.has_seen(latest);
    }
    let state = begin(&*disk, recovered, clock, &options).map_err(failed)?;
    let engine = Engine::new(disk, stage, state, seconds, options);
    engine.stage.refill();
    for (path, slot) in &engine.lock().slots {
        engine.note_expiry(path, &slot.decided);
    }
    Ok(engine)
}

/// Goes on where the journal ends. That needs no room, unless there is no journal yet.
fn begin(
    disk: &dyn Disk,
    recovered: Recovered,
    clock: Clock,
    options: &VolumeOptions,
) -> io::Result<State> {
    let Recovered { unsaved, mut live, unused, next_sequence, mut next_number, told, tail, .. } =
        recovered;
    // One that was passed over, because a record did not fit into it, is freed in its turn: the
    // numbers that are there are always in a row.
    let last = live.back().map_or(0, |live| live.number);
    let (behind, mut ahead): (Vec<_>, Vec<_>) = unused.into_iter().partition(|it| it.0 < last);
    ahead.retain(|(number, _)| tail.is_none_or(|tail| tail.number != *number));
    for (number, capacity) in behind {
        let place = live.partition_point(|live| live.number < number);
        let first = live.get(place).map_or(next_sequence, |live| live.first);
        live.insert(place, Live { number, capacity, first });
    }
    let open = |(number, _): (u64, u64)| segments::open(disk, number).map(Arc::new);
    let mut spares = ahead.into_iter().map(open).collect::<io::Result<VecDeque<_>>>()?;
    let (current, offset) = match (tail, spares.pop_front()) {
        (Some(tail), spare) => {
            if let Some(spare) = spare {
                spares.push_front(spare);
            }
            let current = segments::open(disk, tail.number)?;
            if tail.is_torn {
                segments::clear(&current, tail.offset)?;
            }
            (Arc::new(current), tail.offset)
        }
        (None, Some(spare)) => (spare, SEGMENT_HEADER),
        (None, None) => {
            // Small, so that a store that is hardly used takes little room.
            let capacity = options.segment_bytes.min(FIRST_SEGMENT_BYTES);
            let (sequence, clock) = (next_sequence, clock.last());
            let header = SegmentHeader { number: next_number, capacity, sequence, clock };
            next_number += 1;
            (Arc::new(segments::make(disk, &header, None)?), SEGMENT_HEADER)
        }
    };
    if live.back().is_none_or(|live| live.number != current.number) {
        let Segment { number, capacity, .. } = *current;
        live.push_back(Live { number, capacity, first: next_sequence });
    }
    let now = Instant::now();
    let slot = |found: Unsaved| Slot {
        decided: found.entry.clone(),
        decided_at: found.sequence,
        committed: Some(found.entry),
        committed_at: Some(found.sequence),
        oldest: found.oldest,
        since: now,
        pinned: found.bytes,
        kept: found.kept,
        contention: None,
    };
    let kept = |found: &Unsaved| found.kept.as_ref().map_or(0, |kept| kept.bytes());
    let pinned = unsaved.values().map(|found| found.bytes + kept(found)).sum();
    let is_delete = |found: &&Unsaved| matches!(found.entry, super::Entry::Document(None));
    let deletes = unsaved.values().filter(is_delete).count();
    Ok(State {
        checkpoint_now: !unsaved.is_empty(),
        in_jobs: unsaved.keys().filter(|path| path.starts_with(JOBS)).cloned().collect(),
        slots: unsaved.into_iter().map(|(path, found)| (path, slot(found))).collect(),
        queue: Vec::new(),
        layout: Layout {
            reserve: current.capacity / 8,
            current,
            offset,
            spares,
            live,
            next_sequence,
            next_number,
        },
        clock,
        loads: HashMap::new(),
        pinned,
        deletes,
        durable: next_sequence - 1,
        saved: 0,
        told,
        freed: Vec::new(),
        pins: Pins::default(),
        wanted: None,
        wanted_freeing: None,
        is_full: false,
        full_since: None,
        rounds: Rounds::default(),
        wake_commits_at: None,
        is_short_of_room: false,
        lacks_segment: false,
        evictions: history::Evictions::default(),
        unconfirmed: None,
        is_claimed: false,
        claim: None,
        checkpointer_is_idle: false,
        is_closed: false,
        commits_ended: false,
    })
}

/// Makes the directories of the store's own, durably.
pub(super) fn make_private_directories(disk: &dyn Disk) -> io::Result<()> {
    let directories = [PRIVATE, TEMPORARY, segments::DIRECTORY];
    directories.into_iter().try_for_each(|directory| make_private(disk, directory))
}

fn make_private(disk: &dyn Disk, path: &str) -> io::Result<()> {
    match disk.make_directory(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => disk.sync_directory(split(path).0),
    }
}

/// Whether this version can go on from a format.
pub(super) fn is_known_format(format: &str) -> bool {
    format == FORMAT || FORMATS_BEFORE.contains(&format)
}

/// What the format file says, where this version can go on from there.
///
/// # Errors
/// [`OpenError::Format`], [`OpenError::Restoring`]; as the disk says.
pub(super) fn require_known_format(
    disk: &dyn Disk,
    path: &Path,
) -> Result<Option<String>, OpenError> {
    let format = read_format(disk).map_err(|error| OpenError::from_io(path, error))?;
    match format.as_deref() {
        Some(RESTORING) => Err(OpenError::Restoring { path: path.into() }),
        None => Ok(format),
        Some(found) if is_known_format(found) => Ok(format),
        Some(found) => Err(OpenError::Format { path: path.into(), found: found.to_owned() }),
    }
}

/// What the format file says, `None` where there is none.
pub(super) fn read_format(disk: &dyn Disk) -> io::Result<Option<String>> {
    const LENGTH_MAX: u64 = 64;
    let file = match disk.open(FORMAT_FILE, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; file.metadata()?.length.min(LENGTH_MAX) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// Says what the directory holds, durably.
pub(super) fn write_format(disk: &dyn Disk, stage: &Stage, format: &str) -> io::Result<()> {
    let (staged, file) = stage.create()?;
    file.write_all_at(format!("{format}\n").as_bytes(), 0)?;
    publish_format(disk, &staged, &*file)
}

/// Says that the directory is in this version's format. A volume that is full must come up, or nobody
/// could empty it: there, it takes the room that is set aside.
fn bring_up_to_date(disk: &dyn Disk, stage: &Stage) -> io::Result<()> {
    let error = match write_format(disk, stage, FORMAT) {
        Err(error) if is_full(&error) => error,
        written => return written,
    };
    stage.sweep()?;
    let Ok((staged, file)) = stage.write_reserved(format!("{FORMAT}\n").as_bytes(), None) else {
        return Err(error);
    };
    publish_format(disk, &staged, &*file)
}

fn publish_format(disk: &dyn Disk, staged: &str, file: &dyn DiskFile) -> io::Result<()> {
    file.sync()?;
    disk.rename(staged, FORMAT_FILE)?;
    disk.sync_directory(PRIVATE)
}
