//! The versions of a site: its builds, with their archives and logs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use stowage_store::{ArchiveInfo, Key, Name, Prefix, Result, Store, StoreError};

use super::entry::{self, Entry, LoggedEntry};

/// How many keys one step of a listing takes.
const LIST_STEP: usize = 1_000;

/// Which builds are versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Those with at least one log entry, as in the source system.
    Logged,
    /// Those with an archive and no log entry too.
    All,
}

/// A build as the list shows it. What its last entry says stands at the top as well, where the
/// source system's clients look for it.
#[derive(Debug, Serialize)]
pub(crate) struct Version {
    build_id: String,
    /// Of the archive; `None` where there is none.
    size_bytes: Option<u64>,
    /// When the archive was published, else when the first entry was written.
    created_at: Timestamp,
    /// When the last entry was written, else as `created_at`.
    timestamp: Timestamp,
    action: Option<String>,
    status: Option<String>,
    metadata: Box<RawValue>,
    /// The oldest first.
    logs: Vec<LoggedEntry>,
}

/// The versions of a site, the newest first.
///
/// # Errors
/// As [`Store::list`], [`Store::get`] and [`Store::archives`].
pub(crate) async fn versions(
    store: &dyn Store,
    site: &Name,
    listed: Listed,
) -> Result<Vec<Version>> {
    let mut logs = logs(store, site).await?;
    let mut versions = Vec::new();
    let mut after = None;
    loop {
        let archives = store.archives(site, after.as_ref(), LIST_STEP).await?;
        for (key, info) in &archives {
            let build = key.build().as_str();
            match (logs.remove(build), listed) {
                (None, Listed::Logged) => {}
                (entries, _) => {
                    versions.extend(version(build, Some(info), entries.unwrap_or_default()));
                }
            }
        }
        match archives.last() {
            Some((last, _)) if archives.len() == LIST_STEP => after = Some(last.clone()),
            _ => break,
        }
    }
    versions.extend(logs.into_iter().filter_map(|(build, entries)| version(&build, None, entries)));
    versions
        .sort_by(|a, b| b.timestamp.cmp(&a.timestamp).then_with(|| a.build_id.cmp(&b.build_id)));
    Ok(versions)
}

/// The entries of each build of a site. A document that is no log is left out and named in the
/// server's own: it must not take the others from sight.
async fn logs(store: &dyn Store, site: &Name) -> Result<BTreeMap<String, Vec<Entry>>> {
    let mut builds: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    let mut after: Option<Key> = None;
    loop {
        let keys = store.list(&Prefix::build_logs(site), after.as_ref(), LIST_STEP).await?;
        for key in &keys {
            let entries = match store.get(key).await {
                Ok(Some(object)) => entry::parse(key, &object),
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            match entries {
                Ok(entries) => {
                    for entry in entries {
                        builds.entry(entry.build_id.clone()).or_default().push(entry);
                    }
                }
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%error, "a build is left out of the list; restore its log");
                }
                Err(error) => return Err(error),
            }
        }
        match keys.last() {
            Some(last) if keys.len() == LIST_STEP => after = Some(last.clone()),
            _ => return Ok(builds),
        }
    }
}

/// `None` where there is neither an archive nor an entry.
fn version(build: &str, archive: Option<&ArchiveInfo>, mut entries: Vec<Entry>) -> Option<Version> {
    // Stable: entries of one instant stay in the order in which they were written.
    entries.sort_by_key(|entry| entry.timestamp);
    let published = archive.map(|info| info.modified);
    let created_at = published.or(entries.first().map(|entry| entry.timestamp))?;
    let last = entries.last();
    Some(Version {
        build_id: build.to_owned(),
        size_bytes: archive.map(|info| info.length),
        created_at,
        timestamp: last.map_or(created_at, |entry| entry.timestamp),
        action: last.map(|entry| entry.action.clone()),
        status: last.map(|entry| entry.status.clone()),
        metadata: last.map_or_else(entry::nothing, |entry| entry.metadata.clone()),
        logs: entries.into_iter().map(LoggedEntry::from).collect(),
    })
}

