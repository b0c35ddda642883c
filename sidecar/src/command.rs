//! The binary's commands, and how each of them ends.

mod arguments;
mod check;
mod failure;
mod keys;
mod logs;
mod reload;
mod report;
mod restore;
mod serve;
mod snapshot;
mod sync;
mod tokens;
mod usable;
mod volume;

use std::io::Write;
use std::process::ExitCode;

pub use arguments::{Arguments, Command, LogFormat};
pub use failure::{Failure, WRONG_INPUT};

/// Runs a command.
///
/// # Errors
/// [`Failure`] with a sentence for a person and an exit code for a script.
pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Serve(options) => serve::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Sync(options) => sync::run(&options),
        Command::Snapshot(options) => snapshot::run(&options),
        Command::Restore(options) => restore::run(&options),
        Command::Verify(options) => volume::verify(&options),
        Command::Repair(options) => volume::repair(&options),
        Command::Openapi => Ok(print(&crate::openapi::document())),
        Command::Version => Ok(print(concat!("stowage-sidecar ", env!("CARGO_PKG_VERSION"), "\n"))),
    }
}

/// A reader that has gone does not want to know.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
