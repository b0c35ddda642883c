//! Bringing versions into their files.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::ends::Ends;
use super::evict::Room;
use super::file::{self, Head, Kind};
use super::unwritten::{Unwritten, after};
use super::{DIRECTORY, directory};
use crate::Result;
use crate::disk::{Access, Disk, DiskFile, split};
use crate::error::{is_full, is_out_of_files};
use crate::history::{What, Written};
use crate::volume::save::at;
use crate::volume::stage::Stage;

/// A file is followed by another at the latest once it has so many times the versions that are kept.
const VERSIONS_TIMES: usize = 4;

/// Of so many paths it is known where their files end: four rounds of as many as one has. It is a few
/// hundred bytes each; to look for it anew is to read a whole file.
const KNOWN_MAX: usize = 32_768;

const READ_WRITE: Access = Access::ReadWrite;

/// From so many files on, one sync of everything is cheaper than one of each.
const FILES_SYNCED_EACH: usize = 8;

/// Writes histories.
#[derive(Debug)]
pub(in crate::volume) struct Keeper<'a> {
    pub(super) disk: &'a dyn Disk,
    stage: &'a Stage,
    /// How many versions are kept of each path; 0 for no history.
    pub(super) versions: usize,
    /// What is left free on the disk, in bytes.
    pub(super) room_bytes: u64,
    /// Writes before this one were found in the journal by the start, and may be in files already.
    live_from: u64,
    ends: Ends<End>,
    /// Whether a round has failed, which may have appended what it has not synced.
    owes_sync: bool,
    /// How many histories were given up, or could not be gone on with, for want of room.
    pub(super) evicted: u64,
    /// Whether there is no history that could be evicted.
    pub(super) has_none: bool,
}

/// Where the files of a path end.
#[derive(Debug, Clone)]
struct End {
    /// The numbers of its first file and of its last.
    oldest: u64,
    number: u64,
    /// The length of the last, as far as it checks out.
    length: u64,
    /// Whether bytes stand behind that.
    is_torn: bool,
    /// How many versions are in the last.
    versions: usize,
    /// The bytes of whole namespaces there, and of what came behind them.
    whole_bytes: u64,
    other_bytes: u64,
    last: Option<Head>,
    /// Whether that was written since the start: what stands in the tree may be another's otherwise.
    is_known: bool,
}

/// What was removed.
#[derive(Debug, Default)]
pub(super) struct Freed {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// Files with content that is not durable, and directories with such names.
#[derive(Default)]
pub(super) struct Unsynced {
    /// Open as long as they are few.
    files: Vec<Box<dyn DiskFile>>,
    count: usize,
    directories: BTreeSet<String>,
    /// Those of what has no history any more.
    pub(super) emptied: Vec<String>,
}

impl Unsynced {
    fn add(&mut self, file: Box<dyn DiskFile>) {
        self.count += 1;
        self.files.push(file);
        // A process may open few files only; they are synced all together.
        if self.count > 2 * FILES_SYNCED_EACH {
            self.files.clear();
        }
    }
}

impl<'a> Keeper<'a> {
    /// Keeps so many versions of each path, and leaves so many bytes free on the disk. Writes before
    /// `live_from` may be there already.
    pub(in crate::volume) fn new(
        disk: &'a dyn Disk,
        stage: &'a Stage,
        (versions, room_bytes): (usize, u64),
        live_from: u64,
    ) -> Self {
        let ends = Ends::new(KNOWN_MAX);
        Self {
            disk,
            stage,
            versions,
            room_bytes,
            live_from,
            ends,
            owes_sync: false,
            evicted: 0,
            has_none: false,
        }
    }

    /// How many histories were given up, or could not be gone on with, for want of room, since this
    /// was asked last.
    pub(in crate::volume) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// How many versions are kept of each path.
    pub(in crate::volume) fn versions(&self) -> usize {
        self.versions
    }

