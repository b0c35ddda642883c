//! Directories that cannot be opened, and what a process that was killed has left.

#[path = "support/keys.rs"]
mod keys;
#[path = "support/volume.rs"]
mod volume;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use stowage_store::volume::verify;
use stowage_store::{OpenError, Preconditions, Store, StoreError};
use tempfile::TempDir;

use keys::{document, namespace};
use volume::{get, new_store, open, patch, put};

/// The other process.
const CHILD: &str = env!("CARGO_BIN_EXE_stowage-store-child");

#[tokio::test]
async fn a_directory_in_use_is_refused_until_its_store_is_closed() {
    let (directory, store) = new_store();
    let expected = format!(
        "{} is in use by the process {}: stop that one first, or name another directory",
        directory.path().display(),
        std::process::id()
    );
    assert_eq!(open(directory.path()).expect_err("a second store").to_string(), expected);
    let other_process = in_another_process(&mut Command::new(CHILD), directory.path());
    assert_eq!(other_process, Err(expected));
    put(&store, &document("a"), "1").await;

    store.shutdown().await;
    let again = open(directory.path()).expect("the lock is free once a shutdown has returned");
    assert!(get(&again, &document("a")).await.is_some());
    drop(again);
    open(directory.path()).expect("the lock is free once a store is dropped");
}

#[tokio::test]
async fn a_directory_in_use_is_refused_also_where_its_lock_file_was_removed() {
    let (directory, store) = new_store();
    fs::remove_file(directory.path().join(".stowage/lock")).expect("the lock file");
    let error = open(directory.path()).expect_err("a second store");
    assert!(matches!(error, OpenError::InUse { pid: None, .. }), "{error:?}");
    drop(store);
    open(directory.path()).expect("the lock is free once a store is dropped");
}

#[tokio::test]
async fn a_lock_file_without_a_process_is_no_lock() {
    let (directory, store) = new_store();
    drop(store);
    fs::write(directory.path().join(".stowage/lock"), "1\n").expect("an old lock file");
    open(directory.path()).expect("a file that nobody has locked");

    let store = open(directory.path()).expect("a store");
    fs::write(directory.path().join(".stowage/lock"), "?").expect("a garbled lock file");
    let error = open(directory.path()).expect_err("a second store");
    assert!(matches!(error, OpenError::InUse { pid: None, .. }), "{error:?}");
    assert!(error.to_string().contains(" is in use by another process: "), "{error}");
    drop(store);
}

