//! Journals that nobody wrote. A checksum would keep a fuzzer out, so the target seals what the
//! input says.

use std::sync::Arc;

use super::disk::MemoryDisk;
use super::input::Input;
use crate::journal::entry::{Change, Entry, Note};
use crate::journal::format::{
    RecordKind, SEGMENT_HEADER, Seed, SegmentHeader, append_record, record_bytes,
};
use crate::journal::scan::{Damage, Scanner};
use crate::journal::segments;
use crate::revision::Revision;
use crate::volume::fuzzing::{Opened, look, open};
use crate::{Expiry, MemberKey, Operation};

/// Some documents, and a namespace.
pub(super) const SERVED: [&str; 5] =
    ["run-store.json", "run-stores/a.json", "runtimes/r/b.json", "kv/n.json", "jobs/j/job.json"];

/// Directories of jobs, and what is none.
const JOBS: [&str; 5] = ["jobs/j", "jobs/k", "jobs", "jobs/..", "kv"];

/// What records are about beside those: what no key leads to.
const STRANGE: [&str; 3] = ["kv", "", "../a"];

const KINDS: [RecordKind; 6] = [
    RecordKind::Put,
    RecordKind::Delete,
    RecordKind::Patch,
    RecordKind::Checkpoint,
    RecordKind::Confirmation,
    RecordKind::DeleteJob,
];

/// Opens a directory with a journal that the input describes: segments with any header, records
/// sealed around anything, and bytes that are neither.
///
/// It is opened or refused, in memory that its length bounds; what opens opens again to the same;
/// and what is called sound is what opens.
///
/// # Panics
/// Where that does not hold.
pub fn journal(data: &[u8]) {
    let disk = MemoryDisk::new();
    let mut input = Input(data);
    let mut number = 0;
    while !input.is_empty() {
        number = write_segment(&disk, &mut input, number);
    }
    let sound = look(Arc::new(disk.fork()));
    let opened = open(Arc::new(disk.clone()), &SERVED);
    match (&opened, &sound) {
        (Ok(_), Ok(())) | (Err(_), Err(_)) => {}
        // A start does not look into what is in the tree already; verify does.
        (Ok(_), Err(why)) if why.contains("does not read as one") => {}
        (Ok(_), Err(why)) => panic!("it opens, and verify says: {why}"),
        (Err(why), Ok(())) => panic!("verify calls it sound, and it does not open: {why}"),
    }
    let Ok(opened) = opened else { return };
    for path in opened.content.keys() {
        assert!(SERVED.contains(&&**path), "{path:?} is served, and no key leads there");
    }
    // A namespace takes what its file would: six bytes for a control character of a key, and a few
    // for what stands around key and value.
    assert!(opened.bytes <= 6 * data.len() as u64 + 64, "{} bytes are held", opened.bytes);
    match open(Arc::new(disk), &SERVED) {
        Ok(again) => {
            assert_eq!(Opened { next_number: 0, ..again }, Opened { next_number: 0, ..opened })
        }
        Err(why) => panic!("it opens once and then not again: {why}"),
    }
}

/// Writes one segment and gives its number.
fn write_segment(disk: &MemoryDisk, input: &mut Input<'_>, last: u64) -> u64 {
    let number = input.near(last.wrapping_add(1));
    let first = input.number();
    let clock = i128::from(input.number()) << input.byte().min(100);
    let mut bytes = vec![0; SEGMENT_HEADER as usize];
    let seed = Seed::of_segment(number);
    let mut sequence = first.wrapping_sub(1);
    let mut batch = first;
    loop {
        match input.byte() % 8 {
            0 => break,
            1 => bytes.extend_from_slice(input.chunk()),
            2 => bytes.resize(bytes.len() + usize::from(input.short() % 4096), 0),
            3 => {
                (sequence, batch) = place(input, sequence, batch);
                let kind = KINDS[usize::from(input.byte()) % KINDS.len()];
                let payload = input.chunk();
                append_record(&mut bytes, seed, kind, (sequence, batch), |out| {
                    out.extend_from_slice(payload);
                });
            }
            4 => {
                (sequence, batch) = place(input, sequence, batch);
                let kind = RecordKind::Confirmation;
                append_record(&mut bytes, seed, kind, (sequence, batch), |_| {});
                // The next batch would overwrite it.
                sequence = sequence.wrapping_sub(1);
            }
            _ => {
                (sequence, batch) = place(input, sequence, batch);
                let entry = entry(input);
                append_record(&mut bytes, seed, entry.kind(), (sequence, batch), |out| {
                    entry.write(out);
                });
            }
        }
    }
    let capacity = match input.byte() {
        0 => bytes.len() as u64,
        _ => input.number(),
    };
    let header = SegmentHeader { number, capacity, sequence: first, clock };
    bytes[..SEGMENT_HEADER as usize].copy_from_slice(&header.encode());
    disk.put(&segments::file_name(number), bytes);
    number
}

