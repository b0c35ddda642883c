//! What goes wrong on a disk, and how much fits on it.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{Id, Number, State};

/// The unit in which room is taken, in bytes.
pub(crate) const BLOCK: usize = 4096;

/// Which syncs return `Ok` and make nothing durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Lies {
    #[default]
    None,
    /// Those of files and directories whose path begins so; a file's path is the one that it was
    /// opened by.
    Below(&'static str),
    /// Those of files, with the same meaning of the path, each `nth` of them.
    Every { nth: u64, below: &'static str },
}

/// What is to go wrong. The default is nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// The power goes during the operation of this number.
    pub(crate) cut_at: Option<Number>,
    /// The first sync from this number on fails, and drops what was dirty.
    pub(crate) failed_sync: Option<Number>,
    /// The first write from this number on fails half way.
    pub(crate) failed_write: Option<Number>,
    /// The first sync of a temporary file from this number on finds the disk full, and drops what
    /// was dirty.
    pub(crate) full_at_sync: Option<Number>,
    pub(crate) lies: Lies,
    /// No content of files whose path has this in it can be read.
    pub(crate) unreadable: Option<&'static str>,
    /// For half of the time no file or directory can be opened, and no name be changed: the process
    /// has too many open. Directories can be synced, by the one that is always open.
    pub(crate) is_out_of_files: bool,
    /// How many bytes fit, in whole [`BLOCK`]s.
    pub(crate) room_bytes: Option<usize>,
}

/// The blocks that files take.
#[derive(Debug, Default)]
pub(super) struct Room {
    blocks: BTreeMap<Id, BTreeSet<usize>>,
}

impl Room {
    /// What a disk's files take at its start: every block of their length.
    pub(super) fn taken_by(state: &State) -> Self {
        let mut room = Self::default();
        for (id, node) in &state.nodes {
            if let super::state::Node::File(file) = node {
                room.blocks.insert(*id, (0..file.now.bytes.len().div_ceil(BLOCK)).collect());
            }
        }
        room
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.values().map(|blocks| blocks.len() * BLOCK).sum()
    }

    /// Takes room for a write; gives the bytes of it that fit.
    pub(super) fn take(&mut self, id: Id, offset: usize, length: usize, limit: usize) -> usize {
        let mut left = limit.saturating_sub(self.bytes()) / BLOCK;
        let blocks = self.blocks.entry(id).or_default();
        let mut fits = 0;
        while fits < length {
            let block = (offset + fits) / BLOCK;
            if !blocks.contains(&block) {
                if left == 0 {
                    break;
                }
                left -= 1;
                blocks.insert(block);
            }
            fits = ((block + 1) * BLOCK - offset).min(length);
        }
        fits
    }

    pub(super) fn cut_off(&mut self, id: Id, length: usize) {
        if let Some(blocks) = self.blocks.get_mut(&id) {
            blocks.retain(|block| block * BLOCK < length);
        }
    }

    /// Gives the room of files back that are not among these.
    pub(super) fn retain(&mut self, is_alive: impl Fn(Id) -> bool) {
        self.blocks.retain(|id, _| is_alive(*id));
    }
}
