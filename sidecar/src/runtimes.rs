//! Sets of runtime configs: replaced as one, read by file.
//!
//! A set is one document of the store, so a reader sees the old one or the new one. Its tag is
//! its own, a digest of what its list shows: the store's tag changes with every write, but a
//! commit that changes no file must move the revision and nothing else.

mod cache;
mod file_path;
mod new_set;
mod replace;
mod stored_set;

use std::io;
use std::sync::Arc;

use stowage_store::{EntityTag, Key, Name, Preconditions, Prefix, Result, Store, StoreError};
use stowage_sync::ConfigFile;

pub(crate) use cache::SetCache;
pub(crate) use file_path::FilePath;
pub(crate) use new_set::NewSet;
pub(crate) use replace::{ReplaceError, remove_if, replace_if};
pub(crate) use stored_set::{StoredSet, digest_tag};

/// How many keys one step of a listing takes.
const LIST_STEP: usize = 1_000;

/// What replacing a set did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Whether the content differs from what stood there.
    pub changed: bool,
    /// The set's tag.
    pub tag: EntityTag,
}

/// Replaces the set of a branch in one step.
///
/// # Errors
/// As [`Store::update`]; [`StoreError::Io`] of kind `InvalidInput` where the set cannot be
/// served, with the reason.
pub async fn replace(
    store: &dyn Store,
    repository: &Name,
    branch: &Name,
    revision: &str,
    files: Vec<ConfigFile>,
) -> Result<Replaced> {
    let invalid = |e| StoreError::Io(io::Error::new(io::ErrorKind::InvalidInput, e));
    let set = NewSet::new(revision, files).map_err(invalid)?;
    match replace_if(store, None, (repository, branch), set, Preconditions::none(), None).await {
        Ok(replaced) => Ok(Replaced { changed: replaced.changed, tag: replaced.set.tag().clone() }),
        Err(ReplaceError::Store(e)) => Err(e),
        Err(ReplaceError::PreconditionFailed { current }) => {
            Err(StoreError::PreconditionFailed { current })
        }
    }
}

/// The set of a branch; `None` where none was ever put.
///
/// # Errors
/// As [`Store::get`].
pub(crate) async fn load(
    store: &dyn Store,
    cache: &SetCache,
    repository: &Name,
    branch: &Name,
) -> Result<Option<Arc<StoredSet>>> {
    let key = Key::runtime_set(repository, branch);
    match store.get(&key).await? {
        Some(object) => cache.parse(&key, &object).map(Some),
        None => Ok(None),
    }
}

/// Every set that is not empty and whose repository is wanted, by repository and branch. A damaged
/// one is left out and named in the log: it must not take the others from sight.
///
/// # Errors
/// As [`Store::list`] and [`Store::get`].
pub(crate) async fn list(
    store: &dyn Store,
    cache: &SetCache,
    wanted: impl Fn(&Name) -> bool,
) -> Result<Vec<(Name, Name, Arc<StoredSet>)>> {
    let mut sets = Vec::new();
    let mut after: Option<Key> = None;
    loop {
        let keys = store.list(&Prefix::runtime_sets(), after.as_ref(), LIST_STEP).await?;
        for key in &keys {
            let Some((repository, branch)) = key.as_runtime_set() else { continue };
            if !wanted(&repository) {
                continue;
            }
            match load(store, cache, &repository, &branch).await {
                Ok(Some(set)) if !set.is_empty() => sets.push((repository, branch, set)),
                Ok(_) => {}
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%error, "a set is left out of the list; restore it");
                }
                Err(error) if error.is_of_one() => {
                    tracing::warn!(%key, %error, "a set is left out of a list");
                }
                Err(error) => return Err(error),
            }
        }
        match keys.last() {
            Some(last) if keys.len() == LIST_STEP => after = Some(last.clone()),
            _ => break,
        }
    }
    sets.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use stowage_store::{MemoryStore, NameKind};

    use super::*;

    fn file(path: &str, config: &str) -> ConfigFile {
        let config = RawValue::from_string(config.to_owned()).unwrap();
        ConfigFile { filepath: path.to_owned(), config }
    }

    #[tokio::test]
    async fn replacing_says_whether_the_content_changed() {
        let store = MemoryStore::new();
        let repository = Name::parse(NameKind::Repository, "r").unwrap();
        let branch = Name::parse(NameKind::Branch, "b").unwrap();
        let put = async |revision: &str, files| {
            replace(&store, &repository, &branch, revision, files).await
        };
        let first = put("c1", vec![file("a", "1")]).await.unwrap();
        let same = put("c2", vec![file("a", "1")]).await.unwrap();
        let other = put("c3", vec![file("a", "2")]).await.unwrap();
        assert!(first.changed && !same.changed && other.changed);
        assert!(first.tag == same.tag && same.tag != other.tag);

        let refused = put("c4", vec![file("../a", "1")]).await.unwrap_err();
        assert!(refused.to_string().contains("files[0].filepath"), "{refused}");
        let cache = SetCache::new();
        let served = load(&store, &cache, &repository, &branch).await.unwrap().unwrap();
        assert_eq!(served.revision(), "c3", "what was served still is");
    }

    #[tokio::test]
    async fn a_set_is_parsed_once_for_each_write() {
        let store = MemoryStore::new();
        let cache = SetCache::new();
        let repository = Name::parse(NameKind::Repository, "r").unwrap();
        let branch = Name::parse(NameKind::Branch, "b").unwrap();
        let read = async || load(&store, &cache, &repository, &branch).await.unwrap().unwrap();
        let put = async |config| {
            replace(&store, &repository, &branch, "c", vec![file("a", config)]).await.unwrap()
        };
        put("1").await;
        let first = read().await;
        assert!(Arc::ptr_eq(&first, &read().await), "taken from the cache");
        put("2").await;
        let second = read().await;
        assert!(!Arc::ptr_eq(&first, &second), "another write is another set");
        assert_ne!(first.tag(), second.tag());
    }

    #[tokio::test]
    async fn a_damaged_set_hides_no_other() {
        let store = MemoryStore::new();
        let branch = Name::parse(NameKind::Branch, "b").unwrap();
        let damaged = Name::parse(NameKind::Repository, "damaged").unwrap();
        let key = Key::runtime_set(&damaged, &branch);
        store.put(&key, "no set".into(), Preconditions::none()).await.unwrap();
        let sound = Name::parse(NameKind::Repository, "sound").unwrap();
        replace(&store, &sound, &branch, "c", vec![file("a", "1")]).await.unwrap();

        let listed = list(&store, &SetCache::new(), |_| true).await.expect("the others");
        let names: Vec<_> = listed.iter().map(|(repository, ..)| repository.as_str()).collect();
        assert_eq!(names, ["sound"]);
    }

    #[tokio::test]
    async fn a_document_that_is_no_set_is_corrupt_and_not_overwritten() {
        let store = MemoryStore::new();
        let repository = Name::parse(NameKind::Repository, "r").unwrap();
        let branch = Name::parse(NameKind::Branch, "b").unwrap();
        let key = Key::runtime_set(&repository, &branch);
        let body = bytes::Bytes::from_static(b"{\"revision\":\"c\"}");
        store.put(&key, body.clone(), Preconditions::none()).await.unwrap();
        let result = replace(&store, &repository, &branch, "c", vec![file("a", "1")]).await;
        assert!(matches!(result, Err(StoreError::Corrupt { .. })), "{result:?}");
        assert_eq!(store.get(&key).await.unwrap().unwrap().body, body);
    }
}
