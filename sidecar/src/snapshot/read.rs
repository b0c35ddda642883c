//! Reading the tar stream of a snapshot into a directory.

use std::cell::Cell;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use stowage_store::volume::{FORMAT_FILE, MANIFEST, RESTORING, Restore, RestoreError};
use tar::{Archive, Entries, Entry, EntryType};

use super::content::{Contents, Tally, VERSION, nanoseconds};

/// What a tar is padded to, and half of its end.
const BLOCK: u64 = 512;

/// No small file of a snapshot is longer, in bytes.
const TEXT_MAX: u64 = 4096;

/// Why a snapshot is not restored. Once the directory was begun with, it is refused by every start
/// until it is emptied.
#[derive(Debug, thiserror::Error)]
pub enum RestoreFailed {
    /// It is something else, and nothing was changed.
    #[error("that is no snapshot: it does not begin like one. Nothing was changed")]
    NoSnapshot,
    /// It ends early.
    #[error("the snapshot is cut: it ends in the middle. {AGAIN}")]
    Cut,
    /// It is not what was written.
    #[error("the snapshot is damaged: {0}. {AGAIN}")]
    Damaged(String),
    /// A newer version has written it.
    #[error(
        "the snapshot is in format {0}, and this version reads format {VERSION} only: use a newer one"
    )]
    Version(u32),
    /// The directory cannot be filled.
    #[error(transparent)]
    Directory(#[from] RestoreError),
}

const AGAIN: &str = "What was restored of it is not served: empty the directory (its .stowage too), \
                     then restore another one";

/// Restores a snapshot into a directory that is empty or not there.
///
/// # Errors
/// [`RestoreFailed`].
pub fn restore(input: impl Read, directory: &Path) -> Result<Contents, RestoreFailed> {
    let so_far = Rc::new(SoFar::default());
    let input = Watched { input, so_far: Rc::clone(&so_far) };
    fill(Archive::new(input), directory, &so_far).map_err(|error| match error {
        RestoreFailed::Damaged(_) | RestoreFailed::NoSnapshot if so_far.failed.get().is_some() => {
            let kind = so_far.failed.get().unwrap_or(io::ErrorKind::Other);
            RestoreError::Read(kind.into()).into()
        }
        // Where it ends in the middle of something, that does not check out.
        RestoreFailed::Damaged(_) if so_far.is_over.get() => RestoreFailed::Cut,
        error => error,
    })
}

fn fill<R: Read>(
    mut archive: Archive<Watched<R>>,
    directory: &Path,
    so_far: &SoFar,
) -> Result<Contents, RestoreFailed> {
    let mut entries = archive.entries().map_err(|_| RestoreFailed::NoSnapshot)?;
    begins(&mut entries)?;
    let mut restore = Restore::begin(directory)?;
    let contents = files(&mut entries, &mut restore)?;
    let (format, end) = format(&mut entries)?;
    // Read to the end of the tar and no further: that of the stream may be long in coming.
    let end = end + 2 * BLOCK;
    let mut left = archive.into_inner().take(end.saturating_sub(so_far.count.get()));
    io::copy(&mut left, &mut io::sink()).map_err(|error| unreadable(&error))?;
    if so_far.count.get() < end {
        return Err(RestoreFailed::Cut);
    }
    restore.finish(&format).map_err(foreign)?;
    Ok(contents)
}

/// Everything up to the manifest, which it has to agree with.
fn files<R: Read>(
    entries: &mut Entries<'_, R>,
    restore: &mut Restore,
) -> Result<Contents, RestoreFailed> {
    let mut tally = Tally::default();
    loop {
        let mut entry = next(entries)?;
        let path = path(&entry)?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                // Those of the store's own are there.
                if path.split('/').next() != Some(".stowage") {
                    tally.directory(&path);
                    restore.directory(&path).map_err(foreign)?;
                }
            }
            EntryType::Regular if path == MANIFEST => {
                let text = text(&mut entry)?;
                let found = manifest(&text)?;
                if found != tally.contents(found.sequence) {
                    return Err(RestoreFailed::Damaged("its content does not check out".into()));
                }
                restore.file(MANIFEST, 0, &mut text.as_bytes())?;
                return Ok(found);
            }
            EntryType::Regular => {
                let (modified, length) = (modified(&mut entry)?, entry.size());
                let mut content = tally.file(&path, modified, length, &mut entry);
                if restore.file(&path, modified, &mut content).map_err(foreign)? != length {
                    return Err(RestoreFailed::Cut);
                }
            }
            other => {
                return Err(RestoreFailed::Damaged(format!("{path} is of the kind {other:?}")));
            }
        }
    }
}

