//! Looking at a directory that is not being served, and giving up what cannot be read.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::history;
use super::lock::DirectoryLock;
use super::namespace_file;
use super::open::{self, OpenError};
use super::recover::{self, RecoverError};
use super::tree::Tree;
use crate::disk::{Disk, OsDisk, split};
use crate::journal::scan::{Damage, Scanner};
use crate::journal::segments::{self, DIRECTORY};
use crate::key::NAMESPACES;
use crate::{Result, StoreError};

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many segments the journal has.
    pub segments: usize,
    /// How many of its records check out.
    pub records: u64,
    /// The place up to which the journal checks out, where it does not check out as a whole.
    pub damage: Option<JournalDamage>,
    /// Files of the tree that cannot be served, each with the reason.
    pub files: Vec<String>,
}

/// A place in the journal where something that was durable does not check out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalDamage {
    /// The segment's file name, below `.stowage/journal`.
    pub file: String,
    /// The place in it: what stands before can be read.
    pub offset: u64,
    /// What does not check out, in a sentence.
    pub reason: String,
    /// How many segments come after it.
    pub later_segments: usize,
}

/// Where [`repair`] cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment's file name, below `.stowage/journal`.
    pub file: String,
    /// The first byte that is given up.
    pub offset: u64,
}

/// What stands in the way of looking or cutting.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The directory cannot be taken.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It holds no store.
    #[error("{0} holds no store: there is no .stowage in it")]
    NoStore(String),
    /// The cut names no place where a record may begin.
    #[error("{0}")]
    Place(String),
    /// The journal checks out, so there is nothing to give up.
    #[error("the journal checks out: there is nothing to repair")]
    Sound,
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A part of the tree cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks every record of the journal and every namespace of the tree. Changes nothing.
///
/// # Errors
/// [`InspectError`], where it cannot look; damage is no error but in the report.
pub fn verify(path: &Path) -> Result<Report, InspectError> {
    let (disk, _lock) = take(path)?;
    look(&(Arc::new(disk) as Arc<dyn Disk>))
}

/// Checks a disk that nobody else uses, as [`verify`] does.
pub(super) fn look(disk: &Arc<dyn Disk>) -> Result<Report, InspectError> {
    let Scanned { numbers, records, damage, .. } = scan(&**disk)?;
    let tree = Tree::new(Arc::clone(disk));
    let mut files = unreadable(&tree)?;
    if damage.is_none() && !numbers.is_empty() {
        // Whether the journal goes on where the tree stands.
        let found = recover::check(&**disk, &tree).map_err(|error| match error {
            RecoverError::Io(error) => InspectError::Io(error),
            other => InspectError::Place(other.to_string()),
        })?;
        for file in found {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files.extend(damaged_histories(&**disk, &tree)?);
    }
    let damage = damage.map(|damage| JournalDamage {
        file: name(damage.number),
        offset: damage.offset,
        reason: damage.reason.to_string(),
        later_segments: numbers.iter().filter(|number| **number > damage.number).count(),
    });
    Ok(Report { segments: numbers.len(), records, damage, files })
}

/// Cuts the journal at the place where it does not check out: what stands from there on is lost.
/// A copy of the journal as it was is kept; its path below the directory is the result.
///
/// # Errors
/// [`InspectError`]; then it can be tried again. The journal may be shorter by then, and histories may
/// lack what comes behind the cut.
pub fn repair(path: &Path, cut: &Cut) -> Result<String, InspectError> {
    let (disk, _lock) = take(path)?;
    let Scanned { numbers, damage, last, .. } = scan(&disk)?;
    let damage = damage.ok_or(InspectError::Sound)?;
    let at = &name(damage.number);
    if (&cut.file, cut.offset) != (at, damage.offset) {
        return Err(InspectError::Place(format!(
            "the journal checks out up to {at}:{}, so that is where it is to be cut",
            damage.offset
        )));
    }
    let kept = keep(&disk, &numbers)?;
    // While the journal still says where: once it checks out, nobody comes here again.
    let disk = Arc::new(disk);
    cut_histories(&(Arc::clone(&disk) as Arc<dyn Disk>), last)?;
    let disk = &*disk;
    // From the end, so that a kill in between leaves a journal that is only shorter.
    for number in numbers.iter().rev().filter(|number| **number > damage.number) {
        disk.remove(&segments::file_name(*number))?;
        disk.sync_directory(DIRECTORY)?;
    }
    if damage.offset == 0 {
        disk.remove(&segments::file_name(damage.number))?;
        disk.sync_directory(DIRECTORY)?;
    } else {
        segments::clear(&segments::open(disk, damage.number)?, damage.offset)?;
    }
    match scan(disk)?.damage {
        None => Ok(kept),
        Some(damage) => Err(InspectError::Place(format!("after the cut, {damage}; see {kept}"))),
    }
}

/// Takes the lock of a directory that holds a store.
pub(super) fn take(path: &Path) -> Result<(OsDisk, DirectoryLock), InspectError> {
    require_store(path)?;
    let lock = open::lock(path)?;
    let disk = OsDisk::open(path).map_err(|error| OpenError::from_io(path, error))?;
    open::require_known_format(&disk, path)?;
    Ok((disk, lock))
}

/// Refuses a directory that holds no store, and one of which that cannot be seen.
pub(super) fn require_store(path: &Path) -> Result<(), InspectError> {
    match fs::metadata(path.join(open::PRIVATE)) {
        Ok(found) if found.is_dir() => Ok(()),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(OpenError::from_io(path, error).into())
        }
        _ => Err(InspectError::NoStore(path.display().to_string())),
    }
}

