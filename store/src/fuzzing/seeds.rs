//! The seeds, and every target over them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::journal::entry::{Change, Entry, Note};
use crate::journal::format::{SEGMENT_HEADER, Seed, SegmentHeader, append_record};
use crate::revision::Revision;
use crate::{Expiry, MemberKey, Operation};

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 5] = [
    ("damaged_journal", super::damaged_journal),
    ("journal", super::journal),
    ("names", super::names),
    ("namespace_file", super::namespace_file),
    ("segment", super::segment),
];

fn directory(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

/// Each target over what is committed for it: the seeds, and inputs that once found something.
/// With `STOWAGE_WRITE_FUZZ_SEEDS=1` the seeds are written first.
#[test]
fn every_target_passes_its_seeds() {
    for (target, run) in TARGETS {
        let directory = directory(target);
        if std::env::var_os("STOWAGE_WRITE_FUZZ_SEEDS").is_some_and(|value| value == "1") {
            fs::create_dir_all(&directory).expect("a directory for seeds");
            for (name, bytes) in seeds(target) {
                fs::write(directory.join(name), bytes).expect("a seed is written");
            }
        }
        let found: Vec<PathBuf> = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        for (name, _) in seeds(target) {
            let is_there = found.iter().any(|path| path.ends_with(&name));
            assert!(is_there, "{target}/{name} is committed: run make fuzz-seeds");
        }
        for path in found {
            run(&fs::read(&path).expect("a seed"));
        }
    }
}

fn seeds(target: &str) -> BTreeMap<String, Vec<u8>> {
    let texts = |texts: &[&str]| {
        let numbered = texts.iter().enumerate();
        numbered.map(|(i, text)| (format!("{i}"), text.as_bytes().to_vec())).collect()
    };
    match target {
        "names" => texts(&[
            "cart",
            "A.b_c:d@e+f~g-9",
            "feature/x",
            "feature%2Fx",
            "team/etl\nmain",
            "run-store.json",
            "run-stores/a.json",
            "runtimes/team%2Fetl/feature%2Fx.json",
            "jobs/j/runs/r/event-17-1-a.json",
            "..",
            "a/../b",
        ]),
        "namespace_file" => texts(&[
            r#"{"version":"1","snapshot":{}}"#,
            r#"{"version":"7","snapshot":{"a\"\\\u0001é":{"z":1.50e+2,"a":"\ud83d"},"n":null}}"#,
            "{\n \"version\": \"2\",\n \"snapshot\": { \"k\" : [ 1 , \"a \\\" b\\\\\" , {\"x\" : 2} ] }\n}\n",
            r#"{"version":"1","snapshot":{"a":1,"\u0061":2}}"#,
            r#"{"version":"9223372036854775808","snapshot":{"a":true}}"#,
            r#"{"version":"3","snapshot":{"a":1,"b":2},"expires":{"b":1767225600000}}"#,
        ]),
        "segment" => [("empty", vec![]), ("every-kind", entries())]
            .map(|(name, entries)| (name.to_owned(), segment(&entries)))
            .into(),
        "journal" => journals(),
        "damaged_journal" => {
            let writes =
                [0, 5, 0, 2, 10, 0, 1, 3, 20, 1, 0, 1, 2, 2, 1, b'k', 7, 2, 0, 1, 2, 200, 0];
            let damages: [(&str, &[u8]); 4] = [
                ("sound", &[0]),
                ("a-flip", &[1, 0, 100, 0, 3]),
                ("a-cut", &[1, 0, 200, 0, 8]),
                ("zeros", &[1, 0, 80, 1, 9]),
            ];
            let seed =
                |(name, damage): (&str, &[u8])| (name.to_owned(), [&writes[..], damage].concat());
            let mut seeds: BTreeMap<_, _> = damages.map(seed).into();
            let mut with_a_tree = seeds["a-flip"].clone();
            with_a_tree[0] = 1;
            seeds.insert("with-a-tree".into(), with_a_tree);
            seeds
        }
        other => panic!("{other} has seeds"),
    }
}

fn entries() -> Vec<Entry> {
    let key = || MemberKey::new("k").expect("a key");
    let revision = Revision::from_nanoseconds(7);
    let at = |path: &str, change| Entry::Change { path: path.into(), change };
    let by = || Some("ci".into());
    let time = Expiry::at_milliseconds(1);
    let note = Some(Box::new(Note { time, author: by(), forgets: true }));
    let operations = vec![
        Operation::Clear,
        Operation::Set { key: key(), value: "1".into() },
        Operation::Delete { key: key() },
        Operation::SetUntil { key: key(), value: "2".into(), expiry: Expiry::at_milliseconds(1) },
    ];
    vec![
        at("run-store.json", Change::Put { revision, body: "{}".into(), author: None }),
        at("run-store.json", Change::Delete { revision }),
        at("kv/n.json", Change::Patch { version: 1, operations, note: None }),
        Entry::Checkpoint { sequence: 2, clock: 7 },
        at("jobs/j", Change::DeleteJob { revision }),
        at("run-store.json", Change::Put { revision, body: "{}".into(), author: by() }),
        at("kv/n.json", Change::Patch { version: 2, operations: vec![], note }),
    ]
}

/// A segment with these records, each a batch of its own.
fn segment(entries: &[Entry]) -> Vec<u8> {
    let seed = Seed::of_segment(1);
    let mut bytes = vec![0; SEGMENT_HEADER as usize];
    for (sequence, entry) in (1..).zip(entries) {
        append_record(&mut bytes, seed, entry.kind(), (sequence, sequence), |out| entry.write(out));
    }
    bytes.resize(bytes.len() + 64, 0);
    let header = SegmentHeader { number: 1, capacity: bytes.len() as u64, sequence: 1, clock: 7 };
    bytes[..SEGMENT_HEADER as usize].copy_from_slice(&header.encode());
    bytes
}

/// As `journal::write_segment` reads them.
fn journals() -> BTreeMap<String, Vec<u8>> {
    // The next number; sequence 1; the clock.
    let begin: &[u8] = &[1, 1, 7, 0];
    let next = |first: u8| [1, first, 7, 0];
    // An own sequence and batch, then the entry.
    let put: &[u8] = &[5, 0, 0, 0, 0, 9, 0, 0, 3, b'a', b'b', b'c'];
    let delete: &[u8] = &[5, 0, 0, 1, 0, 10, 0, 0];
    let patch: &[u8] = &[5, 0, 0, 2, 3, 1, 2, 2, 1, b'k', 5, 1, 1, b'j'];
    let checkpoint: &[u8] = &[5, 0, 0, 3, 1, 8];
    let confirmation: &[u8] = &[4, 0, 0];
    let torn: &[u8] = &[1, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let zeros: &[u8] = &[2, 200, 0];
    let end: &[u8] = &[0, 0];
    let strange: &[u8] = &[3, 0, 0, 0, 4, 1, 0, b'x', 0];
    let after = next(4);
    let all: [(&str, Vec<&[u8]>); 6] = [
        ("one-of-each", vec![begin, put, delete, patch, checkpoint, confirmation, zeros, end]),
        ("two-segments", vec![begin, put, delete, patch, end, &after, put, patch, zeros, end]),
        ("torn", vec![begin, put, torn, zeros, end]),
        ("unused", vec![begin, zeros, end]),
        ("gap-of-versions", vec![begin, patch, put, &[5, 0, 0, 2, 3, 3, 0], end]),
        ("strange-payload", vec![begin, strange, end]),
    ];
    // Of the job's document, between two puts of it; of no job.
    let job: &[u8] = &[5, 0, 0, 0, 4, 9, 0, 0, 2, b'{', b'}'];
    let delete_job = |place: u8| [5, 0, 0, 4, place, 10, 0, 0];
    let (of_a_job, of_no_job) = (delete_job(0), delete_job(3));
    let mut seeds: BTreeMap<_, _> =
        all.map(|(name, parts)| (name.to_owned(), parts.concat())).into();
    let parts: [&[u8]; 6] = [begin, job, &of_a_job, job, zeros, end];
    seeds.insert("a-deleted-job".into(), parts.concat());
    seeds.insert("of-no-job".into(), [begin, job, &of_no_job, zeros, end].concat());
    seeds.insert("no-journal".into(), Vec::new());
    let largest = [u8::MAX; 9];
    // The last segment of all, and the last record of all.
    seeds.insert("last-number".into(), [&[2], &largest[..], &[1, 7, 0], put, zeros, end].concat());
    // Documents at `kv`, at no name, and above the root; a patch of a document.
    for (place, name) in [(20, "of-a-directory"), (21, "of-nothing"), (22, "above-the-root")] {
        let put: &[u8] = &[5, 0, 0, 0, place, 9, 0, 0, 1, b'a'];
        seeds.insert(name.into(), [begin, put, end].concat());
    }
    let patch: &[u8] = &[5, 0, 0, 2, 0, 1, 1, 2, 1, b'k', 5];
    seeds.insert("of-another-kind".into(), [begin, patch, end].concat());
    let last = [&[1], &largest[..], &[7, 0], put, zeros, end].concat();
    seeds.insert("last-sequence".into(), last);
    seeds
}
