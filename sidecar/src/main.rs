//! `stowage-sidecar`: parses the command line, runs the command, says how it ended.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use stowage_sidecar::command::{Arguments, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => {
            // Where standard error is gone, the exit code has to say it alone.
            let _ = writeln!(std::io::stderr(), "stowage-sidecar: {failure}");
            failure.exit_code()
        }
    }
}
