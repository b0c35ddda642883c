//! The disk keeps its promises, and nothing that it does not promise can be relied upon.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use stowage_store::disk::{Access, Disk, DiskFile, Kind};

use super::faults::BLOCK;
use super::survival::SECTOR;
use super::{Faults, Lies, SimDisk, Survival};

const UNORDERED: [Survival; 3] = [Survival::Reordered, Survival::Sectors, Survival::Bytes];

/// A file with durable content and a durable name.
fn durable(disk: &SimDisk, path: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.create(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync().unwrap();
    disk.sync_directory(path.rsplit_once('/').map_or("", |(parent, _)| parent)).unwrap();
    file
}

/// What is found in a file after a power cut, over many seeds; `-` where there is no file.
fn found(disk: &SimDisk, survival: Survival, path: &str) -> BTreeSet<String> {
    let content = |seed| match disk.fork_after(survival, seed).read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).replace('\0', "0"),
        Err(error) if error.kind() == ErrorKind::NotFound => "-".into(),
        Err(error) => panic!("{path}: {error}"),
    };
    (0..300).map(content).collect()
}

fn set(expected: &[&str]) -> BTreeSet<String> {
    expected.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn without_a_sync_a_write_may_be_lost_and_with_one_it_never_is() {
    let disk = SimDisk::new();
    let file = durable(&disk, "a", b"old");
    file.write_all_at(b"new", 0).unwrap();
    assert_eq!(found(&disk, Survival::Lost, "a"), set(&["old"]));
    assert_eq!(found(&disk, Survival::Kept, "a"), set(&["new"]));
    for survival in [Survival::InOrder, Survival::Reordered, Survival::Sectors] {
        let found = found(&disk, survival, "a");
        assert!(found.is_superset(&set(&["new"])), "{survival:?}: {found:?}");
    }
    for survival in UNORDERED {
        let found = found(&disk, survival, "a");
        assert!(found.is_superset(&set(&["old", "new"])), "{survival:?}: {found:?}");
    }
    file.sync_data().unwrap();
    for survival in Survival::ALL {
        assert_eq!(found(&disk, survival, "a"), set(&["new"]), "{survival:?}");
    }
}

#[test]
fn a_name_is_durable_once_its_directory_is_synced_and_not_before() {
    let disk = SimDisk::new();
    let file = disk.create("a").unwrap();
    file.write_all_at(b"1", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(found(&disk, Survival::Lost, "a"), set(&["-"]), "a file's sync is not its name's");
    for survival in UNORDERED {
        assert_eq!(found(&disk, survival, "a"), set(&["-", "1"]), "{survival:?}");
    }
    disk.sync_directory("").unwrap();
    disk.remove("a").unwrap();
    for survival in UNORDERED {
        assert_eq!(found(&disk, survival, "a"), set(&["-", "1"]), "{survival:?}: removed");
    }
    disk.sync_directory("").unwrap();
    for survival in Survival::ALL {
        assert_eq!(found(&disk, survival, "a"), set(&["-"]), "{survival:?}: durably removed");
    }
}

#[test]
fn a_rename_within_a_directory_is_atomic_and_may_be_lost_until_the_directory_is_synced() {
    let disk = SimDisk::new();
    durable(&disk, "a", b"old");
    durable(&disk, "b", b"new");
    disk.rename("b", "a").unwrap();
    for survival in UNORDERED {
        let mut pairs = BTreeSet::new();
        for seed in 0..300 {
            let after = disk.fork_after(survival, seed);
            pairs.insert((after.read("a").unwrap(), after.read("b").ok()));
        }
        let expected = [(b"old".to_vec(), Some(b"new".to_vec())), (b"new".to_vec(), None)].into();
        assert_eq!(pairs, expected, "{survival:?}: both at once or neither");
    }
    assert_eq!(found(&disk, Survival::Lost, "a"), set(&["old"]));
    disk.sync_directory("").unwrap();
    for survival in Survival::ALL {
        assert_eq!(found(&disk, survival, "a"), set(&["new"]), "{survival:?}");
    }
}

#[test]
fn a_rename_between_directories_may_survive_by_halves_unless_in_order() {
    let disk = SimDisk::new();
    for directory in ["x", "y"] {
        disk.make_directory(directory).unwrap();
    }
    disk.sync_directory("").unwrap();
    durable(&disk, "x/a", b"1");
    disk.rename("x/a", "y/a").unwrap();
    let places = |survival| -> BTreeSet<usize> {
        (0..300).map(|seed| disk.fork_after(survival, seed).files().len()).collect()
    };
    assert_eq!(places(Survival::Reordered), [0, 1, 2].into());
    assert_eq!(places(Survival::InOrder), [1].into());
    disk.sync_directory("y").unwrap();
    assert_eq!(found(&disk, Survival::Lost, "y/a"), set(&["1"]));
    assert_eq!(found(&disk, Survival::Lost, "x/a"), set(&["1"]), "the other half is not synced");
}

#[test]
fn writes_are_reordered_only_where_the_order_is_not_kept() {
    let disk = SimDisk::new();
    let file = durable(&disk, "a", b"..");
    file.write_all_at(b"1", 0).unwrap();
    file.write_all_at(b"2", 1).unwrap();
    let all = set(&["..", "1.", ".2", "12"]);
    for survival in UNORDERED {
        assert_eq!(found(&disk, survival, "a"), all, "{survival:?}");
    }
    let in_order = set(&["..", "1.", "12"]);
    assert!(found(&disk, Survival::InOrder, "a").is_subset(&in_order));
}

#[test]
fn a_write_is_torn_between_sectors_or_anywhere() {
    let disk = SimDisk::new();
    let file = disk.create("a").unwrap();
    file.sync().unwrap();
    disk.sync_directory("").unwrap();
    // Not at the start of a sector, over four of them.
    file.write_all_at(&[b'x'; 3 * SECTOR], 100).unwrap();
    let (mut torn, mut torn_within) = (0, 0);
    for (survival, is_whole) in [(Survival::Sectors, true), (Survival::Bytes, false)] {
        for seed in 0..300 {
            let bytes = disk.fork_after(survival, seed).read("a").unwrap();
            let written = bytes.iter().filter(|b| **b == b'x').count();
            torn += usize::from(written > 0 && written < 3 * SECTOR);
            // What is around the write belongs to its first and its last sector.
            let mut bytes = bytes;
            bytes.resize(4 * SECTOR, 0);
            let (first, last) = (bytes[100], bytes[3 * SECTOR + 99]);
            bytes[..100].fill(first);
            bytes[3 * SECTOR + 100..].fill(last);
            let within = bytes.chunks(SECTOR).any(|sector| sector.iter().any(|b| *b != sector[0]));
            assert!(!(is_whole && within), "seed {seed}: a sector is torn");
            torn_within += usize::from(within);
        }
    }
    assert!(torn > 100, "{torn} of 600 are torn");
    assert!(torn_within > 100, "{torn_within} of 300 are torn within a sector");
}

#[test]
fn a_length_may_survive_without_the_bytes_and_a_cut_off_may_be_lost() {
    let disk = SimDisk::new();
    let file = durable(&disk, "a", b"");
    file.write_all_at(b"12", 0).unwrap();
    assert!(found(&disk, Survival::Sectors, "a").is_superset(&set(&["", "00", "12"])));
    file.sync_data().unwrap();
    file.set_length(1).unwrap();
    assert_eq!(found(&disk, Survival::Reordered, "a"), set(&["1", "12"]));
    file.set_length(3).unwrap();
    file.sync_data().unwrap();
    assert_eq!(found(&disk, Survival::Lost, "a"), set(&["100"]));
}

#[test]
fn a_data_sync_keeps_content_and_length_and_a_full_one_the_time_too() {
    let disk = SimDisk::new();
    let file = durable(&disk, "a", b"1");
    file.set_modified(7).unwrap();
    file.write_all_at(b"12", 0).unwrap();
    file.set_modified(9).unwrap();
    file.sync_data().unwrap();
    let times = |disk: &SimDisk, survival| -> BTreeSet<bool> {
        let time = |seed| {
            let file = disk.fork_after(survival, seed).open("a", Access::Read).unwrap();
            assert_eq!(file.metadata().unwrap().length, 2);
            file.metadata().unwrap().modified == 9
        };
        (0..100).map(time).collect()
    };
    assert_eq!(times(&disk, Survival::Lost), [false].into());
    assert_eq!(times(&disk, Survival::Reordered), [false, true].into());
    file.sync().unwrap();
    for survival in Survival::ALL {
        assert_eq!(times(&disk, survival), [true].into(), "{survival:?}");
    }
}

#[test]
fn a_sync_of_everything_keeps_every_name_and_byte() {
    let disk = SimDisk::new();
    disk.make_directory("x").unwrap();
    disk.create("x/a").unwrap().write_all_at(b"1", 0).unwrap();
    disk.link("x/a", "b").unwrap();
    disk.sync_everything().unwrap();
    for path in ["x/a", "b"] {
        assert_eq!(found(&disk, Survival::Lost, path), set(&["1"]), "{path}");
    }
}

#[test]
fn a_failed_sync_is_told_once_and_what_it_dropped_is_seen_until_the_power_cut() {
    let disk = SimDisk::new();
    let file = durable(&disk, "a", b"..");
    file.write_all_at(b"1", 0).unwrap();
    file.write_all_at(b"2", 1).unwrap();
    disk.set_faults(Faults { failed_sync: Some(0), ..Faults::default() });
    file.sync_data().expect_err("it fails");
    file.sync_data().expect("nothing is dirty any more, so there is nothing to fail");
    assert_eq!(disk.read("a").unwrap(), b"12", "who reads sees the pages");
    let kept = found(&disk, Survival::Kept, "a");
    assert_eq!(kept.len(), 1, "what is durable is settled: {kept:?}");
    let settled = |number: u64| {
        let disk = SimDisk::new();
        let file = durable(&disk, "a", b"..");
        (0..number).for_each(|_| drop(disk.entries("")));
        file.write_all_at(b"1", 0).unwrap();
        file.write_all_at(b"2", 1).unwrap();
        disk.set_faults(Faults { failed_sync: Some(0), ..Faults::default() });
        file.sync_data().expect_err("it fails");
        found(&disk, Survival::Kept, "a").into_iter().next()
    };
    let outcomes: BTreeSet<_> = (0..50).filter_map(settled).collect();
    assert_eq!(outcomes, set(&["..", "1.", ".2", "12"]), "any part is dropped");
}

#[test]
fn a_lying_sync_keeps_nothing_and_an_honest_one_after_it_does() {
    let disk = SimDisk::new();
    disk.make_directory("x").unwrap();
    disk.sync_directory("").unwrap();
    let file = durable(&disk, "x/a", b"old");
    disk.set_faults(Faults { lies: Lies::Below("x"), ..Faults::default() });
    file.write_all_at(b"new", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(found(&disk, Survival::Lost, "x/a"), set(&["old"]));
    durable(&disk, "b", b"1");
    assert_eq!(found(&disk, Survival::Lost, "b"), set(&["1"]), "it lies below x alone");
    disk.set_faults(Faults::default());
    file.sync().unwrap();
    assert_eq!(found(&disk, Survival::Lost, "x/a"), set(&["new"]));
}

#[test]
fn every_nth_data_sync_is_dropped() {
    let disk = SimDisk::new();
    let file = durable(&disk, "a", b"0");
    disk.set_faults(Faults { lies: Lies::Every { nth: 3, below: "" }, ..Faults::default() });
    let mut lost = 0;
    for n in 1..=9_u8 {
        file.write_all_at(&[b'0' + n], 0).unwrap();
        file.sync_data().unwrap();
        let expected = [(b'0' + n) as char].iter().collect::<String>();
        lost += usize::from(found(&disk, Survival::Lost, "a") != set(&[&expected]));
    }
    assert_eq!(lost, 3);
}

#[test]
fn a_write_that_fails_half_way_leaves_a_half() {
    let disk = SimDisk::new();
    let file = durable(&disk, "a", b"....");
    disk.set_faults(Faults { failed_write: Some(0), ..Faults::default() });
    file.write_all_at(b"1234", 0).expect_err("it fails");
    assert_eq!(disk.read("a").unwrap(), b"12..");
    file.write_all_at(b"1234", 0).expect("the next one works");
}

#[test]
fn room_is_taken_by_blocks_and_given_back_with_the_last_name_and_the_last_opening() {
    let disk = SimDisk::new();
    disk.set_faults(Faults { room_bytes: Some(3 * BLOCK), ..Faults::default() });
    let first = disk.create("a").unwrap();
    first.write_all_at(&[0; 2 * BLOCK], 0).unwrap();
    let second = disk.create("b").unwrap();
    let error = second.write_all_at(&[1; 2 * BLOCK], 0).expect_err("it is full");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.read("b").unwrap().len(), BLOCK, "what fits is written");
    first.write_all_at(&[2; 2 * BLOCK], 0).expect("blocks that it has");
    let error = disk.create("c").expect_err("a name takes room");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.used_bytes(), 3 * BLOCK);
    disk.remove("a").unwrap();
    second.write_all_at(&[1; 2 * BLOCK], 0).expect_err("a is open still");
    drop(first);
    second.write_all_at(&[1; 2 * BLOCK], 0).expect("there is room");
    second.set_length(1).unwrap();
    assert_eq!(disk.used_bytes(), BLOCK);
    second.set_length(1 << 20).expect("a hole takes none");
}

#[test]
fn after_the_cut_every_call_fails() {
    let disk = SimDisk::new();
    let file = durable(&disk, "a", b"1");
    disk.set_faults(Faults { cut_at: Some(disk.operations() + 2), ..Faults::default() });
    file.metadata().expect("one operation before");
    file.write_all_at(b"2", 0).expect_err("the cut");
    assert_eq!(found(&disk, Survival::Kept, "a"), set(&["2"]), "it may have got there");
    assert_eq!(found(&disk, Survival::Lost, "a"), set(&["1"]));
    let calls: [(&str, bool); 9] = [
        ("metadata", file.metadata().is_err()),
        ("read", file.read_exact_at(&mut [0], 0).is_err()),
        ("write", file.write_all_at(b"3", 0).is_err()),
        ("sync", file.sync().is_err()),
        ("sync_data", file.sync_data().is_err()),
        ("create", disk.create("b").is_err()),
        ("rename", disk.rename("a", "b").is_err()),
        ("entries", disk.entries("").is_err()),
        ("sync_everything", disk.sync_everything().is_err()),
    ];
    for (call, failed) in calls {
        assert!(failed, "{call}");
    }
    assert_eq!(found(&disk, Survival::Kept, "a"), set(&["2"]), "and changes nothing");
}

#[test]
fn a_recording_gives_every_moment_again() {
    let disk = SimDisk::new();
    let mut moments = Vec::new();
    for n in 0..20_u8 {
        let path = format!("f{}", n % 3);
        if disk.read(&path).is_ok() {
            disk.remove(&path).unwrap();
        }
        let file = disk.create(&path).unwrap();
        file.write_all_at(&[n; 700], 3).unwrap();
        if n % 2 == 0 {
            file.sync().unwrap();
        }
        if n % 5 == 0 {
            disk.sync_directory("").unwrap();
        }
        moments.push(disk.operations());
    }
    let forks: Vec<_> =
        Survival::ALL.into_iter().map(|s| contents(&disk.fork_after(s, 5))).collect();
    let recording = disk.recording();
    for (survival, expected) in Survival::ALL.into_iter().zip(forks) {
        let mut walk = recording.walk();
        let mut last = None;
        for cut in recording.operations() {
            last = Some(walk.power_cut_at(cut, survival, 5));
        }
        assert_eq!(contents(&last.unwrap()), expected, "{survival:?} at the end");
    }
    let at = |number| contents(&recording.walk().power_cut_at(number, Survival::Kept, 0));
    let distinct: BTreeSet<_> = moments.iter().map(|number| at(*number)).collect();
    assert_eq!(distinct.len(), moments.len(), "each moment differs");
}

fn contents(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    disk.files().into_iter().map(|path| (path.clone(), disk.read(&path).unwrap())).collect()
}

#[test]
fn what_cannot_be_done_is_refused_as_the_operating_system_does() {
    let disk = SimDisk::new();
    disk.make_directory("d").unwrap();
    let file = durable(&disk, "d/a", b"1");
    let kind = |result: std::io::Result<()>| result.expect_err("it is refused").kind();
    assert_eq!(kind(disk.create("d/a").map(drop)), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.make_directory("d")), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.make_directory("e/f")), ErrorKind::NotFound);
    assert_eq!(kind(disk.open("d", Access::Read).map(drop)), ErrorKind::InvalidData);
    assert_eq!(kind(disk.open("e", Access::Read).map(drop)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open("d/a/b", Access::Read).map(drop)), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.link("d/a", "d/a")), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.remove("d/b")), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove_directory("d")), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(file.read_exact_at(&mut [0; 2], 0)), ErrorKind::UnexpectedEof);
    let reader = disk.open("d/a", Access::Read).unwrap();
    assert_eq!(kind(reader.write_all_at(b"2", 0)), ErrorKind::PermissionDenied);
    assert_eq!(disk.entries("").unwrap(), [("d".to_owned(), Kind::Directory)]);
    assert_eq!(disk.entries("d").unwrap(), [("a".to_owned(), Kind::File)]);
    disk.remove("d/a").unwrap();
    file.write_all_at(b"2", 0).expect("an open file stays, whatever becomes of its name");
    disk.remove_directory("d").unwrap();
}
