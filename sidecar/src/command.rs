//! The binary's commands, and how each of them ends.

mod arguments;
mod check;
mod failure;
mod logs;
mod reload;
mod report;
mod restore;
mod serve;
mod snapshot;
mod sync;
mod tokens;
mod volume;

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
        Command::Version => {
            use std::io::Write as _;
            // A reader that has gone does not want to know.
            let _ = writeln!(std::io::stdout(), "stowage-sidecar {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}
