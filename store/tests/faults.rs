//! Directories that cannot be opened, files that are not what the store wrote, and what a
//! person does to the tree while the store is stopped.

#[path = "support/keys.rs"]
mod keys;

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use stowage_store::{
    Change, EntityTag, Key, OpenError, Patch, Preconditions, Prefix, Store, StoreError,
    VolumeOptions, VolumeStore,
};
use tempfile::TempDir;

use keys::{document, namespace, set};

fn open(path: &Path) -> Result<VolumeStore, OpenError> {
    VolumeStore::open(path, &VolumeOptions::default())
}

/// A store in a new directory, and where that is.
fn new_store() -> (TempDir, VolumeStore) {
    let directory = TempDir::new().expect("a temporary directory");
    let store = open(directory.path()).expect("a store in a new directory");
    (directory, store)
}

async fn put(store: &VolumeStore, key: &Key, body: &'static str) -> EntityTag {
    store.put(key, body.into(), Preconditions::none()).await.expect("a put").tag
}

async fn get(store: &VolumeStore, key: &Key) -> Option<(String, EntityTag)> {
    let object = store.get(key).await.expect("a get")?;
    Some((String::from_utf8_lossy(&object.body).into_owned(), object.tag.clone()))
}

fn patch(key: &str, value: &str) -> Patch {
    Patch { operations: vec![set(key, value)], ..Patch::default() }
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).expect("a file").modified().expect("its time")
}

/// Writes a file again, with other bytes and at the same time as before.
fn edit_and_keep_the_time(path: &Path, content: &str) {
    let time = modified(path);
    fs::write(path, content).expect("an edit");
    let file = File::options().write(true).open(path).expect("the file");
    file.set_times(FileTimes::new().set_modified(time)).expect("the time is set back");
}

