//! What is kept of versions over restarts, edits and damage; and what that costs.

#[path = "support/keys.rs"]
mod keys;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use stowage_store::volume::verify;
use stowage_store::{
    Key, Operation, Patch, Preconditions, Store, Version, VolumeOptions, VolumeStore,
};
use tempfile::TempDir;

use keys::{document, namespace, set};

const VERSIONS: usize = 4;

fn open(path: &Path, history: usize) -> VolumeStore {
    let options = VolumeOptions { history, ..VolumeOptions::default() };
    VolumeStore::open(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

async fn patch(store: &VolumeStore, value: &str) {
    let operations = vec![set("k", value)];
    let patch = Patch { operations, author: Some("ci".into()), ..Patch::default() };
    store.patch(&namespace("n"), patch).await.expect("a patch");
}

async fn put(store: &VolumeStore, key: &Key, body: &str) {
    let body = body.to_owned().into();
    let put = store.put_by(key, body, Preconditions::none(), Some("ci".into()));
    put.await.expect("a put");
}

/// The versions of the namespace, the last first: each with its author and its snapshot.
async fn namespaces(store: &VolumeStore) -> Vec<(u64, Option<Arc<str>>, String)> {
    let key = namespace("n");
    let mut found = Vec::new();
    for Version { tag, author, .. } in store.namespace_history(&key).await.expect("a history") {
        let version = tag.opaque().to_string().parse().expect("a number");
        let namespace = store.namespace_version(&key, version).await.expect("a look");
        let snapshot = namespace.expect("it is kept").snapshot();
        found.push((version, author, String::from_utf8(snapshot.to_vec()).expect("text")));
    }
    found
}

/// The versions of a document, the last first: each with its author and its body.
async fn documents(store: &VolumeStore, key: &Key) -> Vec<(Option<Arc<str>>, String)> {
    let mut found = Vec::new();
    for version in store.history(key).await.expect("a history") {
        let object = store.version(key, &version).await.expect("a look").expect("it is kept");
        let body = String::from_utf8(object.body.to_vec()).expect("text");
        found.push((version.author, body));
    }
    found
}

fn ci() -> Option<Arc<str>> {
    Some("ci".into())
}

fn k(version: u64, author: Option<Arc<str>>, value: &str) -> (u64, Option<Arc<str>>, String) {
    (version, author, format!(r#"{{"k":{value}}}"#))
}

/// The only file of a path's history.
fn file(directory: &TempDir, path: &str) -> std::path::PathBuf {
    let below = directory.path().join(".stowage/history").join(path);
    let mut files: Vec<_> = fs::read_dir(below).expect("a directory").collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0).expect("a file").path()
}

#[tokio::test]
async fn versions_outlast_restarts() {
    let directory = TempDir::new().expect("a directory");
    for run in 0..3 {
        let store = open(directory.path(), VERSIONS);
        for number in 1..=2 {
            patch(&store, &(run * 2 + number).to_string()).await;
            put(&store, &document("d"), &(run * 2 + number).to_string()).await;
        }
        let last = run * 2 + 2;
        let mut store = Some(store);
        for _ in 0..2 {
            let store = store.take().unwrap_or_else(|| open(directory.path(), VERSIONS));
            let expected: Vec<_> = (1..=last).rev().take(VERSIONS).collect();
            let versions: Vec<_> = expected.iter().map(|n| k(*n, ci(), &n.to_string())).collect();
            assert_eq!(namespaces(&store).await, versions);
            let bodies: Vec<_> = expected.iter().map(|n| (ci(), n.to_string())).collect();
            assert_eq!(documents(&store, &document("d")).await, bodies);
        }
    }
}

#[tokio::test]
async fn what_stood_there_before_there_was_a_history_is_a_version() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path(), 0);
    for value in ["1", "2"] {
        patch(&store, value).await;
        put(&store, &document("d"), value).await;
    }
    drop(store);
    assert!(!directory.path().join(".stowage/history").exists(), "none is kept");
    let store = open(directory.path(), VERSIONS);
    assert_eq!(namespaces(&store).await, [k(2, None, "2")]);
    assert_eq!(documents(&store, &document("d")).await, [(None, "2".into())]);
    patch(&store, "3").await;
    put(&store, &document("d"), "3").await;
    assert_eq!(namespaces(&store).await, [k(3, ci(), "3"), k(2, None, "2")]);
    assert_eq!(documents(&store, &document("d")).await, [(ci(), "3".into())]);
    drop(store);
    // Told to keep none, it keeps none.
    let store = open(directory.path(), 0);
    assert_eq!(namespaces(&store).await, []);
    drop(store);
    assert!(!directory.path().join(".stowage/history").exists(), "it is gone");
    let store = open(directory.path(), VERSIONS);
    assert_eq!(namespaces(&store).await, [k(3, None, "3")]);
    drop(store);
    let store = open(directory.path(), 1);
    patch(&store, "4").await;
    assert_eq!(namespaces(&store).await, [k(4, ci(), "4")], "one is the current one");
}

#[tokio::test]
async fn an_edit_by_hand_is_a_version_and_changes_none_before() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path(), VERSIONS);
    for value in ["1", "2"] {
        patch(&store, value).await;
        put(&store, &document("d"), value).await;
    }
    drop(store);
    let edit = |text: &str| {
        fs::write(directory.path().join("kv/n.json"), text).expect("an edit");
        fs::write(directory.path().join("run-stores/d.json"), "edited").expect("an edit");
    };
    // Under a version of its own, under the same, under one that was long ago.
    let after =
        |version: u64| vec![k(version + 1, ci(), "\"next\""), k(version, None, "\"edited\"")];
    edit(r#"{"version":"5","snapshot":{"k":"edited"}}"#);
    let store = open(directory.path(), VERSIONS);
    let before = [k(2, ci(), "2"), k(1, ci(), "1")];
    let versions = [vec![k(5, None, "\"edited\"")], before.to_vec()].concat();
    assert_eq!(namespaces(&store).await, versions);
    let bodies = [(None, "edited".into()), (ci(), "2".into()), (ci(), "1".into())];
    assert_eq!(documents(&store, &document("d")).await, bodies);
    let changes = store.namespace_changes(&namespace("n"), 2, 5, 1_000).await.expect("a look");
    assert_eq!(changes, None, "nobody knows what led there");
    patch(&store, "\"next\"").await;
    assert_eq!(namespaces(&store).await, [after(5), before.to_vec()].concat());
    drop(store);

    edit(r#"{"version":"6","snapshot":{"k":"other"}}"#);
    let store = open(directory.path(), VERSIONS);
    let changes = store.namespace_changes(&namespace("n"), 5, 6, 1_000).await.expect("a look");
    assert_eq!(changes, None, "what led to 6 is not what stands there");
    patch(&store, "\"later\"").await;
    let changes = store.namespace_changes(&namespace("n"), 5, 7, 1_000).await.expect("a look");
    assert_eq!(changes, None, "nor to 7");
    let changes = store.namespace_changes(&namespace("n"), 6, 7, 1_000).await.expect("a look");
    assert_eq!(changes, None, "who has seen 6 may have seen the other");
    let versions = namespaces(&store).await;
    assert_eq!(versions[..2], [k(7, ci(), "\"later\""), k(6, ci(), "\"other\"")]);
    drop(store);

    edit(r#"{"version":"1","snapshot":{"k":"old"}}"#);
    let store = open(directory.path(), VERSIONS);
    assert_eq!(namespaces(&store).await, [k(1, ci(), "\"old\"")]);
    patch(&store, "\"new\"").await;
    let versions = [k(2, ci(), "\"new\""), k(1, ci(), "\"old\"")];
    assert_eq!(namespaces(&store).await, versions, "nothing of the time after that");
    drop(store);
    let store = open(directory.path(), VERSIONS);
    assert_eq!(namespaces(&store).await, versions);
}

#[tokio::test]
async fn what_is_damaged_is_told_and_stops_nothing_else() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path(), VERSIONS);
    let second = "the second body";
    for value in ["1", second, "3"] {
        put(&store, &document("d"), value).await;
    }
    drop(store);
    let sound = verify(directory.path()).expect("a report");
    assert_eq!(sound.files, [""; 0], "it is sound");
    let path = file(&directory, "run-stores/d.json");
    let bytes = fs::read(&path).expect("a history");
    let place = bytes.windows(second.len()).position(|part| part == second.as_bytes());
    let mut damaged = bytes.clone();
    damaged[place.expect("the second body")] ^= 1;
    fs::write(&path, &damaged).expect("damage");
    let report = verify(directory.path()).expect("a report");
    assert!(matches!(&report.files[..], [one] if one.contains("run-stores/d.json")), "{report:?}");

    let store = open(directory.path(), VERSIONS);
    let versions = store.history(&document("d")).await.expect("a history");
    let damaged = store.version(&document("d"), &versions[1]).await;
    let text = format!("{:?}", damaged.expect_err("it does not check out"));
    assert!(text.contains("history") && !text.contains("body"), "{text}");
    let first = store.version(&document("d"), &versions[2]).await.expect("a look");
    assert_eq!(first.expect("it is kept").body, "1");
    put(&store, &document("d"), "4").await;
    drop(store);
    let store = open(directory.path(), VERSIONS);
    let bodies = documents(&store, &document("d")).await;
    assert_eq!(bodies, [(ci(), "4".into()), (ci(), "1".into())], "it is cut there");
    drop(store);
    assert_eq!(verify(directory.path()).expect("a report").files, [""; 0]);
}

