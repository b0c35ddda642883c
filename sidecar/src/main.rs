//! `stowage-sidecar`: parses the command line, runs the command, says how it ended.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use stowage_sidecar::command::{Arguments, WRONG_INPUT, run};
use tikv_jemallocator::Jemalloc;

/// A request takes some tens of small pieces of memory, and a peak is given back to the system.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be said where the output is closed.
            let _ = error.print();
            // Not clap's 2, which is that of a sync whose files are invalid.
            return if error.use_stderr() { WRONG_INPUT.into() } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => {
            // Where standard error is gone, the exit code has to say it alone.
            let _ = writeln!(std::io::stderr(), "stowage-sidecar: {failure}");
            failure.exit_code()
        }
    }
}
