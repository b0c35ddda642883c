//! The other process of the engine's tests: one that holds a directory's lock or has lost its
//! rights, is killed, or runs on a file system of its own. Only the tests start it, and no
//! release ships it.
//!
//! Where something is not as expected, it panics: it ends with 101 and has said on standard
//! error what it found.

#[path = "../tests/support/archives.rs"]
mod archives;
#[path = "../tests/support/keys.rs"]
mod keys;
#[path = "../tests/support/writes.rs"]
mod writes;

mod endless_writes;
mod full_of_archives;
mod full_of_history;
mod full_of_small;
mod full_volume;
mod large_archive;
mod little_memory;
mod read_only_volume;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use stowage_store::{OpenError, VolumeOptions, VolumeStore};

const USAGE: &str = "only the tests of stowage-store start this:
  stowage-store-child open DIRECTORY                opens it; ends with 1 and the reason if refused
  stowage-store-child write DIRECTORY FIRST         writes from this number on until it is killed
  stowage-store-child little-memory DIRECTORY fill|start   needs little memory, and says how much
  stowage-store-child full-volume DIRECTORY         fills the file system that is mounted there
  stowage-store-child full-of-archives DIRECTORY    fills it with archives
  stowage-store-child full-of-small DIRECTORY       fills it with small documents
  stowage-store-child full-of-history DIRECTORY     fills it with versions of documents
  stowage-store-child large-archive DIRECTORY LENGTH    uploads so many bytes and reads them
  stowage-store-child read-only-volume DIRECTORY    makes that file system read-only, and undoes it";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["open", directory] => {
            if let Err(error) = VolumeStore::open(Path::new(directory), &VolumeOptions::default()) {
                return end(1, &error.to_string());
            }
        }
        ["write", directory, first] => {
            let first = first.parse().expect("FIRST is a number");
            endless_writes::run(Path::new(directory), first).await;
        }
        ["large-archive", directory, length] => {
            let length = length.parse().expect("LENGTH is a number");
            large_archive::run(Path::new(directory), length).await;
        }
        ["little-memory", directory, part] => little_memory::run(Path::new(directory), part).await,
        ["full-volume", directory] => full_volume::run(Path::new(directory)).await,
        ["full-of-archives", directory] => full_of_archives::run(Path::new(directory)).await,
        ["full-of-small", directory] => full_of_small::run(Path::new(directory)).await,
        ["full-of-history", directory] => full_of_history::run(Path::new(directory)).await,
        ["read-only-volume", directory] => read_only_volume::run(Path::new(directory)).await,
        _ => return end(64, USAGE),
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "it is how this program answers")]
fn end(code: u8, text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(code)
}

/// Nothing is served from memory, so that a read shows what is on the disk.
fn open_uncached(path: &Path) -> Result<VolumeStore, OpenError> {
    VolumeStore::open(path, &VolumeOptions { cache_bytes: 0, ..VolumeOptions::default() })
}
