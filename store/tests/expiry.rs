//! Keys that are over by a clock that the test sets: gone from every read at once, whatever else
//! happens.

#[path = "support/deadline.rs"]
mod deadline;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use stowage_store::{
    EntityTag, Expiry, MemberKey, MemoryStore, Name, NameKind, Namespace, NamespaceKey, Operation,
    Patch, Preconditions, Store, StoreError, VolumeOptions, VolumeStore, WallClock, What,
};
use tempfile::TempDir;

use deadline::in_time;

/// A clock, and what is over by it.
struct Clocked {
    store: Arc<dyn Store>,
    clock: Arc<AtomicU64>,
    _directory: Option<TempDir>,
}

fn volume(path: &Path, clock: &Arc<AtomicU64>) -> VolumeStore {
    let clock = WallClock::Manual(Arc::clone(clock));
    let options = VolumeOptions { clock, ..VolumeOptions::default() };
    VolumeStore::open(path, &options).expect("a store")
}

/// Every backend, its clock at 1,000.
fn backends() -> [Clocked; 2] {
    let clock = || Arc::new(AtomicU64::new(1_000));
    let (of_memory, of_volume) = (clock(), clock());
    let directory = TempDir::new().expect("a temporary directory");
    let memory = MemoryStore::with_clock(WallClock::Manual(Arc::clone(&of_memory)));
    let volume = volume(directory.path(), &of_volume);
    [
        Clocked { store: Arc::new(memory), clock: of_memory, _directory: None },
        Clocked { store: Arc::new(volume), clock: of_volume, _directory: Some(directory) },
    ]
}

fn namespace(name: &str) -> NamespaceKey {
    NamespaceKey::shared(&Name::parse(NameKind::Namespace, name).expect("a name"))
}

fn set(key: &str, value: &str) -> Operation {
    let key = MemberKey::new(key).expect("a key");
    Operation::Set { key, value: value.to_owned().into() }
}

fn until(key: &str, value: &str, milliseconds: u64) -> Operation {
    let key = MemberKey::new(key).expect("a key");
    let expiry = Expiry::at_milliseconds(milliseconds);
    Operation::SetUntil { key, value: value.to_owned().into(), expiry }
}

fn delete(key: &str) -> Operation {
    Operation::Delete { key: MemberKey::new(key).expect("a key") }
}

fn patch(operations: Vec<Operation>) -> Patch {
    Patch { operations, ..Patch::default() }
}

impl Clocked {
    fn set_clock(&self, milliseconds: u64) {
        self.clock.store(milliseconds, Ordering::SeqCst);
    }

    async fn patch(&self, operations: Vec<Operation>) -> Arc<Namespace> {
        self.store.patch(&namespace("a"), patch(operations)).await.expect("a patch").namespace
    }

    /// The version and the keys that are read.
    async fn read(&self) -> (u64, String) {
        text(&self.store.namespace(&namespace("a")).await.expect("the namespace"))
    }
}

fn text(namespace: &Namespace) -> (u64, String) {
    (namespace.version(), String::from_utf8_lossy(&namespace.snapshot()).into_owned())
}

fn state(version: u64, text: &str) -> (u64, String) {
    (version, text.to_owned())
}