#[tokio::test]
async fn what_a_person_removes_or_puts_in_the_way_is_survived() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path(), VERSIONS);
    put(&store, &document("d"), "1").await;
    drop(store);
    fs::remove_dir_all(directory.path().join(".stowage/history")).expect("it is removed");
    let store = open(directory.path(), VERSIONS);
    assert_eq!(documents(&store, &document("d")).await, [(None, "1".into())]);
    put(&store, &document("d"), "2").await;
    drop(store);
    // A journal that is removed begins to count anew.
    fs::remove_dir_all(directory.path().join(".stowage/journal")).expect("it is removed");
    for value in ["3", "4"] {
        let store = open(directory.path(), VERSIONS);
        put(&store, &document("d"), value).await;
        let last = documents(&store, &document("d")).await;
        assert_eq!(last.first(), Some(&(ci(), value.into())));
        drop(store);
    }
    let store = open(directory.path(), VERSIONS);
    let bodies = documents(&store, &document("d")).await;
    assert_eq!(bodies, ["4", "3", "2"].map(|body| (ci(), body.into())));
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_history_stops_no_write() {
    let first = "run-stores/d.json/00000000000000000001";
    for (path, is_directory, kept) in [
        // Another file follows it.
        (first, true, vec!["2", "1"]),
        // There is no place for one: what stands in the tree is all that is told.
        ("run-stores/d.json", false, vec!["2"]),
        ("run-stores", false, vec!["2"]),
    ] {
        let directory = TempDir::new().expect("a directory");
        drop(open(directory.path(), VERSIONS));
        let place = directory.path().join(".stowage/history").join(path);
        if is_directory {
            fs::create_dir_all(&place).expect("a directory");
        } else {
            fs::create_dir_all(place.parent().expect("a directory")).expect("a directory");
            fs::write(&place, "").expect("a file");
        }
        for body in ["1", "2"] {
            let store = open(directory.path(), VERSIONS);
            put(&store, &document("d"), body).await;
            drop(store);
            let stands = fs::read_to_string(directory.path().join("run-stores/d.json"));
            assert_eq!(stands.expect("it is in the tree"), body, "{path}");
        }
        let store = open(directory.path(), VERSIONS);
        let found = documents(&store, &document("d")).await;
        let bodies: Vec<_> = found.iter().map(|(_, body)| &**body).collect();
        assert_eq!(bodies, kept, "{path}");
    }
}

