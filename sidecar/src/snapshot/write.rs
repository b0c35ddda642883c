//! Writing the tar stream of a snapshot.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stowage_store::disk::Kind;
use stowage_store::volume::snapshot::{CopyError, Source, Span, TreeFile};
use stowage_store::volume::{FORMAT_FILE, MANIFEST, RESTORING};
use tar::{Builder, EntryType, Header};

use super::content::{Contents, Tally, seconds};
use super::session::{Session, SessionError};

/// How often it is looked whether the copy can still succeed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why there is no snapshot. What was written of it is cut, and no restore takes it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFailed {
    /// The directory cannot be copied, or not any longer.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A file of it cannot be read.
    #[error("{path} cannot be read: {error}")]
    Read {
        /// The file or directory, below the root.
        path: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// The part of the journal that is needed is not there.
    #[error("{0}; the snapshot would not be complete: take it again")]
    Journal(CopyError),
    /// The stream cannot be written.
    #[error("the snapshot cannot be written: {0}")]
    Write(io::Error),
}

/// Hears how a snapshot comes along.
pub trait Observer {
    /// So many files and bytes are copied. It is called now and then.
    fn progress(&mut self, files: u64, bytes: u64);
    /// This is left out, since it is nothing that a store serves: a link, a device, or a name with
    /// a line break.
    fn skipped(&mut self, path: &str);
}

/// Writes a snapshot of the directory of a session to a stream; `owner` is the user and the group
/// that a `tar` run by root gives the files to.
///
/// # Errors
/// [`SnapshotFailed`].
pub fn write(
    mut session: Session,
    out: impl Write,
    owner: (u32, u32),
    observer: &mut impl Observer,
) -> Result<Contents, SnapshotFailed> {
    let stream = Stream::begin(out, owner).map_err(SnapshotFailed::Write)?;
    let mut copy = Copy { stream, copied: Names::default(), looked: Instant::now(), observer };
    copy.tree(&mut session)?;
    let span = copy.reach(&mut session)?;
    copy.history(&mut session, span.map_or(u64::MAX, |span| span.up_to))?;
    if let Some(span) = &span {
        copy.journal(&mut session, span)?;
    }
    let format = session.source().format().map_err(|error| unreadable(FORMAT_FILE, error))?;
    // Archives are not in the journal, so it need not be kept while they are copied.
    let source = session.end()?;
    copy.archives(&source)?;
    let sequence = span.map_or(0, |span| span.up_to);
    copy.stream.finish(sequence, &format).map_err(SnapshotFailed::Write)
}

struct Copy<'a, W: Write, O> {
    stream: Stream<W>,
    copied: Names,
    looked: Instant,
    observer: &'a mut O,
}

