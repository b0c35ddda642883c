//! The command line of Stowage: its Stores and Git sources on one machine, without a cluster.

pub mod args;
mod conformance;
pub mod exit;
mod logging;
pub mod manifests;
mod up;
mod validate;
mod version;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command, LogFormat};
use crate::exit::{Failure, WRONG_INPUT};

/// Runs the command line, and says on standard error what went wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            // Nothing can be said where the output is closed.
            let _ = error.print();
            return if wrong { ExitCode::from(WRONG_INPUT) } else { ExitCode::SUCCESS };
        }
    };
    let done = match &cli.command {
        Command::Up(args) => up::run(args).map(|()| ExitCode::SUCCESS),
        Command::Validate(args) => validate::run(args),
        Command::Conformance(args) => conformance::run(args),
        Command::Version(args) => print(&version::render(args)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "stowage", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    done.unwrap_or_else(|failure| {
        match &cli.command {
            Command::Up(args) if args.log_format == LogFormat::Json => {
                tracing::error!("{failure}");
            }
            _ => {
                let _ = writeln!(std::io::stderr(), "stowage: {failure}");
            }
        }
        failure.exit_code()
    })
}

/// Prints to standard output; a reader that has gone (`stowage … | head`) is no failure.
fn print(text: &str) -> Result<ExitCode, Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Environment(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