#[tokio::test]
async fn a_history_takes_no_more_than_four_times_its_versions() {
    let directory = TempDir::new().expect("a directory");
    let options = VolumeOptions {
        history: VERSIONS,
        checkpoint_after: std::time::Duration::ZERO,
        ..VolumeOptions::default()
    };
    let store = VolumeStore::open(directory.path(), &options).expect("a store");
    let large: Vec<Operation> =
        (0..500).map(|n| set(&format!("member-{n}"), &format!("\"{}\"", "v".repeat(90)))).collect();
    let patch_large = Patch { operations: large, ..Patch::default() };
    store.patch(&namespace("n"), patch_large).await.expect("a patch");
    let whole = store.namespace(&namespace("n")).await.expect("it").snapshot_bytes();
    for number in 0..300 {
        patch(&store, &number.to_string()).await;
        put(&store, &document("d"), &"x".repeat(1_000)).await;
    }
    drop(store);
    let size = |path: &str| -> u64 {
        let below = directory.path().join(".stowage/history").join(path);
        let files = fs::read_dir(below).expect("a directory");
        files.map(|it| it.and_then(|it| it.metadata()).expect("a file").len()).sum()
    };
    let of_documents = size("run-stores/d.json");
    // Two files, each of as many versions, and of as many that came in one round.
    assert!(of_documents < 4 * VERSIONS as u64 * 1_100, "{of_documents} bytes");
    // It was written again whole after as many bytes of operations, not with every version.
    let of_namespaces = size("kv/n.json");
    assert!(of_namespaces < 5 * whole, "{of_namespaces} bytes of a namespace of {whole}");
}

#[tokio::test]
async fn of_large_documents_as_many_versions_are_kept() {
    const LARGE: usize = 8 << 20;
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path(), 3 * VERSIONS);
    let key = document("d");
    for number in 0..4 * VERSIONS {
        let mut body = number.to_string();
        body.extend(std::iter::repeat_n('x', LARGE));
        put(&store, &key, &body).await;
    }
    store.shutdown().await;
    let store = open(directory.path(), 3 * VERSIONS);
    let versions = store.history(&key).await.expect("a history");
    assert_eq!(versions.len(), 3 * VERSIONS);
    let oldest = versions.last().expect("there are some");
    let object = store.version(&key, oldest).await.expect("a look").expect("it is kept");
    assert!(object.body.starts_with(format!("{}x", VERSIONS).as_bytes()), "the last twelve");
}

