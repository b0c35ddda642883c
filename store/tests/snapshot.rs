//! Snapshots of a store that is written to meanwhile: what is restored is the state of one
//! sequence, exactly.

#[path = "support/keys.rs"]
mod keys;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use stowage_store::disk::Kind;
use stowage_store::volume::snapshot::{CopyError, Source, Span};
use stowage_store::volume::{GivenUp, Pin, Restore};
use stowage_store::{
    EntityTag, Key, Namespace, NamespaceKey, Operation, Patch, Preconditions, Store, VolumeOptions,
    VolumeStore,
};
use tempfile::TempDir;

use keys::{document, namespace, set};

const DOCUMENTS: usize = 4;
const NAMESPACES: usize = 3;
/// How many versions are kept where there is a history.
const VERSIONS: usize = 3;
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
enum Step {
    Put(usize, usize),
    Delete(usize),
    Set(usize, u8, usize),
    Clear(usize),
    /// Waits until the tree holds all that was written.
    Settle,
    /// Copies one of the files that are left to copy.
    Copy(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    // Long enough that segments are filled, and freed, all the time.
    let length = prop_oneof![0..64_usize, 4_000..12_000_usize];
    prop_oneof![
        6 => (0..DOCUMENTS, length.clone()).prop_map(|(d, length)| Step::Put(d, length)),
        2 => (0..DOCUMENTS).prop_map(Step::Delete),
        5 => (0..NAMESPACES, 0..4_u8, length).prop_map(|(n, key, length)| Step::Set(n, key, length)),
        1 => (0..NAMESPACES).prop_map(Step::Clear),
        3 => Just(Step::Settle),
        8 => any::<prop::sample::Index>().prop_map(Step::Copy),
    ]
}

fn key(number: usize) -> Key {
    match number {
        0 => Key::default_run_store(),
        n => document(&n.to_string()),
    }
}

fn namespace_key(number: usize) -> NamespaceKey {
    namespace(&number.to_string())
}

/// Options under which checkpoints and the recycling of segments happen all the time.
fn options(history: usize) -> VolumeOptions {
    VolumeOptions {
        history,
        segment_bytes: 1,
        journal_bytes: 1,
        checkpoint_after: Duration::from_millis(1),
        ..VolumeOptions::default()
    }
}

fn open(path: &Path, history: usize) -> VolumeStore {
    VolumeStore::open(path, &options(history)).unwrap_or_else(|error| panic!("{error}"))
}

type State = (BTreeMap<usize, (Vec<u8>, EntityTag)>, Vec<Arc<Namespace>>);

async fn state(store: &VolumeStore) -> State {
    let mut documents = BTreeMap::new();
    for number in 0..DOCUMENTS {
        if let Some(object) = store.get(&key(number)).await.expect("a get") {
            documents.insert(number, (object.body.to_vec(), object.tag.clone()));
        }
    }
    let mut namespaces = Vec::new();
    for number in 0..NAMESPACES {
        namespaces.push(store.namespace(&namespace_key(number)).await.expect("a namespace"));
    }
    (documents, namespaces)
}

/// Of each document, then of each namespace, its versions with their content, the last first.
async fn versions(store: &VolumeStore) -> Vec<Vec<(EntityTag, Vec<u8>)>> {
    let mut all = Vec::new();
    for key in (0..DOCUMENTS).map(key) {
        let mut found = Vec::new();
        for version in store.history(&key).await.expect("a history") {
            let object = store.version(&key, &version).await.expect("a look");
            found.push((version.tag, object.expect("it is kept").body.to_vec()));
        }
        all.push(found);
    }
    for key in (0..NAMESPACES).map(namespace_key) {
        let mut found = Vec::new();
        for version in store.namespace_history(&key).await.expect("a history") {
            let number = version.tag.opaque().to_string().parse().expect("a number");
            let namespace = store.namespace_version(&key, number).await.expect("a look");
            found.push((version.tag, namespace.expect("it is kept").snapshot().to_vec()));
        }
        all.push(found);
    }
    all
}

struct Copied {
    path: String,
    modified: i128,
    content: Vec<u8>,
}

fn files(source: &Source, directory: &str, found: &mut Vec<String>) {
    for (name, kind) in source.entries(directory).expect("a list") {
        let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
        match kind {
            Kind::Directory => files(source, &path, found),
            _ => found.push(path),
        }
    }
}

fn copy(source: &Source, path: &str) -> Option<Copied> {
    let mut file = source.open(path).expect("a look")?;
    let mut content = Vec::new();
    file.read_to_end(&mut content).expect("its content");
    Some(Copied { path: path.to_owned(), modified: file.modified(), content })
}

/// The versions of writes up to a sequence, as their files tell them.
fn copy_history(source: &Source, up_to: u64) -> Vec<Copied> {
    let mut paths = Vec::new();
    files(source, Source::HISTORY, &mut paths);
    let copied = paths.into_iter().filter_map(|path| {
        let mut file = source.open_history(&path, up_to).expect("a look")?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).expect("its content");
        Some(Copied { path, modified: 0, content })
    });
    copied.collect()
}

