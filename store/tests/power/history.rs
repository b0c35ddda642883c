//! Histories, and power cuts: every acknowledged version among the last is readable as it was, at every
//! cut, and no other is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use stowage_store::{
    Key, MemberKey, NamespaceKey, Operation, Patch, Preconditions, Store, VolumeOptions,
    VolumeStore,
};

use crate::disk::{Faults, SimDisk, Survival};
use crate::held::{Gate, Held};
use crate::keys::{document, namespace, set};

const VERSIONS: usize = 3;
const STEPS: usize = 30;
const DOCUMENTS: [&str; 2] = ["a", "b"];
const NAMESPACES: [&str; 2] = ["m", "n"];

fn options(random: &mut Rng) -> VolumeOptions {
    VolumeOptions {
        history: VERSIONS,
        cache_bytes: [0, 1 << 20][random.usize(..2)],
        segment_bytes: 1,
        journal_bytes: 1,
        dirty_bytes: [2 << 10, 1 << 20][random.usize(..2)],
        checkpoint_after: Duration::from_millis([0, 2, 3_600_000][random.usize(..3)]),
        lone_sync_max: [Duration::ZERO, Duration::MAX][random.usize(..2)],
        ..VolumeOptions::default()
    }
}

const SURVIVALS: [Survival; 6] = [
    Survival::Lost,
    Survival::Kept,
    Survival::InOrder,
    Survival::Reordered,
    Survival::Sectors,
    Survival::Bytes,
];

/// The versions of everything, the first first: tag, author, content.
type State = BTreeMap<String, VecDeque<(String, Option<String>, Bytes)>>;

/// After so many operations on the disk it was told that this stands there.
struct Told {
    operations: usize,
    state: State,
}

fn open(disk: SimDisk, options: &VolumeOptions) -> VolumeStore {
    VolumeStore::open_on(Arc::new(disk), options).expect("the journal is sound")
}

/// What a store says of itself.
async fn read(store: &VolumeStore) -> State {
    let mut state = State::new();
    for name in DOCUMENTS {
        let key = document(name);
        let versions = store.history(&key).await.expect("a history");
        let current = store.get(&key).await.expect("a document");
        assert_eq!(current.map(|it| it.tag.clone()), versions.first().map(|it| it.tag.clone()));
        for version in versions {
            let object = store.version(&key, &version).await.expect("a look").expect("it is kept");
            let entry = (version.tag, version.author, object.body.clone());
            add(
                &mut state,
                name,
                (&entry.0.opaque().to_string(), entry.1.as_deref(), entry.2),
                true,
            );
        }
    }
    for name in NAMESPACES {
        let key = namespace(name);
        let current = store.namespace(&key).await.expect("a namespace").version();
        let versions = store.namespace_history(&key).await.expect("a history");
        let first = versions.first().map_or("0".into(), |it| it.tag.opaque().to_string());
        assert_eq!(first, current.to_string(), "the first is the current one");
        for version in versions {
            let tag = version.tag.opaque().to_string();
            let number = tag.parse().expect("a number");
            let kept = store.namespace_version(&key, number).await.expect("a look");
            let content = kept.expect("it is kept").snapshot();
            add(&mut state, name, (&tag, version.author.as_deref(), content), true);
        }
    }
    state
}

fn add(
    state: &mut State,
    name: &str,
    (tag, author, content): (&str, Option<&str>, Bytes),
    is_older: bool,
) {
    let versions = state.entry(name.to_owned()).or_default();
    let version = (tag.to_owned(), author.map(str::to_owned), content);
    if is_older {
        versions.push_front(version);
        return;
    }
    versions.push_back(version);
    if versions.len() > VERSIONS {
        versions.pop_front();
    }
}

