//! A bounded memory of what is committed.

use std::sync::Arc;

use quick_cache::sync::{Cache as QuickCache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use smol_str::SmolStr;

use crate::stats::Usage;
use crate::{Namespace, Object};

/// What stands at a path.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// A document, or that there is none: asking for one that is not there is common.
    Document(Option<Arc<Object>>),
    Namespace(Arc<Namespace>),
}

impl Entry {
    /// The document; `None` where there is none.
    pub(super) fn as_document(&self) -> Option<&Arc<Object>> {
        match self {
            Self::Document(document) => document.as_ref(),
            Self::Namespace(_) => None,
        }
    }

    /// The memory that its content takes, roughly.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Document(document) => document.as_ref().map_or(0, |it| it.body.len() as u64),
            Self::Namespace(namespace) => {
                let members = namespace.len() + 2 * namespace.expiries();
                namespace.snapshot_bytes() + members as u64 * MEMBER_BYTES
            }
        }
    }

    /// The bytes of its file in the tree, roughly; `None` where there is none.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        match self {
            Self::Document(document) => {
                document.as_ref().map(|document| document.body.len() as u64)
            }
            Self::Namespace(namespace) => Some(namespace.snapshot_bytes()),
        }
    }

    pub(super) fn as_namespace(&self) -> Option<&Arc<Namespace>> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::Document(_) => None,
        }
    }
}

/// Entries by path, at most so many bytes of them.
#[derive(Debug)]
pub(super) struct Cache(QuickCache<SmolStr, Entry, Bytes>);

/// Entries are weighed by the memory that they take, roughly.
#[derive(Debug, Clone, Copy)]
struct Bytes;

/// What an entry takes beside its bytes: its place in the cache, the allocations, the tag.
const ENTRY_BYTES: u64 = 200;

/// What a member takes beside its bytes: its place in the map, and two shared allocations.
const MEMBER_BYTES: u64 = 100;

impl Weighter<SmolStr, Entry> for Bytes {
    fn weight(&self, path: &SmolStr, entry: &Entry) -> u64 {
        ENTRY_BYTES + path.len() as u64 + entry.bytes()
    }
}

/// The cache is cut into parts that are locked apart, and an entry must fit into one: so small
/// a part that the largest document which clients may send by default (8 MiB) is still kept.
const PART_BYTES_MIN: u64 = 16 << 20;

const PARTS_MAX: u64 = 64;

impl Cache {
    pub(super) fn new(bytes_max: u64) -> Self {
        // A power of two, because the cache would take the next larger one.
        let parts = 1_u64 << (bytes_max / PART_BYTES_MIN).clamp(1, PARTS_MAX).ilog2();
        let entries = bytes_max / 1024;
        let mut options = OptionsBuilder::new();
        options
            .shards(usize::try_from(parts).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(entries).unwrap_or(usize::MAX))
            .weight_capacity(bytes_max);
        Self(match options.build() {
            Ok(options) => QuickCache::with_options(
                options,
                Bytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // It fails only where one of the values is not set.
            Err(_) => QuickCache::with_weighter(0, bytes_max, Bytes),
        })
    }

    pub(super) fn get(&self, path: &str) -> Option<Entry> {
        self.0.get(path)
    }

    /// What the entries take, and may take.
    pub(super) fn usage(&self) -> Usage {
        Usage { bytes: self.0.weight(), limit_bytes: self.0.capacity() }
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> u64 {
        self.0.len() as u64
    }

    /// Forgets what stands at a path.
    pub(super) fn remove(&self, path: &str) {
        self.0.remove(path);
    }

    /// Takes an entry in the place of the one at its path. Where it is too large to be kept,
    /// the old one goes all the same.
    pub(super) fn insert(&self, path: &str, entry: Entry) {
        self.0.insert(path.into(), entry);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::EntityTag;

    fn document(length: usize) -> Entry {
        Entry::Document(Some(Arc::new(Object {
            body: vec![b'x'; length].into(),
            tag: EntityTag::from_version(1),
            modified: Timestamp::UNIX_EPOCH,
        })))
    }

    #[test]
    fn an_entry_too_large_to_be_kept_takes_the_old_one_with_it() {
        let cache = Cache::new(1 << 20);
        cache.insert("a", document(100));
        assert!(cache.get("a").is_some(), "a small entry is kept");
        cache.insert("a", document(2 << 20));
        assert!(cache.get("a").is_none(), "neither the large entry nor the outdated one is kept");
    }

    #[test]
    fn the_weight_is_bounded() {
        let cache = Cache::new(1 << 20);
        for i in 0..10_000 {
            cache.insert(&format!("run-stores/{i}.json"), document(1_000));
        }
        assert!(cache.0.weight() <= 1 << 20, "{} bytes are held", cache.0.weight());
        assert!(cache.0.len() > 500, "{} entries are held", cache.0.len());
    }

    #[test]
    fn the_largest_document_of_the_default_limits_is_kept_at_the_default_size() {
        let cache = Cache::new(crate::volume::VolumeOptions::default().cache_bytes);
        cache.insert("a", document(8 << 20));
        assert!(cache.get("a").is_some());
    }
}
