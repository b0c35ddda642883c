//! What a client has missed for longer than the ring of changes reaches, or over a restart: told from
//! the history, where that has all of it.

use std::collections::VecDeque;

use bytes::Bytes;
use stowage_store::{EntityTag, Kept, Key, NamespaceKey, StoreError, Version};

use super::Watched;
use super::texts::{Lost, Text, Texts, Told};
use crate::http::app::App;
use crate::http::history;
use crate::runtimes::StoredSet;

/// About how many bytes of what is told one stream holds: those of operations, or of a piece.
const BYTES_MAX: usize = 64 << 10;

/// The changes between two versions, as far as they are not told yet.
pub(super) enum Past {
    /// Those of a document or a set, by their names alone.
    Versions(VecDeque<Told>),
    Patches {
        key: NamespaceKey,
        /// Those that are next; of one that is long, its version alone.
        kept: VecDeque<(u64, Option<Text>)>,
        /// The version that the last of them makes.
        last: u64,
        /// The version at which the ring begins.
        end: u64,
    },
}

/// The next change.
pub(super) enum Next {
    /// All of it.
    Short(Text),
    /// Its id; the data comes in pieces.
    Long(Box<str>, Pieces),
}

/// The data of a change that is long, as far as it is not told yet.
pub(super) struct Pieces {
    told: Told,
    from: usize,
}

impl Pieces {
    /// The next piece; `None` behind the last.
    ///
    /// # Errors
    /// Where it is not kept any more, or cannot be read.
    pub(super) async fn next(&mut self, app: &App) -> Result<Option<Bytes>, Lost> {
        let text = Texts::get(app, &self.told).await?;
        let rest = text.data.get(self.from..).unwrap_or_default();
        let piece = &rest[..rest.len().min(BYTES_MAX)];
        self.from += piece.len();
        // A part of the text would keep all of it.
        Ok((!piece.is_empty()).then(|| Bytes::copy_from_slice(piece)))
    }
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
                let told = |version: &Version| Told::Document(key.clone(), version.clone());
                Self::versions(&versions, seen, current, told)
            }
            Watched::Set(key) => {
                let versions = app.store.history(key).await?;
                let seen = last_of_set(app, key, &versions, seen).await?;
                let told = |version: &Version| Told::Set(key.clone(), version.clone());
                Self::versions(&versions, seen, current, told)
            }
        })
    }

    /// The versions, the last first, from the current one up to the one that was seen.
    fn versions(
        versions: &[Version],
        seen: Option<usize>,
        current: &EntityTag,
        told: impl Fn(&Version) -> Told,
    ) -> Option<Self> {
        let first = versions.iter().position(|version| version.tag == *current)?;
        let missed = versions.get(first..seen?)?;
        Some(Self::Versions(missed.iter().rev().map(told).collect()))
    }

    async fn patches(
        app: &App,
        key: &NamespaceKey,
        after: u64,
        end: u64,
    ) -> Result<Option<Self>, StoreError> {
        let kept = app.store.namespace_changes(key, after, end, BYTES_MAX as u64).await?;
        Ok(kept.map(|kept| {
            let last = kept.last().map_or(after, |kept| kept.version);
            let kept = kept.into_iter().map(|Kept { version, operations }| {
                let text = Text::of_patch(version, &operations);
                (version, (text.data.len() <= BYTES_MAX).then_some(text))
            });
            Self::Patches { key: key.clone(), kept: kept.collect(), last, end }
        }))
    }

    /// The next change; `None` behind the last.
    ///
    /// # Errors
    /// Where it is not kept any more, or cannot be read.
    pub(super) async fn next(&mut self, app: &App) -> Result<Option<Next>, Lost> {
        let told = match self {
            Self::Versions(versions) => {
                let Some(told) = versions.pop_front() else { return Ok(None) };
                told
            }
            Self::Patches { key, kept, last, end } => {
                if kept.is_empty() && last < end {
                    let turn = history::turn(app).await.map_err(|_| Lost)?;
                    let patches = Self::patches(app, &key.clone(), *last, *end).await;
                    *self = patches.ok().flatten().ok_or(Lost)?;
                    drop(turn);
                    return Box::pin(self.next(app)).await;
                }
                match kept.pop_front() {
                    None => return Ok(None),
                    Some((_, Some(text))) => return Ok(Some(Next::Short(text))),
                    Some((version, None)) => Told::Patch(key.clone(), version),
                }
            }
        };
        let text = Texts::get(app, &told).await?;
        Ok(Some(if text.data.len() <= BYTES_MAX {
            Next::Short(text)
        } else {
            Next::Long(text.id, Pieces { told, from: 0 })
        }))
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
