//! Programs that are run to their end, and what is said when they fail.

use std::io;
use std::process::{Command, ExitStatus, Stdio};

/// A program that could not be run or failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not there or may not be run.
    #[error("cannot run {program}: {source}")]
    Run {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It ended with a status other than 0.
    #[error("{line} failed ({status}): {output}")]
    Failed {
        /// What was run.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said on standard error.
        output: String,
    },
}

/// Runs a program without input and gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let result = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CommandError::Run { program, source })?;
    if result.status.success() {
        return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
    }
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    Err(CommandError::Failed {
        line: words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
        status: result.status,
        output: String::from_utf8_lossy(&result.stderr).trim_end().to_owned(),
    })
}