#[test]
fn what_is_no_directory_is_refused() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, "kept").expect("a file");
    for path in [file.clone(), file.join("below"), file.join("far/below")] {
        let error = open(&path).expect_err("no directory");
        assert!(matches!(error, OpenError::NotADirectory { .. }), "{error:?}");
        let expected = format!(
            "{} is not a directory, or lies below something that is none: \
             name a directory, or one that can be made",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(fs::read_to_string(&file).expect("the file"), "kept");

    let path = directory.path().join("missing/data");
    let expected = format!(
        "{} cannot be made, because the directory above it does not exist: make that first",
        path.display()
    );
    assert_eq!(open(&path).expect_err("no parent").to_string(), expected);
    assert!(!directory.path().join("missing").exists(), "a mistyped path is not made");
}

#[test]
fn what_the_system_refuses_is_passed_on() {
    let path = std::env::temp_dir().join("n".repeat(300));
    let error = open(&path).expect_err("too long a name");
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    let expected = format!(
        "{} cannot be opened: File name too long (os error 36); \
         see that the volume is mounted, sound and not full",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn another_format_is_refused_and_left_alone() {
    for found in ["6", "", "not a number"] {
        let (directory, store) = new_store();
        drop(store);
        let temporary = directory.path().join(".stowage/tmp/7");
        fs::write(&temporary, "another version's").expect("a file");
        fs::write(directory.path().join(".stowage/format"), found).expect("another format");
        let error = open(directory.path()).expect_err("another format");
        let expected = format!(
            "{} is in format {found:?}, and this version reads formats 1 to 5 only: \
             use the version that wrote it, or a newer one",
            directory.path().display()
        );
        assert_eq!(error.to_string(), expected);
        assert!(temporary.exists(), "nothing of another format is swept");
    }
}

#[test]
fn a_format_before_is_brought_up_to_date() {
    for found in ["1\n", "2\n", "3\n", "4\n"] {
        let (directory, store) = new_store();
        drop(store);
        let path = directory.path().join(".stowage/format");
        fs::write(&path, found).expect("a format");
        drop(open(directory.path()).expect("it is known"));
        assert_eq!(fs::read_to_string(&path).expect("the format"), "5\n", "from {found:?}");
    }
}

#[test]
fn without_permission_it_says_for_whom() {
    let directory = TempDir::new().expect("a temporary directory");
    let root = directory.path().join("data");
    fs::create_dir(&root).expect("a directory");
    let set_mode = |mode| {
        fs::set_permissions(&root, fs::Permissions::from_mode(mode)).expect("its mode");
    };
    set_mode(0o500);
    let is_root = rustix::process::geteuid().is_root();
    let mut command = if is_root { without_privileges() } else { Command::new(CHILD) };
    let opened = in_another_process(&mut command, &root);
    set_mode(0o700);
    let expected = format!(
        "no permission to read and write in {}: let the user with id {}, which this process \
         runs as, own it, on a file system that is mounted for writing",
        root.display(),
        rustix::process::geteuid().as_raw()
    );
    assert_eq!(opened, Err(expected));
}

/// Root keeps its name and loses the right to pass over modes.
fn without_privileges() -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-dac_override,-dac_read_search").arg(CHILD);
    command
}

/// Opens a directory in another process; what went wrong, if something did.
fn in_another_process(command: &mut Command, directory: &Path) -> Result<(), String> {
    let output = command
        .arg("open")
        .arg(directory)
        .output()
        .expect("a second process; as root it needs setpriv, of the package util-linux");
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(stderr.trim_end().to_owned()),
        _ => panic!("expected that it opens or says why not; {}:\n{stderr}", output.status),
    }
}

#[tokio::test]
async fn what_a_killed_write_left_is_swept_at_the_start() {
    let (directory, store) = new_store();
    put(&store, &document("a"), "1").await;
    store.patch(&namespace("a"), patch("k", "1")).await.expect("a patch");
    drop(store);
    let temporary = directory.path().join(".stowage/tmp");
    fs::write(temporary.join("1"), "half").expect("a leftover");
    fs::write(temporary.join("format"), "").expect("a leftover");
    fs::create_dir_all(temporary.join("2/3")).expect("an odd leftover");
    symlink(directory.path(), temporary.join("3")).expect("an odd leftover");
    let store = open(directory.path()).expect("a store");
    assert_eq!(temporary.read_dir().expect("it is there").count(), 0);
    assert!(get(&store, &document("a")).await.is_some(), "what the link led to is untouched");
    assert_eq!(store.namespace(&namespace("a")).await.expect("it is served").version(), 1);
    put(&store, &document("a"), "2").await;
}

#[tokio::test]
async fn what_could_not_be_read_again_is_not_written() {
    let (_directory, store) = new_store();
    let tag = put(&store, &document("a"), "1").await;
    let body = Bytes::from(vec![0; (1 << 30) + 1]);
    let error = store.put(&document("a"), body, Preconditions::none()).await.expect_err("too long");
    assert!(
        matches!(&error, StoreError::Io(e) if e.kind() == std::io::ErrorKind::FileTooLarge),
        "{error:?}"
    );
    assert_eq!(get(&store, &document("a")).await, Some(("1".into(), tag)));
}

#[tokio::test]
async fn a_journal_with_a_link_or_a_stray_image_in_it_is_refused_and_left_alone() {
    let (directory, store) = new_store();
    put(&store, &document("a"), "1").await;
    drop(store);
    let journal = directory.path().join(".stowage/journal");
    let segment = journal.join("00000000000000000001.journal");
    let moved = directory.path().join(".stowage/moved");
    let refused = |why: &str| {
        let error = open(directory.path()).expect_err("no journal that can be used").to_string();
        assert!(error.contains(why), "expected {why:?} in: {error}");
        let error = verify(directory.path()).expect_err("it cannot be looked at").to_string();
        assert!(error.contains(why), "expected {why:?} in: {error}");
    };

    fs::rename(&segment, &moved).expect("it is moved");
    symlink(&moved, &segment).expect("a link");
    refused("00000000000000000001.journal is not a regular file");
    fs::remove_file(&segment).expect("the link");
    fs::rename(&moved, &segment).expect("it is moved back");

    let stray = journal.join("00000000000000000002.journal");
    fs::File::create(&stray).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    refused("is 1099511627776 bytes long, as no segment is");
    fs::remove_file(&stray).expect("the file");
    let store = open(directory.path()).expect("nothing was changed");
    assert!(get(&store, &document("a")).await.is_some());
}
