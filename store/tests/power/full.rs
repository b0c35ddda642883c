//! Disks that are full, at every number of blocks: writes are refused and nothing else is, across
//! a kill and a start too, and deletes make room again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stowage_store::volume::GivenUp;
use stowage_store::{
    ArchiveKey, Expiry, Key, MemberKey, Name, NameKind, Operation, Patch, Preconditions, Store,
    StoreError, VolumeOptions, VolumeStore, WallClock,
};

use crate::clients::in_time;
use crate::cuts::is_long;
use crate::disk::{SimDisk, Survival};
use crate::keys::{namespace, set};
use crate::session::{open, options, temporary_files};

const BLOCK: usize = 4_096;

/// Blocks that are enough for a new store.
const LEAST: usize = 160;

const BODY: usize = 3_000;

fn key(number: usize) -> Key {
    let name = Name::parse(NameKind::RunStore, &number.to_string()).expect("a name");
    Key::run_store(&name)
}

/// A client is told in time that there is no room.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// So many documents are deleted where a write is refused.
const AT_ONCE: usize = 1;

/// The documents that were accepted and not deleted since.
type Accepted = BTreeMap<usize, usize>;

/// Writes documents until one is refused because the disk is full.
async fn fill(store: &VolumeStore, accepted: &mut Accepted) -> Result<(), String> {
    for number in accepted.len()..10_000 {
        let body = vec![b'x'; BODY + number];
        let key = key(number);
        let put = store.put(&key, body.into(), Preconditions::none());
        match in_time("a put", put).await {
            Ok(_) => accepted.insert(number, BODY + number),
            Err(StoreError::OutOfSpace) => return Ok(()),
            Err(error) => return Err(format!("put {number}: {error}")),
        };
    }
    Err("it is never full".into())
}

async fn delete_one(store: &VolumeStore, accepted: &mut Accepted) -> Result<(), String> {
    let Some((number, _)) = accepted.pop_last() else { return Err("nothing is left".into()) };
    match in_time("a delete", store.delete(&key(number), Preconditions::none())).await {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("delete {number}: {other:?}")),
    }
}

async fn check(store: &VolumeStore, accepted: &Accepted) -> Result<(), String> {
    for number in 0..accepted.len() + 3 {
        let found = in_time("a get", store.get(&key(number))).await;
        let found = found.map_err(|error| format!("get {number}: {error}"))?;
        let length = found.map(|object| object.body.len());
        if length != accepted.get(&number).copied() {
            return Err(format!("document {number} has {length:?} bytes of {accepted:?}"));
        }
    }
    Ok(())
}

/// Deletes until a write is accepted again.
async fn make_room(store: &VolumeStore, accepted: &mut Accepted) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let key = key(10_000);
    while Instant::now() < deadline {
        let began = Instant::now();
        let put = store.put(&key, vec![b'y'; BODY].into(), Preconditions::none());
        match in_time("a put", put).await {
            Ok(_) => return Ok(()),
            Err(StoreError::OutOfSpace) if began.elapsed() > REFUSED_WITHIN => {
                return Err(format!("a put is refused only after {:.1?}", began.elapsed()));
            }
            Err(StoreError::OutOfSpace) if accepted.is_empty() => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(StoreError::OutOfSpace) => {
                for _ in 0..AT_ONCE.min(accepted.len()) {
                    delete_one(store, accepted).await?;
                }
            }
            Err(error) => return Err(format!("a put with room again: {error}")),
        }
    }
    Err("deletes make no room for a write".into())
}