/// What a snapshot of these files and of the journal becomes.
fn restored(source: &Source, span: &Span, files: &[Copied]) -> TempDir {
    let directory = TempDir::new().expect("a directory");
    let mut restore = Restore::begin(directory.path()).expect("an empty directory");
    for Copied { path, modified, content } in files {
        restore.file(path, *modified, &mut &content[..]).expect("a file");
    }
    source
        .journal(span, |path, mut bytes| {
            restore.file(path, 0, &mut bytes).map(|_| ()).map_err(std::io::Error::other)
        })
        .unwrap_or_else(|error| panic!("the journal up to {}: {error}", span.up_to));
    restore.finish("2").expect("an end");
    directory
}

struct Case {
    directory: TempDir,
    store: VolumeStore,
    history: usize,
    written: u64,
    tags: HashSet<EntityTag>,
}

impl Case {
    fn new(history: usize) -> Self {
        let directory = TempDir::new().expect("a directory");
        let store = open(directory.path(), history);
        Self { directory, store, history, written: 0, tags: HashSet::new() }
    }

    async fn write(&mut self, step: &Step) -> TestCaseResult {
        self.written += 1;
        let body = |length: usize| format!("\"{}{}\"", self.written, "x".repeat(length));
        match *step {
            Step::Put(d, length) => {
                let put = self.store.put(&key(d), body(length).into(), Preconditions::none()).await;
                let tag = put.map_err(|error| TestCaseError::fail(error.to_string()))?.tag;
                prop_assert!(self.tags.insert(tag.clone()), "{} twice", tag);
            }
            Step::Delete(d) => {
                self.store.delete(&key(d), Preconditions::none()).await.expect("a delete");
            }
            Step::Set(n, member, length) => {
                let operations = vec![set(&member.to_string(), &body(length))];
                let patch = Patch { operations, ..Patch::default() };
                self.store.patch(&namespace_key(n), patch).await.expect("a patch");
            }
            Step::Clear(n) => {
                let patch = Patch { operations: vec![Operation::Clear], ..Patch::default() };
                self.store.patch(&namespace_key(n), patch).await.expect("a patch");
            }
            Step::Settle => self.settle().await,
            Step::Copy(_) => {}
        }
        Ok(())
    }

