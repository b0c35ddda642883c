//! Appending to the log of a build.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use stowage_store::{Change, Key, Name, Object, Preconditions, Store, StoreError};

use super::entry::{self, Entry};

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The log is as long as it may get.
    #[error("the log of this build is full: it may have {limit_bytes} bytes")]
    Full {
        /// The most bytes of a log.
        limit_bytes: u64,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds an entry to the log of a build, as its last one.
///
/// # Errors
/// [`LogError::Full`] where the log would get longer than `limit_bytes`; as [`Store::update`].
pub(crate) async fn append(
    store: &dyn Store,
    site: &Name,
    build: &Name,
    entry: &Entry,
    limit_bytes: u64,
) -> Result<(), LogError> {
    let key = Key::build_log(site, build);
    let entry = serde_json::to_string(entry).map_err(|e| StoreError::Io(e.into()))?;
    // What is no log stays as it is. This is looked at here, because the store's other writes wait
    // while it applies the edit below, which therefore looks at the ends of the text alone.
    if let Some(object) = store.get(&key).await? {
        entry::parse(&key, &object)?;
    }
    let full = Arc::new(AtomicBool::new(false));
    let edit = {
        let full = Arc::clone(&full);
        move |object: Option<&Object>| {
            let longer = joined(object.map(|object| &object.body), &entry);
            let fits = longer.len() as u64 <= limit_bytes;
            full.store(!fits, Ordering::Relaxed);
            if fits { Change::Put(longer) } else { Change::Keep }
        }
    };
    store.update(&key, Preconditions::none(), Box::new(edit)).await?;
    if full.load(Ordering::Relaxed) {
        return Err(LogError::Full { limit_bytes });
    }
    Ok(())
}

/// An array of what stands there and of one more.
fn joined(log: Option<&Bytes>, entry: &str) -> Bytes {
    let log = log.map(|log| log.trim_ascii()).unwrap_or_default();
    let entries = log.strip_prefix(b"[").and_then(|log| log.strip_suffix(b"]")).unwrap_or(log);
    let entries = entries.trim_ascii();
    let mut longer = Vec::with_capacity(entries.len() + entry.len() + 3);
    longer.push(b'[');
    if !entries.is_empty() {
        longer.extend_from_slice(entries);
        longer.push(b',');
    }
    longer.extend_from_slice(entry.as_bytes());
    longer.push(b']');
    longer.into()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use stowage_store::{MemoryStore, NameKind};

    use super::*;

    fn entry(action: &str) -> Entry {
        Entry {
            timestamp: Timestamp::UNIX_EPOCH,
            build_id: "b".into(),
            site_id: "s".into(),
            action: action.into(),
            status: "success".into(),
            metadata: entry::nothing(),
        }
    }

    #[test]
    fn an_entry_is_joined_to_an_array_or_to_the_one_that_stands_there() {
        let table = [
            (None, "[3]"),
            (Some(""), "[3]"),
            (Some("[]"), "[3]"),
            (Some(" [ ] \n"), "[3]"),
            (Some("[1,2]"), "[1,2,3]"),
            (Some("[1]\n"), "[1,3]"),
            (Some("{\"a\":[]}\n"), "[{\"a\":[]},3]"),
        ];
        for (log, expected) in table {
            let log = log.map(|log| Bytes::from_static(log.as_bytes()));
            assert_eq!(joined(log.as_ref(), "3"), expected, "{log:?}");
        }
    }

    #[tokio::test]
    async fn a_log_grows_up_to_its_limit_and_no_further() {
        let store = MemoryStore::new();
        let site = Name::parse(NameKind::Site, "s").unwrap();
        let build = Name::parse(NameKind::Build, "b").unwrap();
        let read = async || {
            let key = Key::build_log(&site, &build);
            let object = store.get(&key).await.unwrap().expect("a log");
            entry::parse(&key, &object).unwrap().into_iter().map(|e| e.action).collect::<Vec<_>>()
        };
        append(&store, &site, &build, &entry("one"), 1_000).await.unwrap();
        append(&store, &site, &build, &entry("two"), 1_000).await.unwrap();
        assert_eq!(read().await, ["one", "two"]);
        let refused = append(&store, &site, &build, &entry("three"), 250).await;
        assert!(matches!(refused, Err(LogError::Full { limit_bytes: 250 })), "{refused:?}");
        assert_eq!(read().await, ["one", "two"], "it is as it was");
    }

    #[tokio::test]
    async fn what_is_no_log_is_not_overwritten() {
        let store = MemoryStore::new();
        let site = Name::parse(NameKind::Site, "s").unwrap();
        let build = Name::parse(NameKind::Build, "b").unwrap();
        let key = Key::build_log(&site, &build);
        for damaged in ["[{\"timestamp\":1}]", "nonsense", "[", ""] {
            store.put(&key, damaged.into(), Preconditions::none()).await.unwrap();
            let refused = append(&store, &site, &build, &entry("one"), 1_000).await;
            let corrupt = matches!(refused, Err(LogError::Store(StoreError::Corrupt { .. })));
            assert!(corrupt, "{damaged:?}: {refused:?}");
            assert_eq!(store.get(&key).await.unwrap().unwrap().body, damaged);
        }
    }
}
