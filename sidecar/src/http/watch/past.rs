//! What a client has missed for longer than the ring of changes reaches, or over a restart: told from
//! the history, where that has all of it.

use std::collections::VecDeque;

use bytes::Bytes;
use stowage_store::{EntityTag, Kept, Key, NamespaceKey, StoreError, Version};

use super::Watched;
use super::event;
use super::stream::id;
use crate::http::app::App;
use crate::http::history;
use crate::runtimes::StoredSet;

/// How many bytes of operations are held at once.
const BYTES: u64 = 256 << 10;

/// A version that led to the current one is not kept any more, or cannot be read.
#[derive(Debug)]
pub(super) struct Lost;

/// The changes between two versions, as far as they are not told yet.
pub(super) enum Past {
    Documents(Key, VecDeque<Version>),
    Patches {
        key: NamespaceKey,
        /// Those that are next.
        kept: VecDeque<Kept>,
        /// The version that the last of them makes.
        last: u64,
        /// The version at which the ring begins.
        end: u64,
    },
}

impl Past {
    /// What led from the version with the id `seen` to the current one; `None` where not all of it
    /// is kept, or can be read.
    pub(super) async fn between(
        app: &App,
        subject: &Watched,
        seen: &str,
        current: &EntityTag,
    ) -> Option<Self> {
        if app.store.history_length() == 0 {
            return None;
        }
        let _turn = history::turn(app).await.ok()?;
        Self::find(app, subject, seen, current).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a history cannot be read; a watch begins with a snapshot");
            None
        })
    }

    async fn find(
        app: &App,
        subject: &Watched,
        seen: &str,
        current: &EntityTag,
    ) -> Result<Option<Self>, StoreError> {
        Ok(match subject {
            Watched::Namespace(key) => {
                let number = |text: &str| text.parse::<u64>().ok();
                let (Some(seen), Some(end)) = (number(seen), number(&current.opaque())) else {
                    return Ok(None);
                };
                Self::patches(app, key, seen, end).await?
            }
            Watched::Document(key) => {
                let versions = app.store.history(key).await?;
                let seen = versions.iter().position(|version| *version.tag.opaque() == *seen);
                Self::documents(key, versions, seen, current)
            }
            Watched::Set(key) => {
                let versions = app.store.history(key).await?;
                let seen = last_of_set(app, key, &versions, seen).await?;
                Self::documents(key, versions, seen, current)
            }
        })
    }

    /// The versions, the last first, from the current one up to the one that was seen.
    fn documents(
        key: &Key,
        versions: Vec<Version>,
        seen: Option<usize>,
        current: &EntityTag,
    ) -> Option<Self> {
        let first = versions.iter().position(|version| version.tag == *current)?;
        let missed = versions.get(first..seen?)?;
        Some(Self::Documents(key.clone(), missed.iter().rev().cloned().collect()))
    }

    async fn patches(
        app: &App,
        key: &NamespaceKey,
        after: u64,
        end: u64,
    ) -> Result<Option<Self>, StoreError> {
        let kept = app.store.namespace_changes(key, after, end, BYTES).await?;
        Ok(kept.map(|kept| {
            let last = kept.last().map_or(after, |kept| kept.version);
            Self::Patches { key: key.clone(), kept: kept.into(), last, end }
        }))
    }

    /// The next change, its id and its data; `None` behind the last.
    ///
    /// # Errors
    /// Where it is not kept any more, or cannot be read.
    pub(super) async fn next(
        &mut self,
        app: &App,
        subject: &Watched,
    ) -> Result<Option<(Box<str>, Bytes)>, Lost> {
        match self {
            Self::Documents(key, versions) => {
                let Some(version) = versions.pop_front() else { return Ok(None) };
                let _turn = history::turn(app).await.map_err(|_| Lost)?;
                let object = app.store.version(key, &version).await.ok().flatten().ok_or(Lost)?;
                if !matches!(subject, Watched::Set(_)) {
                    return Ok(Some((id(Some(&object.tag)), object.body.clone())));
                }
                let set = StoredSet::parse(key, &object).map_err(|_| Lost)?;
                // A set without files is not served.
                let told = match set.is_empty() {
                    true => ("".into(), Bytes::from_static(b"null")),
                    false => (id(Some(set.tag())), set.files_json()),
                };
                Ok(Some(told))
            }
            Self::Patches { key, kept, last, end } => {
                if kept.is_empty() && last < end {
                    let turn = history::turn(app).await.map_err(|_| Lost)?;
                    let patches = Self::patches(app, &key.clone(), *last, *end).await;
                    *self = patches.ok().flatten().ok_or(Lost)?;
                    drop(turn);
                    return Box::pin(self.next(app, subject)).await;
                }
                let Some(Kept { version, operations }) = kept.pop_front() else {
                    return Ok(None);
                };
                let id = EntityTag::from_version(version);
                Ok(Some((super::stream::id(Some(&id)), event::patch(version, &operations))))
            }
        }
    }
}

/// The last version of a set that has this tag.
async fn last_of_set(
    app: &App,
    key: &Key,
    versions: &[Version],
    tag: &str,
) -> Result<Option<usize>, StoreError> {
    for (place, version) in versions.iter().enumerate() {
        let Some(object) = app.store.version(key, version).await? else { return Ok(None) };
        if *StoredSet::head(key, &object)?.tag.opaque() == *tag {
            return Ok(Some(place));
        }
    }
    Ok(None)
}
