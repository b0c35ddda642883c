//! `restore`: a directory from a snapshot.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use stowage_store::volume::RestoreError;

use super::arguments::RestoreOptions;
use super::failure::Failure;
use super::snapshot::say;
use super::volume::counted;
use crate::snapshot::{RestoreFailed, restore};

/// What is read at once, in bytes.
const BUFFER: usize = 1 << 18;

/// Restores.
///
/// # Errors
/// [`Failure`]; where something was restored by then, no start serves it.
pub(super) fn run(options: &RestoreOptions) -> Result<ExitCode, Failure> {
    let directory = &options.directory;
    let contents = restore(input(&options.from)?, directory).map_err(|error| match error {
        RestoreFailed::NoSnapshot
        | RestoreFailed::Version(_)
        | RestoreFailed::Directory(RestoreError::NotEmpty { .. }) => {
            Failure::Configuration(error.to_string())
        }
        RestoreFailed::Cut | RestoreFailed::Damaged(_) => Failure::Damaged(error.to_string()),
        RestoreFailed::Directory(_) => Failure::Environment(error.to_string()),
    })?;
    say(&format!(
        "{} is as of sequence {}: {}, {}",
        directory.display(),
        contents.sequence,
        counted(contents.files, "file"),
        counted(contents.bytes, "byte")
    ));
    Ok(ExitCode::SUCCESS)
}

fn input(from: &Path) -> Result<Box<dyn Read>, Failure> {
    if from == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(Failure::Configuration(
                "standard input is a terminal: redirect it from a snapshot, or name one with --from"
                    .into(),
            ));
        }
        return Ok(Box::new(BufReader::with_capacity(BUFFER, io::stdin())));
    }
    match File::open(from) {
        Ok(file) => Ok(Box::new(BufReader::with_capacity(BUFFER, file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::Configuration(format!("{} is not there", from.display())))
        }
        Err(error) => Err(Failure::Environment(format!("{}: {error}", from.display()))),
    }
}
