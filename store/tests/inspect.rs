//! Looking at a directory that is not served, and cutting what cannot be read.

#[path = "support/keys.rs"]
mod keys;
#[path = "support/volume.rs"]
mod volume;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use stowage_store::volume::{Cut, InspectError, repair, verify};
use stowage_store::{Store, VolumeOptions, VolumeStore};
use tempfile::TempDir;

use keys::{document, namespace};
use volume::{get, new_store, open, patch, put};

/// A directory as a kill leaves it: the writes are in its journal and not in its tree. The first
/// two documents are followed by `later` more.
async fn killed_after(later: usize) -> TempDir {
    let (directory, store) = new_store();
    put(&store, &document("a"), "1").await;
    put(&store, &document("b"), "1").await;
    for _ in 0..later {
        put(&store, &document("c"), "1").await;
    }
    let copy = TempDir::new().expect("a temporary directory");
    // The bytes that a kill at this instant would leave, which a clean end would not.
    let status = Command::new("cp")
        .args(["-a", "--"])
        .arg(directory.path().join(".stowage"))
        .arg(copy.path())
        .status()
        .expect("cp");
    assert!(status.success(), "cp: {status}");
    copy
}

fn segment(directory: &Path) -> PathBuf {
    directory.join(".stowage/journal/00000000000000000001.journal")
}

/// Flips a bit of the first place where these bytes stand in the journal.
fn flip(directory: &Path, bytes: &str) {
    let path = segment(directory);
    let mut content = fs::read(&path).expect("the segment");
    let place = content.windows(bytes.len()).position(|window| window == bytes.as_bytes());
    content[place.expect("the bytes are there")] ^= 1;
    fs::write(path, content).expect("damage");
}

#[tokio::test]
async fn a_sound_directory_is_told_as_such_and_not_cut() {
    let directory = killed_after(1).await;
    let report = verify(directory.path()).expect("a look");
    assert_eq!((report.segments, report.records, report.damage), (1, 3, None));
    assert_eq!(report.files, Vec::<String>::new());
    let cut = Cut { file: "00000000000000000001.journal".into(), offset: 64 };
    assert!(matches!(repair(directory.path(), &cut), Err(InspectError::Sound)));
}

#[tokio::test]
async fn damage_is_refused_told_and_cut_where_it_begins() {
    let directory = killed_after(1).await;
    flip(directory.path(), "run-stores/b.json");
    let before = fs::read(segment(directory.path())).expect("the segment");

    let report = verify(directory.path()).expect("a look");
    let damage = report.damage.expect("damage");
    assert_eq!((report.records, &*damage.file), (1, "00000000000000000001.journal"));
    assert_eq!(damage.reason, "a record that was durable does not check out (sequence 2)");
    let refused = open(directory.path()).expect_err("a damaged journal").to_string();
    let expected = format!(
        "the journal of {} cannot be used: .stowage/journal/{} is damaged at byte {}: {}; nothing \
         of it was changed. Restore the directory from a backup; or look at what is lost with \
         `stowage-sidecar verify`, and give it up with `stowage-sidecar repair`",
        directory.path().display(),
        damage.file,
        damage.offset,
        damage.reason
    );
    assert_eq!(refused, expected);

    for offset in [0, damage.offset - 8, damage.offset + 8] {
        let cut = Cut { file: damage.file.clone(), offset };
        let refused = repair(directory.path(), &cut).expect_err("another place");
        assert!(matches!(refused, InspectError::Place(_)), "{offset}: {refused}");
    }
    let after = fs::read(segment(directory.path())).expect("the segment");
    assert!(before == after, "nothing is changed by a look, a refused start or a refused cut");

    let cut = Cut { file: damage.file.clone(), offset: damage.offset };
    let kept = repair(directory.path(), &cut).expect("a cut");
    let copy = fs::read(directory.path().join(kept).join(&damage.file)).expect("a copy");
    assert!(copy == before, "the journal is kept as it was");
    let store = open(directory.path()).expect("what is left");
    assert_eq!(get(&store, &document("a")).await.expect("what stood before").0, "1");
    assert_eq!(get(&store, &document("b")).await, None, "what was cut");
    assert_eq!(get(&store, &document("c")).await, None, "and what came after");
    put(&store, &document("b"), "2").await;
}