#[cfg(test)]
mod tests {
    use stowage_store::{ArchiveKey, MemoryStore, NameKind, Preconditions};

    use super::*;

    fn names(site: &str, build: &str) -> (Name, Name) {
        let build = Name::parse(NameKind::Build, build).unwrap();
        (Name::parse(NameKind::Site, site).unwrap(), build)
    }

    async fn publish(store: &MemoryStore, site: &str, build: &str, bytes: &'static str) {
        let (site, build) = names(site, build);
        let mut upload = store.upload(&ArchiveKey::new(&site, &build)).await.unwrap();
        upload.write(bytes.into()).await.unwrap();
        upload.publish(Preconditions::none()).await.unwrap();
    }

    async fn log(store: &MemoryStore, site: &str, file: &str, text: String) {
        let (site, build) = names(site, file);
        let key = Key::build_log(&site, &build);
        store.put(&key, text.into(), Preconditions::none()).await.unwrap();
    }

    fn entry(build: &str, at: &str, action: &str) -> String {
        format!(r#"{{"timestamp":"{at}","build_id":"{build}","action":"{action}","status":"ok"}}"#)
    }

    async fn shown(store: &MemoryStore, site: &str, listed: Listed) -> Vec<String> {
        let (site, _) = names(site, "x");
        let versions = versions(store, &site, listed).await.unwrap();
        let show = |v: &Version| {
            let size = v.size_bytes.map_or("-".to_owned(), |size| size.to_string());
            let logs: Vec<_> = v.logs.iter().map(|entry| entry.action.as_str()).collect();
            format!("{} {size} {}", v.build_id, logs.join("+"))
        };
        versions.iter().map(show).collect()
    }

    #[tokio::test]
    async fn versions_are_builds_with_a_log_the_newest_first_to_the_nanosecond() {
        let store = MemoryStore::new();
        let second = "2024-01-01T12:00:00";
        publish(&store, "s", "a", "123").await;
        publish(&store, "s", "silent", "1").await;
        publish(&store, "other", "z", "1").await;
        let at = |fraction: &str| format!("{second}.{fraction}Z");
        let two = [entry("a", &at("2"), "deploy"), entry("a", &at("1"), "build")];
        log(&store, "s", "a", format!("[{}]", two.join(","))).await;
        log(&store, "s", "b", format!("[{}]", entry("b", &at("200000001"), "build"))).await;
        log(&store, "s", "c", format!("[{}]", entry("c", &at("2"), "build"))).await;
        log(&store, "s", "empty", "[]".into()).await;
        let expected = ["b - build", "a 3 build+deploy", "c - build"];
        assert_eq!(shown(&store, "s", Listed::Logged).await, expected);
        // Its archive is of today.
        let expected = ["silent 1 ", "b - build", "a 3 build+deploy", "c - build"];
        assert_eq!(shown(&store, "s", Listed::All).await, expected);
        assert_eq!(shown(&store, "nobody", Listed::All).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_site_may_have_more_builds_than_one_step_of_a_listing() {
        let store = MemoryStore::new();
        let mut expected = Vec::new();
        for number in 0..=LIST_STEP {
            let build = format!("b-{number:04}");
            publish(&store, "s", &build, "12").await;
            let at = format!("2024-01-01T12:00:00.{number:09}Z");
            log(&store, "s", &build, entry(&build, &at, "build")).await;
            expected.insert(0, format!("{build} 2 build"));
        }
        assert_eq!(shown(&store, "s", Listed::Logged).await, expected);
    }

    #[tokio::test]
    async fn files_of_the_source_system_are_read_and_damaged_ones_left_out() {
        let store = MemoryStore::new();
        let at = ["2024-01-01T12:00:00.000001Z", "2024-01-01T13:00:00+01:00"];
        log(&store, "s", "20240101-120000.000001-a", entry("a", at[0], "late") + "\n").await;
        log(&store, "s", "20240101-120000.000000-a", entry("a", at[1], "early")).await;
        log(&store, "s", "damaged", "no log".into()).await;
        assert_eq!(shown(&store, "s", Listed::Logged).await, ["a - early+late"]);
    }
}
