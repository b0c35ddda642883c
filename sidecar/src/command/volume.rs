//! `verify` and `repair`: a directory that is not being served, from the outside.

use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;

use stowage_store::volume::{self, Cut, InspectError, JournalDamage};

use super::arguments::{RepairOptions, VerifyOptions};
use super::failure::{DAMAGED, Failure};

/// Looks, and says what it found.
///
/// # Errors
/// [`Failure::Environment`] where it cannot look.
pub(super) fn verify(options: &VerifyOptions) -> Result<ExitCode, Failure> {
    let report = volume::verify(&options.directory).map_err(failure)?;
    let mut lines = vec![format!(
        "the journal: {} of {} check out",
        counted(report.records, "record"),
        counted(report.segments as u64, "segment")
    )];
    if let Some(JournalDamage { file, offset, reason, later_segments }) = &report.damage {
        lines.push(format!("damaged: {file} at byte {offset}: {reason}"));
        let follow = match *later_segments {
            0 => String::new(),
            1 => " the segment that follows included,".to_owned(),
            count => format!(" the {count} segments that follow included,"),
        };
        lines.push(format!(
            "What was acknowledged from there on,{follow} may not be in the tree. A backup has it, \
             if it is later; to go on without it:\n  \
             stowage-sidecar repair --truncate-at {file}:{offset} {}",
            options.directory.display()
        ));
    }
    lines.extend(report.files.iter().map(|file| format!("damaged: {file}")));
    let is_sound = report.damage.is_none() && report.files.is_empty();
    if is_sound {
        lines.push("nothing is damaged".to_owned());
    }
    // A reader that has gone does not want to know.
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
}

/// Cuts.
///
/// # Errors
/// [`Failure`], and nothing was cut.
pub(super) fn repair(options: &RepairOptions) -> Result<ExitCode, Failure> {
    let Place(cut) = &options.truncate_at;
    let kept = volume::repair(&options.directory, cut).map_err(failure)?;
    let _ = writeln!(
        std::io::stdout(),
        "the journal ends at {}:{} now; as it was, it is kept in {}",
        cut.file,
        cut.offset,
        options.directory.join(kept).display()
    );
    Ok(ExitCode::SUCCESS)
}

fn failure(error: InspectError) -> Failure {
    match error {
        InspectError::Place(_) | InspectError::Sound | InspectError::NoStore(_) => {
            Failure::Configuration(error.to_string())
        }
        _ => Failure::Environment(error.to_string()),
    }
}

/// A number with its noun.
pub(super) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A place in the journal, as `verify` names it.
#[derive(Debug, Clone)]
pub struct Place(Cut);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "FILE:OFFSET, as `stowage-sidecar verify` names it".to_owned();
        let (file, offset) = text.rsplit_once(':').ok_or_else(wrong)?;
        let offset = offset.parse().map_err(|_| wrong())?;
        Ok(Self(Cut { file: file.to_owned(), offset }))
    }
}
