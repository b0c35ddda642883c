//! The places that the tests use, and content that tells which write it is of and whether it is
//! whole.

use std::ops::Range;

use bytes::Bytes;
use stowage_store::{
    ArchiveKey, EventId, Key, MemberKey, Name, NameKind, NamespaceKey, Operation, Segment,
};

use crate::contracts::{Change, Members};

/// Documents and archives: to the model they are the same.
pub(crate) const DOCUMENTS: usize = 10;

/// Those that belong to one job, which is deleted as a whole; the first is the job itself.
pub(crate) const JOB: Range<usize> = 5..8;

/// Those that are archives.
pub(crate) const ARCHIVES: Range<usize> = 8..10;

pub(crate) const NAMESPACES: usize = 2;
pub(crate) const MEMBERS: usize = 6;

/// What a name begins with that is not of a whole body.
pub(crate) const DAMAGED: &str = "DAMAGED";

/// Documents in the root, in a directory, and in directories of their own.
pub(crate) fn document_key(document: usize) -> Key {
    let name = |kind, text: &str| Name::parse(kind, text).expect("a name");
    let set = |repository| {
        Key::runtime_set(&name(NameKind::Repository, repository), &name(NameKind::Branch, "main"))
    };
    match document {
        0 => Key::default_run_store(),
        1 => Key::run_store(&name(NameKind::RunStore, "a")),
        2 => Key::run_store(&name(NameKind::RunStore, "b")),
        3 => set("r1"),
        4 => set("r2"),
        5 => Key::job(&job()),
        6 => Key::checkpoint(&job(), &name(NameKind::Checkpoint, "c")),
        7 => {
            let run = Segment::from(&name(NameKind::Run, "r"));
            Key::event(&job(), &run, &EventId::parse("17-1-a").expect("an id"))
        }
        other => panic!("document {other} of {DOCUMENTS}"),
    }
}

/// The one job.
pub(crate) fn job() -> Segment {
    (&Name::parse(NameKind::Job, "j").expect("a name")).into()
}

/// Two archives of one site.
pub(crate) fn archive_key(document: usize) -> ArchiveKey {
    let build = Name::parse(NameKind::Build, &document.to_string()).expect("a name");
    ArchiveKey::new(&site(), &build)
}

pub(crate) fn site() -> Name {
    Name::parse(NameKind::Site, "s").expect("a name")
}

pub(crate) fn namespace_key(namespace: usize) -> NamespaceKey {
    let name = format!("n{namespace}");
    NamespaceKey::shared(&Name::parse(NameKind::Namespace, &name).expect("a name"))
}

/// Some writes have the same bytes, so that A→B→A happens.
fn is_common(write: u64) -> bool {
    write.is_multiple_of(13)
}

fn padded(write: u64, length: u64) -> String {
    format!("{write}:{}:{write}", "x".repeat(usize::try_from(length).expect("short")))
}

/// The body that a write has: from a few bytes to several sectors.
pub(crate) fn body(write: u64) -> Bytes {
    if is_common(write) {
        return "the same each time".into();
    }
    padded(write, write * 7_919 % 4_100).into()
}

/// Which write's body this is, shortly; what is not whole is said to be damaged.
pub(crate) fn read_body(bytes: &[u8]) -> String {
    if *bytes == *body(0) {
        return "common".into();
    }
    let text = String::from_utf8_lossy(bytes);
    let write = text.split_once(':').and_then(|(write, _)| write.parse::<u64>().ok());
    match write {
        Some(write) if *bytes == *body(write) => body_name(write),
        _ => format!(
            "{DAMAGED}, {} bytes: {:?}",
            bytes.len(),
            text.chars().take(80).collect::<String>()
        ),
    }
}

/// What [`read_body`] says of a write's body.
pub(crate) fn body_name(write: u64) -> String {
    if is_common(write) { "common".into() } else { format!("w{write}") }
}

/// The JSON text that a write sets a member to.
fn value(write: u64) -> String {
    format!("\"{}\"", padded(write, write * 31 % 190))
}

fn read_value(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let write = text.trim_matches('"').split_once(':').and_then(|(write, _)| write.parse().ok());
    match write {
        Some(write) if value(write).as_bytes() == bytes => format!("w{write}"),
        _ => format!("{DAMAGED}: {text:?}"),
    }
}

fn member_key(member: usize) -> String {
    format!("k{member}")
}

/// A patch's steps, as the store takes them and as the model does.
pub(crate) fn changes(write: u64, random: &mut fastrand::Rng) -> (Vec<Operation>, Vec<Change>) {
    let steps = 1 + random.usize(..3);
    (0..steps)
        .map(|_| {
            let name = member_key(random.usize(..MEMBERS));
            let key = MemberKey::new(&name).expect("a key");
            match random.usize(..12) {
                0 => (Operation::Clear, Change::Clear),
                1..4 => (Operation::Delete { key }, Change::Delete(name)),
                _ => {
                    let set = Operation::Set { key, value: value(write).into() };
                    (set, Change::Set(name, format!("w{write}")))
                }
            }
        })
        .unzip()
}

/// The members of a namespace, as the model has them.
pub(crate) fn members(namespace: &stowage_store::Namespace) -> Members {
    let keys = (0..MEMBERS).map(member_key);
    let found: Members = keys
        .filter_map(|key| {
            let value = read_value(namespace.get(&key)?);
            Some((key, value))
        })
        .collect();
    assert_eq!(found.len(), namespace.len(), "members that nobody set: {:?}", namespace.snapshot());
    found
}