async fn full_disk(blocks: usize, seed: u64) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = SimDisk::new();
    disk.change_faults(|faults| faults.room_bytes = Some(blocks * BLOCK));
    let store = open(disk.clone(), &options(&mut random)).map_err(|error| error.to_string())?;
    let mut accepted = Accepted::new();
    fill(&store, &mut accepted).await?;
    let refused = store.stats().map(|stats| stats.refused_for_room);
    if refused != Some(1) {
        return Err(format!("one write was refused, and {refused:?} are told"));
    }
    check(&store, &accepted).await?;
    delete_one(&store, &mut accepted).await?;
    let disk = if random.bool() {
        let disk = disk.power_cut(Survival::Kept, 0);
        drop(store);
        disk
    } else {
        in_time("a shutdown", store.shutdown()).await;
        drop(store);
        disk.power_cut(Survival::Kept, 0)
    };
    disk.change_faults(|faults| faults.room_bytes = Some(blocks * BLOCK));
    let store = open(disk.clone(), &options(&mut random))
        .map_err(|error| format!("the start on a full disk: {error}"))?;
    check(&store, &accepted).await?;
    delete_one(&store, &mut accepted).await?;
    let made = make_room(&store, &mut accepted).await;
    made.map_err(|what| {
        let files = disk.files();
        let journal: Vec<_> = files.iter().filter(|path| path.starts_with(".stowage")).collect();
        format!(
            "{what}; {} of {blocks} blocks are in use, {} documents are left, in the tree are {}, \
             and beside it {journal:?}",
            disk.used_bytes() / BLOCK,
            accepted.len(),
            files.len() - journal.len(),
        )
    })
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else_and_works_again_with_room() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let seed = u64::from(fastrand::u32(..));
    let sizes = if is_long() { 200 } else { 6 };
    let first = if is_long() { LEAST } else { LEAST + fastrand::usize(..100) };
    for blocks in first..first + sizes {
        runtime
            .block_on(full_disk(blocks, seed + blocks as u64))
            .unwrap_or_else(|what| panic!("{blocks} blocks, seed {seed}: {what}"));
    }
}

