//! The disk as the engine sees it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use rustix::io::Errno;
use stowage_store::disk::{Access, Disk, DiskFile, Kind, Metadata};

use super::faults::{Faults, Lies, Room};
use super::recording::Recording;
use super::state::{Content, Id, Node, Number, ROOT, State, Step};
use super::survival::Survival;

/// What a disk says that it holds, where its room has no limit.
const SIZE: u64 = 1 << 30;

/// For so many operations there are files to be had, or none.
const AT_ONCE: Number = 32;

/// A disk in memory. Its clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk {
    machine: Arc<Mutex<Machine>>,
}

#[derive(Debug)]
struct Machine {
    state: State,
    recording: Recording,
    operations: Number,
    next_id: Id,
    faults: Faults,
    room: Room,
    /// How often each file is open.
    open: BTreeMap<Id, usize>,
    syncs: u64,
    is_dead: bool,
}

impl SimDisk {
    /// An empty disk.
    pub(crate) fn new() -> Self {
        Self::starting_with(State::new())
    }

    pub(super) fn starting_with(state: State) -> Self {
        let next_id = state.nodes.last_key_value().map_or(ROOT, |(id, _)| *id) + 1;
        let recording = Recording { start: state.clone(), steps: Vec::new() };
        let room = Room::taken_by(&state);
        let machine = Machine {
            state,
            recording,
            operations: 0,
            next_id,
            faults: Faults::default(),
            room,
            open: BTreeMap::new(),
            syncs: 0,
            is_dead: false,
        };
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is to go wrong from now on.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.machine().faults = faults;
    }

