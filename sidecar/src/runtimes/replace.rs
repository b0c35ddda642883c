//! Replacing and removing a set, decided while no other write to it can happen.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{Timestamp, Unit};
use stowage_store::{
    Change, EntityTag, Key, Name, Object, Preconditions, Store, StoreError, Verdict,
};

use super::cache::SetCache;
use super::new_set::NewSet;
use super::stored_set::{StoredSet, encode};

/// Why a set was not replaced; what was served before still is, unless the store's error is
/// [`StoreError::Indeterminate`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    /// A precondition does not hold for the set that is served.
    #[error("the precondition does not hold for the set that is served")]
    PreconditionFailed {
        /// Its tag, `None` where none is served.
        current: Option<EntityTag>,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a replacement left.
#[derive(Debug)]
pub(crate) struct Replacement {
    /// The set that is now stored.
    pub(crate) set: Arc<StoredSet>,
    /// Whether its content differs from what stood there.
    pub(crate) changed: bool,
    /// Whether no set was served before and one is now.
    pub(crate) created: bool,
    /// The tag of the set that was served before, the same one where nothing changed.
    pub(crate) replaced: Option<EntityTag>,
}

/// What a decision left, beside the change itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Decision {
    changed: bool,
    created: bool,
    replaced: Option<EntityTag>,
}

/// A decision and the change that carries it out.
type Decided = Result<(Decision, Change), ReplaceError>;

/// Replaces the set of a repository's branch if the preconditions hold for the set's own tag. The
/// history tells who did.
///
/// The same content under the same revision writes nothing; under another one, only that moves.
///
/// # Errors
/// [`ReplaceError`].
pub(crate) async fn replace_if(
    store: &dyn Store,
    cache: Option<&SetCache>,
    (repository, branch): (&Name, &Name),
    new: NewSet,
    preconditions: Preconditions,
    author: Option<Arc<str>>,
) -> Result<Replacement, ReplaceError> {
    let key = Key::runtime_set(repository, branch);
    let names = (repository.clone(), branch.clone());
    let decide = move |old: Option<&StoredSet>| -> Decided {
        demand(&preconditions, old)?;
        // Taken anew where another write came first, so that no time goes back.
        let now = Timestamp::now();
        let now = now.round(Unit::Microsecond).unwrap_or(now).to_string();
        replacement((&names.0, &names.1), &new, old, &now)
            .map_err(|e| StoreError::Io(e.into()).into())
    };
    let (decision, stored) = change(store, cache, &key, author, decide).await?;
    let stored = stored.ok_or_else(|| StoreError::Corrupt {
        key: key.to_string(),
        reason: "nothing stands there after a write".into(),
    })?;
    let set = parse(cache, &key, &stored)?;
    let Decision { changed, created, replaced } = decision;
    Ok(Replacement { set, changed, created, replaced })
}

/// Removes the set if the preconditions hold for its own tag, which it gives; `None` where none was
/// served.
///
/// # Errors
/// [`ReplaceError::PreconditionFailed`], [`ReplaceError::Store`].
pub(crate) async fn remove_if(
    store: &dyn Store,
    cache: &SetCache,
    (repository, branch): (&Name, &Name),
    preconditions: Preconditions,
) -> Result<Option<EntityTag>, ReplaceError> {
    let key = Key::runtime_set(repository, branch);
    let decide = move |old: Option<&StoredSet>| -> Decided {
        // Where the answer is 404, conditions are not evaluated (RFC 9110 §13.2.1). What is left of an emptied set goes
        // all the same, unless it is another one that is meant.
        if old.is_none_or(StoredSet::is_empty) {
            let is_left = old.is_some() && preconditions.evaluate(None) == Verdict::Holds;
            let change = if is_left { Change::Delete } else { Change::Keep };
            return Ok((Decision::default(), change));
        }
        demand(&preconditions, old)?;
        let decision = Decision { changed: true, created: false, replaced: tag_of(old) };
        Ok((decision, Change::Delete))
    };
    change(store, Some(cache), &key, None, decide).await.map(|(decision, _)| decision.replaced)
}

/// Decides on the stored set and carries that out with no other write in between.
///
/// The decision is taken before the store's writer gets to it, which then waits for nothing; only
/// where another write came first, the writer takes it again.
async fn change(
    store: &dyn Store,
    cache: Option<&SetCache>,
    key: &Key,
    author: Option<Arc<str>>,
    decide: impl Fn(Option<&StoredSet>) -> Decided + Send + 'static,
) -> Result<(Decision, Option<Arc<Object>>), ReplaceError> {
    let seen = store.get(key).await?;
    let old = seen.as_deref().map(|object| parse(cache, key, object)).transpose()?;
    let ahead = decide(old.as_deref());
    let seen = seen.map(|object| object.tag.clone());
    let decided = Arc::new(Mutex::new(ahead));
    let edit = {
        let (key, decided) = (key.clone(), Arc::clone(&decided));
        move |object: Option<&Object>| {
            let mut decided = decided.lock().unwrap_or_else(PoisonError::into_inner);
            if object.map(|object| &object.tag) != seen.as_ref() {
                let old = object.map(|object| StoredSet::parse(&key, object)).transpose();
                *decided = old.map_err(ReplaceError::from).and_then(|old| decide(old.as_ref()));
            }
            // A refusal leaves everything as it is.
            decided.as_ref().map_or(Change::Keep, |(_, change)| change.clone())
        }
    };
    let updated = store.update_by(key, Preconditions::none(), Box::new(edit), author).await?;
    let decided = std::mem::replace(
        &mut *decided.lock().unwrap_or_else(PoisonError::into_inner),
        Ok((Decision::default(), Change::Keep)),
    );
    Ok((decided?.0, updated.after))
}

fn parse(
    cache: Option<&SetCache>,
    key: &Key,
    object: &Object,
) -> Result<Arc<StoredSet>, StoreError> {
    match cache {
        Some(cache) => cache.parse(key, object),
        None => StoredSet::parse(key, object).map(Arc::new),
    }
}

fn demand(preconditions: &Preconditions, old: Option<&StoredSet>) -> Result<(), ReplaceError> {
    let current = tag_of(old);
    match preconditions.evaluate(current.as_ref()) {
        Verdict::Holds => Ok(()),
        Verdict::MatchFailed | Verdict::NoneMatchFailed => {
            Err(ReplaceError::PreconditionFailed { current })
        }
    }
}

/// An empty set is not served, so for a condition it is not there.
fn tag_of(old: Option<&StoredSet>) -> Option<EntityTag> {
    old.filter(|old| !old.is_empty()).map(|old| old.tag().clone())
}

fn replacement(
    names: (&Name, &Name),
    new: &NewSet,
    old: Option<&StoredSet>,
    now: &str,
) -> serde_json::Result<(Decision, Change)> {
    let replaced = tag_of(old);
    let created = replaced.is_none() && !new.files.is_empty();
    match old {
        Some(old) if old.has_content_of(new) => {
            let decision = Decision { changed: false, created: false, replaced };
            if old.revision() == new.revision {
                return Ok((decision, Change::Keep));
            }
            Ok((decision, Change::Put(old.with_revision(&new.revision)?)))
        }
        old => {
            let changed = old.is_some() || created;
            Ok((
                Decision { changed, created, replaced },
                Change::Put(encode(names, new, old, now)?),
            ))
        }
    }
}