/// One write, and what it makes of the state.
async fn write(store: &VolumeStore, step: usize, random: &mut Rng, state: &mut State) {
    let author = [None, Some("ci"), Some("é")][random.usize(..3)];
    let by = || author.map(Arc::from);
    if random.bool() {
        let name = DOCUMENTS[random.usize(..2)];
        let key: Key = document(name);
        if random.usize(..6) == 0 {
            store.delete(&key, Preconditions::none()).await.expect("a delete");
            state.remove(name);
            return;
        }
        let body = Bytes::from(format!("{step}-{}", "x".repeat(random.usize(..300))));
        let put = store.put_by(&key, body.clone(), Preconditions::none(), by());
        let tag = put.await.expect("a put").tag.opaque().to_string();
        add(state, name, (&tag, author, body), false);
        return;
    }
    let name = NAMESPACES[random.usize(..2)];
    let key: NamespaceKey = namespace(name);
    let member = format!("k{}", random.usize(..8));
    let forgets_history = random.usize(..8) == 0;
    let operation = match random.usize(..8) {
        _ if forgets_history => Operation::Clear,
        0 => Operation::Clear,
        1 => Operation::Delete { key: MemberKey::new(&member).expect("a key") },
        _ => set(&member, &format!("\"{step}{}\"", "v".repeat(random.usize(..60)))),
    };
    let operations = vec![operation];
    let patch = Patch { operations, author: by(), forgets_history, ..Patch::default() };
    let made = store.patch(&key, patch).await.expect("a patch").namespace;
    if forgets_history {
        state.remove(name);
    }
    add(state, name, (&made.version().to_string(), author, made.snapshot()), false);
}

