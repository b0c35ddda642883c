//! Parsed sets, so that reading one file does not cost what the whole set weighs.

use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use stowage_store::{EntityTag, Key, Object, Result};

use super::stored_set::StoredSet;

/// The most bytes of parsed sets that are kept.
const WEIGHT_MAX: u64 = 256 << 20;
/// How many sets are expected; only a hint for the first allocation.
const SETS_EXPECTED: usize = 64;

/// Parsed sets by key; one that the store has replaced since is not used.
#[derive(Debug)]
pub(crate) struct SetCache(Cache<Key, Parsed, ByWeight>);

#[derive(Debug, Clone)]
struct Parsed {
    /// The store's tag of the write that was parsed.
    write: EntityTag,
    set: Arc<StoredSet>,
}

#[derive(Debug, Clone)]
struct ByWeight;

impl Weighter<Key, Parsed> for ByWeight {
    fn weight(&self, _: &Key, parsed: &Parsed) -> u64 {
        parsed.set.weight()
    }
}

impl SetCache {
    /// An empty cache.
    pub(crate) fn new() -> Self {
        // One shard, because a shard takes no set that is heavier than its part of the bound.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(SETS_EXPECTED)
            .weight_capacity(WEIGHT_MAX)
            .shards(1)
            .build();
        let cache = options.map(|options| {
            Cache::with_options(
                options,
                ByWeight,
                DefaultHashBuilder::default(),
                quick_cache::sync::DefaultLifecycle::default(),
            )
        });
        Self(cache.unwrap_or_else(|_| Cache::with_weighter(SETS_EXPECTED, WEIGHT_MAX, ByWeight)))
    }

    /// The set that a stored document is, parsed at most once per write.
    ///
    /// # Errors
    /// [`stowage_store::StoreError::Corrupt`] where it is no set.
    pub(crate) fn parse(&self, key: &Key, object: &Object) -> Result<Arc<StoredSet>> {
        if let Some(parsed) = self.0.get(key)
            && parsed.write == object.tag
        {
            return Ok(parsed.set);
        }
        let set = Arc::new(StoredSet::parse(key, object)?);
        self.0.insert(key.clone(), Parsed { write: object.tag.clone(), set: Arc::clone(&set) });
        Ok(set)
    }
}
