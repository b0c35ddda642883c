//! The files of the journal: making them ahead of their use, using them again, removing them.
//!
//! A segment gets its name once it is complete: of its full length in bytes that were written, so
//! that a record in it changes no metadata and one `fdatasync` is one write; with its header; and
//! synced. What is being made is called `spare-…`, and what waits to be used again `free-…`; both
//! are nothing to a start, which removes them.

use std::io;

use super::format::{SEGMENT_HEADER, Seed, SegmentHeader};
use crate::disk::{Access, Disk, DiskFile, Kind};

/// Where the segments stand.
pub(crate) const DIRECTORY: &str = ".stowage/journal";

const SUFFIX: &str = ".journal";

/// No segment is longer, in bytes: the length of a record has 4 bytes. It keeps a stray disk image out
/// of memory.
const LENGTH_MAX: u64 = (1 << 32) + (1 << 20);

/// Zeros are written in pieces of this.
const PIECE: usize = 1 << 20;

/// A segment in use, or ready to be.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) capacity: u64,
    pub(crate) seed: Seed,
    pub(crate) file: Box<dyn DiskFile>,
}

/// The path of the segment of a number.
pub(crate) fn file_name(number: u64) -> String {
    format!("{DIRECTORY}/{number:020}{SUFFIX}")
}

/// Whether a path is that of a segment.
pub(crate) fn is_file_name(path: &str) -> bool {
    let name = path.strip_prefix(DIRECTORY).and_then(|name| name.strip_prefix('/'));
    name.and_then(number_of).is_some()
}

fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(SUFFIX).filter(|number| number.len() == 20)?;
    if number.bytes().all(|digit| digit.is_ascii_digit()) { number.parse().ok() } else { None }
}

fn spare_name(number: u64) -> String {
    format!("{DIRECTORY}/spare-{number}")
}

fn free_name(number: u64) -> String {
    format!("{DIRECTORY}/free-{number}")
}

