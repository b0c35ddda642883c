//! What a power cut leaves of a disk.
//!
//! What is durable stays. Of the rest, a [`Survival`] and a seed decide. Each file and directory
//! is for itself, as it is on a disk that writes back in whatever order it likes; a rename between
//! two directories can therefore survive by halves (in [`Survival::InOrder`] it cannot, as on a
//! file system with a journal).

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use super::state::{Content, DirectoryNode, FileChange, FileNode, Id, Node, Number, ROOT, State};

/// The unit that a disk writes as a whole.
pub(crate) const SECTOR: usize = 512;

/// How much of what was not synced survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survival {
    /// Nothing.
    Lost,
    /// Everything, as when only the process dies.
    Kept,
    /// What was done up to some operation, the last write of it torn.
    InOrder,
    /// Any of the changes, each as a whole.
    Reordered,
    /// Any sectors of any of the writes; a length can survive without the bytes.
    Sectors,
    /// Any range of bytes of any of the writes: harsher than a disk is.
    Bytes,
}

impl Survival {
    pub(crate) const ALL: [Self; 6] =
        [Self::Lost, Self::Kept, Self::InOrder, Self::Reordered, Self::Sectors, Self::Bytes];
}

impl State {
    /// The disk that the next start finds.
    pub(crate) fn after_power_cut(&self, survival: Survival, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let last_kept = match survival {
            Survival::InOrder => self.some_operation(&mut random),
            _ => None,
        };
        let mut cut = Cut { survival, random, last_kept };
        let mut nodes = BTreeMap::new();
        // In the order of the nodes, so that a seed means the same each time.
        for (id, node) in &self.nodes {
            let node = match node {
                Node::File(file) => Node::File(cut.file(file)),
                Node::Directory(directory) => Node::Directory(cut.directory(directory)),
            };
            nodes.insert(*id, node);
        }
        let mut after = Self { nodes };
        after.drop_what_has_no_name();
        after
    }

    /// One of the operations whose changes are pending.
    fn some_operation(&self, random: &mut Rng) -> Option<Number> {
        let mut numbers: Vec<Number> = Vec::new();
        for node in self.nodes.values() {
            match node {
                Node::File(file) => numbers.extend(file.pending.iter().map(|(n, _)| n)),
                Node::Directory(names) => numbers.extend(names.pending.iter().map(|(n, _)| n)),
            }
        }
        random.choice(numbers)
    }

    fn drop_what_has_no_name(&mut self) {
        let mut reached = vec![ROOT];
        let mut next = 0;
        while let Some(id) = reached.get(next).copied() {
            next += 1;
            if let Node::Directory(directory) = &self.nodes[&id] {
                reached.extend(directory.now.values());
            }
        }
        reached.sort_unstable();
        self.nodes.retain(|id, _| reached.binary_search(id).is_ok());
    }
}

/// A power cut while it is decided what survives.
struct Cut {
    survival: Survival,
    random: Rng,
    /// With [`Survival::InOrder`], the last operation that survives.
    last_kept: Option<Number>,
}

impl Cut {
    fn file(&mut self, file: &FileNode) -> FileNode {
        let mut content = file.durable.clone();
        let likely = self.likelihood();
        for (number, change) in &file.pending {
            self.change(*number, change, likely, &mut content);
        }
        FileNode { now: content.clone(), durable: content, pending: Vec::new() }
    }

    fn directory(&mut self, directory: &DirectoryNode) -> DirectoryNode {
        let mut names: BTreeMap<String, Id> = directory.durable.clone();
        let likely = self.likelihood();
        for (number, change) in &directory.pending {
            if self.is_kept(*number, likely) {
                change.apply(&mut names);
            }
        }
        DirectoryNode { now: names.clone(), durable: names, pending: Vec::new() }
    }

    /// How likely each change of one file is kept: often nearly all or nearly none, because an
    /// even half of many changes is only one kind of disorder.
    fn likelihood(&mut self) -> f64 {
        [0.05, 0.5, 0.5, 0.95][self.random.usize(..4)]
    }

    fn is_kept(&mut self, number: Number, likely: f64) -> bool {
        match self.survival {
            Survival::Lost => false,
            Survival::Kept => true,
            Survival::InOrder => self.last_kept.is_some_and(|last| number <= last),
            Survival::Reordered | Survival::Sectors | Survival::Bytes => self.random.f64() < likely,
        }
    }

    fn change(&mut self, number: Number, change: &FileChange, likely: f64, content: &mut Content) {
        let FileChange::Write { offset, bytes } = change else {
            if self.is_kept(number, likely) {
                change.apply(content);
            }
            return;
        };
        match self.survival {
            Survival::InOrder if self.last_kept == Some(number) => {
                let kept = self.random.usize(..=bytes.len());
                keep(*offset, &bytes[..kept], content);
            }
            Survival::Sectors => self.sectors(*offset, bytes, likely, content),
            Survival::Bytes => self.bytes(*offset, bytes, content),
            _ => {
                if self.is_kept(number, likely) {
                    change.apply(content);
                }
            }
        }
    }

    fn sectors(&mut self, offset: usize, bytes: &[u8], likely: f64, content: &mut Content) {
        if self.random.bool() {
            lengthen(offset + bytes.len(), content);
        }
        let mut at = 0;
        while at < bytes.len() {
            let end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
            let end = end.min(bytes.len());
            if self.random.f64() < likely {
                keep(offset + at, &bytes[at..end], content);
            }
            at = end;
        }
    }

    /// A range of the bytes, or everything but a range.
    fn bytes(&mut self, offset: usize, bytes: &[u8], content: &mut Content) {
        let (a, b) = (self.random.usize(..=bytes.len()), self.random.usize(..=bytes.len()));
        let (from, to) = (a.min(b), a.max(b));
        if self.random.bool() {
            keep(offset + from, &bytes[from..to], content);
        } else {
            keep(offset, &bytes[..from], content);
            keep(offset + to, &bytes[to..], content);
        }
    }
}

fn keep(offset: usize, bytes: &[u8], content: &mut Content) {
    if !bytes.is_empty() {
        FileChange::Write { offset, bytes: bytes.into() }.apply(content);
    }
}

fn lengthen(length: usize, content: &mut Content) {
    if content.bytes.len() < length {
        Arc::make_mut(&mut content.bytes).resize(length, 0);
    }
}