#[tokio::test]
async fn the_tree_is_what_a_person_expects_to_find() {
    let parent = TempDir::new().expect("a temporary directory");
    let root = parent.path().join("data");
    let store = open(&root).expect("the directory is made");
    put(&store, &Key::default_run_store(), r#"{"a":1}"#).await;
    put(&store, &document("x"), "[]").await;
    store.patch(&namespace("cart"), patch("k", "1.0")).await.expect("a patch");
    store.patch(&namespace("cart"), patch("a", r#""\ud83d""#)).await.expect("a patch");

    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    assert_eq!(read("run-store.json"), r#"{"a":1}"#);
    assert_eq!(read("run-stores/x.json"), "[]");
    assert_eq!(read("kv/cart.json"), r#"{"version":"2","snapshot":{"a":"\ud83d","k":1.0}}"#);
    assert_eq!(read(".stowage/format"), "1\n");
    assert_eq!(read(".stowage/lock"), format!("{}\n", std::process::id()));
    for path in ["", ".stowage", "run-stores", "run-store.json", "kv/cart.json"] {
        let mode = fs::metadata(root.join(path)).expect(path).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path:?} is closed to other users: {mode:o}");
    }
}

#[tokio::test]
async fn a_directory_in_use_is_refused_until_its_store_is_closed() {
    let (directory, store) = new_store();
    let expected = format!(
        "{} is in use by the process {}: stop that one first, or name another directory",
        directory.path().display(),
        std::process::id()
    );
    assert_eq!(open(directory.path()).expect_err("a second store").to_string(), expected);
    let other_process = in_another_process(&mut this_program(), directory.path());
    assert_eq!(other_process, Err(expected));
    put(&store, &document("a"), "1").await;

    store.shutdown().await;
    let again = open(directory.path()).expect("the lock is free once a shutdown has returned");
    assert!(get(&again, &document("a")).await.is_some());
    drop(again);
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
    for found in ["2", "", "not a number"] {
        let (directory, store) = new_store();
        drop(store);
        let temporary = directory.path().join(".stowage/tmp/7");
        fs::write(&temporary, "another version's").expect("a file");
        fs::write(directory.path().join(".stowage/format"), found).expect("another format");
        let error = open(directory.path()).expect_err("another format");
        let expected = format!(
            "{} is in format {found:?}, and this version reads format 1 only: \
             use the version that wrote it, or a newer one",
            directory.path().display()
        );
        assert_eq!(error.to_string(), expected);
        assert!(temporary.exists(), "nothing of another format is swept");
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
    let mut command = if is_root { without_privileges() } else { this_program() };
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

fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("this program"))
}

/// Root keeps its name and loses the right to pass over modes.
fn without_privileges() -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg(std::env::current_exe().expect("this program"));
    command
}

const DIRECTORY: &str = "STOWAGE_TEST_DIRECTORY";
const OPENED: &str = "opened: ";

/// Opens a directory in another process; what went wrong, if something did.
fn in_another_process(command: &mut Command, directory: &Path) -> Result<(), String> {
    let output = command
        .args(["--exact", "--ignored", "--nocapture", "opens_a_directory"])
        .env(DIRECTORY, directory)
        .output()
        .expect("a second process; as root it needs setpriv, of the package util-linux");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout.lines().find_map(|line| line.strip_prefix(OPENED));
    match line {
        Some("") => Ok(()),
        Some(error) => Err(error.to_owned()),
        None => panic!("{stdout}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
#[ignore = "the process that the tests above start"]
fn opens_a_directory() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("the tests above set it"));
    let error = open(&directory).err().map(|error| error.to_string()).unwrap_or_default();
    println!("\n{OPENED}{error}");
}

#[tokio::test]
async fn what_a_killed_write_left_is_swept_at_the_start() {
    let (directory, store) = new_store();
    put(&store, &document("a"), "1").await;
    drop(store);
    let temporary = directory.path().join(".stowage/tmp");
    fs::write(temporary.join("1"), "half").expect("a leftover");
    fs::write(temporary.join("format"), "").expect("a leftover");
    fs::create_dir_all(temporary.join("2/3")).expect("an odd leftover");
    symlink(directory.path(), temporary.join("3")).expect("an odd leftover");
    let store = open(directory.path()).expect("a store");
    assert_eq!(temporary.read_dir().expect("it is there").count(), 0);
    assert!(get(&store, &document("a")).await.is_some(), "what the link led to is untouched");
    put(&store, &document("a"), "2").await;
}

#[tokio::test]
async fn a_damaged_namespace_is_neither_served_nor_overwritten() {
    let (directory, store) = new_store();
    store.patch(&namespace("a"), patch("k", "1")).await.expect("a patch");
    store.patch(&namespace("b"), patch("k", "1")).await.expect("a patch");
    drop(store);
    let path = directory.path().join("kv/a.json");
    let whole = fs::read_to_string(&path).expect("the file");
    let damaged = &whole[..whole.len() - 4];
    fs::write(&path, damaged).expect("damage");

    let store = open(directory.path()).expect("the rest is sound");
    let expected = "kv/a.json is damaged: line 1, column 30 does not go on as \
                    {\"version\":\"<n>\",\"snapshot\":{…}}; stop the store, then restore the file \
                    from a backup or move it away";
    for _ in 0..2 {
        let read = store.namespace(&namespace("a")).await.expect_err("damage");
        assert_eq!(read.to_string(), expected);
        let written = store.patch(&namespace("a"), patch("k", "2")).await.expect_err("damage");
        assert!(matches!(written, StoreError::Corrupt { .. }), "{written:?}");
        assert_eq!(written.to_string(), expected);
    }
    assert_eq!(fs::read_to_string(&path).expect("the file"), damaged);
    store.patch(&namespace("b"), patch("k", "2")).await.expect("the other one is served");
    drop(store);

    fs::write(&path, &whole).expect("a backup");
    let store = open(directory.path()).expect("a store");
    let patched = store.patch(&namespace("a"), patch("k", "2")).await.expect("it is served again");
    assert_eq!(patched.namespace.version(), 2);
}

/// Puts something else than a file in a document's place.
type Plant = fn(&Path);

#[tokio::test]
async fn what_is_no_regular_file_is_neither_followed_nor_replaced() {
    const NO_FILE: &str = "run-stores/a.json is damaged: it is not a regular file; stop the \
                           store, then restore the file from a backup or move it away";
    const TOO_LONG: &str = "run-stores/a.json is damaged: it is longer than 1073741824 bytes; \
                            stop the store, then restore the file from a backup or move it away";
    let table: [(&str, Plant, &str); 5] = [
        ("a directory", |path| fs::create_dir(path).expect("planted"), NO_FILE),
        ("a link", |path| symlink("../secret", path).expect("planted"), NO_FILE),
        (
            "a pipe",
            |path| {
                let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("planted");
            },
            NO_FILE,
        ),
        ("a socket", |path| drop(UnixListener::bind(path).expect("planted")), NO_FILE),
        (
            "a disk image",
            |path| File::create(path).and_then(|f| f.set_len((1 << 30) + 1)).expect("planted"),
            TOO_LONG,
        ),
    ];
    for (what, plant, expected) in table {
        let (directory, store) = new_store();
        put(&store, &document("b"), "1").await;
        fs::write(directory.path().join("secret"), "not to be served").expect("a file");
        let path = directory.path().join("run-stores/a.json");
        plant(&path);
        let before = fs::symlink_metadata(&path).expect("it is there");

        let key = document("a");
        let delete = Box::new(|_: Option<&_>| Change::Delete);
        let none = Preconditions::none;
        let results = [
            ("get", store.get(&key).await.map(drop)),
            ("put", store.put(&key, "1".into(), none()).await.map(drop)),
            ("create", store.put(&key, "1".into(), Preconditions::absent()).await.map(drop)),
            ("update", store.update(&key, none(), delete).await.map(drop)),
            ("delete", store.delete(&key, none()).await.map(drop)),
        ];
        for (name, result) in results {
            let error = result.expect_err(what);
            assert_eq!(error.to_string(), expected, "{name} of {what}");
        }
        let after = fs::symlink_metadata(&path).expect("it is still there");
        assert_eq!(before.file_type(), after.file_type(), "{what} is left alone");
        assert_eq!(get(&store, &document("b")).await.expect("the rest is served").0, "1");
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_a_directory_is_not_followed() {
    let elsewhere = TempDir::new().expect("a temporary directory");
    fs::write(elsewhere.path().join("a.json"), "not to be served").expect("a file");
    let (directory, store) = new_store();
    symlink(elsewhere.path(), directory.path().join("run-stores")).expect("a link");
    symlink(elsewhere.path(), directory.path().join("kv")).expect("a link");
    let expected = "run-stores is damaged: something else than a directory stands there; \
                    stop the store, then move it away";
    let read = store.get(&document("a")).await.expect_err("a link");
    assert_eq!(read.to_string(), expected);
    let none = Preconditions::none;
    let written = store.put(&document("b"), "1".into(), none()).await.expect_err("a link");
    assert_eq!(written.to_string(), expected);
    let patched = store.patch(&namespace("b"), patch("k", "1")).await.expect_err("a link");
    assert!(matches!(patched, StoreError::Corrupt { .. }), "{patched:?}");
    assert_eq!(store.list(&Prefix::run_stores(), None, 10).await.expect("a list"), []);
    assert_eq!(elsewhere.path().read_dir().expect("it is there").count(), 1, "nothing is written");
}

#[tokio::test]
async fn edits_while_it_is_stopped_are_served_under_new_tags() {
    let (directory, store) = new_store();
    let names = ["kept", "edited", "edited-at-the-time", "touched", "removed"];
    let mut tags = Vec::new();
    for name in names {
        tags.push(put(&store, &document(name), "1").await);
    }
    store.patch(&namespace("cart"), patch("k", "1")).await.expect("a patch");
    drop(store);

    let path = |name: &str| directory.path().join(format!("run-stores/{name}.json"));
    fs::write(path("edited"), "2").expect("an edit");
    edit_and_keep_the_time(&path("edited-at-the-time"), "2");
    fs::write(path("touched"), "1").expect("an edit that changes nothing");
    fs::remove_file(path("removed")).expect("a removal");
    fs::write(path("added"), "2").expect("a new file");
    let edited = "{\n  \"version\": \"9\",\n  \"snapshot\": { \"k\": 2 }\n}\n";
    fs::write(directory.path().join("kv/cart.json"), edited).expect("an edit");

    let store = open(directory.path()).expect("a store");
    let expected = [Some("1"), Some("2"), Some("2"), Some("1"), None];
    for ((name, old), expected) in names.iter().zip(&tags).zip(expected) {
        let read = get(&store, &document(name)).await;
        assert_eq!(read.as_ref().map(|(body, _)| &**body), expected, "{name}");
        let Some((_, tag)) = read else { continue };
        assert_eq!(tag == *old, *name == "kept", "{name}: {old} became {tag}");
        let again = get(&store, &document(name)).await.expect("it is there").1;
        assert_eq!(again, tag, "{name}: a tag stays");
        let written = store.put(&document(name), "3".into(), Preconditions::matches(&tag)).await;
        written.unwrap_or_else(|error| panic!("{name}: expected that {tag} matches, got {error}"));
    }
    assert_eq!(get(&store, &document("added")).await.expect("it is served").0, "2");
    let patched = store.patch(&namespace("cart"), patch("l", "1")).await.expect("a patch");
    assert_eq!(patched.namespace.version(), 10);
    assert_eq!(patched.namespace.snapshot(), r#"{"k":2,"l":1}"#);
}

#[tokio::test]
async fn a_copy_that_keeps_times_keeps_tags() {
    let (directory, store) = new_store();
    let tag = put(&store, &document("a"), "1").await;
    drop(store);
    let copy = TempDir::new().expect("a temporary directory");
    let status = Command::new("cp")
        .args(["-a", "--"])
        .arg(directory.path().join("run-stores"))
        .arg(copy.path())
        .status()
        .expect("cp");
    assert!(status.success(), "cp: {status}");
    let store = open(copy.path()).expect("a store of the documents alone");
    assert_eq!(get(&store, &document("a")).await, Some(("1".into(), tag)));
}

#[tokio::test]
async fn a_document_that_is_dated_into_the_future_can_be_replaced() {
    let (directory, store) = new_store();
    put(&store, &document("a"), "1").await;
    drop(store);
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400 * 365);
    let file = File::options().write(true).open(directory.path().join("run-stores/a.json"));
    file.and_then(|file| file.set_modified(future)).expect("its time");
    let store = open(directory.path()).expect("a store");
    let (_, stale) = get(&store, &document("a")).await.expect("it is served");
    let tag = store.put(&document("a"), "1".into(), Preconditions::matches(&stale)).await;
    assert_ne!(tag.expect("a put").tag, stale);
    let replaced = modified(&directory.path().join("run-stores/a.json"));
    assert!(replaced > future, "a revision is later than the one it replaces");
    put(&store, &document("b"), "1").await;
    let written = modified(&directory.path().join("run-stores/b.json"));
    assert!(written < future, "other documents are dated as ever");
}

#[tokio::test]
async fn a_list_passes_over_what_is_no_key() {
    let (directory, store) = new_store();
    put(&store, &document("a"), "1").await;
    let path = directory.path().join("run-stores");
    for name in ["notes.txt", ".json", "b.json~", "b c.json", "%2F.json", "é.json"] {
        fs::write(path.join(name), "1").expect("junk");
    }
    fs::create_dir(path.join("b.json")).expect("junk");
    fs::create_dir(path.join("deeper")).expect("junk");
    fs::write(path.join("deeper/c.json"), "1").expect("junk");
    symlink("a.json", path.join("link.json")).expect("junk");
    let found = store.list(&Prefix::run_stores(), None, 10).await.expect("a list");
    assert_eq!(found, [document("a")]);
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
