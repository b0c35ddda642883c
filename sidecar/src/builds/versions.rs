//! The versions of a site: its builds, with their archives and logs.
//!
//! A listing holds of each build only what its place in the list and the list's tag need; what the
//! logs say is read again for each line of the answer. So the memory that a list takes does not
//! grow with what clients have logged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use stowage_store::{
    ArchiveInfo, ArchiveKey, EntityTag, Key, Name, Object, Prefix, Result, Store, StoreError,
};

use super::entry::{self, LoggedEntry};
use crate::runtimes::digest_tag;

/// How many keys one step of a listing takes.
const LIST_STEP: usize = 1_000;
/// So many bytes of logs stay in memory between the listing and the answer: all of them, for most
/// sites.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Which builds are versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Those with at least one log entry, as in the source system.
    Logged,
    /// Those with an archive and no log entry too.
    All,
}

/// Why a version cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VersionError {
    /// Its log is another than it was when it was listed.
    #[error("a log was changed while the versions were listed")]
    Changed,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<std::io::Error> for VersionError {
    /// It could not be encoded.
    fn from(error: std::io::Error) -> Self {
        Self::Store(error.into())
    }
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

/// The builds of a site that are versions, the newest first.
#[derive(Debug)]
pub(crate) struct Listing {
    builds: Vec<Build>,
}

/// What is known of a build before its line is written.
#[derive(Debug, Default)]
struct Build {
    id: String,
    archive: Option<ArchiveInfo>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    logs: Vec<Log>,
}

/// A document that has entries of a build.
#[derive(Debug)]
struct Log {
    key: Key,
    tag: EntityTag,
    kept: Option<Arc<Object>>,
}

impl Listing {
    /// Lists the versions of a site.
    ///
    /// # Errors
    /// As [`Store::list`], [`Store::get`] and [`Store::archives`].
    pub(crate) async fn of(store: &dyn Store, site: &Name, listed: Listed) -> Result<Self> {
        let mut builds = logged(store, site).await?;
        let mut after = None;
        loop {
            let archives = match store.archives(site, after.as_ref(), LIST_STEP).await {
                Err(error) if error.is_of_one() => {
                    tracing::warn!(
                        directory = ArchiveKey::directory(site), %error,
                        "a directory is left out of a list"
                    );
                    break;
                }
                archives => archives?,
            };
            for (key, info) in &archives {
                let id = key.build().as_str();
                match builds.get_mut(id) {
                    Some(build) => build.archive = Some(info.clone()),
                    None if listed == Listed::Logged => {}
                    None => {
                        let archive = Some(info.clone());
                        let build = Build { id: id.to_owned(), archive, ..Build::default() };
                        builds.insert(id.to_owned(), build);
                    }
                }
            }
            match archives.last() {
                Some((last, _)) if archives.len() == LIST_STEP => after = Some(last.clone()),
                _ => break,
            }
        }
        let mut builds: Vec<Build> = builds.into_values().collect();
        // Stable: builds of one instant stay in the order of their names.
        builds.sort_by_key(|build| std::cmp::Reverse(build.timestamp()));
        Ok(Self { builds })
    }

    /// How many versions there are.
    pub(crate) fn len(&self) -> usize {
        self.builds.len()
    }

    /// A tag that changes with every log and every archive of the list.
    pub(crate) fn tag(&self) -> EntityTag {
        let mut text = String::new();
        for build in &self.builds {
            // Writing to a string cannot fail.
            let _ = match &build.archive {
                Some(info) => writeln!(text, "{} {}", build.id, info.tag.opaque()),
                None => writeln!(text, "{}", build.id),
            };
            for log in &build.logs {
                let _ = writeln!(text, " {} {}", log.key, log.tag);
            }
        }
        digest_tag(text.as_bytes())
    }

    /// The version at a place of the list; `None` behind its end.
    ///
    /// # Errors
    /// [`VersionError::Changed`] where a log that has to be read again is not what it was: the
    /// list's tag has been told by then. As [`Store::get`].
    pub(crate) async fn version(
        &self,
        store: &dyn Store,
        place: usize,
    ) -> Result<Option<Version>, VersionError> {
        let Some(build) = self.builds.get(place) else { return Ok(None) };
        let mut entries = Vec::new();
        for log in &build.logs {
            let object = match &log.kept {
                Some(object) => Arc::clone(object),
                None => store.get(&log.key).await?.ok_or(VersionError::Changed)?,
            };
            if object.tag != log.tag {
                return Err(VersionError::Changed);
            }
            entries.extend(entry::parse(&log.key, &object)?);
        }
        entries.retain(|entry| entry.build_id == build.id);
        // Stable: entries of one instant stay in the order in which they were written.
        entries.sort_by_key(|entry| entry.timestamp);
        let last = entries.last();
        Ok(Some(Version {
            build_id: build.id.clone(),
            size_bytes: build.archive.as_ref().map(|info| info.length),
            created_at: build.created_at(),
            timestamp: build.timestamp(),
            action: last.map(|entry| entry.action.clone()),
            status: last.map(|entry| entry.status.clone()),
            metadata: last.map_or_else(entry::nothing, |entry| entry.metadata.clone()),
            logs: entries.into_iter().map(LoggedEntry::from).collect(),
        }))
    }
}

impl Build {
    fn created_at(&self) -> Timestamp {
        let published = self.archive.as_ref().map(|info| info.modified);
        published.or(self.first).unwrap_or_default()
    }

    fn timestamp(&self) -> Timestamp {
        self.last.unwrap_or_else(|| self.created_at())
    }

    fn saw(&mut self, at: Timestamp) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }
}

