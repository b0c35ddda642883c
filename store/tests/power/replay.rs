//! Starts that bring the tree up to date on the way, because more is missing there than their
//! memory holds; and power cuts at every operation of such a start.

use std::time::Duration;

use fastrand::Rng;
use stowage_store::{Key, Name, NameKind, Patch, Preconditions, Store, VolumeOptions};

use crate::content::{ARCHIVES, NAMESPACES, body, changes, document_key, namespace_key};
use crate::disk::{Faults, SimDisk, Survival};
use crate::known::Content;
use crate::session::open;
use crate::verify::read_content;

/// Nothing comes into the tree but at a start.
fn options(dirty_bytes: u64) -> VolumeOptions {
    VolumeOptions {
        cache_bytes: 0,
        segment_bytes: 1,
        journal_bytes: 1 << 20,
        dirty_bytes,
        checkpoint_after: Duration::from_secs(3_600),
        ..VolumeOptions::default()
    }
}

/// The documents; what comes after them are archives, which bypass the journal.
const IN_JOURNAL: usize = ARCHIVES.start;

const MUCH: u64 = 1 << 30;

/// Less than one body takes, so that nearly every record makes a start write.
const LITTLE: u64 = 400;

/// A disk whose journal holds writes and whose tree none, and what they come to.
async fn journal_alone(random: &mut Rng) -> (SimDisk, Content) {
    let disk = SimDisk::new();
    let store = open(disk.clone(), &options(MUCH)).expect("a new store");
    for write in 1..40 {
        if random.usize(..3) == 0 {
            let operations = changes(write, random).0;
            let patch = Patch { operations, ..Patch::default() };
            let key = namespace_key(random.usize(..NAMESPACES));
            store.patch(&key, patch).await.expect("a patch");
            continue;
        }
        let key = document_key(random.usize(..IN_JOURNAL));
        if random.usize(..4) == 0 {
            store.delete(&key, Preconditions::none()).await.expect("a delete");
        } else {
            store.put(&key, body(write), Preconditions::none()).await.expect("a put");
        }
    }
    let content = read_content(&store).await.expect("it is read");
    (disk.power_cut(Survival::Lost, 0), content)
}

async fn expect(disk: SimDisk, dirty_bytes: u64, content: &Content, what: &str) {
    let store = match open(disk, &options(dirty_bytes)) {
        Ok(store) => store,
        Err(error) => panic!("{what}: the start is refused: {error}"),
    };
    let found = read_content(&store).await;
    assert_eq!(found.as_ref(), Ok(content), "{what}");
}

#[tokio::test]
async fn a_start_with_little_memory_serves_the_same_wherever_the_power_goes() {
    for seed in 0..6 {
        let mut random = Rng::with_seed(seed);
        let (left, content) = journal_alone(&mut random).await;
        let disk = left.fork_after(Survival::Kept, 0);
        let store = open(disk.clone(), &options(LITTLE)).expect("it opens");
        let recording = disk.recording();
        assert_eq!(read_content(&store).await.as_ref(), Ok(&content), "seed {seed}");
        drop(store);
        // Temporary files have numbers; a round of checkpoints has each path once.
        let written: usize = (1..10).map(|digit| recording.renames_from(&digit.to_string())).sum();
        assert!(
            written > IN_JOURNAL + NAMESPACES,
            "seed {seed}: {written} files came into the tree on the way"
        );
        let mut walk = recording.walk();
        for cut in recording.operations() {
            let survival = Survival::ALL[random.usize(..Survival::ALL.len())];
            let after = walk.power_cut_at(cut, survival, random.u64(..));
            let again = if random.bool() { LITTLE } else { MUCH };
            let what = format!("seed {seed}, cut at {cut}, {survival:?}, then {again} bytes");
            expect(after, again, &content, &what).await;
        }
    }
}

#[tokio::test]
async fn a_start_writes_nothing_where_what_the_tree_lacks_fits_into_memory() {
    const ALL: usize = 420;
    const SAVED: usize = 360;
    let key = |number: usize| {
        Key::run_store(&Name::parse(NameKind::RunStore, &number.to_string()).expect("a name"))
    };
    let disk = SimDisk::new();
    let store = open(disk.clone(), &options(MUCH)).expect("a new store");
    for number in 0..ALL {
        store
            .put(&key(number), vec![b'x'; 500].into(), Preconditions::none())
            .await
            .expect("a put");
    }
    let disk = disk.fork_after(Survival::Kept, 0);
    drop(store);
    open(disk.clone(), &options(MUCH)).expect("it opens").shutdown().await;
    let recording = disk.recording();
    let mut walk = recording.walk();
    let in_tree =
        |disk: &SimDisk| disk.files().iter().filter(|it| it.starts_with("run-stores/")).count();
    let left = recording
        .operations()
        .map(|cut| walk.power_cut_at(cut, Survival::Kept, 0))
        .find(|left| in_tree(left) == SAVED)
        .expect("a checkpoint under way");

    // All of them need four times of that, what is missing less than three quarters.
    let bytes = 80 << 10;
    let faults = Faults { failed_write: Some(0), ..Faults::default() };
    let unwritable = left.fork_after(Survival::Kept, 0);
    unwritable.set_faults(faults);
    drop(open(unwritable, &options(bytes)).expect("a start that writes nothing"));
    let store = open(left, &options(bytes)).expect("it opens");
    for number in 0..ALL {
        let object = store.get(&key(number)).await.expect("a read");
        assert!(object.is_some_and(|it| it.body.len() == 500), "document {number}");
    }
}

#[tokio::test]
async fn a_start_on_a_full_disk_takes_more_memory_and_serves_all() {
    let (left, content) = journal_alone(&mut Rng::with_seed(3)).await;
    let room = left.used_bytes() + 2 * 4_096;
    left.set_faults(Faults { room_bytes: Some(room), ..Faults::default() });
    expect(left, LITTLE, &content, "two blocks are left").await;
}
