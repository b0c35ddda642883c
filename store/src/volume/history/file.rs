//! The files that versions are kept in, byte by byte. All integers are little-endian.
//!
//! An entry is a head of 48 bytes, the author, and the content:
//!
//! | bytes | what |
//! |---|---|
//! | 0–3 | CRC-32C of bytes 4–47 and the author |
//! | 4–7 | CRC-32C of the content |
//! | 8–11 | the length of the content in bytes |
//! | 12 | the kind: 1 document, 2 whole namespace, 3 operations |
//! | 13 | 1 where there is an author |
//! | 14–15 | the length of the author in bytes |
//! | 16–23 | the sequence of the journal's record |
//! | 24–31 | the version; of a document, the hash of its content |
//! | 32–47 | nanoseconds since 1970, signed: the revision of a document, the time of the others; the least number where there is none |
//!
//! A whole namespace without a time is what the operations behind it go on from. Where an entry does
//! not check out, the file ends: what was being appended when the power was lost is in the journal.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::DIRECTORY;
use crate::disk::{Access, Disk, DiskFile, Kind as DiskKind, split};
use crate::history::{Span, What, Written, checks_out};
use crate::journal::entry::write_operations;
use crate::key::has_history;
use crate::revision::{Revision, content_hash};
use crate::volume::namespace_file;
use crate::{Expiry, Key, Namespace, NamespaceKey};

const HEAD: usize = 48;

/// No author's name is longer, in bytes.
const AUTHOR_MAX: usize = 256;

/// Where no time is known.
const NO_TIME: i128 = i128::MIN;

/// How often a head is read where the file is cut meanwhile, each time by another round of writes.
const READS_MAX: usize = 8;

const NANOSECONDS: i128 = 1_000_000;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Document,
    Whole,
    Patch,
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Document => 1,
            Self::Whole => 2,
            Self::Patch => 3,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Document, Self::Whole, Self::Patch].into_iter().find(|it| it.to_byte() == byte)
    }
}

/// What an entry says before its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    /// The version of a namespace, the hash of a document's content.
    pub(super) number: u64,
    /// In nanoseconds since 1970.
    pub(super) time: Option<i128>,
    pub(super) author: Option<Arc<str>>,
}

impl Head {
    /// That of a write.
    pub(super) fn of(written: &Written) -> Self {
        let nanoseconds = |time: &Expiry| i128::from(time.milliseconds()) * NANOSECONDS;
        let (kind, number, time) = match &written.what {
            What::Document(object) => {
                let revision = Revision::at(object.modified).nanoseconds();
                (Kind::Document, content_hash(&object.body), Some(revision))
            }
            What::Patch { version, time, .. } => {
                (Kind::Patch, *version, time.as_ref().map(nanoseconds))
            }
            What::Whole { namespace, time } => {
                (Kind::Whole, namespace.version(), time.as_ref().map(nanoseconds))
            }
        };
        let Written { sequence, author, .. } = written;
        Self { kind, sequence: *sequence, number, time, author: author.clone() }
    }
}

/// Appends a write.
pub(super) fn append(out: &mut Vec<u8>, written: &Written) {
    let content = match &written.what {
        What::Document(object) => object.body.clone(),
        What::Whole { namespace, .. } => namespace_file::encode(namespace).into(),
        What::Patch { operations, .. } => {
            let mut content = Vec::new();
            write_operations(&mut content, operations);
            content.into()
        }
    };
    append_entry(out, &Head::of(written), &content);
}

/// Appends the namespace that a write goes on from.
pub(super) fn append_base(out: &mut Vec<u8>, base: &Namespace, sequence: u64) {
    let number = base.version();
    let head = Head { kind: Kind::Whole, sequence, number, time: None, author: None };
    // What was never written has no file that reads back.
    let content = if number == 0 { Vec::new() } else { namespace_file::encode(base) };
    append_entry(out, &head, &content);
}