    /// Brings these into their files, durably. What does not fit ends its history, and so does what
    /// leaves no room for the `bytes` that the tree and others are to take: those of other paths
    /// first.
    ///
    /// # Errors
    /// As the disk says, but that it is full. It can be tried again.
    pub(in crate::volume) fn keep<'d>(
        &mut self,
        due: impl Iterator<Item = (&'d Arc<str>, &'d Unwritten)> + Clone,
        bytes: u64,
    ) -> Result<()> {
        let mut unsynced = Unsynced::default();
        self.ends.begin_round();
        let owed = std::mem::replace(&mut self.owes_sync, true);
        let kept = || due.clone().map(|(path, _)| &**path).collect();
        self.evict(bytes, kept, &mut unsynced).map_err(|error| at(DIRECTORY, error))?;
        for (path, unwritten) in due.clone() {
            let appended = self
                .require_room(bytes)
                .and_then(|()| self.append(path, unwritten, bytes, &mut unsynced));
            match appended {
                Err(error) if is_full(&error) || is_in_the_way(&error) => {
                    self.evicted += u64::from(is_full(&error));
                    unsynced.emptied.push(directory(path));
                    self.give_up(path, &mut unsynced).map(drop)
                }
                appended => appended,
            }
            .map_err(|error| at(&directory(path), error))?;
        }
        match self.sync(&unsynced, owed) {
            // Some file systems find out no earlier. What fitted, nobody knows.
            Err(error) if is_full(&error) => {
                for (path, _) in due {
                    self.evicted += 1;
                    unsynced.emptied.push(directory(path));
                    self.give_up(path, &mut unsynced)
                        .map_err(|error| at(&directory(path), error))?;
                }
                unsynced.files.clear();
                unsynced.count = 0;
                self.sync(&unsynced, owed)?;
            }
            synced => synced?,
        }
        self.owes_sync = false;
        // Durably empty; that they stay does no harm.
        for directory in &unsynced.emptied {
            let mut directory = &**directory;
            while directory != DIRECTORY && self.disk.remove_directory(directory).is_ok() {
                directory = split(directory).0;
            }
        }
        Ok(())
    }

    /// Syncs these, or what an earlier round owes as well.
    fn sync(&self, unsynced: &Unsynced, owed: bool) -> io::Result<()> {
        if owed || unsynced.count + unsynced.directories.len() > 2 * FILES_SYNCED_EACH {
            return self.disk.sync_everything();
        }
        unsynced.files.iter().try_for_each(|file| file.sync_data())?;
        unsynced.directories.iter().try_for_each(|it| self.disk.sync_directory(it))
    }

    /// Ends the history of a path; what is there of it makes room, and is told.
    pub(super) fn give_up(
        &mut self,
        path: &Arc<str>,
        unsynced: &mut Unsynced,
    ) -> io::Result<Freed> {
        self.ends.remove(path);
        let directory = directory(path);
        let numbers = match file::numbers(self.disk, &directory) {
            // Nobody reads what cannot be listed.
            Err(error) if is_unreadable(&error) => Vec::new(),
            numbers => numbers?,
        };
        let mut freed = Freed::default();
        for number in &numbers {
            let name = file::name(&directory, *number);
            let file = self.disk.open(&name, Access::Read).and_then(|file| file.metadata());
            self.remove(&directory, *number)?;
            freed.files += 1;
            freed.bytes += file.map_or(0, |file| file.length);
        }
        if !numbers.is_empty() {
            unsynced.directories.insert(directory);
        }
        Ok(freed)
    }