/// Sequence and batch of the next record.
fn place(input: &mut Input<'_>, sequence: u64, batch: u64) -> (u64, u64) {
    let sequence = match input.byte() {
        0..224 => sequence.wrapping_add(1),
        _ => input.number(),
    };
    let batch = match input.byte() {
        0..128 => sequence,
        128..224 => batch,
        _ => input.number(),
    };
    (sequence, batch)
}

/// A well-formed entry.
fn entry(input: &mut Input<'_>) -> Entry {
    let revision = |input: &mut Input<'_>| {
        let nanoseconds = i128::from(input.number()) << input.byte().min(100);
        Revision::from_nanoseconds(if input.byte() & 1 == 0 { nanoseconds } else { -nanoseconds })
    };
    let kind = input.byte() % 7;
    if kind == 3 {
        return Entry::Checkpoint { sequence: input.number(), clock: input.number().into() };
    }
    if kind == 4 {
        let path = JOBS[usize::from(input.byte()) % JOBS.len()].into();
        return Entry::Change { path, change: Change::DeleteJob { revision: revision(input) } };
    }
    let paths = || SERVED.iter().cycle().take(20).chain(&STRANGE);
    let path = paths().nth(usize::from(input.byte()) % paths().count()).copied().unwrap_or("");
    let change = match kind {
        0 | 5 => Change::Put {
            author: (kind == 5).then(|| input.text().into()),
            revision: revision(input),
            body: input.chunk().to_vec().into(),
        },
        1 => Change::Delete { revision: revision(input) },
        _ => Change::Patch {
            note: (kind == 6).then(|| Box::new(note(input))),
            version: input.number(),
            operations: operations(input),
        },
    };
    Entry::Change { path: path.into(), change }
}

fn note(input: &mut Input<'_>) -> Note {
    Note {
        time: Expiry::at_milliseconds(input.number()),
        author: (input.byte() & 1 == 0).then(|| input.text().into()),
        forgets: input.byte() & 1 == 0,
    }
}

pub(super) fn operations(input: &mut Input<'_>) -> Vec<Operation> {
    let key = |input: &mut Input<'_>| MemberKey::new(input.text()).ok();
    (0..input.byte() % 4)
        .filter_map(|_| match input.byte() % 4 {
            0 => Some(Operation::Clear),
            1 => Some(Operation::Delete { key: key(input)? }),
            2 => Some(Operation::SetUntil {
                key: key(input)?,
                value: input.byte().to_string().into(),
                // What is over depends on the clock.
                expiry: Expiry::at_milliseconds(u64::MAX - u64::from(input.byte())),
            }),
            _ => Some(Operation::Set { key: key(input)?, value: input.byte().to_string().into() }),
        })
        .collect()
}

/// Scans a segment of any bytes: what it hands out lies in it, in order, and reads back as it was
/// written.
///
/// # Panics
/// Where that does not hold.
pub fn segment(data: &[u8]) {
    let number = SegmentHeader::decode(data).map_or(1, |header| header.number);
    let mut scanner = Scanner::default();
    let mut last = None;
    let mut bytes = SEGMENT_HEADER;
    let scanned = scanner.segment(number, data, |record| {
        assert!(last.is_none_or(|last| last + 1 == record.sequence()), "one after the other");
        last = Some(record.sequence());
        let mut again = Vec::new();
        if let Ok(entry) = record.entry() {
            entry.write(&mut again);
            assert_eq!(again.len() as u64, entry.payload_bytes(), "{entry:?}");
            bytes += record_bytes(entry.payload_bytes());
        }
        Ok::<_, Damage>(())
    });
    let length = data.len() as u64;
    if let Err(damage) = scanned {
        assert!(damage.offset <= length.max(1), "{damage} lies outside of {length} bytes");
        return;
    }
    assert!(bytes <= length.next_multiple_of(8), "records of {bytes} bytes in {length}");
    if let Some(tail) = scanner.tail() {
        assert!(
            tail.offset <= length.next_multiple_of(8),
            "{tail:?} lies outside of {length} bytes"
        );
    }
    assert!(scanner.next_sequence() > last.unwrap_or(0), "the next one follows the last");
}
