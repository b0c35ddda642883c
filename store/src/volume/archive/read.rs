//! Reading archives: what the tree holds, unless that may not be durable yet.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::disk::{DiskFile, Kind};
use crate::revision::Revision;
use crate::volume::blocking;
use crate::volume::engine::Engine;
use crate::volume::tree::MOVE_IT_AWAY;
use crate::{Archive, ArchiveContent, ArchiveInfo, ArchiveKey, Name, Result, StoreError};

/// The most bytes of one read: more would only take memory.
const READ_BYTES_MAX: u64 = 1 << 20;

impl Engine {
    /// The archive at a key, see [`crate::Store::archive`].
    pub(in crate::volume) async fn archive(
        self: &Arc<Self>,
        key: &ArchiveKey,
    ) -> Result<Option<Archive>> {
        self.available()?;
        let key = key.clone();
        blocking(self, move |engine| engine.durable_archive(&key)).await
    }

    /// The archives of a site, see [`crate::Store::archives`].
    pub(in crate::volume) async fn archives(
        self: &Arc<Self>,
        site: &Name,
        after: Option<&ArchiveKey>,
        limit: usize,
    ) -> Result<Vec<(ArchiveKey, ArchiveInfo)>> {
        self.available()?;
        let (site, after) = (site.clone(), after.cloned());
        let list = move |engine: &Arc<Self>| {
            let mut keys = engine.archive_keys(&site)?;
            // What is removed right now is missing in the tree and may come back.
            keys.extend(engine.turns.changing(&site));
            keys.retain(|key| after.as_ref().is_none_or(|after| key > after));
            keys.sort_unstable();
            keys.dedup();
            let mut found = Vec::new();
            for key in keys {
                if found.len() == limit {
                    break;
                }
                match engine.durable_archive(&key) {
                    Ok(Some(archive)) => found.push((key, archive.info)),
                    Ok(None) => {}
                    Err(error) if error.is_of_one() => {
                        tracing::warn!(%key, %error, "an archive is left out of a list");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        };
        blocking(self, list).await
    }

    /// The keys of the archives of a site whose names stand in the tree.
    fn archive_keys(&self, site: &Name) -> Result<Vec<ArchiveKey>> {
        // Without this, a file that is renamed while its directory is read might be missed.
        let _steady = self.names.steady();
        let directory = ArchiveKey::directory(site);
        let entries = match self.disk.entries(&directory) {
            Ok(entries) => entries,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(StoreError::from_io(error)),
        };
        let files = entries.into_iter().filter(|(_, kind)| *kind == Kind::File);
        Ok(files
            .filter_map(|(name, _)| ArchiveKey::from_path(&format!("{directory}/{name}")))
            .collect())
    }

    /// The archive that is at a key durably; blocks.
    fn durable_archive(&self, key: &ArchiveKey) -> Result<Option<Archive>> {
        let opened = self.archive_in_tree(key);
        // Looked at afterwards: a change that is over by now is durable, so that what was opened
        // during it is as well.
        let archive = match self.turns.before(key) {
            Some(before) => before,
            None => opened?,
        };
        // A store that failed meanwhile does not know what of the tree is durable.
        self.available()?;
        Ok(archive)
    }

    /// The archive that the name in the tree leads to; blocks.
    pub(super) fn archive_in_tree(&self, key: &ArchiveKey) -> Result<Option<Archive>> {
        let Some(file) = self.tree.open(key.as_str())? else { return Ok(None) };
        let metadata = file.metadata()?;
        let info = info(Revision::from_nanoseconds(metadata.modified), metadata.length);
        let has_own_second = self.seconds.is_only(key, info.modified);
        let (key, length) = (key.clone(), metadata.length);
        let content = Arc::new(Content { key, file: file.into(), length });
        Ok(Some(Archive { info, has_own_second, content }))
    }
}

/// What is known of an archive of this revision and length.
pub(super) fn info(revision: Revision, length: u64) -> ArchiveInfo {
    ArchiveInfo { length, tag: revision.tag(length), modified: revision.timestamp() }
}

/// An open file.
struct Content {
    key: ArchiveKey,
    file: Arc<dyn DiskFile>,
    length: u64,
}

#[async_trait]
impl ArchiveContent for Content {
    async fn read(&self, offset: u64, most: usize) -> Result<Bytes> {
        let left = self.length.saturating_sub(offset).min(READ_BYTES_MAX);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let file = Arc::clone(&self.file);
        let read = move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, offset)?;
            Ok::<_, io::Error>(bytes)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(bytes)) => Ok(bytes.into()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let reason = format!("it has become shorter while it was read; {MOVE_IT_AWAY}");
                Err(StoreError::Corrupt { key: self.key.to_string(), reason })
            }
            Ok(Err(error)) => Err(StoreError::Io(error)),
            Err(_) => Err(StoreError::Unavailable { reason: "it is shutting down".into() }),
        }
    }
}