    fn remove(&self, directory: &str, number: u64) -> io::Result<()> {
        match self.disk.remove(&file::name(directory, number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Refuses where so many bytes leave too few free.
    fn require_room(&self, bytes: u64) -> io::Result<()> {
        if !Room::on(self.disk)?.has(self.room_bytes.saturating_add(bytes)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Appends what a path's files lack, and leaves room for what the tree is to take.
    fn append(
        &mut self,
        path: &Arc<str>,
        unwritten: &Unwritten,
        tree_bytes: u64,
        unsynced: &mut Unsynced,
    ) -> io::Result<()> {
        if unwritten.is_forgetting() {
            self.give_up(path, unsynced)?;
        }
        let directory = directory(path);
        let end = match self.ends.get(path) {
            Some(end) => Some(end),
            None => match self.find_end(&directory) {
                Err(error) if is_unreadable(&error) => {
                    return self.give_up(path, unsynced).map(drop);
                }
                end => end?,
            },
        };
        let mut base = unwritten.base().cloned();
        let mut entries = unwritten.entries().iter().peekable();
        // What a round has appended already that was cut short.
        while let Some(entry) = entries.peek()
            && end.as_ref().is_some_and(|end| end.has(entry, self.live_from))
        {
            base = after(base.take(), entry);
            entries.next();
        }
        let Some(first) = entries.peek() else {
            if end.is_none() && unwritten.is_forgetting() {
                unsynced.emptied.push(directory);
                return Ok(());
            }
            if let Some(end) = end {
                self.ends.insert(path, end);
            }
            return Ok(());
        };
        let mut end = match end {
            Some(end) if end.is_over(first, self.versions) => {
                if end.is_torn {
                    let name = file::name(&directory, end.number);
                    match self.disk.open(&name, READ_WRITE) {
                        // Its entries end where they do not check out.
                        Err(error) if is_unreadable(&error) => {}
                        file => {
                            let file = file?;
                            file.set_length(end.length)?;
                            unsynced.add(file);
                        }
                    }
                }
                End::after(&end)
            }
            Some(end) => end,
            None => End::first(),
        };
        let file = match self.open_last(&directory, &mut end) {
            Err(error) if is_unreadable(&error) => {
                return self.give_up(path, unsynced).map(drop);
            }
            file => file?,
        };
        let mut bytes = Vec::new();
        if let Some(base) = base.filter(|_| !end.is_followed_by(first)) {
            // It is of none of the writes that may have been torn behind it.
            file::append_base(&mut bytes, &base, first.sequence.saturating_sub(1));
            end.whole_bytes += bytes.len() as u64;
        }
        for entry in entries {
            let before = bytes.len();
            file::append(&mut bytes, entry);
            end.took(entry, (bytes.len() - before) as u64);
        }
        self.require_room(tree_bytes + bytes.len() as u64)?;
        self.has_none = false;
        self.write(&directory, file, (&mut end, &bytes), unsynced)?;
        // Whatever fails behind it: this is not to be written again.
        self.ends.insert(path, end.clone());
        while end.oldest + 1 < end.number {
            self.remove(&directory, end.oldest)?;
            end.oldest += 1;
            unsynced.directories.insert(directory.clone());
        }
        self.ends.insert(path, end);
        Ok(())
    }

    /// Opens the last file, where it is there; another follows it, where it cannot be opened.
    fn open_last(&self, directory: &str, end: &mut End) -> io::Result<Option<Box<dyn DiskFile>>> {
        let open = |end: &End| self.disk.open(&file::name(directory, end.number), READ_WRITE);
        let opened = match open(end) {
            Err(error) if is_unreadable(&error) => {
                *end = End::after(end);
                open(end)
            }
            opened => opened,
        };
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Writes behind the end of the last file, which is made where it is not there.
    fn write(
        &self,
        directory: &str,
        file: Option<Box<dyn DiskFile>>,
        (end, bytes): (&mut End, &[u8]),
        unsynced: &mut Unsynced,
    ) -> io::Result<()> {
        let file = match file {
            Some(file) => file,
            None => {
                let name = file::name(directory, end.number);
                self.stage.make_way(&name)?;
                let file = self.disk.create(&name)?;
                unsynced.directories.insert(directory.to_owned());
                // Whoever removed it while the store is open has ended what was in it.
                end.length = 0;
                file
            }
        };
        if end.is_torn {
            file.set_length(end.length)?;
            end.is_torn = false;
        }
        file.write_all_at(bytes, end.length)?;
        end.length += bytes.len() as u64;
        unsynced.add(file);
        Ok(())
    }

    /// Where the files of a path end that nobody has written to since the start.
    fn find_end(&self, directory: &str) -> io::Result<Option<End>> {
        let numbers = file::numbers(self.disk, directory)?;
        let (Some(oldest), Some(number)) = (numbers.first(), numbers.last()) else {
            return Ok(None);
        };
        let last = End { oldest: *oldest, number: *number, ..End::first() };
        let mut end = match self.read_end(directory, last.clone()) {
            // It is left as it is.
            Err(error) if !is_out_of_files(&error) => End::after(&last),
            end => end?,
        };
        // A round that was cut off may have begun a file and put nothing into it: what the one before
        // has is not to be written again.
        let before = numbers.iter().rev().skip(1);
        for number in before {
            if end.last.is_some() {
                break;
            }
            let before = End { number: *number, ..last.clone() };
            end.last = match self.read_end(directory, before) {
                Err(error) if !is_out_of_files(&error) => None,
                before => before?.last,
            };
        }
        Ok(Some(end))
    }

    /// The end of a path's last file, of which only the numbers are known.
    fn read_end(&self, directory: &str, mut end: End) -> io::Result<End> {
        let file = self.disk.open(&file::name(directory, end.number), Access::Read)?;
        let (length, heads) = file::sound(&*file, end.number)?;
        end.is_torn = length < file.metadata()?.length;
        end.length = length;
        for (head, span) in heads {
            match (head.kind, head.time) {
                (Kind::Whole, None) => end.whole_bytes += u64::from(span.length),
                _ => {
                    end.versions += 1;
                    end.other_bytes += u64::from(span.length);
                }
            }
            end.last = Some(head);
        }
        Ok(end)
    }
}

/// Whether something else stands in the place of a file, or on the way to it.
fn is_in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory};
    matches!(error.kind(), InvalidData | IsADirectory | NotADirectory)
}

/// Whether a file or a directory that was to be read is of no use. What a write or a sync fails with
/// is not looked at so.
fn is_unreadable(error: &io::Error) -> bool {
    is_in_the_way(error) || error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

impl End {
    fn first() -> Self {
        Self {
            oldest: 1,
            number: 1,
            length: 0,
            is_torn: false,
            versions: 0,
            whole_bytes: 0,
            other_bytes: 0,
            last: None,
            is_known: false,
        }
    }

    /// That of a file behind the last one.
    fn after(last: &Self) -> Self {
        Self { oldest: last.oldest, number: last.number + 1, ..Self::first() }
    }

    /// Whether another file is to follow. What is written whole once more then is no more than what
    /// was written since; or it is written in any case; or small writes to something large have made
    /// so many versions that reading their heads costs more than that.
    fn is_over(&self, written: &Written, versions: usize) -> bool {
        let is_cheap = self.other_bytes >= self.whole_bytes || !self.is_followed_by(written);
        self.versions >= versions && is_cheap
            || self.versions >= versions.saturating_mul(VERSIONS_TIMES)
    }

    /// Whether a write is in the files. Where somebody has removed a journal, the sequences of later
    /// writes are lower than those in the files.
    fn has(&self, written: &Written, live_from: u64) -> bool {
        let may_be = self.is_known || written.sequence < live_from;
        may_be && self.last.as_ref().is_some_and(|last| written.sequence <= last.sequence)
    }

    /// Whether a write goes on from the last one in the file.
    fn is_followed_by(&self, written: &Written) -> bool {
        match (&written.what, &self.last) {
            (What::Patch { version, .. }, Some(last)) => {
                self.is_known && last.number + 1 == *version
            }
            (What::Patch { .. }, None) => false,
            _ => true,
        }
    }

    fn took(&mut self, written: &Written, bytes: u64) {
        self.versions += 1;
        self.other_bytes += bytes;
        self.last = Some(Head::of(written));
        self.is_known = true;
    }
}
