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
pub(crate) fn numbers(disk: &dyn Disk) -> io::Result<Vec<u64>> {
    let number = |(name, kind): (String, Kind)| {
        if kind == Kind::File { number_of(&name) } else { None }
    };
    let mut numbers: Vec<u64> = disk.entries(DIRECTORY)?.into_iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
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
pub(crate) fn read(disk: &dyn Disk, number: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(&file_name(number), Access::Read)?;
    let length = usize::try_from(file.metadata()?.length).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
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
/// As the disk says. Where it is full, nothing is left of the new file.
pub(crate) fn make(
    disk: &dyn Disk,
    header: &SegmentHeader,
    freed: Option<u64>,
) -> io::Result<Segment> {
    let spare = spare_name(header.number);
    let file = match freed {
        Some(number) => {
            disk.rename(&free_name(number), &spare)?;
            disk.open(&spare, Access::ReadWrite)?
        }
        None => new_file(disk, &spare, header.capacity)?,
    };
    file.write_all_at(&header.encode(), 0)?;
    file.sync()?;
    disk.rename(&spare, &file_name(header.number))?;
    disk.sync_directory(DIRECTORY)?;
    let SegmentHeader { number, capacity, .. } = *header;
    Ok(Segment { number, capacity, seed: Seed::of_segment(number), file })
}

fn new_file(disk: &dyn Disk, path: &str, length: u64) -> io::Result<Box<dyn DiskFile>> {
    let file = disk.create(path)?;
    if let Err(error) = write_zeros(&*file, 0, length) {
        drop(file);
        // The error that counts is the first one.
        let _ = disk.remove(path);
        return Err(error);
    }
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

/// Removes a freed segment that nobody needs.
pub(crate) fn discard(disk: &dyn Disk, number: u64) -> io::Result<()> {
    disk.remove(&free_name(number))
}

/// The length of a segment that so many bytes fit into.
pub(crate) fn capacity_for(bytes: u64) -> u64 {
    (SEGMENT_HEADER + bytes).next_multiple_of(4096)
}