    /// Waits until the tree holds all that was written.
    async fn settle(&self) {
        let (documents, namespaces) = state(&self.store).await;
        let is_there = |path: String, content: Option<&[u8]>| {
            let found = fs::read(self.directory.path().join(path)).ok();
            found.as_deref() == content
        };
        let version = |path: String| {
            let file = fs::read(self.directory.path().join(path)).ok();
            let file = file.and_then(|it| serde_json::from_slice::<serde_json::Value>(&it).ok());
            file.map_or("0".to_owned(), |it| it["version"].as_str().unwrap_or_default().to_owned())
        };
        let begun = Instant::now();
        loop {
            let documents = (0..DOCUMENTS).all(|d| {
                let content = documents.get(&d).map(|(body, _)| &body[..]);
                is_there(key(d).as_str().to_owned(), content)
            });
            let namespaces = (0..NAMESPACES).all(|n| {
                version(namespace_key(n).as_str().to_owned()) == namespaces[n].version().to_string()
            });
            if documents && namespaces {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "expected in the tree: all that was written");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Dates documents into the future while the store is closed, as a person may.
    async fn date(&mut self, documents: &[usize]) {
        self.store.shutdown().await;
        let future = SystemTime::now() + Duration::from_secs(86_400);
        for number in documents {
            let path = self.directory.path().join(key(*number).as_str());
            if let Ok(file) = fs::File::options().write(true).open(path) {
                file.set_modified(future).expect("its time");
            }
        }
        self.store = open(self.directory.path(), self.history);
    }
}

fn inode(directory: &Path, path: &str) -> Option<u64> {
    fs::metadata(directory.join(path)).ok().map(|metadata| metadata.ino())
}

/// Before the snapshot, while the tree is copied, between the barrier and the copy of the journal.
type Steps = (Vec<Step>, Vec<Step>, Vec<Step>);

async fn history(
    (before, during, after): Steps,
    future: Vec<usize>,
    misses: Vec<bool>,
) -> TestCaseResult {
    let mut case = Case::new(0);
    for step in &before {
        case.write(step).await?;
    }
    case.date(&future).await;

    let pin = case.store.pin().expect("a pin");
    let path = case.directory.path().to_owned();
    let source = Source::served(&path).expect("a source");
    let mut left = Vec::new();
    files(&source, "", &mut left);
    let inodes: BTreeMap<String, Option<u64>> =
        left.iter().map(|file| (file.clone(), inode(&path, file))).collect();
    let mut copied = Vec::new();
    for step in &during {
        if let Step::Copy(index) = step
            && !left.is_empty()
        {
            let file = left.swap_remove(index.index(left.len()));
            copied.extend(copy(&source, &file));
        }
        case.write(step).await?;
    }
    copied.extend(left.iter().filter_map(|file| copy(&source, file)));
    // A file that was replaced meanwhile may not have been listed.
    let mut misses = misses.into_iter().cycle();
    copied.retain(|file| {
        let is_replaced = inodes[&file.path] != inode(&path, &file.path);
        !(is_replaced && misses.next().unwrap_or_default())
    });
    let first = pin.barrier().await.expect("a barrier");
    for step in after.iter().take(2) {
        case.write(step).await?;
    }
    for missed in source.patched(&first).expect("the journal") {
        if !copied.iter().any(|file| file.path == missed) {
            copied.push(copy(&source, &missed).expect("a namespace's file"));
        }
    }
    let expected = state(&case.store).await;
    let span = pin.barrier().await.expect("a barrier");
    for step in after.iter().skip(2) {
        case.write(step).await?;
    }
    prop_assert_eq!(pin.given_up(), None);
    let directory = restored(&source, &span, &copied);
    drop(pin);
    same_and_goes_on(directory.path(), expected, &mut case.tags).await?;

    // Of the directory at rest, too.
    let expected = state(&case.store).await;
    case.store.shutdown().await;
    let (source, span) = Source::unserved(&path).expect("a source");
    let mut found = Vec::new();
    files(&source, "", &mut found);
    let copied: Vec<Copied> = found.iter().filter_map(|file| copy(&source, file)).collect();
    let directory = restored(&source, &span.expect("a journal"), &copied);
    same_and_goes_on(directory.path(), expected, &mut case.tags).await
}

async fn same_and_goes_on(
    path: &Path,
    expected: State,
    tags: &mut HashSet<EntityTag>,
) -> TestCaseResult {
    let store = open(path, 0);
    prop_assert_eq!(&state(&store).await, &expected);
    drop(store);
    let store = open(path, 0);
    prop_assert_eq!(&state(&store).await, &expected, "after another start");
    for number in 0..DOCUMENTS {
        let put = store.put(&key(number), "1".into(), Preconditions::none()).await.expect("a put");
        prop_assert_eq!(put.created, !expected.0.contains_key(&number));
        prop_assert!(!tags.contains(&put.tag), "{} was given out before", put.tag);
    }
    for number in 0..NAMESPACES {
        let patch = Patch { operations: vec![set("new", "1")], ..Patch::default() };
        let patched = store.patch(&namespace_key(number), patch).await.expect("a patch");
        prop_assert_eq!(patched.namespace.version(), expected.1[number].version() + 1);
    }
    Ok(())
}

/// The same of a store with a history, and of what is restored the versions, too.
async fn history_of_versions((before, during, after): Steps) -> TestCaseResult {
    let mut case = Case::new(VERSIONS);
    for step in &before {
        case.write(step).await?;
    }
    let pin = case.store.pin().expect("a pin");
    let path = case.directory.path().to_owned();
    let source = Source::served(&path).expect("a source");
    let mut left = Vec::new();
    files(&source, "", &mut left);
    let mut copied = Vec::new();
    for step in &during {
        if let Step::Copy(index) = step
            && !left.is_empty()
        {
            copied.extend(copy(&source, &left.swap_remove(index.index(left.len()))));
        }
        case.write(step).await?;
    }
    copied.extend(left.iter().filter_map(|file| copy(&source, file)));
    let first = pin.barrier().await.expect("a barrier");
    for missed in source.patched(&first).expect("the journal") {
        if !copied.iter().any(|file| file.path == missed) {
            copied.push(copy(&source, &missed).expect("a namespace's file"));
        }
    }
    let (expected, kept) = (state(&case.store).await, versions(&case.store).await);
    let span = pin.barrier().await.expect("a barrier");
    for step in &after {
        case.write(step).await?;
    }
    prop_assert_eq!(pin.given_up(), None);
    copied.extend(copy_history(&source, span.up_to));
    let directory = restored(&source, &span, &copied);
    drop(pin);
    for start in 1..=2 {
        let store = open(directory.path(), VERSIONS);
        prop_assert_eq!(&state(&store).await, &expected, "start {}", start);
        // What was written since has let the oldest go, and those alone.
        for (found, kept) in versions(&store).await.iter().zip(&kept) {
            prop_assert!(kept.starts_with(found), "{:?} begins with {:?}", kept, found);
            prop_assert_eq!(found.is_empty(), kept.is_empty());
            prop_assert!(!after.is_empty() || found.len() == kept.len());
        }
        store.shutdown().await;
    }

    let (expected, kept) = (state(&case.store).await, versions(&case.store).await);
    case.store.shutdown().await;
    let (source, span) = Source::unserved(&path).expect("a source");
    let mut found = Vec::new();
    files(&source, "", &mut found);
    let mut copied: Vec<Copied> = found.iter().filter_map(|file| copy(&source, file)).collect();
    copied.extend(copy_history(&source, u64::MAX));
    let directory = restored(&source, &span.expect("a journal"), &copied);
    let store = open(directory.path(), VERSIONS);
    prop_assert_eq!((state(&store).await, versions(&store).await), (expected, kept));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn versions_are_restored_with_what_they_led_to(
        before in prop::collection::vec(step(), 0..40),
        during in prop::collection::vec(step(), 0..40),
        after in prop::collection::vec(step(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(history_of_versions((before, during, after)))?;
    }

    #[test]
    fn a_copy_of_a_changing_tree_is_restored_as_of_its_sequence(
        before in prop::collection::vec(step(), 0..30),
        during in prop::collection::vec(step(), 0..60),
        after in prop::collection::vec(step(), 0..12),
        future in prop::sample::subsequence(vec![0, 1, 2, 3], 0..3),
        misses in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(history((before, during, after), future, misses))?;
    }
}

async fn fill(store: &VolumeStore, documents: usize) {
    for _ in 0..documents {
        let body = vec![b'x'; 20_000];
        store.put(&key(1), body.into(), Preconditions::none()).await.expect("a put");
    }
}

/// The bytes of the journal's segments.
fn journal_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path.join(".stowage/journal")).expect("a journal");
    let length = |entry: fs::DirEntry| entry.metadata().map_or(0, |metadata| metadata.len());
    entries.filter_map(|entry| entry.ok().map(length)).sum()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "expected in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_pin_keeps_the_journal_and_lets_it_go() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path(), 0);
    fill(&store, 20).await;
    let unpinned = journal_bytes(directory.path());
    let (pin, other) = (store.pin().expect("a pin"), store.pin().expect("a second pin"));
    fill(&store, 100).await;
    let bytes = journal_bytes(directory.path());
    assert!(bytes > 100 * 20_000, "all of it is kept, and {bytes} bytes are");
    drop(other);
    fill(&store, 10).await;
    assert!(journal_bytes(directory.path()) > 100 * 20_000, "for the one that is left");
    drop(pin);
    until("the journal is short again", || journal_bytes(directory.path()) <= 2 * unpinned).await;
    drop(store);
    let store = open(directory.path(), 0);
    assert_eq!(store.get(&key(1)).await.expect("a get").expect("a document").body.len(), 20_000);
}

#[tokio::test]
async fn what_a_killed_store_kept_for_a_snapshot_is_freed_after_its_next_start() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path(), 0);
    let pin = store.pin().expect("a pin");
    fill(&store, 100).await;
    drop(store);
    drop(pin);
    assert!(journal_bytes(directory.path()) > 100 * 20_000, "it is there as a kill would leave it");
    let store = open(directory.path(), 0);
    fill(&store, 1).await;
    until("the journal is short again", || journal_bytes(directory.path()) < 1_000_000).await;
}

async fn given_up(pin: &Pin) -> GivenUp {
    tokio::time::timeout(DEADLINE, pin.until_given_up()).await.expect("it is given up")
}

#[tokio::test]
async fn a_snapshot_that_holds_too_much_is_given_up_and_no_write_waits() {
    let directory = TempDir::new().expect("a directory");
    let options = VolumeOptions { snapshot_bytes: 1_000_000, ..options(0) };
    let store = VolumeStore::open(directory.path(), &options).expect("a store");
    let pin = store.pin().expect("a pin");
    let source = Source::served(directory.path()).expect("a source");
    fill(&store, 200).await;
    assert_eq!(given_up(&pin).await, GivenUp::TooLong(1_000_000));
    let span = pin.barrier().await.expect("the store works on");
    until("the journal is short again", || journal_bytes(directory.path()) < 1_000_000).await;
    let refused = source.journal(&span, |_, _| Ok(())).expect_err("it is not there any more");
    assert!(matches!(refused, CopyError::Damaged(_) | CopyError::Read(_)), "{refused}");
    fill(&store, 10).await;
    let again = store.pin().expect("a pin");
    let span = again.barrier().await.expect("a barrier");
    source.journal(&span, |_, _| Ok(())).expect("another one is taken");
}