#[tokio::test]
async fn a_version_that_was_listed_is_found_where_it_has_come_to_and_not_held() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path(), VERSIONS);
    let key = document("d");
    for body in ["1", "2", "3"] {
        put(&store, &key, body).await;
    }
    let listed = store.history(&key).await.expect("a history");
    assert_eq!(listed.len(), 3);
    let bodies = async |store: &VolumeStore| {
        let mut bodies = Vec::new();
        for version in &listed {
            let object = store.version(&key, version).await.expect("a look");
            bodies.push(object.map(|it| String::from_utf8(it.body.to_vec()).expect("text")));
        }
        bodies
    };
    let all = ["3", "2", "1"].map(|body| Some(body.to_owned()));
    assert_eq!(bodies(&store).await, all, "in memory");
    store.shutdown().await;
    let store = open(directory.path(), VERSIONS);
    assert_eq!(bodies(&store).await, all, "in a file");
    store.delete(&key, Preconditions::none()).await.expect("a delete");
    assert_eq!(bodies(&store).await, [None, None, None], "it is not kept any more");
}

/// Whoever lists versions while others are written gets those of one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_list_has_no_holes_while_versions_are_written() {
    const WRITES: usize = 1_000;
    let directory = TempDir::new().expect("a directory");
    let store = Arc::new(open(directory.path(), VERSIONS));
    let key = document("d");
    let writer = tokio::spawn({
        let (store, key) = (Arc::clone(&store), key.clone());
        async move {
            for number in 0..WRITES {
                put(&store, &key, &number.to_string()).await;
                patch(&store, &number.to_string()).await;
            }
        }
    });
    let mut lists = 0;
    while !writer.is_finished() {
        let versions = store.history(&key).await.expect("a list");
        let mut before = None;
        for version in &versions {
            assert_eq!(version.author, ci(), "{versions:?}");
            let object = store.version(&key, version).await.expect("a look");
            // What was dropped since is none of the last ones.
            let Some(object) = object else { break };
            let number: usize = std::str::from_utf8(&object.body).unwrap().parse().unwrap();
            assert!(before.is_none_or(|before| before == number + 1), "{before:?}, then {number}");
            before = Some(number);
        }
        let versions = store.namespace_history(&namespace("n")).await.expect("a list");
        assert!(versions.iter().all(|version| version.author == ci()), "{versions:?}");
        let numbers = versions.iter().map(|it| it.tag.opaque().to_string().parse::<u64>().unwrap());
        let numbers: Vec<u64> = numbers.collect();
        assert!(numbers.windows(2).all(|pair| pair[0] == pair[1] + 1), "{numbers:?}");
        lists += 1;
    }
    writer.await.expect("a writer that gets through");
    assert!(lists > 10, "{lists} lists in {WRITES} writes");
}

/// How many entries stand in the files of a history; each has a head of 48 bytes that says how long
/// its author and its content are.
fn entries(directory: &TempDir, path: &str) -> usize {
    let below = directory.path().join(".stowage/history").join(path);
    let mut count = 0;
    for file in fs::read_dir(below).expect("a directory") {
        let bytes = fs::read(file.expect("a file").path()).expect("a file");
        let mut rest = &bytes[..];
        while let Some((head, behind)) = rest.split_first_chunk::<48>() {
            let content = u32::from_le_bytes(head[8..12].try_into().expect("four bytes"));
            let author = u16::from_le_bytes([head[14], head[15]]);
            rest = &behind[content as usize + usize::from(author)..];
            count += 1;
        }
    }
    count
}

#[tokio::test]
async fn small_writes_to_a_large_namespace_leave_no_more_than_ten_times_its_versions() {
    let directory = TempDir::new().expect("a directory");
    let options = VolumeOptions {
        history: VERSIONS,
        // Each write has a round soon, so that few of them come in one.
        dirty_bytes: 1,
        checkpoint_after: std::time::Duration::ZERO,
        ..VolumeOptions::default()
    };
    let store = VolumeStore::open(directory.path(), &options).expect("a store");
    let large = vec![set("large", &format!("\"{}\"", "v".repeat(200_000)))];
    let patch_large = Patch { operations: large, ..Patch::default() };
    store.patch(&namespace("n"), patch_large).await.expect("a patch");
    for number in 0..200 {
        patch(&store, &number.to_string()).await;
    }
    let versions = store.namespace_history(&namespace("n")).await.expect("a history");
    assert_eq!(versions.len(), VERSIONS, "as many as are kept can be read");
    drop(store);
    let entries = entries(&directory, "kv/n.json");
    // Two files of four times as many, and of a round; each begins with what is whole.
    let most = 10 * VERSIONS + 2;
    assert!(entries <= most, "{entries} entries of {VERSIONS} versions, no more than {most}");
}
