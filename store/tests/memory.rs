//! The memory of a process stays within the bound and a documented rest, while its store and its
//! journal are many times larger.

use std::path::Path;
use std::process::{Command, Output};

/// What the process may take: 16 MiB for data, as it is told; for itself and its requests what
/// `docs/configuration.md` says; and a segment of the journal.
const MIB_MAX: u64 = 16 + 32 + 4;

fn child(directory: &Path, part: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_stowage-store-child"))
        .args(["little-memory".as_ref(), directory.as_os_str(), part.as_ref()])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{part}: {}: {told}", output.status);
    output
}

#[test]
fn a_store_of_128_mib_and_its_journal_work_in_16() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    child(directory.path(), "fill");
    let output = child(directory.path(), "start");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let peaks: Vec<u64> = text.split_whitespace().filter_map(|kib| kib.parse().ok()).collect();
    let [after_the_start, at_the_end] = peaks[..] else { panic!("two numbers: {text}") };
    let told = format!("{after_the_start} KiB after the start, {at_the_end} KiB at the end");
    assert!(after_the_start <= MIB_MAX << 10, "{told}, and {MIB_MAX} MiB are allowed");
    assert!(at_the_end <= MIB_MAX << 10, "{told}, and {MIB_MAX} MiB are allowed");
}
