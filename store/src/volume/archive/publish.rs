//! Giving an archive its name, and taking it away: the steps that others must not come between.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::read::info;
use super::turns::Permit;
use crate::disk::{DiskFile, split};
use crate::error::{is_full, is_out_of_files};
use crate::revision::Revision;
use crate::volume::blocking;
use crate::volume::engine::{DEFECT, Engine};
use crate::volume::tree::not_a_directory;
use crate::{Archive, ArchiveKey, EntityTag, Preconditions, Put, Result, StoreError};

/// What of an upload stands on the disk.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) path: String,
    pub(super) file: Arc<dyn DiskFile>,
    /// How many bytes it has.
    pub(super) length: u64,
}

impl Permit {
    /// Gives a temporary file its name; blocks.
    pub(super) fn publish(
        &self,
        temporary: &Temporary,
        key: &ArchiveKey,
        preconditions: &Preconditions,
    ) -> Result<Put> {
        // What takes long, before others of the same key have to wait.
        temporary.file.sync_data().map_err(|error| self.unsynced(error))?;
        let turn = self.turn(key)?;
        let before = self.archive_in_tree(key)?;
        preconditions.require(before.as_ref().map(|before| &before.info.tag))?;
        self.make_way(key)?;
        let revision = self.stamp(before.as_ref());
        temporary.file.set_modified(revision.nanoseconds())?;
        temporary.file.sync().map_err(|error| self.unsynced(error))?;
        let replaced = before.as_ref().map(|before| before.info.tag.clone());
        self.leave_second(key, before.as_ref());
        turn.change(before);
        let renamed = {
            let names = self.names.change();
            let renamed = self.disk.rename(&temporary.path, key.as_str());
            if renamed.is_ok() {
                names.made(key.as_str());
            }
            renamed
        };
        renamed.map_err(|error| self.unnamed(key, error))?;
        self.sync_names(key)?;
        let tag = info(revision, temporary.length).tag;
        Ok(Put { tag, created: replaced.is_none(), replaced })
    }

