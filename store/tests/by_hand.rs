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
    Change, Folder, Key, Name, NameKind, NamespaceKey, Preconditions, Prefix, RemovedJob, Segment,
    Store, StoreError, Subject, TagCondition, VolumeOptions, VolumeStore,
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
    assert_eq!(read(".stowage/format"), "5\n");
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
async fn a_namespace_of_a_user_stands_beside_the_shared_one_and_takes_edits() {
    let (directory, store) = new_store();
    let name = |name| Name::parse(NameKind::Namespace, name).expect("a name");
    let own = NamespaceKey::of_user(&Subject::new("auth0|7"), &name("cart"));
    for (key, value) in [(&own, "1"), (&namespace("cart"), "2"), (&namespace("users"), "3")] {
        store.patch(key, patch("k", value)).await.expect("a patch");
    }
    drop(store);
    let path = directory.path().join("kv/users/auth0%7C7/cart.json");
    let written = fs::read_to_string(&path).expect("its file");
    assert_eq!(written, r#"{"version":"1","snapshot":{"k":1}}"#);
    fs::write(&path, r#"{"version":"7","snapshot":{"k":"edited"}}"#).expect("an edit");

    let store = open(directory.path()).expect("the store");
    let value = async |key: &NamespaceKey| {
        let found = store.namespace(key).await.expect("it is served");
        let value = found.get("k").map(|value| String::from_utf8_lossy(value).into_owned());
        (found.version(), value)
    };
    assert_eq!(value(&own).await, (7, Some(r#""edited""#.into())));
    assert_eq!(value(&namespace("cart")).await, (1, Some("2".into())));
    assert_eq!(value(&namespace("users")).await, (1, Some("3".into())));
    let patched = store.patch(&own, patch("k", "8")).await.expect("a patch");
    assert_eq!(patched.namespace.version(), 8);
    drop(store);
    fs::write(&path, "{").expect("damage");
    let looked = stowage_store::volume::verify(directory.path());
    let looked = format!("{looked:?}");
    assert!(looked.contains("kv/users/auth0%7C7/cart.json is damaged"), "{looked}");
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

#[tokio::test]
async fn a_deleted_job_leaves_what_is_not_its_own_and_no_empty_directory() {
    let directory = TempDir::new().expect("a temporary directory");
    let job: Segment = (&Name::parse(NameKind::Job, "j").expect("a name")).into();
    // As another program wrote them, under names that no request has, and dated into the future.
    let theirs = ["jobs/j/job.json", "jobs/j/checkpoints/a b.json", "jobs/j/runs/r/event-x.json"];
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(1 << 30);
    for path in theirs.into_iter().chain(["jobs/j/runs/r/notes.txt", "jobs/k/job.json"]) {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, "{}").expect("a file");
        let file = File::options().write(true).open(path).expect("the file");
        file.set_times(FileTimes::new().set_modified(future)).expect("a time");
    }
    let store = open(directory.path()).expect("a store");
    let own = store.get(&Key::job(&job)).await.expect("a get").expect("a document").tag.clone();
    let removed = store.delete_job(&job, Preconditions::none()).await.expect("a delete");
    assert_eq!(removed, Some(RemovedJob { tag: Some(own) }), "it tells the tag of the job itself");
    assert_eq!(get(&store, &Key::job(&job)).await, None);
    put(&store, &Key::run_setting(&job, &job), "{}").await;
    drop(store);
    let is_there = |path: &str| directory.path().join(path).exists();
    for path in theirs.into_iter().chain(["jobs/j/checkpoints"]) {
        assert!(!is_there(path), "{path} is gone");
    }
    for path in ["jobs/j/runs/r/notes.txt", "jobs/k/job.json", "jobs/j/runs/j/run-setting.json"] {
        assert!(is_there(path), "{path} stays");
    }

    let store = open(directory.path()).expect("a store");
    assert!(store.delete_job(&job, Preconditions::none()).await.expect("a delete").is_some());
    fs::remove_file(directory.path().join("jobs/j/runs/r/notes.txt")).expect("a person's delete");
    drop(store);
    let store = open(directory.path()).expect("a store");
    let jobs = store.directories(&Folder::jobs(), None, 10).await.expect("a list");
    assert!(jobs.iter().any(|it| it.as_str() == "k"), "{jobs:?}");
}

#[tokio::test]
async fn a_job_whose_own_document_cannot_be_read_is_deleted_where_no_condition_asks_for_it() {
    let (directory, store) = new_store();
    let job: Segment = (&Name::parse(NameKind::Job, "j").expect("a name")).into();
    put(&store, &Key::run_setting(&job, &job), "{}").await;
    drop(store);
    let path = directory.path().join("jobs/j/job.json");
    File::create(&path).and_then(|file| file.set_len((1 << 30) + 1)).expect("too long a file");
    let store = open(directory.path()).expect("a store");
    let any = Preconditions { if_match: Some(TagCondition::Any), if_none_match: None };
    let error = store.delete_job(&job, any).await.expect_err("its tag is not known");
    assert!(error.to_string().contains("it is longer than"), "{error}");
    let removed = store.delete_job(&job, Preconditions::none()).await.expect("a delete");
    assert_eq!(removed, Some(RemovedJob { tag: None }), "and tells none");
    drop(store);
    assert!(!path.exists(), "it is gone");
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

/// A backup of files is put back with their times after they were deleted: the journal must not take them
/// away again.
#[tokio::test]
async fn what_is_put_back_with_its_old_time_stays() {
    let copied = |from: &Path, to: &Path| {
        let from = format!("{}/.", from.display());
        let status = Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status().expect("cp");
        assert!(status.success(), "cp: {status}");
    };
    let job: Segment = (&Name::parse(NameKind::Job, "j").expect("a name")).into();
    let keys = [document("a"), document("b"), Key::job(&job)];
    // Nothing comes into the tree by itself.
    let kept = VolumeOptions {
        checkpoint_after: std::time::Duration::from_secs(3_600),
        ..VolumeOptions::default()
    };
    let (directory, store) = new_store();
    for key in &keys {
        put(&store, key, "1").await;
    }
    drop(store);
    let backup = TempDir::new().expect("a directory");
    copied(&directory.path().join("run-stores"), &backup.path().join("run-stores"));
    copied(&directory.path().join("jobs"), &backup.path().join("jobs"));
    let restored = |root: &Path| {
        for name in ["run-stores", "jobs"] {
            let to = root.join(name);
            fs::create_dir_all(&to).expect("a directory");
            copied(&backup.path().join(name), &to);
        }
    };

    let store = VolumeStore::open(directory.path(), &kept).expect("a store");
    put(&store, &keys[1], "2").await;
    store.delete(&keys[0], Preconditions::none()).await.expect("a delete");
    store.delete_job(&job, Preconditions::none()).await.expect("a delete");
    let killed = TempDir::new().expect("a directory");
    copied(directory.path(), killed.path());
    drop(store);

    // After a clean end the journal has nothing to say any more.
    restored(directory.path());
    let store = open(directory.path()).expect("a store");
    for key in &keys {
        assert_eq!(get(&store, key).await.expect("it is back").0, "1", "{key}");
    }
    drop(store);

    // What a kill leaves is brought up to date by a start and its end, then the same holds.
    drop(open(killed.path()).expect("a store"));
    restored(killed.path());
    let store = open(killed.path()).expect("a store");
    for key in &keys {
        assert_eq!(get(&store, key).await.expect("it is back").0, "1", "{key}, after a kill");
    }
}