fn append_entry(out: &mut Vec<u8>, head: &Head, content: &[u8]) {
    let start = out.len();
    let author = head.author.as_deref().unwrap_or_default();
    let author = author.get(..author.floor_char_boundary(AUTHOR_MAX)).unwrap_or_default();
    out.extend([0; 4]);
    out.extend(crc32c::crc32c(content).to_le_bytes());
    out.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.push(head.kind.to_byte());
    out.push(head.author.is_some().into());
    out.extend(u16::try_from(author.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(head.sequence.to_le_bytes());
    out.extend(head.number.to_le_bytes());
    out.extend(head.time.unwrap_or(NO_TIME).to_le_bytes());
    out.extend_from_slice(author.as_bytes());
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(content);
}

/// An open file, and where it is read.
pub(super) struct Entries<'a> {
    file: &'a dyn DiskFile,
    number: u64,
    length: u64,
    offset: u64,
}

impl<'a> Entries<'a> {
    /// The entries of a file, from its start.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn new(file: &'a dyn DiskFile, number: u64) -> io::Result<Self> {
        Ok(Self { file, number, length: file.metadata()?.length, offset: 0 })
    }

    /// Where the entries that were read end, in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next entry, and where its content is; `None` where none follows. The content is not
    /// looked at.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn next(&mut self) -> io::Result<Option<(Head, Span)>> {
        let mut bytes = [0; HEAD + AUTHOR_MAX];
        let Some(read) = self.read_ahead(&mut bytes)? else { return Ok(None) };
        let bytes = &bytes[..read];
        let Some((head, author)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
        let Some((head, length, crc, author)) = read_head(head, author) else { return Ok(None) };
        let offset = self.offset + (HEAD + author) as u64;
        if offset + u64::from(length) > self.length {
            return Ok(None);
        }
        self.offset = offset + u64::from(length);
        Ok(Some((head, Span { file: self.number, offset, length, crc })))
    }

    /// Reads on as far as the file and `bytes` go, and says how many bytes; `None` where it is cut each time that
    /// it is looked at.
    fn read_ahead(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        for _ in 0..READS_MAX {
            let left = self.length.saturating_sub(self.offset);
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            match self.file.read_exact_at(&mut bytes[..most], self.offset) {
                Ok(()) => return Ok(Some(most)),
                // What was torn is cut off meanwhile, and perhaps appended to: what stands before it is still there.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.length = self.file.metadata()?.length;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The head, the length and the sum of the content, the length of the author.
fn read_head(bytes: &[u8; HEAD], behind: &[u8]) -> Option<(Head, u32, u32, usize)> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let author_bytes = usize::from(u16::from_le_bytes([bytes[14], bytes[15]]));
    let author = behind.get(..author_bytes)?;
    if u32_at(0)? != crc32c::crc32c_append(crc32c::crc32c(&bytes[4..]), author) {
        return None;
    }
    let kind = Kind::from_byte(bytes[12])?;
    let time = i128::from_le_bytes(*bytes.get(32..)?.first_chunk()?);
    let author = match bytes[13] {
        0 => None,
        _ => Some(std::str::from_utf8(author).ok()?.into()),
    };
    let time = (time != NO_TIME).then_some(time);
    let head = Head { kind, sequence: u64_at(16)?, number: u64_at(24)?, time, author };
    Some((head, u32_at(8)?, u32_at(4)?, author_bytes))
}

/// The content of an entry; `None` where it does not check out.
///
/// # Errors
/// As the disk says.
pub(super) fn content(file: &dyn DiskFile, span: &Span) -> io::Result<Option<Bytes>> {
    let mut bytes = vec![0; span.length as usize];
    match file.read_exact_at(&mut bytes, span.offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let bytes = Bytes::from(bytes);
    Ok(checks_out(span, &bytes).then_some(bytes))
}

/// The path of a file.
pub(super) fn name(directory: &str, number: u64) -> String {
    format!("{directory}/{number:020}")
}

/// The numbers of the files in a directory, in order.
///
/// # Errors
/// As the disk says, but that there is no such directory, or that something else stands there.
pub(super) fn numbers(disk: &dyn Disk, directory: &str) -> io::Result<Vec<u64>> {
    let entries = match disk.entries(directory) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let files = entries.into_iter().filter(|(_, kind)| *kind == DiskKind::File);
    let mut numbers: Vec<u64> = files.filter_map(|(name, _)| number(&name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn number(name: &str) -> Option<u64> {
    let is_number = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_number)
}

/// Whether that is the path of a file of a history.
pub(in crate::volume) fn is_file_name(path: &str) -> bool {
    let below = path.strip_prefix(DIRECTORY).and_then(|path| path.strip_prefix('/'));
    let Some((path, name)) = below.and_then(|path| path.rsplit_once('/')) else { return false };
    let is_key = Key::from_path(path).is_some() || NamespaceKey::from_path(path).is_some();
    is_key && has_history(path) && number(name).is_some()
}

/// How long the part of a file is that tells of writes up to one.
///
/// # Errors
/// As the disk says.
pub(in crate::volume) fn prefix(file: &dyn DiskFile, up_to: u64) -> io::Result<u64> {
    let mut entries = Entries::new(file, 0)?;
    let mut end = 0;
    while let Some((head, _)) = entries.next()? {
        if head.sequence > up_to {
            break;
        }
        end = entries.offset();
    }
    Ok(end)
}

/// Cuts a file behind what it tells of writes up to one, durably but for the name.
///
/// # Errors
/// As the disk says.
pub(in crate::volume) fn cut(disk: &dyn Disk, path: &str, up_to: u64) -> io::Result<()> {
    let file = disk.open(path, Access::ReadWrite)?;
    let end = prefix(&*file, up_to)?;
    if end == 0 {
        return disk.remove(path);
    }
    if end < file.metadata()?.length {
        file.set_length(end)?;
        file.sync()?;
    }
    Ok(())
}

/// Where a file ceases to check out that was durable there; `None` where it does not. What a crash
/// cut short was being appended to the last file of its path, and is of no write up to `saved`.
///
/// # Errors
/// As the disk says.
pub(in crate::volume) fn check(disk: &dyn Disk, path: &str, saved: u64) -> io::Result<Option<u64>> {
    let file = disk.open(path, Access::Read)?;
    let end = sound(&*file, 0)?.0;
    if end == file.metadata()?.length {
        return Ok(None);
    }
    let (directory, name) = split(path);
    let is_last = numbers(disk, directory)?.last().copied() == number(name);
    let mut cut = Entries { offset: end, ..Entries::new(&*file, 0)? };
    let was_durable = cut.next()?.is_some_and(|(head, _)| head.sequence <= saved);
    Ok((!is_last || was_durable).then_some(end))
}

/// How many bytes of a file check out, contents included; and the heads there.
///
/// # Errors
/// As the disk says.
pub(super) fn sound(file: &dyn DiskFile, number: u64) -> io::Result<(u64, Vec<(Head, Span)>)> {
    let mut entries = Entries::new(file, number)?;
    let (mut end, mut heads) = (0, Vec::new());
    while let Some((head, span)) = entries.next()? {
        if content(file, &span)?.is_none() {
            break;
        }
        end = entries.offset();
        heads.push((head, span));
    }
    Ok((end, heads))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::disk::{Metadata, OsDisk};

    /// A file whose torn end is cut off before a read, and which has grown again behind it.
    #[derive(Debug)]
    struct Cutting<'a> {
        file: &'a dyn DiskFile,
        sound: u64,
        cuts: AtomicU64,
    }

    impl DiskFile for Cutting<'_> {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            if self.cuts.load(Relaxed) == 0 {
                return self.file.read_exact_at(buffer, offset);
            }
            self.cuts.fetch_sub(1, Relaxed);
            let length = self.file.metadata()?.length;
            self.file.set_length(self.sound)?;
            let read = self.file.read_exact_at(buffer, offset);
            self.file.set_length(length + 1)?;
            read
        }
        fn metadata(&self) -> io::Result<Metadata> {
            self.file.metadata()
        }
        fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.file.write_all_at(bytes, offset)
        }
        fn set_length(&self, length: u64) -> io::Result<()> {
            self.file.set_length(length)
        }
        fn set_modified(&self, nanoseconds: i128) -> io::Result<()> {
            self.file.set_modified(nanoseconds)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.file.sync_data()
        }
        fn sync(&self) -> io::Result<()> {
            self.file.sync()
        }
    }

    #[test]
    fn what_is_cut_off_and_appended_to_between_length_and_read_is_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = OsDisk::open(directory.path()).expect("a disk");
        let (bytes, sound) = two_entries_and_a_torn_one();
        let file = disk.create("file").expect("a file");
        for cuts in [1, 2, READS_MAX as u64 - 1] {
            file.set_length(0).expect("a cut");
            file.write_all_at(&bytes, 0).expect("a write");
            let file = Cutting { file: &*file, sound, cuts: cuts.into() };
            let mut entries = Entries::new(&file, 1).expect("a length");
            let mut found = Vec::new();
            while let Some((head, _)) = entries.next().expect("a read") {
                found.push(head.sequence);
            }
            assert_eq!(found, [1, 2], "{cuts} cuts");
        }
    }

    /// The bytes of a file, and how many of them check out.
    fn two_entries_and_a_torn_one() -> (Vec<u8>, u64) {
        let mut bytes = Vec::new();
        for sequence in [1, 2] {
            let (kind, number, time) = (Kind::Document, sequence, Some(0));
            let head = Head { kind, sequence, number, time, author: Some("ci".into()) };
            append_entry(&mut bytes, &head, b"1");
        }
        let sound = bytes.len() as u64;
        bytes.extend([0; HEAD + AUTHOR_MAX]);
        (bytes, sound)
    }

    /// As where a reader has looked at the length, and the next write cuts off what was torn.
    #[test]
    fn what_is_cut_off_behind_an_entry_takes_nothing_of_it_along() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = OsDisk::open(directory.path()).expect("a disk");
        let (bytes, sound) = two_entries_and_a_torn_one();
        let file = disk.create("file").expect("a file");
        file.write_all_at(&bytes, 0).expect("a write");
        for cut_before in 0..=2 {
            file.write_all_at(&bytes, 0).expect("a write");
            let mut entries = Entries::new(&*file, 1).expect("a length");
            let mut found = Vec::new();
            for read in 0..3 {
                if read == cut_before {
                    file.set_length(sound).expect("a cut");
                }
                found.extend(entries.next().expect("a read").map(|(head, _)| head.sequence));
            }
            assert_eq!(found, [1, 2], "cut before read {cut_before}");
        }
    }
}