    /// Removes an archive; blocks.
    fn delete(&self, key: &ArchiveKey, preconditions: &Preconditions) -> Result<Option<EntityTag>> {
        let turn = self.turn(key)?;
        let Some(before) = self.archive_in_tree(key)? else { return Ok(None) };
        let tag = before.info.tag.clone();
        preconditions.require(Some(&tag))?;
        self.pass(&before)?;
        self.leave_second(key, Some(&before));
        turn.change(Some(before));
        let removed = {
            let names = self.names.change();
            let removed = self.disk.remove(key.as_str());
            if removed.is_ok() {
                names.removed(key.as_str());
            }
            removed
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.unnamed(key, error));
            }
            _ => self.sync_names(key)?,
        }
        Ok(Some(tag))
    }

    /// The revision of what replaces an archive.
    fn stamp(&self, before: Option<&Archive>) -> Revision {
        let current = before.map(|before| Revision::at(before.info.modified));
        self.lock().clock.stamp(current)
    }

    /// What is about to be replaced or removed was of its second.
    fn leave_second(&self, key: &ArchiveKey, before: Option<&Archive>) {
        if let Some(before) = before {
            self.seconds.ends(key, before.info.modified, Timestamp::now());
        }
    }

    /// Sees to it that the revision of what is about to be removed is not handed out again, after
    /// a restart with a clock that was set back either.
    fn pass(&self, archive: &Archive) -> Result<()> {
        let answered = {
            let mut state = self.lock();
            self.sound()?;
            if state.is_closed {
                return Err(StoreError::Unavailable { reason: "it is shutting down".into() });
            }
            state.clock.stamp(Some(Revision::at(archive.info.modified)));
            let answered = state.mark_clock();
            self.wake_commits(&state);
            answered
        };
        match answered {
            // No write was under way that could have been applied.
            Some(answered) => match answered.blocking_recv() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(StoreError::Indeterminate { reason })) => {
                    Err(StoreError::Unavailable { reason })
                }
                Ok(Err(error)) => Err(error),
                Err(_) => Err(StoreError::Unavailable { reason: DEFECT.into() }),
            },
            // A removal makes room, so it goes on where the journal has none.
            None => Ok(()),
        }
    }

    /// Makes the directories that the key stands in.
    fn make_way(&self, key: &ArchiveKey) -> Result<()> {
        let path = key.as_str();
        if self.turns.knows(split(path).0) {
            return Ok(());
        }
        self.stage.make_way(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => not_a_directory(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::Io(error)
            }
            _ if is_out_of_files(&error) => StoreError::Io(error),
            _ => self.unsynced(error),
        })?;
        self.turns.has_made_way(split(path).0);
        Ok(())
    }

    /// Makes the name at a key durable, or that there is none.
    fn sync_names(&self, key: &ArchiveKey) -> Result<()> {
        let directory = split(key.as_str()).0;
        self.disk.sync_directory(directory).map_err(|error| self.indeterminate(&error))?;
        // Where the sync of another one failed on a directory of the way, that one alone is told;
        // what this one relies on may be lost with it.
        self.sound().map_err(unknown)
    }

    /// What a sync means that failed before anything was to be seen.
    pub(super) fn unsynced(&self, error: io::Error) -> StoreError {
        match StoreError::from_io(error) {
            StoreError::Io(error) => {
                self.fail_io("syncing an archive", &error);
                match self.sound() {
                    Err(failure) => failure,
                    Ok(()) => StoreError::Io(error),
                }
            }
            other => other,
        }
    }

    /// What it means that a name could not be given or taken.
    fn unnamed(&self, key: &ArchiveKey, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                not_a_directory(key.as_str())
            }
            // The directory is gone, which only a person can have done.
            io::ErrorKind::NotFound => {
                self.turns.has_lost_ways();
                StoreError::Io(error)
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::Io(error)
            }
            _ if is_full(&error) => StoreError::OutOfSpace,
            _ if is_out_of_files(&error) => StoreError::Io(error),
            _ => self.indeterminate(&error),
        }
    }

    fn indeterminate(&self, error: &io::Error) -> StoreError {
        self.fail_io("naming an archive", error);
        match self.sound() {
            Err(failure) => unknown(failure),
            Ok(()) => StoreError::Indeterminate { reason: error.to_string() },
        }
    }
}

/// What the failure of the store means to a change that is made and may not be durable.
fn unknown(failure: StoreError) -> StoreError {
    match failure {
        StoreError::Unavailable { reason } => StoreError::Indeterminate { reason },
        other => other,
    }
}

impl Engine {
    /// Removes an archive, see [`crate::Store::delete_archive`].
    pub(in crate::volume) async fn delete_archive(
        self: &Arc<Self>,
        key: &ArchiveKey,
        preconditions: Preconditions,
    ) -> Result<Option<EntityTag>> {
        let permit = Permit::take(self)?;
        let key = key.clone();
        blocking(self, move |_| permit.delete(&key, &preconditions)).await
    }
}

#[cfg(test)]
mod tests {
    use crate::volume::{VolumeOptions, VolumeStore};
    use crate::{ArchiveKey, Name, NameKind, Preconditions, Store};

    #[tokio::test]
    async fn the_revision_of_what_was_removed_is_left_behind_whatever_the_clock_says() {
        let directory = tempfile::tempdir().unwrap();
        let open = || VolumeStore::open(directory.path(), &VolumeOptions::default()).unwrap();
        let name = |kind| Name::parse(kind, "a").unwrap();
        let key = ArchiveKey::new(&name(NameKind::Site), &name(NameKind::Build));
        for _ in 0..3 {
            let store = open();
            let upload = store.upload(&key).await.unwrap();
            upload.publish(Preconditions::none()).await.unwrap();
            let revision = store.archive(&key).await.unwrap().unwrap().info.modified;
            let deleted = store.delete_archive(&key, Preconditions::none()).await.unwrap();
            assert!(deleted.is_some(), "it was there");
            drop(store);
            // What the next revision is later than, were the clock set back.
            let last = open().engine.lock().clock.last();
            assert!(last >= revision.as_nanosecond(), "{last} is before {revision}");
        }
    }
}