/// The builds of a site that have a log. A document that is no log, or cannot be read, is left out
/// and named in the server's own: it must not take the others from sight.
async fn logged(store: &dyn Store, site: &Name) -> Result<BTreeMap<String, Build>> {
    let mut builds = BTreeMap::new();
    let mut room = KEPT_BYTES_MAX;
    let mut after: Option<Key> = None;
    loop {
        let keys = store.list(&Prefix::build_logs(site), after.as_ref(), LIST_STEP).await?;
        for key in &keys {
            let parsed = match store.get(key).await {
                Ok(Some(object)) => entry::parse(key, &object).map(|entries| (object, entries)),
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            let (object, entries) = match parsed {
                Ok(parsed) => parsed,
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%error, "a build is left out of the list; restore its log");
                    continue;
                }
                Err(error) if error.is_of_one() => {
                    tracing::warn!(%key, %error, "a log is left out of a list");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let is_kept = object.body.len() <= room;
            room -= if is_kept { object.body.len() } else { 0 };
            let mut ids = BTreeSet::new();
            for entry in entries {
                let new = || Build { id: entry.build_id.clone(), ..Build::default() };
                builds.entry(entry.build_id.clone()).or_insert_with(new).saw(entry.timestamp);
                ids.insert(entry.build_id);
            }
            for id in ids {
                let Some(build) = builds.get_mut(&id) else { continue };
                let kept = is_kept.then(|| Arc::clone(&object));
                build.logs.push(Log { key: key.clone(), tag: object.tag.clone(), kept });
            }
        }
        match keys.last() {
            Some(last) if keys.len() == LIST_STEP => after = Some(last.clone()),
            _ => return Ok(builds),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use stowage_store::{MemoryStore, NameKind, Preconditions};

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
        let listing = Listing::of(store, &site, listed).await.unwrap();
        let mut shown = Vec::new();
        while let Some(v) = listing.version(store, shown.len()).await.unwrap() {
            let size = v.size_bytes.map_or("-".to_owned(), |size| size.to_string());
            let logs: Vec<_> = v.logs.iter().map(|entry| entry.action.as_str()).collect();
            shown.push(format!("{} {size} {}", v.build_id, logs.join("+")));
        }
        assert_eq!(shown.len(), listing.len());
        shown
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

    #[tokio::test]
    async fn the_tag_changes_with_every_log_and_archive_and_a_changed_log_is_not_shown_under_it() {
        let store = MemoryStore::new();
        let site = names("s", "x").0;
        let tag = async || Listing::of(&store, &site, Listed::All).await.unwrap().tag();
        let mut tags = vec![tag().await];
        publish(&store, "s", "a", "1").await;
        tags.push(tag().await);
        publish(&store, "s", "a", "1").await;
        tags.push(tag().await);
        let large = "x".repeat(KEPT_BYTES_MAX);
        log(&store, "s", "a", entry("a", "2024-01-01T12:00:00Z", &large)).await;
        tags.push(tag().await);
        assert_eq!(tag().await, tags[3], "nothing has changed");
        let different: HashSet<_> = tags.iter().collect();
        assert_eq!(different.len(), tags.len(), "{tags:?}");

        let listing = Listing::of(&store, &site, Listed::All).await.unwrap();
        assert!(listing.builds[0].logs[0].kept.is_none(), "it is too large to stay in memory");
        assert_eq!(listing.version(&store, 0).await.unwrap().unwrap().logs.len(), 1);
        log(&store, "s", "a", entry("a", "2024-01-01T12:00:00Z", &large)).await;
        let changed = listing.version(&store, 0).await;
        assert!(matches!(changed, Err(VersionError::Changed)), "another write");
    }
}
