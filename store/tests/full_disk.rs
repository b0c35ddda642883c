//! A volume that is full, and one that is read-only: file systems of this test's own, in a mount
//! namespace of its own. That needs root, or a kernel that gives a user its own namespaces. What
//! must hold on them stands in the files of `child` with the names that are given here.

use std::process::Command;

use tempfile::TempDir;

/// Runs the other process with a file system of these options mounted on a directory that only
/// it sees; it ends with 0 where everything it looks at is as it expects.
fn with_a_file_system(options: &str, what: &str) {
    let directory = TempDir::new().expect("a temporary directory");
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .args(["--mount", "--", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o "$1" stowage-test "$2" && shift 2 && exec "$@""#)
        .args(["sh", options])
        .arg(directory.path())
        .args([env!("CARGO_BIN_EXE_stowage-store-child"), what])
        .arg(directory.path())
        .output()
        .expect("unshare, of the package util-linux");
    assert!(
        output.status.success(),
        "{what} (a file system of the test's own needs root or user namespaces); {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_full_volume_refuses_writes_and_serves_the_rest() {
    with_a_file_system("size=1m,mode=700", "full-volume");
}

#[test]
fn a_volume_without_free_files_refuses_creates_and_serves_the_rest() {
    with_a_file_system("size=16m,nr_inodes=24,mode=700", "full-volume");
}

#[test]
fn deletes_go_on_where_the_journal_holds_more_than_the_tree_has_room_for() {
    with_a_file_system("size=1m,mode=700", "full-of-small");
}

#[test]
fn versions_make_way_for_everything_else() {
    with_a_file_system("size=8m,mode=700", "full-of-history");
}

#[test]
fn versions_leave_the_last_files_of_a_volume_to_everything_else() {
    with_a_file_system("size=16m,nr_inodes=420,mode=700", "full-of-history");
}

#[test]
fn a_volume_full_of_archives_goes_on_with_everything_else() {
    with_a_file_system("size=2m,mode=700", "full-of-archives");
}

#[test]
fn archives_on_a_volume_without_free_files_are_refused_and_the_rest_goes_on() {
    with_a_file_system("size=16m,nr_inodes=32,mode=700", "full-of-archives");
}

#[test]
fn a_read_only_volume_is_refused() {
    with_a_file_system("size=1m,mode=700", "read-only-volume");
}
