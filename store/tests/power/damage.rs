//! A journal that a killed store has left is damaged: the start is refused, or what is served is
//! exactly right.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use stowage_store::disk::Disk;
use stowage_store::{Patch, Preconditions, Store, VolumeOptions};
use tokio::runtime::Runtime;

use crate::content::{body, changes, document_key, namespace_key};
use crate::cuts::is_long;
use crate::disk::{SimDisk, Survival};
use crate::known::Content;
use crate::session::open;
use crate::verify::read_content;

/// Beyond the last record, so many bytes are damaged one by one too; the rest by samples.
const BEYOND: usize = 160;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// The tree stays as it is, so that everything stands in the journal alone.
fn options() -> VolumeOptions {
    VolumeOptions {
        segment_bytes: 1,
        journal_bytes: 1 << 20,
        checkpoint_after: Duration::from_secs(3_600),
        ..VolumeOptions::default()
    }
}

fn segments(disk: &SimDisk) -> Vec<String> {
    let mut files = disk.files();
    files.retain(|path| path.starts_with(".stowage/journal/") && path.ends_with(".journal"));
    files
}

/// What a store left that was killed.
struct Left {
    disk: SimDisk,
    content: Content,
    /// The same without the last write.
    before: Content,
    /// The disk at the moment at which the last write was acknowledged.
    at_the_answer: SimDisk,
}

/// Writes of these numbers have the shortest bodies.
const SHORT: u64 = 4_100;