impl<W: Write, O: Observer> Copy<'_, W, O> {
    /// Everything but archives.
    fn tree(&mut self, session: &mut Session) -> Result<(), SnapshotFailed> {
        let mut left = self.list(session.source(), "")?;
        while let Some((path, kind)) = left.pop() {
            if self.looks() {
                session.check()?;
            }
            match kind {
                Kind::Directory => left.extend(self.directory(session.source(), &path)?),
                _ if Source::is_archive(&path) => {}
                Kind::File | Kind::Other => drop(self.file(session.source(), &path)?),
            }
        }
        Ok(())
    }

    /// Archives, once the sequence is known that everything else is of: a document that is copied
    /// speaks of none that was published before it and is not.
    fn archives(&mut self, source: &Source) -> Result<(), SnapshotFailed> {
        let mut left = self.list(source, "")?;
        left.retain(|(path, _)| path == Source::ARCHIVES);
        while let Some((path, kind)) = left.pop() {
            self.looks();
            match kind {
                Kind::Directory => left.extend(self.directory(source, &path)?),
                _ if Source::is_archive(&path) => drop(self.file(source, &path)?),
                Kind::File | Kind::Other => {}
            }
        }
        Ok(())
    }

    /// Makes a directory of the copy, once; gives what stands in it, the last first.
    fn directory(
        &mut self,
        source: &Source,
        path: &str,
    ) -> Result<Vec<(String, Kind)>, SnapshotFailed> {
        let list = self.list(source, path)?;
        if self.copied.add(path) {
            self.stream.directory(path).map_err(SnapshotFailed::Write)?;
        }
        Ok(list)
    }

    /// What stands in a directory, the last first.
    fn list(
        &mut self,
        source: &Source,
        directory: &str,
    ) -> Result<Vec<(String, Kind)>, SnapshotFailed> {
        let entries = source.entries(directory).map_err(|error| unreadable(directory, error))?;
        let below = |name| if directory.is_empty() { name } else { format!("{directory}/{name}") };
        let mut list = Vec::with_capacity(entries.len());
        for (name, kind) in entries.into_iter().rev() {
            let path = below(name);
            if kind == Kind::Other || path.contains('\n') {
                if self.copied.add(&path) {
                    self.observer.skipped(&path);
                }
            } else {
                list.push((path, kind));
            }
        }
        Ok(list)
    }

    /// Copies a file; says whether it was there.
    fn file(&mut self, source: &Source, path: &str) -> Result<bool, SnapshotFailed> {
        let Some(file) = source.open(path).map_err(|error| unreadable(path, error))? else {
            return Ok(false);
        };
        let (modified, length) = (file.modified(), file.length());
        let mut content = Readable { file, error: None };
        let written = self.stream.file(path, modified, length, &mut content);
        if let Some(error) = content.error {
            return Err(unreadable(path, error));
        }
        written.map_err(SnapshotFailed::Write)?;
        self.copied.add(path);
        Ok(true)
    }

    /// Finds the sequence that the copy is to be of, and copies what was missed until then.
    fn reach(&mut self, session: &mut Session) -> Result<Option<Span>, SnapshotFailed> {
        loop {
            let Some(span) = session.barrier()? else { return Ok(None) };
            let patched = session.source().patched(&span);
            let patched = patched.map_err(|error| incomplete(session, error))?;
            let missed: Vec<_> =
                patched.into_iter().filter(|path| !self.copied.has(path)).collect();
            if missed.is_empty() {
                return Ok(Some(span));
            }
            for path in missed {
                if !self.file(session.source(), &path)? {
                    return Err(unreadable(&path, io::ErrorKind::NotFound.into()));
                }
            }
        }
    }

    /// The versions before the current ones, as of the sequence that is reached: what the tree has
    /// that was copied, its history has.
    fn history(&mut self, session: &mut Session, up_to: u64) -> Result<(), SnapshotFailed> {
        let mut left = self.list(session.source(), Source::HISTORY)?;
        while let Some((path, kind)) = left.pop() {
            if self.looks() {
                session.check()?;
            }
            if kind == Kind::Directory {
                left.extend(self.list(session.source(), &path)?);
                continue;
            }
            let file = session.source().open_history(&path, up_to);
            let Some(file) = file.map_err(|error| unreadable(&path, error))? else { continue };
            let length = file.length();
            let mut content = Readable { file, error: None };
            let written = self.stream.file(&path, 0, length, &mut content);
            if let Some(error) = content.error {
                return Err(unreadable(&path, error));
            }
            written.map_err(SnapshotFailed::Write)?;
        }
        Ok(())
    }

    fn journal(&mut self, session: &mut Session, span: &Span) -> Result<(), SnapshotFailed> {
        self.stream.private_directory(JOURNAL).map_err(SnapshotFailed::Write)?;
        let copied = session.source().journal(span, |path, bytes| {
            self.looks();
            self.stream.file(path, 0, bytes.len() as u64, bytes)
        });
        copied.map_err(|error| match error {
            CopyError::Write(error) => SnapshotFailed::Write(error),
            error => incomplete(session, error),
        })
    }

    /// Whether it is time to look at the server again.
    fn looks(&mut self) -> bool {
        let is_time = self.looked.elapsed() >= LOOK_EVERY;
        if is_time {
            self.looked = Instant::now();
            self.observer.progress(self.stream.tally.files, self.stream.tally.bytes);
        }
        is_time
    }
}

/// The server may have said why.
fn incomplete(session: &mut Session, error: CopyError) -> SnapshotFailed {
    session.check().err().map_or(SnapshotFailed::Journal(error), SnapshotFailed::Session)
}

