//! What a disk holds: for every file and directory what is durable, what stands there for those
//! who read now, and the changes in between.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A file or directory, whatever its names are.
pub(crate) type Id = u64;

/// The root directory.
pub(crate) const ROOT: Id = 0;

/// When an operation was carried out: its number.
pub(crate) type Number = u64;

/// The bytes and the time of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) modified: i128,
}

/// A change to a file that may be lost by itself as long as it is not synced.
#[derive(Debug, Clone)]
pub(crate) enum FileChange {
    Write { offset: usize, bytes: Arc<[u8]> },
    Length(usize),
    Modified(i128),
}

impl FileChange {
    pub(crate) fn apply(&self, content: &mut Content) {
        match self {
            Self::Write { offset, bytes } => {
                let all = Arc::make_mut(&mut content.bytes);
                let end = offset + bytes.len();
                if all.len() < end {
                    all.resize(end, 0);
                }
                all[*offset..end].copy_from_slice(bytes);
            }
            Self::Length(length) => Arc::make_mut(&mut content.bytes).resize(*length, 0),
            Self::Modified(time) => content.modified = *time,
        }
    }
}

/// A change to a directory that may be lost by itself as long as it is not synced.
#[derive(Debug, Clone)]
pub(crate) enum NameChange {
    Set {
        name: String,
        id: Id,
    },
    Unset {
        name: String,
    },
    /// One change, because a rename within a directory is atomic.
    Rename {
        from: String,
        to: String,
        id: Id,
    },
}

impl NameChange {
    pub(crate) fn apply(&self, names: &mut BTreeMap<String, Id>) {
        match self {
            Self::Set { name, id } => {
                names.insert(name.clone(), *id);
            }
            Self::Unset { name } => {
                names.remove(name);
            }
            Self::Rename { from, to, id } => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
        }
    }
}

/// A file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileNode {
    pub(crate) now: Content,
    pub(crate) durable: Content,
    pub(crate) pending: Vec<(Number, FileChange)>,
}

/// A directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct DirectoryNode {
    pub(crate) now: BTreeMap<String, Id>,
    pub(crate) durable: BTreeMap<String, Id>,
    pub(crate) pending: Vec<(Number, NameChange)>,
}

/// What an [`Id`] stands for.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    File(FileNode),
    Directory(DirectoryNode),
}

/// Something that was done to the disk. A list of them, applied to the state that they began at,
/// gives every state in between again.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    CreateFile {
        parent: Id,
        name: String,
        id: Id,
        time: i128,
    },
    MakeDirectory {
        parent: Id,
        name: String,
        id: Id,
    },
    Link {
        parent: Id,
        name: String,
        id: Id,
    },
    Remove {
        parent: Id,
        name: String,
    },
    Rename {
        from: (Id, String),
        to: (Id, String),
        id: Id,
    },
    Write {
        id: Id,
        offset: usize,
        bytes: Arc<[u8]>,
        time: i128,
    },
    Length {
        id: Id,
        length: usize,
        time: i128,
    },
    Modified {
        id: Id,
        time: i128,
    },
    /// Content and length, not the time.
    SyncData {
        id: Id,
    },
    /// All of a file, or the names in a directory.
    Sync {
        id: Id,
    },
    SyncEverything,
    /// A sync that failed: what was not durable is so by chance, and is never tried again.
    DropDirty {
        id: Option<Id>,
        seed: u64,
    },
}

/// The state of a disk.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) nodes: BTreeMap<Id, Node>,
}

