//! The `stowage` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    stowage::run(std::env::args_os())
}