/// A journal as far as it checks out.
struct Scanned {
    numbers: Vec<u64>,
    records: u64,
    /// The last record that is left where it is cut; 0 where there is none.
    last: u64,
    damage: Option<Damage>,
}

/// Reads the journal as far as it checks out.
fn scan(disk: &dyn Disk) -> Result<Scanned, InspectError> {
    let numbers = match segments::numbers(disk) {
        Ok(numbers) => numbers,
        // Of the format before there was a journal.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut scanner = Scanner::default();
    let (mut records, mut damage, mut next) = (0, None, scanner.next_sequence());
    for number in &numbers {
        let bytes = segments::read(disk, *number)?;
        let scanned = scanner.segment(*number, &bytes, |record| {
            record.entry()?;
            records += 1;
            Ok::<_, Damage>(())
        });
        damage = scanned.err();
        // Where a segment tells that the one before it lacks something, it goes, and its marks.
        if damage.as_ref().is_none_or(|damage| damage.number == *number) {
            next = scanner.next_sequence();
        }
        if damage.is_some() {
            break;
        }
    }
    Ok(Scanned { numbers, records, last: next - 1, damage })
}

/// Copies the segments aside, durably.
fn keep(disk: &OsDisk, numbers: &[u64]) -> Result<String, InspectError> {
    let mut attempt = 1;
    let directory = loop {
        let directory = format!(".stowage/journal-before-repair-{attempt}");
        match disk.make_directory(&directory) {
            Ok(()) => break directory,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    };
    for number in numbers {
        let file = disk.create(&format!("{directory}/{}", name(*number)))?;
        file.write_all_at(&segments::read(disk, *number)?, 0)?;
        file.sync()?;
    }
    disk.sync_directory(&directory)?;
    disk.sync_directory(".stowage")?;
    Ok(directory)
}

/// The namespaces that do not read as such.
fn unreadable(tree: &Tree) -> Result<Vec<String>, InspectError> {
    let mut paths = Vec::new();
    tree.walk(NAMESPACES.trim_end_matches('/'), &mut |path| paths.push(path.to_owned()))?;
    paths.sort_unstable();
    let mut found = Vec::new();
    for path in paths {
        match tree.read(&path) {
            Ok(None) => {}
            Ok(Some((_, bytes))) => {
                if let Err(damage) = namespace_file::decode(&bytes) {
                    found.push(format!("{path} is damaged: {damage}"));
                }
            }
            Err(error) => found.push(error.to_string()),
        }
    }
    Ok(found)
}

/// Takes out of the histories what comes behind this record: its sequence is given again.
fn cut_histories(disk: &Arc<dyn Disk>, last: u64) -> Result<(), InspectError> {
    for path in histories(&Tree::new(Arc::clone(disk)))? {
        history::cut(&**disk, &path, last)?;
        disk.sync_directory(split(&path).0)?;
    }
    Ok(())
}

/// The files of all histories, in order.
fn histories(tree: &Tree) -> Result<Vec<String>, InspectError> {
    let mut paths = Vec::new();
    tree.walk(history::DIRECTORY, &mut |path| paths.push(path.to_owned()))?;
    paths.retain(|path| history::is_file_name(path));
    paths.sort_unstable();
    Ok(paths)
}

/// The files of histories that do not check out, but for what a crash cut short.
fn damaged_histories(disk: &dyn Disk, tree: &Tree) -> Result<Vec<String>, InspectError> {
    let saved = recover::saved(disk).map_err(|error| InspectError::Place(error.to_string()))?;
    let mut found = Vec::new();
    for path in histories(tree)? {
        if let Some(end) = history::check(disk, &path, saved)? {
            found.push(format!(
                "{path} checks out up to byte {end} only: versions behind that are lost; restore the \
                 file from a backup, or remove it to give up what is in it"
            ));
        }
    }
    Ok(found)
}

fn name(number: u64) -> String {
    split(&segments::file_name(number)).1.to_owned()
}
