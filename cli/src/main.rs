//! The `stowage` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// `stowage up` is the server, which says why.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    stowage::run(std::env::args_os())
}
