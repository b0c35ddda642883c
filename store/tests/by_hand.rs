//! The tree as a person finds it, damages it and edits it.

#[path = "support/keys.rs"]
mod keys;
#[path = "support/volume.rs"]
mod volume;

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use stowage_store::{
    Change, Key, Preconditions, Prefix, Store, StoreError, VolumeOptions, VolumeStore,
};
use tempfile::TempDir;

use keys::{document, namespace};
use volume::{get, new_store, open, patch, put};

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
    drop(store);

    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    assert_eq!(read("run-store.json"), r#"{"a":1}"#);
    assert_eq!(read("run-stores/x.json"), "[]");
    assert_eq!(read("kv/cart.json"), r#"{"version":"2","snapshot":{"a":"\ud83d","k":1.0}}"#);
    assert_eq!(read(".stowage/format"), "2\n");
    assert_eq!(read(".stowage/lock"), format!("{}\n", std::process::id()));
    for path in ["", ".stowage", "run-stores", "run-store.json", "kv/cart.json"] {
        let mode = fs::metadata(root.join(path)).expect(path).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path:?} is closed to other users: {mode:o}");
    }
}

#[tokio::test]
async fn a_namespace_at_the_highest_version_is_served_and_takes_no_patch_that_a_start_would_refuse()
{
    let (directory, store) = new_store();
    store.patch(&namespace("a"), patch("k", "1")).await.expect("a patch");
    drop(store);
    let (highest, path) = (1_u64 << 63, directory.path().join("kv/a.json"));
    fs::write(&path, format!(r#"{{"version":"{}","snapshot":{{"k":1}}}}"#, highest - 1))
        .expect("an edit");

    let store = open(directory.path()).expect("the store");
    let patched = store.patch(&namespace("a"), patch("k", "2")).await.expect("the last version");
    assert_eq!(patched.namespace.version(), highest);
    let refused =
        store.patch(&namespace("a"), patch("k", "3")).await.expect_err("no version is left");
    assert!(refused.to_string().contains("no version after"), "{refused}");
    drop(store);

    let store = open(directory.path()).expect("what was acknowledged can be read");
    let found = store.namespace(&namespace("a")).await.expect("it is served");
    assert_eq!(
        (found.version(), found.get("k").map(|value| &value[..])),
        (highest, Some(&b"2"[..]))
    );
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
        drop(store);
        fs::write(directory.path().join("secret"), "not to be served").expect("a file");
        let path = directory.path().join("run-stores/a.json");
        plant(&path);
        let store = open(directory.path()).expect("the rest is sound");
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
    put(&store, &document("b"), "1").await;
    drop(store);
    let replaced = modified(&directory.path().join("run-stores/a.json"));
    assert!(replaced > future, "a revision is later than the one it replaces");
    let written = modified(&directory.path().join("run-stores/b.json"));
    assert!(written < future, "other documents are dated as ever");
}

#[tokio::test]
async fn a_list_passes_over_what_is_no_key() {
    let (directory, store) = new_store();
    put(&store, &document("a"), "1").await;
    drop(store);
    let path = directory.path().join("run-stores");
    for name in ["notes.txt", ".json", "b.json~", "b c.json", "%2F.json", "é.json"] {
        fs::write(path.join(name), "1").expect("junk");
    }
    fs::create_dir(path.join("b.json")).expect("junk");
    fs::create_dir(path.join("deeper")).expect("junk");
    fs::write(path.join("deeper/c.json"), "1").expect("junk");
    symlink("a.json", path.join("link.json")).expect("junk");
    let store = open(directory.path()).expect("a store");
    put(&store, &document("c"), "1").await;
    let found = store.list(&Prefix::run_stores(), None, 10).await.expect("a list");
    assert_eq!(found, [document("a"), document("c")], "in the tree, and not yet there");
}

/// A document of the future is deleted, and written again at the present.
#[tokio::test]
async fn what_replaces_a_deleted_document_of_the_future_outlives_a_kill() {
    let (directory, store) = new_store();
    put(&store, &document("a"), "old").await;
    drop(store);
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    let file = File::options().write(true).open(directory.path().join("run-stores/a.json"));
    file.and_then(|file| file.set_modified(future)).expect("its time");
    let kept = VolumeOptions {
        checkpoint_after: std::time::Duration::from_secs(3_600),
        ..VolumeOptions::default()
    };
    let store = VolumeStore::open(directory.path(), &kept).expect("a store");
    store.delete(&document("a"), Preconditions::none()).await.expect("a delete");
    let tag = put(&store, &document("a"), "new").await;
    let copy = TempDir::new().expect("a directory");
    let status = Command::new("cp")
        .args(["-a", "--"])
        .arg(format!("{}/.", directory.path().display()))
        .arg(copy.path())
        .status()
        .expect("cp");
    assert!(status.success(), "cp: {status}");
    let store = open(copy.path()).expect("what a kill leaves");
    assert_eq!(get(&store, &document("a")).await, Some(("new".into(), tag)));
}