/// The members of a namespace go one by one on a disk that has no room for a copy of it, until that
/// is refused; documents can be deleted all the same, and then everything goes on.
async fn full_of_a_namespace(blocks: usize, seed: u64) -> Result<(), String> {
    const MEMBERS: usize = 3_000;

    let disk = SimDisk::new();
    disk.change_faults(|faults| faults.room_bytes = Some(blocks * BLOCK));
    let random = &mut fastrand::Rng::with_seed(seed);
    let store = open(disk.clone(), &options(random)).map_err(|error| error.to_string())?;
    let key = namespace("large");
    let patch = async |operations: Vec<Operation>| {
        let preconditions = Preconditions::none();
        let patch = Patch { preconditions, operations, ..Patch::default() };
        in_time("a patch", store.patch(&key, patch)).await
    };
    let member = |number: usize| format!("{number:04}");
    let value = format!("\"{}\"", "v".repeat(60));
    for first in (0..MEMBERS).step_by(100) {
        let some = (first..first + 100).map(|number| set(&member(number), &value)).collect();
        patch(some).await.map_err(|error| error.to_string())?;
    }
    let saved = async {
        while !disk.files().iter().any(|path| path == key.as_str()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time("the namespace in the tree", saved).await;
    let mut accepted = Accepted::new();
    fill(&store, &mut accepted).await?;
    let mut removed = 0;
    while removed < MEMBERS {
        let key = MemberKey::new(&member(removed)).map_err(|error| error.to_string())?;
        match patch(vec![Operation::Delete { key }]).await {
            Ok(_) => removed += 1,
            Err(StoreError::OutOfSpace) => break,
            Err(error) => return Err(format!("member {removed}: {error}")),
        }
    }
    // The oldest first: they are in the tree.
    let documents = accepted.len();
    while let Some((number, _)) = accepted.pop_first() {
        let document = self::key(number);
        let deleted = in_time("a delete", store.delete(&document, Preconditions::none())).await;
        if !matches!(deleted, Ok(Some(_))) {
            return Err(format!(
                "delete of document {number} of {documents}: {deleted:?}; {removed} members are gone"
            ));
        }
    }
    make_room(&store, &mut accepted).await?;
    patch(vec![Operation::Clear]).await.map(drop).map_err(|error| format!("a clear: {error}"))
}

#[test]
fn a_namespace_that_gets_smaller_takes_no_room_that_a_delete_needs() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let seed = u64::from(fastrand::u32(..));
    for blocks in [250, 300, 350] {
        runtime
            .block_on(full_of_a_namespace(blocks, seed))
            .unwrap_or_else(|what| panic!("{blocks} blocks, seed {seed}: {what}"));
    }
}

/// The members of a large namespace are over one by one on such a disk. Nobody is shown one that is
/// over, documents can be deleted all the same, and the namespace be cleared; then all goes on.
async fn full_of_what_is_over(blocks: usize, seed: u64) -> Result<(), String> {
    const MEMBERS: usize = 3_000;

    let disk = SimDisk::new();
    disk.change_faults(|faults| faults.room_bytes = Some(blocks * BLOCK));
    let random = &mut fastrand::Rng::with_seed(seed);
    let clock = Arc::new(AtomicU64::new(0));
    let options = VolumeOptions { clock: WallClock::Manual(Arc::clone(&clock)), ..options(random) };
    let store = open(disk.clone(), &options).map_err(|error| error.to_string())?;
    let key = namespace("large");
    let patch = async |operations: Vec<Operation>| {
        in_time("a patch", store.patch(&key, Patch { operations, ..Patch::default() })).await
    };
    let value = format!("\"{}\"", "v".repeat(60));
    let member = |number: usize| {
        let key = MemberKey::new(&format!("{number:04}")).expect("a key");
        let expiry = Expiry::at_milliseconds(number as u64 + 1);
        Operation::SetUntil { key, value: value.clone().into(), expiry }
    };
    for first in (0..MEMBERS).step_by(100) {
        let some = (first..first + 100).map(member).collect();
        patch(some).await.map_err(|error| error.to_string())?;
    }
    let saved = async {
        while !disk.files().iter().any(|path| path == key.as_str()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time("the namespace in the tree", saved).await;
    let mut accepted = Accepted::new();
    fill(&store, &mut accepted).await?;
    let mut over = 0;
    while over < MEMBERS - 1 {
        over += 1;
        clock.store(over as u64, Ordering::SeqCst);
        match in_time("a read", store.namespace(&key)).await {
            Ok(read) if read.len() + over == MEMBERS => {}
            Ok(read) => return Err(format!("{} members, and {over} are over", read.len())),
            Err(StoreError::Unavailable { reason }) if reason.contains("full") => {
                break;
            }
            Err(error) => return Err(format!("a read when {over} are over: {error}")),
        }
    }
    if seed.is_multiple_of(2) {
        let cleared = patch(vec![Operation::Clear]).await;
        cleared.map_err(|error| format!("a clear when {over} are over: {error}"))?;
    }
    while let Some((number, _)) = accepted.pop_first() {
        let document = self::key(number);
        let deleted = in_time("a delete", store.delete(&document, Preconditions::none())).await;
        if !matches!(deleted, Ok(Some(_))) {
            return Err(format!("delete of document {number} when {over} are over: {deleted:?}"));
        }
    }
    make_room(&store, &mut accepted).await?;
    let read = in_time("a read", store.namespace(&key)).await;
    let read = read.map_err(|error| format!("a read with room: {error}"))?;
    let expected = if seed.is_multiple_of(2) { 0 } else { MEMBERS - over };
    if read.len() != expected {
        return Err(format!("{} members, not {expected}", read.len()));
    }
    Ok(())
}

#[test]
fn what_is_over_is_not_shown_on_a_full_disk_and_takes_no_room_that_a_delete_needs() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let seed = u64::from(fastrand::u32(..));
    for (blocks, seed) in [(250, seed), (300, seed + 1), (350, seed + 2)] {
        runtime
            .block_on(full_of_what_is_over(blocks, seed))
            .unwrap_or_else(|what| panic!("{blocks} blocks, seed {seed}: {what}"));
    }
}

/// Writes go on on a disk that is nearly full, and a snapshot that would take their room is given
/// up: where it is seen to get scarce, and where there is none already.
async fn nearly_full_disk(blocks: usize, room_bytes: u64, seed: u64) -> Result<(), String> {
    const DELETED: usize = 48;

    let disk = SimDisk::new();
    disk.change_faults(|faults| faults.room_bytes = Some(blocks * BLOCK));
    let random = &mut fastrand::Rng::with_seed(seed);
    // A history would make room before the snapshot does.
    let options = VolumeOptions { room_bytes, history: 0, ..options(random) };
    let store = open(disk.clone(), &options).map_err(|error| error.to_string())?;
    let mut accepted = Accepted::new();
    fill(&store, &mut accepted).await?;
    for _ in 0..DELETED {
        delete_one(&store, &mut accepted).await?;
    }
    let documents = || disk.files().iter().filter(|path| path.starts_with("run-stores")).count();
    let removed = async {
        while documents() > accepted.len() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time("room", removed).await;
    let pin = store.pin().map_err(|error| error.to_string())?;
    let key = key(10_000);
    for write in 0..400 {
        let put = store.put(&key, vec![b'z'; BODY].into(), Preconditions::none());
        in_time("a put", put)
            .await
            .map_err(|error| format!("write {write}, the pin is {:?}: {error}", pin.given_up()))?;
    }
    match in_time("a snapshot without room", pin.until_given_up()).await {
        GivenUp::NoRoom => check(&store, &accepted).await,
        GivenUp::TooLong(bytes) => Err(format!("{bytes} bytes were held back first")),
    }
}

#[test]
fn a_snapshot_takes_no_room_that_a_write_needs() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let seed = u64::from(fastrand::u32(..));
    for (blocks, room_bytes) in [(700, 0), (700, u64::MAX)] {
        runtime
            .block_on(nearly_full_disk(blocks, room_bytes, seed))
            .unwrap_or_else(|what| panic!("{blocks} blocks, {room_bytes}, seed {seed}: {what}"));
    }
}

/// Uploads archives until there is no room, on what documents may have left of it.
async fn full_of_archives(blocks: usize, seed: u64) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = SimDisk::new();
    disk.change_faults(|faults| faults.room_bytes = Some(blocks * BLOCK));
    let store = open(disk.clone(), &options(&mut random)).map_err(|error| error.to_string())?;
    let mut accepted = Accepted::new();
    let is_full_before = random.usize(..3) == 0;
    let name = |kind, text: &str| Name::parse(kind, text).expect("a name");
    let archive = |number: usize| {
        let build = name(NameKind::Build, &number.to_string());
        ArchiveKey::new(&name(NameKind::Site, "s"), &build)
    };
    let mut archives = 0;
    loop {
        let upload = async {
            let mut upload = store.upload(&archive(archives)).await?;
            for _ in 0..1 + random.usize(..4) {
                upload.write(vec![b'z'; BODY].into()).await?;
            }
            upload.publish(Preconditions::none()).await
        };
        match in_time("an upload", upload).await {
            Ok(_) => archives += 1,
            Err(StoreError::OutOfSpace) => break,
            Err(error) => return Err(format!("upload {archives}: {error}")),
        }
        if is_full_before && archives == 3 {
            fill(&store, &mut accepted).await?;
        }
    }
    if !is_full_before {
        let first = key(0);
        let put = store.put(&first, vec![b'x'; BODY].into(), Preconditions::none());
        in_time("a put", put).await.map_err(|error| format!("a document beside them: {error}"))?;
        accepted.insert(0, BODY);
    }
    check(&store, &accepted).await?;
    delete_one(&store, &mut accepted).await?;
    for number in 0..archives {
        let archive = archive(number);
        let delete = store.delete_archive(&archive, Preconditions::none());
        match in_time("a delete", delete).await {
            Ok(Some(_)) => {}
            other => return Err(format!("delete of archive {number}: {other:?}")),
        }
    }
    make_room(&store, &mut accepted).await?;
    in_time("a shutdown", store.shutdown()).await;
    let left = temporary_files(&disk);
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are left")) }
}

#[test]
fn archives_that_fill_the_disk_leave_room_for_the_journal_and_for_deletes() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let seed = u64::from(fastrand::u32(..));
    let sizes = if is_long() { 400 } else { 12 };
    for round in 0..sizes {
        let blocks = LEAST + fastrand::usize(..200);
        runtime
            .block_on(full_of_archives(blocks, seed + round))
            .unwrap_or_else(|what| panic!("{blocks} blocks, seed {}: {what}", seed + round));
    }
}

