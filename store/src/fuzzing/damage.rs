//! Journals that the engine wrote, and that were damaged afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::disk::MemoryDisk;
use super::input::Input;
use super::journal::{SERVED, operations};
use crate::volume::fuzzing::{Content, look, open};
use crate::{
    Change, Key, Name, NameKind, NamespaceKey, Operation, Patch, Preconditions, Segment, Store,
    VolumeOptions, VolumeStore,
};

/// More flips could make a checksum right again.
const FLIPS_MAX: u8 = 3;

/// Lets a store write a journal as the input says, kills it, damages the journal, and starts on
/// it: the start is refused, or what is served once stood there as a whole, and `verify` agrees.
///
/// # Panics
/// Where that does not hold.
pub fn damaged_journal(data: &[u8]) {
    let mut input = Input(data);
    let disk = MemoryDisk::new();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        return;
    };
    let is_kept_out = input.byte() & 1 == 0;
    let (left, states) = runtime.block_on(write(&disk, &mut input, is_kept_out));
    let damages = damage(&left, &mut input);
    let sound = look(Arc::new(left.fork()));
    match (open(Arc::new(left), &SERVED), sound) {
        (Ok(opened), Ok(())) => {
            let found = &opened.content;
            if damages.is_empty() {
                assert_eq!(Some(found), states.last(), "nothing was damaged");
            }
            let once = |path: &str, text| states.iter().any(|state| state.get(path) == text);
            // The kill may have come while the tree was brought up to date.
            let is_right = if is_kept_out {
                states.contains(found)
            } else {
                SERVED.iter().all(|path| once(path, found.get(*path)))
            };
            assert!(is_right, "{found:?} is served, and there was {states:?}; {damages}");
        }
        (Err(why), Err(_)) => assert!(!damages.is_empty(), "nothing was damaged: {why}"),
        (Ok(_), Err(why)) => panic!("it opens, and verify says: {why}"),
        (Err(why), Ok(())) => panic!("verify calls it sound, and it does not open: {why}"),
    }
}

/// Serves writes; gives the disk as a kill leaves it after the last one, and what stood there after
/// each. The tree is kept out of it, or else brought up to date all the time.
async fn write(
    disk: &MemoryDisk,
    input: &mut Input<'_>,
    tree_is_kept_out: bool,
) -> (MemoryDisk, Vec<Content>) {
    let options = VolumeOptions {
        cache_bytes: 0,
        segment_bytes: 1,
        checkpoint_after: Duration::from_secs(if tree_is_kept_out { 3_600 } else { 0 }),
        ..VolumeOptions::default()
    };
    let store = match VolumeStore::open_on(Arc::new(disk.clone()), &options) {
        Ok(store) => store,
        Err(why) => panic!("a new disk is refused: {why}"),
    };
    let mut content = Content::new();
    let mut members = BTreeMap::new();
    let mut states = vec![content.clone()];
    for write in 0..input.byte() % 12 {
        let place = input.byte() % 4;
        let key = key(place);
        // The namespace stands between those.
        let path = SERVED[usize::from(if place == 3 { 4 } else { place })];
        let done = match input.byte() % 4 {
            0 if place == 3 && write % 2 == 0 => {
                store.delete_job(&job(), Preconditions::none()).await.map(|_| {
                    content.remove(path);
                })
            }
            0 => store.delete(&key, Preconditions::none()).await.map(|_| {
                content.remove(path);
            }),
            1 => {
                let operations = operations(input);
                apply(&mut members, &operations);
                let patch = Patch { operations, ..Patch::default() };
                store.patch(&namespace(), patch).await.map(|patched| {
                    let version = patched.namespace.version();
                    content.insert(SERVED[3].into(), text(version, &members));
                })
            }
            kind => {
                let text = format!("{write}:{}", "x".repeat(usize::from(input.short() % 3_000)));
                let body = Bytes::from(text.clone());
                content.insert(path.into(), text);
                if kind == 2 {
                    store.put(&key, body, Preconditions::none()).await.map(|_| ())
                } else {
                    let edit = Box::new(move |_: Option<&_>| Change::Put(body.clone()));
                    store.update(&key, Preconditions::none(), edit).await.map(|_| ())
                }
            }
        };
        if let Err(why) = done {
            panic!("a sound disk refuses a write: {why}");
        }
        states.push(content.clone());
    }
    (disk.fork(), states)
}

fn key(place: u8) -> Key {
    let name = |kind, text| match Name::parse(kind, text) {
        Ok(name) => name,
        Err(why) => panic!("{text}: {why}"),
    };
    match place {
        0 => Key::default_run_store(),
        1 => Key::run_store(&name(NameKind::RunStore, "a")),
        3 => Key::job(&job()),
        _ => Key::runtime_set(&name(NameKind::Repository, "r"), &name(NameKind::Branch, "b")),
    }
}

fn job() -> Segment {
    match Name::parse(NameKind::Job, "j") {
        Ok(name) => Segment::from(&name),
        Err(why) => panic!("{why}"),
    }
}

fn namespace() -> NamespaceKey {
    match Name::parse(NameKind::Namespace, "n") {
        Ok(name) => NamespaceKey::shared(&name),
        Err(why) => panic!("{why}"),
    }
}

/// A namespace as [`open`] shows it.
fn text(version: u64, members: &BTreeMap<String, String>) -> String {
    let member = |(key, value): (&String, &String)| {
        format!("{}:{value}", serde_json::Value::from(key.as_str()))
    };
    let members: Vec<String> = members.iter().map(member).collect();
    format!("{version} {{{}}}", members.join(","))
}

fn apply(members: &mut BTreeMap<String, String>, operations: &[Operation]) {
    for operation in operations {
        match operation {
            Operation::Set { key, value } | Operation::SetUntil { key, value, .. } => {
                let value = String::from_utf8_lossy(value).into_owned();
                members.insert(key.as_str().into(), value);
            }
            Operation::Delete { key } => {
                members.remove(key.as_str());
            }
            Operation::Clear => members.clear(),
        }
    }
}

/// Damages the segments; says how, shortly.
fn damage(disk: &MemoryDisk, input: &mut Input<'_>) -> String {
    let mut damages = String::new();
    for _ in 0..input.byte() % (FLIPS_MAX + 1) {
        let (segment, place, kind) = (input.byte() % 3, usize::from(input.short()), input.byte());
        let mut number = 0;
        disk.change(".stowage/journal/", |path, bytes| {
            let is_it = number == segment && path.ends_with(".journal") && !bytes.is_empty();
            number += 1;
            if !is_it {
                return;
            }
            let at = place % bytes.len();
            match kind % 10 {
                8 => bytes.truncate(at),
                9 => bytes[at..].fill(0),
                bit => bytes[at] ^= 1 << bit,
            }
            damages.push_str(&format!("{path}: {} at {at}; ", kind % 10));
        });
    }
    damages
}