/// The numbers of the segments, in order.
///
/// # Errors
/// As the disk says; [`io::ErrorKind::InvalidData`] where a link or the like stands in the place of
/// a segment: to pass over it would be to lose what it holds.
pub(crate) fn numbers(disk: &dyn Disk) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for (name, kind) in disk.entries(DIRECTORY)? {
        let Some(number) = number_of(&name) else { continue };
        if kind != Kind::File {
            return Err(unusable(number, "is not a regular file"));
        }
        numbers.push(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn unusable(number: u64, why: &str) -> io::Error {
    let reason = format!(
        "{} {why}: put the segment there that belongs there, or restore a backup",
        file_name(number)
    );
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Removes what was being made, or waited to be used again, when the process ended.
pub(crate) fn sweep(disk: &dyn Disk) -> io::Result<()> {
    for (name, kind) in disk.entries(DIRECTORY)? {
        if kind == Kind::File && (name.starts_with("spare-") || name.starts_with("free-")) {
            disk.remove(&format!("{DIRECTORY}/{name}"))?;
        }
    }
    Ok(())
}

/// All bytes of a segment.
///
/// # Errors
/// As the disk says; [`io::ErrorKind::InvalidData`] where it is longer than any segment.
pub(crate) fn read(disk: &dyn Disk, number: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(&file_name(number), Access::Read)?;
    let length = file.metadata()?.length;
    if length > LENGTH_MAX {
        return Err(unusable(number, &format!("is {length} bytes long, as no segment is")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Opens a segment to write on in it.
pub(crate) fn open(disk: &dyn Disk, number: u64) -> io::Result<Segment> {
    let file = disk.open(&file_name(number), Access::ReadWrite)?;
    let capacity = file.metadata()?.length;
    Ok(Segment { number, capacity, seed: Seed::of_segment(number), file })
}

/// Overwrites what a crash tore, durably: it must not check out behind what comes next.
pub(crate) fn clear(segment: &Segment, offset: u64) -> io::Result<()> {
    write_zeros(&*segment.file, offset, segment.capacity)?;
    segment.file.sync_data()
}

/// Makes a segment, out of a freed one of the same length if there is one.
///
/// # Errors
/// As the disk says. Where it is full, also where it says so no earlier than when it syncs, nothing
/// is left of the new file.
pub(crate) fn make(
    disk: &dyn Disk,
    header: &SegmentHeader,
    freed: Option<u64>,
) -> io::Result<Segment> {
    let spare = spare_name(header.number);
    let made = make_spare(disk, &spare, header, freed).and_then(|file| {
        disk.rename(&spare, &file_name(header.number))?;
        disk.sync_directory(DIRECTORY)?;
        Ok(file)
    });
    if made.is_err() {
        // The error that counts is the first one.
        let _ = disk.remove(&spare);
    }
    let SegmentHeader { number, capacity, .. } = *header;
    made.map(|file| Segment { number, capacity, seed: Seed::of_segment(number), file })
}

/// A segment under the name that a start removes, durable.
fn make_spare(
    disk: &dyn Disk,
    spare: &str,
    header: &SegmentHeader,
    freed: Option<u64>,
) -> io::Result<Box<dyn DiskFile>> {
    let is_reused = match freed.map(|number| disk.rename(&free_name(number), spare)) {
        // A try that found too few files to open may have taken it.
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
        Some(renamed) => renamed.map(|()| true)?,
        None => false,
    };
    let file = if is_reused {
        disk.open(spare, Access::ReadWrite)?
    } else {
        let file = match disk.create(spare) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Such a try has left it.
                disk.remove(spare)?;
                disk.create(spare)?
            }
            created => created?,
        };
        write_zeros(&*file, 0, header.capacity)?;
        file
    };
    file.write_all_at(&header.encode(), 0)?;
    file.sync()?;
    Ok(file)
}

fn write_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; PIECE.min(usize::try_from(to - from).unwrap_or(PIECE))];
    let mut offset = from;
    while offset < to {
        let piece = zeros.len().min(usize::try_from(to - offset).unwrap_or(PIECE));
        file.write_all_at(&zeros[..piece], offset)?;
        offset += piece as u64;
    }
    Ok(())
}

/// Takes a segment out of the journal, durably; it waits to be used again.
pub(crate) fn free(disk: &dyn Disk, number: u64) -> io::Result<()> {
    disk.rename(&file_name(number), &free_name(number))?;
    disk.sync_directory(DIRECTORY)
}

/// Removes a freed segment that nobody needs, if it is there.
pub(crate) fn discard(disk: &dyn Disk, number: u64) -> io::Result<()> {
    match disk.remove(&free_name(number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The length of a segment that so many bytes fit into.
pub(crate) fn capacity_for(bytes: u64) -> u64 {
    (SEGMENT_HEADER + bytes).next_multiple_of(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::disk::MemoryDisk;

    const HEADER: SegmentHeader =
        SegmentHeader { number: 5, capacity: 4096, sequence: 1, clock: 0 };

    #[test]
    fn nothing_is_left_of_a_segment_that_could_not_be_made() {
        for freed in [None, Some(3)] {
            let disk = MemoryDisk::new();
            disk.put(&free_name(3), vec![0; 4096]);
            // It cannot get its name.
            disk.put(&format!("{}/in the way", file_name(5)), Vec::new());
            make(&disk, &HEADER, freed).expect_err("a directory in its place");
            let names: Vec<_> = disk.entries(DIRECTORY).expect("names").into_iter().collect();
            let spare = names.iter().find(|(name, _)| name.starts_with("spare-"));
            assert_eq!(spare, None, "of {names:?}");
        }
    }

    /// As a process does that may open no more files.
    #[test]
    fn what_a_try_that_failed_has_left_or_taken_is_no_obstacle() {
        let disk = MemoryDisk::new();
        disk.put(&spare_name(5), vec![1; 9_000]);
        make(&disk, &HEADER, None).expect("a segment");
        disk.put(&spare_name(6), vec![1; 9_000]);
        let segment = make(&disk, &SegmentHeader { number: 6, ..HEADER }, Some(3));
        let length = segment.expect("a segment").file.metadata().expect("its length").length;
        assert_eq!(length, HEADER.capacity);
        discard(&disk, 3).expect("nothing to be done");
        assert_eq!(numbers(&disk).expect("numbers"), [5, 6]);
    }

    #[test]
    fn what_stands_in_the_place_of_a_segment_is_not_passed_over() {
        let disk = MemoryDisk::new();
        make(&disk, &SegmentHeader { number: 4, ..HEADER }, None).expect_err("no directory yet");
        disk.put(&format!("{DIRECTORY}/README"), Vec::new());
        make(&disk, &SegmentHeader { number: 4, ..HEADER }, None).expect("a segment");
        assert_eq!(numbers(&disk).expect("numbers"), [4]);
        disk.put(&format!("{}/x", file_name(5)), Vec::new());
        let error = numbers(&disk).expect_err("a directory").to_string();
        let expected = ".stowage/journal/00000000000000000005.journal is not a regular file: put \
                        the segment there that belongs there, or restore a backup";
        assert_eq!(error, expected);
    }
}
