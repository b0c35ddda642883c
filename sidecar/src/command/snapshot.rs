//! `snapshot`: a copy of a directory, as of one moment.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use stowage_store::volume::InspectError;
use tempfile::NamedTempFile;

use super::arguments::SnapshotOptions;
use super::failure::Failure;
use super::volume::counted;
use crate::snapshot::{Observer, Session, SessionError, SnapshotFailed, write};

/// What is written at once, in bytes.
const BUFFER: usize = 1 << 18;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Copies.
///
/// # Errors
/// [`Failure`]; a file is not made then, and what a stream got is refused by `restore`.
pub(super) fn run(options: &SnapshotOptions) -> Result<ExitCode, Failure> {
    let directory = &options.directory;
    let session = Session::open(directory).map_err(|error| failure(error.into()))?;
    let owner = fs::metadata(directory.join(".stowage"))
        .map(|metadata| (metadata.uid(), metadata.gid()))
        .map_err(|error| Failure::Environment(format!("{}: {error}", directory.display())))?;
    let mut output = Output::open(&options.to, directory)?;
    let mut told = Told { at: Instant::now() };
    let contents = {
        let buffered = BufWriter::with_capacity(BUFFER, output.file());
        write(session, buffered, owner, &mut told).map_err(failure)?
    };
    output.finish()?;
    say(&format!(
        "a snapshot of {} as of sequence {}: {}, {}",
        directory.display(),
        contents.sequence,
        counted(contents.files, "file"),
        counted(contents.bytes, "byte")
    ));
    Ok(ExitCode::SUCCESS)
}

struct Told {
    at: Instant,
}

impl Observer for Told {
    fn progress(&mut self, files: u64, bytes: u64) {
        if self.at.elapsed() >= TELL_EVERY {
            self.at = Instant::now();
            say(&format!("{}, {} so far", counted(files, "file"), counted(bytes, "byte")));
        }
    }

    fn skipped(&mut self, path: &str) {
        say(&format!("left out, since no store serves it: {path:?}"));
    }
}

/// Standard output may be the snapshot.
pub(super) fn say(line: &str) {
    // Where nobody listens, the exit code has to say it alone.
    let _ = writeln!(io::stderr(), "{line}");
}

fn failure(error: SnapshotFailed) -> Failure {
    match error {
        SnapshotFailed::Session(SessionError::Source(InspectError::NoStore(_))) => {
            Failure::Configuration(error.to_string())
        }
        _ => Failure::Environment(error.to_string()),
    }
}

/// Where a snapshot goes.
enum Output {
    Stream(File),
    /// It has its name once it is complete.
    File {
        temporary: NamedTempFile,
        to: PathBuf,
    },
}

impl Output {
    fn open(to: &Path, directory: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::Environment(format!("{}: {error}", to.display()));
        if to == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err(Failure::Configuration(
                    "standard output is a terminal: redirect it to a file, or name one with --to"
                        .into(),
                ));
            }
            return Ok(Self::Stream(
                io::stdout().as_fd().try_clone_to_owned().map_err(failed)?.into(),
            ));
        }
        // Looked at before the work is done; at the end it is the renaming that refuses.
        if to.symlink_metadata().is_ok() {
            return Err(exists(to));
        }
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let resolved = parent.canonicalize().map_err(failed)?;
        if resolved.starts_with(directory.canonicalize().map_err(failed)?) {
            return Err(Failure::Configuration(format!(
                "{} lies in the directory that is copied: name a file outside of it",
                to.display()
            )));
        }
        let temporary = tempfile::Builder::new()
            .prefix(".stowage-snapshot-")
            .tempfile_in(parent)
            .map_err(failed)?;
        Ok(Self::File { temporary, to: to.to_owned() })
    }

    fn file(&mut self) -> &mut File {
        match self {
            Self::Stream(file) => file,
            Self::File { temporary, .. } => temporary.as_file_mut(),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        let Self::File { temporary, to } = self else { return Ok(()) };
        let failed = |error: io::Error| Failure::Environment(format!("{}: {error}", to.display()));
        temporary.as_file().sync_all().map_err(failed)?;
        temporary.persist_noclobber(&to).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => exists(&to),
            _ => failed(error.error),
        })?;
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let synced = File::open(parent.unwrap_or(Path::new("."))).and_then(|it| it.sync_all());
        synced.map_err(failed)
    }
}

fn exists(to: &Path) -> Failure {
    Failure::Configuration(format!(
        "{} exists already: a snapshot is never written over something",
        to.display()
    ))
}