fn unreadable(path: &str, error: io::Error) -> SnapshotFailed {
    let path = if path.is_empty() { "the directory" } else { path };
    SnapshotFailed::Read { path: path.to_owned(), error }
}

/// The journal's directory.
const JOURNAL: &str = ".stowage/journal";

/// Names that were reached, by their hashes: there may be millions. That two have the same would
/// only matter where one of them was missed.
#[derive(Default)]
struct Names(HashSet<u64>, RandomState);

impl Names {
    /// Says whether it is new.
    fn add(&mut self, path: &str) -> bool {
        self.0.insert(self.1.hash_one(path))
    }

    fn has(&self, path: &str) -> bool {
        self.0.contains(&self.1.hash_one(path))
    }
}

/// Keeps apart what reading and what writing failed with.
struct Readable {
    file: TreeFile,
    error: Option<io::Error>,
}

impl Read for Readable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).map_err(|error| {
            let kind = error.kind();
            self.error = Some(error);
            kind.into()
        })
    }
}

/// A tar in the PAX format, closed to other users as the store's own files are.
struct Stream<W: Write> {
    tar: Builder<W>,
    tally: Tally,
    owner: (u32, u32),
    now: u64,
}

impl<W: Write> Stream<W> {
    /// First of all it says that it is a part: it is, until its last file says otherwise.
    fn begin(out: W, owner: (u32, u32)) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let mut stream = Self { tar: Builder::new(out), tally: Tally::default(), owner, now };
        stream.private_directory(".stowage")?;
        stream.untallied(FORMAT_FILE, &format!("{RESTORING}\n"))?;
        Ok(stream)
    }

    fn directory(&mut self, path: &str) -> io::Result<()> {
        self.tally.directory(path);
        self.private_directory(path)
    }

    /// One that every restore makes anyway.
    fn private_directory(&mut self, path: &str) -> io::Result<()> {
        let header = self.header(&format!("{path}/"), EntryType::Directory, 0, None)?;
        self.tar.append(&header, io::empty())
    }

    fn file(
        &mut self,
        path: &str,
        modified: i128,
        length: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let header = self.header(path, EntryType::Regular, length, Some(modified))?;
        self.tar.append(&header, self.tally.file(path, modified, length, content))
    }

    fn untallied(&mut self, path: &str, content: &str) -> io::Result<()> {
        let header = self.header(path, EntryType::Regular, content.len() as u64, None)?;
        self.tar.append(&header, content.as_bytes())
    }

    /// The header of an entry; what does not fit into it is written before.
    fn header(
        &mut self,
        path: &str,
        entry_type: EntryType,
        length: u64,
        modified: Option<i128>,
    ) -> io::Result<Header> {
        let mut header = Header::new_ustar();
        header.set_entry_type(entry_type);
        header.set_mode(if entry_type == EntryType::Directory { 0o700 } else { 0o600 });
        header.set_uid(self.owner.0.into());
        header.set_gid(self.owner.1.into());
        header.set_size(length);
        let whole = modified.map(|it| u64::try_from(it.div_euclid(1_000_000_000)).unwrap_or(0));
        header.set_mtime(whole.unwrap_or(self.now));
        let mut fits = false;
        if let Some(ustar) = header.as_ustar_mut() {
            let length = path.len().min(ustar.name.len());
            ustar.name[..length].copy_from_slice(&path.as_bytes()[..length]);
            fits = length == path.len() && path.is_ascii();
        }
        header.set_cksum();
        let time = modified.map(seconds);
        let extensions = [
            (!fits).then_some(("path", path.as_bytes())),
            time.as_deref().map(|time| ("mtime", time.as_bytes())),
        ];
        self.tar.append_pax_extensions(extensions.into_iter().flatten())?;
        Ok(header)
    }

    fn finish(mut self, sequence: u64, format: &str) -> io::Result<Contents> {
        let contents = std::mem::take(&mut self.tally).contents(sequence);
        self.untallied(MANIFEST, &format!("{}\n", serde_json::to_string(&contents)?))?;
        self.untallied(FORMAT_FILE, &format!("{format}\n"))?;
        self.tar.into_inner()?.flush()?;
        Ok(contents)
    }
}