impl State {
    /// An empty root directory.
    pub(crate) fn new() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::Directory(DirectoryNode::default()))]) }
    }

    pub(crate) fn file(&self, id: Id) -> &FileNode {
        match &self.nodes[&id] {
            Node::File(file) => file,
            Node::Directory(_) => panic!("{id} is a file"),
        }
    }

    pub(crate) fn directory(&self, id: Id) -> &DirectoryNode {
        match &self.nodes[&id] {
            Node::Directory(directory) => directory,
            Node::File(_) => panic!("{id} is a directory"),
        }
    }

    fn change_file(&mut self, id: Id, number: Number, change: FileChange) {
        let Some(Node::File(file)) = self.nodes.get_mut(&id) else { panic!("{id} is a file") };
        change.apply(&mut file.now);
        file.pending.push((number, change));
    }

    fn change_names(&mut self, id: Id, number: Number, change: NameChange) {
        let Some(Node::Directory(directory)) = self.nodes.get_mut(&id) else {
            panic!("{id} is a directory")
        };
        change.apply(&mut directory.now);
        directory.pending.push((number, change));
    }

    /// Carries a step out. It was possible: who calls has looked.
    pub(crate) fn apply(&mut self, number: Number, step: &Step) {
        match step.clone() {
            Step::CreateFile { parent, name, id, time } => {
                self.nodes.insert(id, Node::File(FileNode::default()));
                self.change_file(id, number, FileChange::Modified(time));
                self.change_names(parent, number, NameChange::Set { name, id });
            }
            Step::MakeDirectory { parent, name, id } => {
                self.nodes.insert(id, Node::Directory(DirectoryNode::default()));
                self.change_names(parent, number, NameChange::Set { name, id });
            }
            Step::Link { parent, name, id } => {
                self.change_names(parent, number, NameChange::Set { name, id });
            }
            Step::Remove { parent, name } => {
                self.change_names(parent, number, NameChange::Unset { name });
            }
            Step::Rename { from: (parent, from), to: (to_parent, to), id } => {
                if parent == to_parent {
                    self.change_names(parent, number, NameChange::Rename { from, to, id });
                } else {
                    self.change_names(parent, number, NameChange::Unset { name: from });
                    self.change_names(to_parent, number, NameChange::Set { name: to, id });
                }
            }
            Step::Write { id, offset, bytes, time } => {
                self.change_file(id, number, FileChange::Write { offset, bytes });
                self.change_file(id, number, FileChange::Modified(time));
            }
            Step::Length { id, length, time } => {
                self.change_file(id, number, FileChange::Length(length));
                self.change_file(id, number, FileChange::Modified(time));
            }
            Step::Modified { id, time } => {
                self.change_file(id, number, FileChange::Modified(time));
            }
            Step::SyncData { id } => self.sync_data(id),
            Step::Sync { id } => self.sync(id),
            Step::SyncEverything => self.nodes.values_mut().for_each(Node::sync),
            Step::DropDirty { id, seed } => self.drop_dirty(id, seed),
        }
    }

    fn sync_data(&mut self, id: Id) {
        let Some(Node::File(file)) = self.nodes.get_mut(&id) else { panic!("{id} is a file") };
        let durable = &mut file.durable;
        file.pending.retain(|(_, change)| {
            let is_time = matches!(change, FileChange::Modified(_));
            if !is_time {
                change.apply(durable);
            }
            is_time
        });
    }

    fn sync(&mut self, id: Id) {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("there is {id}")).sync();
    }

    /// What Linux does: the pages count as clean, those who read still see them.
    fn drop_dirty(&mut self, id: Option<Id>, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        for (_, node) in self.nodes.iter_mut().filter(|(each, _)| id.is_none_or(|id| id == **each))
        {
            match node {
                Node::File(file) => {
                    for (_, change) in file.pending.drain(..).filter(|_| random.bool()) {
                        change.apply(&mut file.durable);
                    }
                }
                Node::Directory(directory) => {
                    for (_, change) in directory.pending.drain(..).filter(|_| random.bool()) {
                        change.apply(&mut directory.durable);
                    }
                }
            }
        }
    }
}

impl Node {
    fn sync(&mut self) {
        match self {
            Self::File(file) => {
                for (_, change) in file.pending.drain(..) {
                    change.apply(&mut file.durable);
                }
            }
            Self::Directory(directory) => {
                for (_, change) in directory.pending.drain(..) {
                    change.apply(&mut directory.durable);
                }
            }
        }
    }
}