/// Writes one after the other, with restarts in between.
async fn session(disk: &SimDisk, random: &mut Rng) -> Vec<Told> {
    let mut told = vec![Told { operations: 0, state: State::new() }];
    let mut state = State::new();
    for run in 0..3 {
        let store = open(disk.clone(), &options(random));
        assert_eq!(read(&store).await, state, "after start {run}");
        for step in 0..STEPS / 3 {
            write(&store, run * STEPS + step, random, &mut state).await;
            if random.usize(..4) == 0 {
                // So that the tree gets some of it.
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
            let operations = disk.recording().operations().count();
            told.push(Told { operations, state: state.clone() });
            assert_eq!(read(&store).await, state, "while it is served");
        }
        store.shutdown().await;
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_acknowledged_versions_are_as_they_were_at_every_cut() {
    let long = std::env::var_os("STOWAGE_LONG").is_some();
    let mut cut_points = 0;
    for seed in 0..if long { 60 } else { 5 } {
        let mut random = Rng::with_seed(seed);
        let disk = SimDisk::new();
        let told = session(&disk, &mut random).await;
        let recording = disk.recording();
        let mut walk = recording.walk();
        let cuts: Vec<_> = recording.operations().collect();
        let stride = if long { 1 } else { 3 };
        for (before, cut) in cuts.iter().enumerate().step_by(stride) {
            let survival = SURVIVALS[before / stride % SURVIVALS.len()];
            let context = format!("seed {seed}, cut {before} of {}, {survival:?}", cuts.len());
            let last = told.iter().rposition(|told| told.operations <= before).unwrap_or(0);
            // The write that was under way may be there, as a whole.
            let expected = &told[last..told.len().min(last + 2)];
            let after = walk.power_cut_at(*cut, survival, seed);
            let mut store = open(after.clone(), &options(&mut random));
            if random.bool() {
                // So that the files get what they lacked.
                store.shutdown().await;
                store = open(after, &options(&mut random));
            }
            let mut state = read(&store).await;
            let is_expected = expected.iter().any(|told| told.state == state);
            let states: Vec<_> = expected.iter().map(|told| &told.state).collect();
            assert!(is_expected, "{context}: found {state:?}, expected one of {states:?}");
            // It goes on from there, over another restart.
            for step in 0..3 {
                write(&store, 1_000 + step, &mut random, &mut state).await;
                assert_eq!(read(&store).await, state, "{context}: after a write");
            }
            store.shutdown().await;
            cut_points += 1;
        }
    }
    assert!(cut_points > 100, "{cut_points} cuts were made");
}

/// The bodies that a document's history lists, the last first.
async fn bodies(store: &VolumeStore, key: &Key) -> Vec<Bytes> {
    let mut bodies = Vec::new();
    for version in store.history(key).await.expect("a history") {
        let object = store.version(key, &version).await.expect("a look").expect("it is kept");
        bodies.push(object.body.clone());
    }
    bodies
}

async fn put(store: &VolumeStore, key: &Key, body: &'static str) {
    store.put(key, body.into(), Preconditions::none()).await.expect("a put");
}

/// The round of a new document has appended to its history, and the tree has nothing of it yet; the
/// delete is durable, and the power goes.
#[tokio::test]
async fn what_was_deleted_before_the_tree_had_it_is_not_readable_after_a_cut() {
    let key = document("a");
    let disk = Held::at("/history/run-stores/a.json");
    let options = VolumeOptions {
        history: VERSIONS,
        checkpoint_after: Duration::ZERO,
        ..VolumeOptions::default()
    };
    let store = VolumeStore::open_on(Arc::new(disk.clone()), &options).expect("a store");
    disk.set(Gate::Armed);
    put(&store, &key, "deleted").await;
    disk.holds().await;
    assert!(
        store.delete(&key, Preconditions::none()).await.expect("a delete").is_some(),
        "it was there"
    );
    let after = disk.disk.fork_after(Survival::Kept, 0);
    disk.set(Gate::Open);
    store.shutdown().await;
    let files = after.files();
    let in_tree = |path: &&String| path.starts_with("run-stores/");
    assert_eq!(files.iter().find(in_tree), None, "the tree has nothing of it");
    assert!(files.iter().any(|path| path.contains("/history/run-stores/a.json/")), "{files:?}");

    for restarts in [false, true] {
        let disk = after.fork_after(Survival::Kept, 0);
        let mut store = open(disk.clone(), &options);
        assert_eq!(bodies(&store, &key).await, [""; 0]);
        if restarts {
            store.shutdown().await;
            let files = disk.files();
            assert!(files.iter().all(|path| !path.contains("/history/")), "{files:?}");
            store = open(disk, &options);
        }
        put(&store, &key, "new").await;
        assert_eq!(bodies(&store, &key).await, ["new"], "what is deleted is not told");
        store.shutdown().await;
    }
}

/// A history that cannot be read ends no store: another file follows.
#[tokio::test]
async fn a_history_that_cannot_be_read_is_followed_by_another() {
    let (key, members) = (document("a"), namespace("m"));
    let options = VolumeOptions {
        history: VERSIONS,
        checkpoint_after: Duration::ZERO,
        ..VolumeOptions::default()
    };
    let disk = SimDisk::new();
    for run in 1..=3 {
        // The files of the run before cannot be read when this one begins.
        let unreadable = (run > 1).then_some("/history/");
        disk.change_faults(|faults: &mut Faults| faults.unreadable = unreadable);
        let store = open(disk.clone(), &options);
        put(&store, &key, ["1", "2", "3"][run - 1]).await;
        let operations = vec![set("k", &run.to_string())];
        store.patch(&members, Patch { operations, ..Patch::default() }).await.expect("a patch");
        // It fails, where the round of its end does.
        store.shutdown().await;
        disk.change_faults(|faults: &mut Faults| faults.unreadable = None);
        let files = disk.files();
        for path in ["run-stores/a.json", "kv/m.json"] {
            let last = format!("/history/{path}/{run:020}");
            assert!(files.iter().any(|file| file.ends_with(&last)), "{last} of {files:?}");
            let in_tree = disk.read(path).expect("it is in the tree");
            let text = String::from_utf8(in_tree).expect("text");
            assert!(text.contains(&run.to_string()), "{path} after run {run}: {text}");
        }
    }
    let store = open(disk, &options);
    // The file before the last is kept.
    assert_eq!(bodies(&store, &key).await, ["3", "2"]);
    for version in [2, 3] {
        let kept = store.namespace_version(&members, version).await.expect("a look");
        let expected = format!(r#"{{"k":{version}}}"#);
        assert_eq!(kept.expect("it is kept").snapshot(), expected, "version {version}");
    }
}

/// On a volume that is full, a write is refused or done as ever; versions may go, and none that is told
/// is another than it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_volume_versions_go_rather_than_writes() {
    for seed in 0..6 {
        let mut random = Rng::with_seed(seed);
        let disk = SimDisk::new();
        disk.change_faults(|faults: &mut Faults| faults.room_bytes = Some(300 << 10));
        let options = VolumeOptions { history: 100, ..options(&mut random) };
        let store = open(disk.clone(), &options);
        let key = document("a");
        let mut written: Vec<Bytes> = Vec::new();
        let mut refused = 0;
        let (mut most, mut last, mut given_up) = (0, 0, 0);
        for step in 0..200 {
            let body = Bytes::from(format!("{step}-{}", "x".repeat(4_000)));
            match store.put(&key, body.clone(), Preconditions::none()).await {
                Ok(_) => written.push(body),
                Err(stowage_store::StoreError::OutOfSpace) => refused += 1,
                Err(error) => panic!("seed {seed}, step {step}: {error}"),
            }
            let versions = store.history(&key).await.expect("a history");
            given_up += usize::from(versions.len() < last);
            last = versions.len();
            most = most.max(last);
            let from = written.len() - versions.len();
            for (version, expected) in versions.iter().zip(written[from..].iter().rev()) {
                let found = store.version(&key, version).await.expect("a look");
                // It may have gone meanwhile.
                let Some(found) = found else { continue };
                assert_eq!(&found.body, expected, "seed {seed}, step {step}");
            }
        }
        assert!(written.len() > 150, "seed {seed}: {refused} of 200 writes were refused");
        // Of 300 KiB the versions take what the document and the journal leave: some 35 of 4 KB.
        assert!(most >= 10, "seed {seed}: no more than {most} versions were ever kept");
        assert!(given_up > 0, "seed {seed}: none was given up, and {most} were kept at most");
        store.shutdown().await;
    }
}

/// Writes one version of a document and of a namespace, and what is listed of them from then on.
async fn write_both(store: &VolumeStore, version: usize) {
    let body = Bytes::from(version.to_string());
    store.put(&document("a"), body, Preconditions::none()).await.expect("a put");
    let operations = vec![set("k", &version.to_string())];
    let patch = Patch { operations, ..Patch::default() };
    store.patch(&namespace("m"), patch).await.expect("a patch");
}

/// The power goes twice, at any moments: among them those in which files have what the journal still
/// holds, and those in which a file has been begun that nothing has come into.
#[tokio::test]
async fn no_version_is_listed_twice_or_missing_wherever_rounds_were_cut_off() {
    let options = VolumeOptions { history: VERSIONS, ..VolumeOptions::default() };
    let disk = SimDisk::new();
    let store = open(disk.clone(), &options);
    for version in 1..VERSIONS {
        write_both(&store, version).await;
    }
    store.shutdown().await;
    let store = open(disk.clone(), &options);
    write_both(&store, VERSIONS).await;
    let written = disk.recording().operations().count();
    store.shutdown().await;
    let recording = disk.recording();
    let mut walk = recording.walk();
    for (before, cut) in recording.operations().enumerate().skip(written) {
        let first = walk.power_cut_at(cut, Survival::Kept, 0);
        let store = open(first.clone(), &options);
        write_both(&store, VERSIONS + 1).await;
        let written = first.recording().operations().count();
        store.shutdown().await;
        let recording = first.recording();
        let mut walk = recording.walk();
        for (after, cut) in recording.operations().enumerate().skip(written) {
            let survival = SURVIVALS[after % SURVIVALS.len()];
            let context = format!("cut {before}, then {after} of {survival:?}");
            let second = walk.power_cut_at(cut, survival, after as u64);
            for start in ["the first start", "another"] {
                let store = open(second.clone(), &options);
                let state = read(&store).await;
                let contents = |name: &str| -> Vec<String> {
                    let text = |content: &Bytes| String::from_utf8(content.to_vec()).expect("text");
                    state[name].iter().map(|(_, _, content)| text(content)).collect()
                };
                assert_eq!(contents("a"), ["2", "3", "4"], "{context}, {start}");
                let expected = [r#"{"k":2}"#, r#"{"k":3}"#, r#"{"k":4}"#];
                assert_eq!(contents("m"), expected, "{context}, {start}");
                // The files get what they lacked.
                store.shutdown().await;
            }
        }
    }
}
