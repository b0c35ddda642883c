//! A disk in memory on which nothing goes wrong.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Access, Disk, DiskFile, Kind, Metadata, split};

/// A directory tree in memory. Its clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct MemoryDisk {
    nodes: Arc<Mutex<Nodes>>,
    /// How often a directory was read.
    reads: Arc<AtomicUsize>,
}

/// Files and directories by path; the root is not among them.
type Nodes = BTreeMap<String, Node>;

#[derive(Debug, Clone)]
enum Node {
    File(MemoryFile),
    Directory,
}

#[derive(Debug, Clone)]
struct MemoryFile(Arc<Mutex<Content>>);

#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    modified: i128,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDisk {
    pub(crate) fn new() -> Self {
        Self { nodes: Arc::default(), reads: Arc::default() }
    }

    /// The same content on a disk of its own, as a kill leaves it.
    pub(crate) fn fork(&self) -> Self {
        let copy = |(path, node): (&String, &Node)| {
            let node = match node {
                Node::File(file) => {
                    Node::File(MemoryFile(Arc::new(Mutex::new(lock(&file.0).clone()))))
                }
                Node::Directory => Node::Directory,
            };
            (path.clone(), node)
        };
        let nodes = lock(&self.nodes).iter().map(copy).collect();
        Self { nodes: Arc::new(Mutex::new(nodes)), reads: Arc::default() }
    }

    #[cfg(test)]
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Puts a file and the directories on the way to it.
    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) {
        let mut nodes = lock(&self.nodes);
        let content = Content { bytes, modified: 1 };
        nodes.insert(path.into(), Node::File(MemoryFile(Arc::new(Mutex::new(content)))));
        let mut above = split(path).0;
        while !above.is_empty() {
            nodes.insert(above.into(), Node::Directory);
            above = split(above).0;
        }
    }

    /// Changes the bytes of every file whose path begins so.
    pub(crate) fn change(&self, prefix: &str, mut change: impl FnMut(&str, &mut Vec<u8>)) {
        for (path, node) in lock(&self.nodes).iter().filter(|(path, _)| path.starts_with(prefix)) {
            if let Node::File(file) = node {
                change(path, &mut lock(&file.0).bytes);
            }
        }
    }

    /// The nodes, where the parent of a path is a directory.
    fn below_a_directory(&self, path: &str) -> io::Result<MutexGuard<'_, Nodes>> {
        let nodes = lock(&self.nodes);
        match nodes.get(split(path).0) {
            _ if split(path).0.is_empty() => Ok(nodes),
            Some(Node::Directory) => Ok(nodes),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl Disk for MemoryDisk {
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut nodes = self.below_a_directory(path)?;
        if nodes.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = MemoryFile(Arc::default());
        nodes.insert(path.into(), Node::File(file.clone()));
        Ok(Box::new(file))
    }

    fn open(&self, path: &str, _: Access) -> io::Result<Box<dyn DiskFile>> {
        match self.below_a_directory(path)?.get(path) {
            Some(Node::File(file)) => Ok(Box::new(file.clone())),
            Some(Node::Directory) => Err(ErrorKind::InvalidData.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut nodes = self.below_a_directory(to)?;
        if matches!(nodes.get(to), Some(Node::Directory)) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let node = nodes.remove(from).ok_or(ErrorKind::NotFound)?;
        nodes.insert(to.into(), node);
        Ok(())
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let mut nodes = self.below_a_directory(to)?;
        if nodes.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let node = nodes.get(from).cloned().ok_or(ErrorKind::NotFound)?;
        nodes.insert(to.into(), node);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut nodes = self.below_a_directory(path)?;
        match nodes.get(path) {
            Some(Node::File(_)) => nodes.remove(path).map_or(Ok(()), |_| Ok(())),
            Some(Node::Directory) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        let mut nodes = self.below_a_directory(path)?;
        if nodes.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        nodes.insert(path.into(), Node::Directory);
        Ok(())
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.below_a_directory(path)?
            .remove(path)
            .map_or(Err(ErrorKind::NotFound.into()), |_| Ok(()))
    }

    fn entries(&self, path: &str) -> io::Result<Vec<(String, Kind)>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let nodes = self.below_a_directory(path)?;
        match nodes.get(path) {
            Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
            None if !path.is_empty() => return Err(ErrorKind::NotFound.into()),
            _ => {}
        }
        let kind = |node: &Node| match node {
            Node::File(_) => Kind::File,
            Node::Directory => Kind::Directory,
        };
        let inside = nodes.iter().filter(|(found, _)| split(found).0 == path);
        Ok(inside.map(|(found, node)| (split(found).1.to_owned(), kind(node))).collect())
    }

    fn sync_directory(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_everything(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(1 << 20)
    }

    fn available(&self) -> io::Result<u64> {
        self.size()
    }
}

impl DiskFile for MemoryFile {
    fn metadata(&self) -> io::Result<Metadata> {
        let content = lock(&self.0);
        Ok(Metadata { length: content.bytes.len() as u64, modified: content.modified })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let content = lock(&self.0);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = content.bytes.get(start..).and_then(|from| from.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = lock(&self.0);
        let start = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let end = start + bytes.len();
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        content.bytes[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| ErrorKind::FileTooLarge)?;
        lock(&self.0).bytes.resize(length, 0);
        Ok(())
    }

    fn set_modified(&self, nanoseconds: i128) -> io::Result<()> {
        lock(&self.0).modified = nanoseconds;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