    /// Changes what is to go wrong from now on, and leaves the rest of it.
    pub(crate) fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.machine().faults);
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> Number {
        self.machine().operations
    }

    /// How many bytes files take, in whole blocks.
    pub(crate) fn used_bytes(&self) -> usize {
        let mut machine = self.machine();
        machine.free_what_is_gone();
        machine.room.bytes()
    }

    /// From now on every call fails, as if the process were gone; gives the disk that the next
    /// start finds.
    pub(crate) fn power_cut(&self, survival: Survival, seed: u64) -> Self {
        self.machine().is_dead = true;
        self.fork_after(survival, seed)
    }

    /// The disk that a start would find if the power went now; this one goes on.
    pub(crate) fn fork_after(&self, survival: Survival, seed: u64) -> Self {
        Self::starting_with(self.machine().state.after_power_cut(survival, seed))
    }

    /// Everything that was done so far.
    pub(crate) fn recording(&self) -> Recording {
        self.machine().recording.clone()
    }

    /// The bytes of a file as they stand there now.
    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let machine = self.machine();
        match machine.node(path)? {
            (_, Node::File(file)) => Ok(file.now.bytes.to_vec()),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// The paths of all files, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        let machine = self.machine();
        let mut found = Vec::new();
        let mut open = vec![(String::new(), ROOT)];
        while let Some((path, id)) = open.pop() {
            for (name, id) in &machine.state.directory(id).now {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                match &machine.state.nodes[id] {
                    Node::File(_) => found.push(path),
                    Node::Directory(_) => open.push((path, *id)),
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// Puts durable content into a file that is there, as damage does, or a person.
    pub(crate) fn replace(&self, path: &str, bytes: Vec<u8>) {
        let mut machine = self.machine();
        let (id, _) = machine.node(path).expect("a file to be changed");
        let Some(Node::File(file)) = machine.state.nodes.get_mut(&id) else {
            panic!("{path} is a file")
        };
        assert!(file.pending.is_empty(), "{path} is changed on a disk at rest");
        file.durable = Content { bytes: Arc::new(bytes), modified: file.durable.modified };
        file.now = file.durable.clone();
        machine.recording.start = machine.state.clone();
    }

    fn file(&self, id: Id, access: Access, path: &str) -> Box<dyn DiskFile> {
        Box::new(SimFile { disk: self.clone(), id, access, path: path.into() })
    }
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or_default()
}

fn no_power() -> io::Error {
    io::Error::other("the power is gone")
}

impl Machine {
    /// Counts an operation. The bool is whether the power goes during it.
    fn begin(&mut self) -> io::Result<bool> {
        if self.is_dead {
            return Err(no_power());
        }
        self.operations += 1;
        self.is_dead = self.faults.cut_at.is_some_and(|cut| self.operations >= cut);
        Ok(self.is_dead)
    }

    /// Counts an operation that has to open something.
    fn reach(&mut self) -> io::Result<bool> {
        let is_cut = self.begin()?;
        if self.faults.is_out_of_files && Rng::with_seed(self.operations / AT_ONCE).bool() {
            return Err(Errno::MFILE.into());
        }
        Ok(is_cut)
    }

    /// Counts an operation that changes nothing.
    fn look(&mut self) -> io::Result<()> {
        if self.begin()? { Err(no_power()) } else { Ok(()) }
    }

    fn apply(&mut self, step: Step) {
        self.state.apply(self.operations, &step);
        self.recording.steps.push((self.operations, step));
    }

    /// Carries a change out, which a power cut during it may leave behind.
    fn change(&mut self, is_cut: bool, step: Step) -> io::Result<()> {
        self.apply(step);
        if is_cut { Err(no_power()) } else { Ok(()) }
    }

    fn sync(&mut self, id: Option<Id>, path: &str, step: Step) -> io::Result<()> {
        if self.begin()? {
            return Err(no_power());
        }
        self.syncs += 1;
        if self.faults.failed_sync.is_some_and(|from| self.operations >= from) {
            self.faults.failed_sync = None;
            let seed = self.operations;
            self.apply(Step::DropDirty { id, seed });
            return Err(io::Error::other("a sync that failed"));
        }
        let is_temporary = path.starts_with(".stowage/tmp/");
        if is_temporary && self.faults.full_at_sync.is_some_and(|from| self.operations >= from) {
            self.faults.full_at_sync = None;
            let seed = self.operations;
            self.apply(Step::DropDirty { id, seed });
            return Err(ErrorKind::StorageFull.into());
        }
        let is_lie = match self.faults.lies {
            Lies::None => false,
            Lies::Below(below) => path.starts_with(below),
            Lies::Every { nth, below } => {
                path.starts_with(below)
                    && matches!(step, Step::SyncData { .. })
                    && self.syncs.is_multiple_of(nth)
            }
        };
        if !is_lie {
            self.apply(step);
        }
        Ok(())
    }

    fn node(&self, path: &str) -> io::Result<(Id, &Node)> {
        let mut id = ROOT;
        for segment in path.split('/').filter(|_| !path.is_empty()) {
            let Node::Directory(directory) = &self.state.nodes[&id] else {
                return Err(ErrorKind::NotADirectory.into());
            };
            if matches!(segment, "" | "." | "..") {
                return Err(ErrorKind::InvalidInput.into());
            }
            id = *directory.now.get(segment).ok_or(ErrorKind::NotFound)?;
        }
        Ok((id, &self.state.nodes[&id]))
    }

    /// The directory that a path's last segment stands in, that segment, and what stands there.
    fn place(&self, path: &str) -> io::Result<(Id, String, Option<Id>)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if matches!(name, "" | "." | "..") {
            return Err(ErrorKind::InvalidInput.into());
        }
        match self.node(parent)? {
            (id, Node::Directory(directory)) => {
                Ok((id, name.to_owned(), directory.now.get(name).copied()))
            }
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn is_directory(&self, id: Id) -> bool {
        matches!(self.state.nodes[&id], Node::Directory(_))
    }

    fn free_what_is_gone(&mut self) {
        let mut alive: Vec<Id> = self.open.keys().copied().collect();
        for node in self.state.nodes.values() {
            if let Node::Directory(directory) = node {
                alive.extend(directory.now.values());
            }
        }
        alive.sort_unstable();
        self.room.retain(|id| alive.binary_search(&id).is_ok());
    }

    /// How much of a write fits.
    fn room_for(&mut self, id: Id, offset: usize, length: usize) -> usize {
        let Some(limit) = self.faults.room_bytes else {
            self.room.take(id, offset, length, usize::MAX);
            return length;
        };
        self.free_what_is_gone();
        self.room.take(id, offset, length, limit)
    }

    /// A new name takes room too, if only a little.
    fn room_for_a_name(&mut self) -> io::Result<()> {
        let Some(limit) = self.faults.room_bytes else { return Ok(()) };
        self.free_what_is_gone();
        if self.room.bytes() >= limit { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut machine = self.machine();
        let is_cut = machine.reach()?;
        let (parent, name, there) = machine.place(path)?;
        if there.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        machine.room_for_a_name()?;
        let id = machine.next_id;
        machine.next_id += 1;
        machine.change(is_cut, Step::CreateFile { parent, name, id, time: now() })?;
        *machine.open.entry(id).or_default() += 1;
        Ok(self.file(id, Access::ReadWrite, path))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut machine = self.machine();
        if machine.reach()? {
            return Err(no_power());
        }
        let (id, node) = machine.node(path)?;
        if matches!(node, Node::Directory(_)) {
            return Err(ErrorKind::InvalidData.into());
        }
        *machine.open.entry(id).or_default() += 1;
        Ok(self.file(id, access, path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let is_cut = machine.reach()?;
        let (from_parent, from, there) = machine.place(from)?;
        let id = there.ok_or(ErrorKind::NotFound)?;
        let (to_parent, to, replaced) = machine.place(to)?;
        if machine.is_directory(id) || replaced.is_some_and(|id| machine.is_directory(id)) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if replaced == Some(id) {
            return Ok(());
        }
        machine.change(is_cut, Step::Rename { from: (from_parent, from), to: (to_parent, to), id })
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let is_cut = machine.reach()?;
        let (_, _, there) = machine.place(from)?;
        let id = there.ok_or(ErrorKind::NotFound)?;
        let (parent, name, replaced) = machine.place(to)?;
        if machine.is_directory(id) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        if replaced.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        machine.room_for_a_name()?;
        machine.change(is_cut, Step::Link { parent, name, id })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let is_cut = machine.reach()?;
        let (parent, name, there) = machine.place(path)?;
        if machine.is_directory(there.ok_or(ErrorKind::NotFound)?) {
            return Err(ErrorKind::IsADirectory.into());
        }
        machine.change(is_cut, Step::Remove { parent, name })
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let is_cut = machine.reach()?;
        let (parent, name, there) = machine.place(path)?;
        if there.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        machine.room_for_a_name()?;
        let id = machine.next_id;
        machine.next_id += 1;
        machine.change(is_cut, Step::MakeDirectory { parent, name, id })
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let is_cut = machine.reach()?;
        let (parent, name, there) = machine.place(path)?;
        match &machine.state.nodes[&there.ok_or(ErrorKind::NotFound)?] {
            Node::File(_) => return Err(ErrorKind::NotADirectory.into()),
            Node::Directory(directory) if !directory.now.is_empty() => {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            Node::Directory(_) => {}
        }
        machine.change(is_cut, Step::Remove { parent, name })
    }

    fn entries(&self, path: &str) -> io::Result<Vec<(String, Kind)>> {
        let mut machine = self.machine();
        if machine.reach()? {
            return Err(no_power());
        }
        let (_, Node::Directory(directory)) = machine.node(path)? else {
            return Err(ErrorKind::NotADirectory.into());
        };
        let kind = |id| if machine.is_directory(id) { Kind::Directory } else { Kind::File };
        let mut entries: Vec<_> =
            directory.now.iter().map(|(name, id)| (name.clone(), kind(*id))).collect();
        // In no order, but the same one each time.
        Rng::with_seed(machine.operations).shuffle(&mut entries);
        Ok(entries)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let (id, Node::Directory(_)) = machine.node(path)? else {
            return Err(ErrorKind::NotADirectory.into());
        };
        machine.sync(Some(id), path, Step::Sync { id })
    }

    fn sync_everything(&self) -> io::Result<()> {
        self.machine().sync(None, "", Step::SyncEverything)
    }

    fn size(&self) -> io::Result<u64> {
        let mut machine = self.machine();
        machine.look()?;
        Ok(machine.faults.room_bytes.map_or(SIZE, |bytes| bytes as u64))
    }

    fn available(&self) -> io::Result<u64> {
        let mut machine = self.machine();
        machine.look()?;
        let Some(limit) = machine.faults.room_bytes else { return Ok(SIZE) };
        machine.free_what_is_gone();
        Ok(limit.saturating_sub(machine.room.bytes()) as u64)
    }
}

/// An open file.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    id: Id,
    access: Access,
    path: Box<str>,
}

impl SimFile {
    fn may_write(&self) -> io::Result<()> {
        match self.access {
            Access::Read => Err(ErrorKind::PermissionDenied.into()),
            Access::ReadWrite => Ok(()),
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut machine = self.disk.machine();
        if let Some(times) = machine.open.get_mut(&self.id) {
            *times -= 1;
            if *times == 0 {
                machine.open.remove(&self.id);
            }
        }
    }
}

fn to_usize(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| ErrorKind::FileTooLarge.into())
}

impl DiskFile for SimFile {
    fn metadata(&self) -> io::Result<Metadata> {
        let mut machine = self.disk.machine();
        machine.look()?;
        let content = &machine.state.file(self.id).now;
        Ok(Metadata { length: content.bytes.len() as u64, modified: content.modified })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut machine = self.disk.machine();
        machine.look()?;
        if machine.faults.unreadable.is_some_and(|part| self.path.contains(part)) {
            return Err(Errno::IO.into());
        }
        let bytes = &machine.state.file(self.id).now.bytes;
        let from = to_usize(offset)?;
        let to = from.checked_add(buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes.get(from..to).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.may_write()?;
        let mut machine = self.disk.machine();
        let is_cut = machine.begin()?;
        let (id, offset) = (self.id, to_usize(offset)?);
        let fits = machine.room_for(id, offset, bytes.len());
        let fails = machine.faults.failed_write.is_some_and(|from| machine.operations >= from);
        let written = if fails { fits.min(bytes.len() / 2) } else { fits };
        if written > 0 {
            let step = Step::Write { id, offset, bytes: bytes[..written].into(), time: now() };
            machine.change(is_cut, step)?;
        }
        if fails {
            machine.faults.failed_write = None;
            return Err(io::Error::other("a write that failed half way"));
        }
        if fits < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.may_write()?;
        let mut machine = self.disk.machine();
        let is_cut = machine.begin()?;
        let (id, length) = (self.id, to_usize(length)?);
        machine.room.cut_off(id, length);
        machine.change(is_cut, Step::Length { id, length, time: now() })
    }

    fn set_modified(&self, nanoseconds: i128) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let is_cut = machine.begin()?;
        machine.change(is_cut, Step::Modified { id: self.id, time: nanoseconds })
    }

    fn sync_data(&self) -> io::Result<()> {
        let step = Step::SyncData { id: self.id };
        self.disk.machine().sync(Some(self.id), &self.path, step)
    }

    fn sync(&self) -> io::Result<()> {
        let step = Step::Sync { id: self.id };
        self.disk.machine().sync(Some(self.id), &self.path, step)
    }
}
