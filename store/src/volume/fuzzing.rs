//! The engine as the fuzz targets see it: opened without its threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::cache::Entry;
use super::{VolumeOptions, inspect, namespace_file, open as opening};
use crate::Namespace;
use crate::disk::Disk;

/// What stands at each path: a document's bytes, or a namespace's version and members.
pub(crate) type Content = BTreeMap<String, String>;

/// What a start came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) content: Content,
    /// The bytes of it that are in memory, because they are not in the tree.
    pub(crate) bytes: u64,
    pub(crate) next_sequence: u64,
    pub(crate) next_number: u64,
}

/// Starts on a disk, and reads these paths and whatever is not in the tree; the error is what an
/// operator would read.
pub(crate) fn open(disk: Arc<dyn Disk>, paths: &[&str]) -> Result<Opened, String> {
    let options = VolumeOptions { cache_bytes: 0, segment_bytes: 1, ..VolumeOptions::default() };
    let engine =
        opening::open(disk, Path::new("the disk"), &options).map_err(|error| error.to_string())?;
    let state = engine.lock();
    let (mut content, mut bytes) = (Content::new(), 0);
    for path in paths.iter().copied().chain(state.slots.keys().map(|path| &**path)) {
        let entry = match state.slots.get(path).and_then(|slot| slot.committed.clone()) {
            Some(entry) => entry,
            None => engine.read_tree(path).map_err(|error| error.to_string())?,
        };
        let (text, length) = match entry {
            Entry::Document(None) => continue,
            Entry::Document(Some(object)) => {
                (String::from_utf8_lossy(&object.body).into_owned(), object.body.len() as u64)
            }
            Entry::Namespace(namespace) if namespace.version() == 0 => continue,
            Entry::Namespace(namespace) => {
                let snapshot = namespace.snapshot();
                let text =
                    format!("{} {}", namespace.version(), String::from_utf8_lossy(&snapshot));
                (text, namespace.snapshot_bytes())
            }
        };
        let is_new = content.insert(path.to_owned(), text).is_none();
        bytes += if is_new && state.slots.contains_key(path) { length } else { 0 };
    }
    let (next_sequence, next_number) = (state.layout.next_sequence, state.layout.next_number);
    Ok(Opened { content, bytes, next_sequence, next_number })
}

/// Whether `verify` finds nothing on a disk; else what it finds.
pub(crate) fn look(disk: Arc<dyn Disk>) -> Result<(), String> {
    let report = inspect::look(&disk).map_err(|error| error.to_string())?;
    match (report.damage, report.files.first()) {
        (None, None) => Ok(()),
        (Some(damage), _) => Err(damage.reason),
        (None, Some(file)) => Err(file.clone()),
    }
}

/// Reads the file of a namespace.
pub(crate) fn decode(bytes: &[u8]) -> Result<Namespace, String> {
    namespace_file::decode(bytes).map_err(|damage| damage.to_string())
}

/// Writes the file of a namespace.
pub(crate) fn encode(namespace: &Namespace) -> Vec<u8> {
    namespace_file::encode(namespace)
}