/// Writes documents and a namespace; `step` lies between the numbers of the writes.
fn killed_store(runtime: &Runtime, writes: u64, step: u64) -> Left {
    let disk = SimDisk::new();
    let mut random = fastrand::Rng::with_seed(7);
    let (content, before) = runtime.block_on(async {
        let store = open(disk.clone(), &options()).expect("a new store");
        let mut before = Content::empty();
        for write in 1..=writes {
            before = read_content(&store).await.expect("it is read");
            let key = document_key((write % 3) as usize);
            if write % 2 == 1 {
                let put = store.put(&key, body(write * step), Preconditions::none());
                put.await.expect("a put");
            } else {
                let operations = changes(write * step, &mut random).0;
                let patch = Patch { operations, ..Patch::default() };
                store.patch(&namespace_key(0), patch).await.expect("a patch");
            }
        }
        let content = read_content(&store).await.expect("it is read");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !disk.recording().ends_with_a_write() {
            assert!(Instant::now() < deadline, "the last write is not confirmed on the disk");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let killed = disk.power_cut(Survival::Kept, 0);
        drop(store);
        (content, (before, killed))
    });
    let (before, killed) = before;
    let recording = disk.recording();
    let last_sync = recording.last_data_sync().expect("a sync of the journal");
    let at_the_answer = recording.walk().power_cut_at(last_sync + 1, Survival::Lost, 0);
    Left { disk: killed, content, before, at_the_answer }
}

/// What came of a start.
#[derive(Debug, PartialEq)]
enum Outcome {
    Refused(String),
    Served(Box<Content>),
}

fn start(runtime: &Runtime, disk: SimDisk) -> Outcome {
    let started = catch_unwind(AssertUnwindSafe(|| match open(disk, &options()) {
        Err(error) => Outcome::Refused(error.to_string()),
        Ok(store) => match runtime.block_on(read_content(&store)) {
            Ok(content) => Outcome::Served(Box::new(content)),
            Err(error) => Outcome::Refused(error),
        },
    }));
    started.unwrap_or_else(|_| panic!("it panicked; see above"))
}

/// Damages a file by a function, starts on it, and checks what comes of it. Says whether it was
/// refused.
fn try_damage(
    runtime: &Runtime,
    disk: &SimDisk,
    path: &str,
    right: &[&Content],
    what: &str,
    damage: impl FnOnce(&mut Vec<u8>),
) -> bool {
    let disk = disk.fork_after(Survival::Kept, 0);
    let mut bytes = disk.read(path).expect("a file");
    damage(&mut bytes);
    disk.replace(path, bytes);
    match start(runtime, disk) {
        Outcome::Refused(message) => {
            let place = message.split_once("at byte ").map(|(_, rest)| rest);
            let has_place =
                place.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            assert!(
                message.contains(path) && has_place,
                "{what}: expected a refusal that names {path} and the byte, got {message:?}"
            );
            true
        }
        Outcome::Served(content) => {
            assert!(
                right.contains(&&*content),
                "{what}: expected a refusal or one of\n  {right:?}\n, served was\n  {content:?}"
            );
            false
        }
    }
}

/// The length of what is used of a segment.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The offsets to be damaged of a file that is used so far.
fn places(length: usize, used: usize) -> Vec<usize> {
    let near = (used + BEYOND).min(length);
    let step = if is_long() { 1 } else { 509 };
    (0..near).chain((near..length).step_by(step)).collect()
}

/// Gives how many flips were refused, and how many there were.
fn every_flip_and_truncation(disk: &SimDisk, right: &[&Content]) -> (usize, usize) {
    let runtime = runtime();
    let path = match &segments(disk)[..] {
        [first, ..] => first.clone(),
        [] => panic!("a journal has a segment"),
    };
    let bytes = disk.read(&path).expect("a segment");
    let places = places(bytes.len(), used(&bytes));
    let mut refused = [0, 0];
    for at in &places {
        let what = format!("{path} cut off at byte {at}");
        let damage = |bytes: &mut Vec<u8>| bytes.truncate(*at);
        refused[0] += usize::from(try_damage(&runtime, disk, &path, right, &what, damage));
        for bit in 0..8 {
            let what = format!("{path} with bit {bit} of byte {at} flipped");
            let damage = |bytes: &mut Vec<u8>| bytes[*at] ^= 1 << bit;
            refused[1] += usize::from(try_damage(&runtime, disk, &path, right, &what, damage));
        }
    }
    assert_eq!(refused[0], places.len(), "a segment has the length that it says");
    (refused[1], used(&bytes) * 8)
}

#[test]
fn every_flip_and_truncation_of_a_journal_is_refused_or_harmless() {
    let left = killed_store(&runtime(), 4, SHORT);
    assert_eq!(
        start(&runtime(), left.disk.fork_after(Survival::Kept, 0)),
        Outcome::Served(Box::new(left.content.clone()))
    );
    let (refused, flips) = every_flip_and_truncation(&left.disk, &[&left.content]);
    // All but those in what nothing stands on, such as the confirmation.
    assert!(refused * 10 > flips * 8, "{refused} of {flips} flips are refused");
}

/// Between the answer and the confirmation behind it, damage to the last batch cannot be told from
/// a batch that was torn; everything before it can.
#[test]
fn damage_in_the_moment_of_the_answer_costs_the_last_write_at_most() {
    let left = killed_store(&runtime(), 3, SHORT);
    let (refused, flips) =
        every_flip_and_truncation(&left.at_the_answer, &[&left.content, &left.before]);
    assert!(refused * 10 > flips * 4, "{refused} of {flips} flips are refused");
}

#[test]
fn a_segment_that_is_missing_before_others_is_missed() {
    let runtime = runtime();
    let left = killed_store(&runtime, 80, 1);
    let all = segments(&left.disk);
    assert!(all.len() >= 3, "some segments: {all:?}");
    let holds_records = |path: &&String| used(&left.disk.read(path).expect("a segment")) > 64;
    let used: Vec<&String> = all.iter().filter(holds_records).collect();
    let [before_others @ .., _] = &used[..] else { panic!("some are used") };
    for path in before_others {
        let disk = left.disk.fork_after(Survival::Kept, 0);
        disk.remove(path).expect("it is there");
        disk.sync_directory(".stowage/journal").expect("a sync");
        let disk = disk.power_cut(Survival::Kept, 0);
        match start(&runtime, disk) {
            Outcome::Refused(message) => {
                assert!(message.contains("journal"), "without {path}: {message}");
            }
            Outcome::Served(content) => panic!("without {path} of {used:?}: {content:?}"),
        }
    }
}
