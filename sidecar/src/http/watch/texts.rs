//! The texts of what is told from histories. A stream holds the name of what it tells, how far it has come
//! and the piece that is on its way; the text is read when the connection takes the next one. What was
//! read last is kept for all, so that who reads at a stretch has it read once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use stowage_store::{Key, NamespaceKey, Operation, StoreError, Version};

use super::event;
use super::stream::id;
use crate::http::app::App;
use crate::http::history;
use crate::runtimes::StoredSet;

/// The most bytes of texts that are kept, but for the last one.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// It is not kept any more, or cannot be read.
#[derive(Debug)]
pub(super) struct Lost;

/// What is told by one event.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A version of a document.
    Document(Key, Version),
    /// A version of the document that a set of runtime configs is.
    Set(Key, Version),
    /// The patch by which a namespace came to a version.
    Patch(NamespaceKey, u64),
}

impl Told {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Document(key, version), Self::Document(its_key, its_version))
            | (Self::Set(key, version), Self::Set(its_key, its_version)) => {
                (key, &version.tag) == (its_key, &its_version.tag)
            }
            (Self::Patch(key, version), Self::Patch(its_key, its_version)) => {
                (key, version) == (its_key, its_version)
            }
            _ => false,
        }
    }

    async fn read(&self, app: &App) -> Result<Option<Text>, StoreError> {
        Ok(match self {
            Self::Document(key, version) => {
                let object = app.store.version(key, version).await?;
                object.map(|object| Text::new(id(Some(&object.tag)), object.body.clone()))
            }
            Self::Set(key, version) => {
                let Some(object) = app.store.version(key, version).await? else { return Ok(None) };
                let set = StoredSet::parse(key, &object)?;
                // A set without files is not served.
                Some(match set.is_empty() {
                    true => Text::new("".into(), Bytes::from_static(b"null")),
                    false => Text::new(id(Some(set.tag())), set.files_json()),
                })
            }
            Self::Patch(key, version) => {
                let before = version.saturating_sub(1);
                let kept = app.store.namespace_changes(key, before, *version, 1).await?;
                let patch = kept.and_then(|kept| kept.into_iter().next());
                patch.map(|kept| Text::of_patch(kept.version, &kept.operations))
            }
        })
    }
}

/// The id and the data of an event, as the wire has them.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) id: Box<str>,
    pub(super) data: Bytes,
}

impl Text {
    fn new(id: Box<str>, data: Bytes) -> Self {
        Self { id, data: event::lines(data) }
    }

    pub(super) fn of_patch(version: u64, operations: &[Operation]) -> Self {
        Self { id: version.to_string().into(), data: event::patch(version, operations) }
    }
}

/// The texts that were read last, the very last at the end.
#[derive(Debug, Default)]
pub(crate) struct Texts(Mutex<VecDeque<(Told, Text)>>);

impl Texts {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Told, Text)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text of what is to be told.
    pub(super) async fn get(app: &App, told: &Told) -> Result<Text, Lost> {
        if let Some(text) = app.texts.kept(told) {
            return Ok(text);
        }
        let _turn = history::turn(app).await.map_err(|_| Lost)?;
        // Another may have read it meanwhile.
        if let Some(text) = app.texts.kept(told) {
            return Ok(text);
        }
        let text = told.read(app).await.ok().flatten().ok_or(Lost)?;
        app.texts.keep(told, &text);
        Ok(text)
    }

    fn kept(&self, told: &Told) -> Option<Text> {
        let mut texts = self.lock();
        let place = texts.iter().position(|(it, _)| it.is(told))?;
        let (told, text) = texts.remove(place)?;
        texts.push_back((told, text.clone()));
        Some(text)
    }

    fn keep(&self, told: &Told, text: &Text) {
        let mut texts = self.lock();
        texts.push_back((told.clone(), text.clone()));
        let mut bytes: usize = texts.iter().map(|(_, text)| text.data.len()).sum();
        while bytes > KEPT_BYTES_MAX && texts.len() > 1 {
            let dropped = texts.pop_front();
            bytes -= dropped.map_or(0, |(_, text)| text.data.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use stowage_store::{Name, NameKind};

    use super::*;

    fn told(version: u64) -> Told {
        let name = Name::parse(NameKind::Namespace, "ns").expect("a name");
        Told::Patch(NamespaceKey::shared(&name), version)
    }

    fn keep(texts: &Texts, version: u64, length: usize) {
        let data = Bytes::from(vec![b'1'; length]);
        texts.keep(&told(version), &Text { id: version.to_string().into(), data });
    }

    #[test]
    fn texts_are_kept_within_a_bound_and_those_that_are_taken_stay() {
        let texts = Texts::default();
        for version in 1..=4 {
            keep(&texts, version, KEPT_BYTES_MAX / 4);
        }
        assert!(texts.kept(&told(1)).is_some(), "all of them fit");
        keep(&texts, 5, 1);
        assert!(texts.kept(&told(2)).is_none(), "nobody has taken it for longest");
        assert_eq!(&*texts.kept(&told(1)).expect("it was taken").id, "1");
        keep(&texts, 6, 2 * KEPT_BYTES_MAX);
        assert!(texts.kept(&told(6)).is_some(), "the last one, whatever its length");
        assert_eq!(texts.lock().len(), 1);
    }
}