#[tokio::test]
async fn a_segment_whose_header_is_damaged_is_given_up_as_a_whole() {
    let directory = killed_after(0).await;
    flip(directory.path(), "STOWJRNL");
    let damage = verify(directory.path()).expect("a look").damage.expect("damage");
    assert_eq!((damage.offset, &*damage.reason), (0, "its header does not check out"));
    repair(directory.path(), &Cut { file: damage.file, offset: 0 }).expect("a cut");
    let store = open(directory.path()).expect("what is left");
    assert_eq!(get(&store, &document("a")).await, None);
    put(&store, &document("a"), "2").await;
}

/// Copies a program into a history and runs it: as long as it runs, nobody can write that file.
fn busy_history(directory: &Path) -> Child {
    let below = directory.join(".stowage/history/run-stores/z.json");
    fs::create_dir_all(&below).expect("a directory");
    let file = below.join("00000000000000000001");
    // By another process: where this one has it open, and forks meanwhile, it cannot be run.
    let copied = Command::new("cp").arg("/bin/sleep").arg(&file).status().expect("cp");
    assert!(copied.success(), "cp: {copied}");
    Command::new(file).arg("600").spawn().expect("it runs")
}

#[tokio::test]
async fn a_repair_that_was_cut_short_leaves_no_version_that_the_journal_has_lost() {
    let directory = TempDir::new().expect("a temporary directory");
    let options = VolumeOptions { history: 4, ..VolumeOptions::default() };
    let store = VolumeStore::open(directory.path(), &options).expect("a store");
    for name in ["a", "b", "c"] {
        put(&store, &document(name), "lost").await;
    }
    drop(store);
    flip(directory.path(), "run-stores/b.json");
    let histories = || {
        let below = directory.path().join(".stowage/history/run-stores");
        ["a", "b", "c"].map(|name| below.join(format!("{name}.json/00000000000000000001")).exists())
    };
    assert_eq!(histories(), [true; 3], "all are in histories");

    let damage = verify(directory.path()).expect("a look").damage.expect("damage");
    let cut = Cut { file: damage.file.clone(), offset: damage.offset };
    let mut busy = busy_history(directory.path());
    let ended = repair(directory.path(), &cut);
    busy.kill().expect("it is ended");
    busy.wait().expect("it has ended");
    assert!(matches!(ended, Err(InspectError::Io(_))), "cut short: {ended:?}");
    let after = verify(directory.path()).expect("a look").damage;
    assert_eq!(after, Some(damage), "the next repair finds what there is to be done");

    repair(directory.path(), &cut).expect("a cut");
    assert_eq!(histories(), [true, false, false], "what the journal has lost is in none");
    assert_eq!(verify(directory.path()).expect("a look").damage, None);
}

#[tokio::test]
async fn a_namespace_that_cannot_be_read_is_named() {
    let (directory, store) = new_store();
    store.patch(&namespace("a"), patch("k", "1")).await.expect("a patch");
    let refused = verify(directory.path()).expect_err("it is in use").to_string();
    assert!(refused.contains("is in use by the process"), "{refused}");
    drop(store);
    fs::write(directory.path().join("kv/a.json"), "{").expect("damage");
    let report = verify(directory.path()).expect("a look");
    assert_eq!(report.damage, None);
    assert_eq!(report.files.len(), 1, "{:?}", report.files);
    assert!(report.files[0].starts_with("kv/a.json is damaged: line 1"), "{:?}", report.files);
}

#[test]
fn a_directory_without_a_store_is_left_alone() {
    let directory = TempDir::new().expect("a temporary directory");
    let refused = verify(directory.path()).expect_err("no store").to_string();
    assert!(refused.contains("holds no store"), "{refused}");
    assert_eq!(directory.path().read_dir().expect("it is there").count(), 0);
}

/// As where another user may not look into it.
#[test]
fn a_directory_that_cannot_be_looked_into_is_not_told_to_be_empty() {
    let directory = TempDir::new().expect("a temporary directory");
    let private = directory.path().join(".stowage");
    std::os::unix::fs::symlink(&private, &private).expect("a link that leads nowhere");
    let refused = verify(directory.path()).expect_err("it cannot be read");
    assert!(matches!(refused, InspectError::Open(_)), "{refused}");
    assert!(!refused.to_string().contains("holds no store"), "{refused}");
}
