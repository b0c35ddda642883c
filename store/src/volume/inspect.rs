//! Looking at a directory that is not being served, and giving up what cannot be read.

use std::path::Path;
use std::sync::Arc;

use super::lock::DirectoryLock;
use super::namespace_file;
use super::open::{self, OpenError};
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
    let (numbers, records, damage) = scan(&disk)?;
    let damage = damage.map(|damage| JournalDamage {
        file: name(damage.number),
        offset: damage.offset,
        reason: damage.reason.to_string(),
        later_segments: numbers.iter().filter(|number| **number > damage.number).count(),
    });
    Ok(Report { segments: numbers.len(), records, damage, files: unreadable(disk)? })
}

/// Cuts the journal at the place where it does not check out: what stands from there on is lost.
/// A copy of the journal as it was is kept; its path below the directory is the result.
///
/// # Errors
/// [`InspectError`]; then nothing was cut.
pub fn repair(path: &Path, cut: &Cut) -> Result<String, InspectError> {
    let (disk, _lock) = take(path)?;
    let (numbers, _, damage) = scan(&disk)?;
    let damage = damage.ok_or(InspectError::Sound)?;
    let at = &name(damage.number);
    if (&cut.file, cut.offset) != (at, damage.offset) {
        return Err(InspectError::Place(format!(
            "the journal checks out up to {at}:{}, so that is where it is to be cut",
            damage.offset
        )));
    }
    let kept = keep(&disk, &numbers)?;
    // From the end, so that a kill in between leaves a journal that is only shorter.
    for number in numbers.iter().rev().filter(|number| **number > damage.number) {
        disk.remove(&segments::file_name(*number))?;
        disk.sync_directory(DIRECTORY)?;
    }
    if damage.offset == 0 {
        disk.remove(&segments::file_name(damage.number))?;
        disk.sync_directory(DIRECTORY)?;
    } else {
        segments::clear(&segments::open(&disk, damage.number)?, damage.offset)?;
    }
    match scan(&disk)?.2 {
        None => Ok(kept),
        Some(damage) => Err(InspectError::Place(format!("after the cut, {damage}; see {kept}"))),
    }
}

/// Takes the lock of a directory that holds a store.
pub(super) fn take(path: &Path) -> Result<(OsDisk, DirectoryLock), InspectError> {
    if !path.join(".stowage").is_dir() {
        return Err(InspectError::NoStore(path.display().to_string()));
    }
    let lock = open::lock(path)?;
    let disk = OsDisk::open(path).map_err(|error| OpenError::from_io(path, error))?;
    open::require_known_format(&disk, path)?;
    Ok((disk, lock))
}

/// Reads the journal as far as it checks out.
fn scan(disk: &dyn Disk) -> Result<(Vec<u64>, u64, Option<Damage>), InspectError> {
    let numbers = match segments::numbers(disk) {
        Ok(numbers) => numbers,
        // Of the format before there was a journal.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut scanner = Scanner::default();
    let mut records = 0;
    for number in &numbers {
        let bytes = segments::read(disk, *number)?;
        let scanned = scanner.segment(*number, &bytes, |record| {
            record.entry()?;
            records += 1;
            Ok::<_, Damage>(())
        });
        if let Err(damage) = scanned {
            return Ok((numbers, records, Some(damage)));
        }
    }
    Ok((numbers, records, None))
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
fn unreadable(disk: OsDisk) -> Result<Vec<String>, InspectError> {
    let tree = Tree::new(Arc::new(disk));
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

fn name(number: u64) -> String {
    split(&segments::file_name(number)).1.to_owned()
}