/// The first file says that what follows is a part of a snapshot.
fn begins<R: Read>(entries: &mut Entries<'_, R>) -> Result<(), RestoreFailed> {
    let mut first = || next(entries).map_err(|_| RestoreFailed::NoSnapshot);
    let mut entry = first()?;
    if entry.header().entry_type() == EntryType::Directory && path(&entry)? == ".stowage" {
        entry = first()?;
    }
    let is_marker = entry.header().entry_type() == EntryType::Regular
        && path(&entry)? == FORMAT_FILE
        && text(&mut entry)? == format!("{RESTORING}\n");
    if is_marker { Ok(()) } else { Err(RestoreFailed::NoSnapshot) }
}

/// The last file names the format; also gives where its entry ends.
fn format<R: Read>(entries: &mut Entries<'_, R>) -> Result<(String, u64), RestoreFailed> {
    let mut last = next(entries)?;
    let is_format = path(&last)? == FORMAT_FILE;
    let format = text(&mut last)?.trim_end().to_owned();
    let end = last.raw_file_position() + last.size().next_multiple_of(BLOCK);
    drop(last);
    match entries.next() {
        None if is_format => Ok((format, end)),
        Some(Err(error)) => Err(unreadable(&error)),
        None | Some(Ok(_)) => Err(RestoreFailed::Damaged("its last file is another one".into())),
    }
}

fn next<'a, R: Read>(entries: &mut Entries<'a, R>) -> Result<Entry<'a, R>, RestoreFailed> {
    match entries.next() {
        Some(entry) => entry.map_err(|error| unreadable(&error)),
        None => Err(RestoreFailed::Cut),
    }
}

/// The path, without the slash at the end of a directory's.
fn path<R: Read>(entry: &Entry<'_, R>) -> Result<String, RestoreFailed> {
    let path = String::from_utf8(entry.path_bytes().into_owned())
        .map_err(|_| RestoreFailed::Damaged("a path is not UTF-8".into()))?;
    Ok(path.strip_suffix('/').unwrap_or(&path).to_owned())
}

fn modified<R: Read>(entry: &mut Entry<'_, R>) -> Result<i128, RestoreFailed> {
    let wrong = || RestoreFailed::Damaged("a file has no time".into());
    let extensions = entry.pax_extensions().map_err(|error| unreadable(&error))?;
    for extension in extensions.ok_or_else(wrong)? {
        let extension = extension.map_err(|error| unreadable(&error))?;
        if extension.key() == Ok("mtime") {
            return extension.value().ok().and_then(nanoseconds).ok_or_else(wrong);
        }
    }
    Err(wrong())
}

fn text<R: Read>(entry: &mut Entry<'_, R>) -> Result<String, RestoreFailed> {
    let (length, mut text) = (entry.size(), String::new());
    let read = entry.take(TEXT_MAX).read_to_string(&mut text);
    let read = read.map_err(|error| unreadable(&error))? as u64;
    match read == length {
        true => Ok(text),
        false if length > TEXT_MAX => Err(RestoreFailed::Damaged("a small file is long".into())),
        false => Err(RestoreFailed::Cut),
    }
}

fn manifest(text: &str) -> Result<Contents, RestoreFailed> {
    let contents: Contents = serde_json::from_str(text)
        .map_err(|error| RestoreFailed::Damaged(format!("what it says of itself: {error}")))?;
    match contents.snapshot {
        VERSION => Ok(contents),
        other => Err(RestoreFailed::Version(other)),
    }
}

fn unreadable(error: &io::Error) -> RestoreFailed {
    RestoreFailed::Damaged(error.to_string())
}

/// What only another snapshot helps against.
fn foreign(error: RestoreError) -> RestoreFailed {
    match error {
        RestoreError::Path(_) => RestoreFailed::Damaged(error.to_string()),
        RestoreError::Read(error) => unreadable(&error),
        RestoreError::Write { path, error } if error.kind() == io::ErrorKind::AlreadyExists => {
            RestoreFailed::Damaged(format!("{path} stands in it twice"))
        }
        error => error.into(),
    }
}

/// How the reading goes.
#[derive(Default)]
struct SoFar {
    count: Cell<u64>,
    is_over: Cell<bool>,
    failed: Cell<Option<io::ErrorKind>>,
}

struct Watched<R> {
    input: R,
    so_far: Rc<SoFar>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let SoFar { count, is_over, failed } = &*self.so_far;
        let read = self.input.read(buffer);
        match &read {
            Ok(0) => is_over.set(is_over.get() || !buffer.is_empty()),
            Ok(length) => count.set(count.get() + *length as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => failed.set(Some(error.kind())),
        }
        read
    }
}