/// Segments that nobody has needed yet find their room.
#[tokio::test]
async fn archives_leave_the_room_of_the_segments_that_are_made_ahead() {
    let disk = SimDisk::new();
    disk.change_faults(|faults| faults.room_bytes = Some(LEAST * BLOCK));
    let options = VolumeOptions {
        segment_bytes: 1,
        journal_bytes: 1,
        checkpoint_after: Duration::from_secs(3_600),
        archive_piece_bytes: BLOCK,
        ..VolumeOptions::default()
    };
    let store = open(disk, &options).expect("a store");
    let name = |kind| Name::parse(kind, "a").expect("a name");
    let archive = ArchiveKey::new(&name(NameKind::Site), &name(NameKind::Build));
    let mut upload = store.upload(&archive).await.expect("an upload");
    let mut length = 0;
    let refused = loop {
        match in_time("a write", upload.write(vec![b'z'; BLOCK].into())).await {
            Ok(()) => length += BLOCK,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::OutOfSpace), "{refused}");
    let mut upload = store.upload(&archive).await.expect("an upload");
    // All that fits; two pieces of it were not on the disk when it was refused.
    upload.write(vec![b'z'; length - 2 * BLOCK].into()).await.expect("it fits");
    let published = in_time("an upload", upload.publish(Preconditions::none())).await;
    published.expect("it fits");
    // Half as much again as the segment holds that was there from the start.
    for number in 0..16 {
        let put = store.put(&key(number), vec![b'x'; BODY].into(), Preconditions::none()).await;
        put.unwrap_or_else(|error| panic!("document {number}: {error}"));
    }
}