#[tokio::test]
async fn keys_are_gone_once_their_time_is_over_all_that_are_in_one_version() {
    for it in backends() {
        it.patch(vec![until("a", "1", 2_000), until("b", "2", 2_500), set("c", "3")]).await;
        it.patch(vec![until("d", "4", 3_000)]).await;
        it.set_clock(1_999);
        assert_eq!(it.read().await, state(2, r#"{"a":1,"b":2,"c":3,"d":4}"#));
        it.set_clock(2_000);
        assert_eq!(it.read().await, state(3, r#"{"b":2,"c":3,"d":4}"#));
        assert_eq!(it.read().await, state(3, r#"{"b":2,"c":3,"d":4}"#), "once");
        it.set_clock(9_000);
        assert_eq!(it.read().await, state(4, r#"{"c":3}"#), "two of them in one version");
        it.set_clock(1_000);
        assert_eq!(it.read().await, state(4, r#"{"c":3}"#), "a clock that is set back");
    }
}

#[tokio::test]
async fn what_is_done_to_a_key_later_decides_when_it_is_over() {
    let table: [(Vec<Operation>, &str); 6] = [
        (vec![set("a", "2")], r#"{"a":2}"#),
        (vec![until("a", "2", 5_000)], r#"{"a":2}"#),
        (vec![until("a", "2", 1_500)], "{}"),
        (vec![delete("a"), set("a", "2")], r#"{"a":2}"#),
        (vec![Operation::Clear, set("a", "2")], r#"{"a":2}"#),
        (vec![set("a", "2"), until("a", "3", 2_000)], "{}"),
    ];
    for (operations, expected) in table {
        for it in backends() {
            it.patch(vec![until("a", "1", 2_000)]).await;
            it.patch(operations.clone()).await;
            it.set_clock(2_000);
            assert_eq!(it.read().await.1, expected, "{operations:?}");
        }
    }
}

#[tokio::test]
async fn conditions_are_decided_without_what_is_over() {
    let at = |version: u64| Preconditions::matches(&EntityTag::from_version(version));
    for it in backends() {
        it.patch(vec![until("a", "1", 2_000), set("b", "1")]).await;
        it.set_clock(2_000);
        let late = Patch { preconditions: at(1), ..patch(vec![set("c", "1")]) };
        match it.store.patch(&namespace("a"), late).await {
            Err(StoreError::PreconditionFailed { current }) => {
                assert_eq!(current, Some(EntityTag::from_version(2)));
            }
            other => panic!("expected a lost race with the expiry, got {other:?}"),
        }
        // A quota counts what is there.
        let patch = Patch { preconditions: at(2), max_keys: Some(2), ..patch(vec![set("c", "1")]) };
        let patched = it.store.patch(&namespace("a"), patch).await.expect("a patch");
        assert_eq!(text(&patched.namespace), state(3, r#"{"b":1,"c":1}"#));
        assert!(!patched.created);
    }
}

#[tokio::test]
async fn who_watches_sees_a_delete_also_where_nobody_reads() {
    let [_, it] = backends();
    it.patch(vec![until("a", "1", 2_000), until("b", "1", 2_000), set("c", "1")]).await;
    let (start, mut changes) = it.store.watch_namespace(&namespace("a")).await.expect("a watch");
    assert_eq!(start.version(), 1);
    assert!(changes.next().now_or_never().is_none(), "it is not time yet");
    it.set_clock(2_000);
    let told = in_time("the expiry, without a read", changes.next()).await.expect("a change");
    match &told.what {
        What::Namespace { version: 2, operations, .. } => {
            assert_eq!(operations, &[delete("a"), delete("b")]);
        }
        other => panic!("expected version 2, got {other:?}"),
    }
    it.patch(vec![until("d", "1", 3_000)]).await;
    it.set_clock(4_000);
    in_time("the patch", changes.next()).await.expect("a change");
    in_time("the next expiry", changes.next()).await.expect("a change");
    assert_eq!(it.read().await, state(4, r#"{"c":1}"#));
    // A watch that begins late begins without what is over.
    it.patch(vec![until("e", "1", 4_000)]).await;
    let (start, _) = it.store.watch_namespace(&namespace("a")).await.expect("a watch");
    assert_eq!(text(&start).1, r#"{"c":1}"#);
}

#[tokio::test]
async fn a_restart_remembers_when_keys_are_over() {
    // In the tree, and in the journal.
    for is_closed in [true, false] {
        let directory = TempDir::new().expect("a temporary directory");
        let clock = Arc::new(AtomicU64::new(1_000));
        let key = namespace("a");
        let store = volume(directory.path(), &clock);
        let operations = vec![until("a", "1", 2_000), until("b", "1", 3_000), set("c", "1")];
        store.patch(&key, patch(operations)).await.expect("a patch");
        let copy = TempDir::new().expect("a temporary directory");
        if is_closed {
            drop(store);
            copy_tree(directory.path(), copy.path());
        } else {
            copy_tree(directory.path(), copy.path());
            drop(store);
        }
        clock.store(2_000, Ordering::SeqCst);
        let store = volume(copy.path(), &clock);
        let read = store.namespace(&key).await.expect("the namespace");
        assert_eq!(text(&read), state(2, r#"{"b":1,"c":1}"#), "closed: {is_closed}");
        let (_, mut changes) = store.watch_namespace(&key).await.expect("a watch");
        drop(read);
        clock.store(3_000, Ordering::SeqCst);
        in_time("the next expiry", changes.next()).await.expect("a change");
        drop((store, changes));
        // The clock is set back, and the version and what is gone stay as they are.
        clock.store(0, Ordering::SeqCst);
        let read = volume(copy.path(), &clock).namespace(&key).await.expect("the namespace");
        assert_eq!(text(&read), state(3, r#"{"c":1}"#), "closed: {is_closed}");
        let file = std::fs::read_to_string(copy.path().join("kv/a.json")).expect("its file");
        assert_eq!(
            file, r#"{"version":"3","snapshot":{"c":1}}"#,
            "as it was before there were times"
        );
    }
}

#[tokio::test]
async fn a_start_knows_of_what_the_journal_has_and_needs_no_reader() {
    let directory = TempDir::new().expect("a temporary directory");
    let clock = Arc::new(AtomicU64::new(1_000));
    let store = volume(directory.path(), &clock);
    store.patch(&namespace("a"), patch(vec![until("a", "1", 2_000)])).await.expect("a patch");
    let copy = TempDir::new().expect("a temporary directory");
    copy_tree(directory.path(), copy.path());
    drop(store);
    clock.store(2_000, Ordering::SeqCst);
    let store = volume(copy.path(), &clock);
    let expected = r#"{"version":"2","snapshot":{}}"#;
    let expired = async {
        while std::fs::read_to_string(copy.path().join("kv/a.json")).is_ok_and(|it| it != expected)
            || !copy.path().join("kv/a.json").exists()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    in_time("the tree without the key", expired).await;
    drop(store);
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (path, kind) = (entry.path(), entry.file_type().expect("its kind"));
        if kind.is_dir() {
            std::fs::create_dir_all(to.join(entry.file_name())).expect("a directory");
            copy_tree(&path, &to.join(entry.file_name()));
        } else if kind.is_file() && entry.file_name() != "lock" {
            std::fs::copy(&path, to.join(entry.file_name())).expect("a copy");
        }
    }
}
