//! Replacing and removing a set, decided while no other write to it can happen.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{Timestamp, Unit};
use stowage_store::{
    Change, EntityTag, Key, Name, Object, Preconditions, Store, StoreError, Verdict,
};

use super::cache::SetCache;
use super::new_set::{InvalidSet, NewSet};
use super::stored_set::{StoredSet, encode};

/// Why a set was not replaced; what was served before still is.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The new set cannot be served.
    #[error(transparent)]
    Invalid(#[from] InvalidSet),
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
}

/// What a decision found, told to the task that waits for the write.
type Found = Arc<Mutex<Result<Decision, ReplaceError>>>;

#[derive(Debug, Clone, Copy, Default)]
struct Decision {
    changed: bool,
    created: bool,
}

/// Replaces the set of a repository's branch if the preconditions hold for the set's own tag.
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
) -> Result<Replacement, ReplaceError> {
    let key = Key::runtime_set(repository, branch);
    let now = Timestamp::now();
    let now = now.round(Unit::Microsecond).unwrap_or(now).to_string();
    let found: Found = Arc::new(Mutex::new(Ok(Decision::default())));
    let edit = {
        let (key, found) = (key.clone(), Arc::clone(&found));
        let (repository, branch) = (repository.clone(), branch.clone());
        move |object: Option<&Object>| {
            let old = object.map(|object| StoredSet::parse(&key, object)).transpose();
            let decided = old.map_err(ReplaceError::from).and_then(|old| {
                demand(&preconditions, old.as_ref())?;
                decide((&repository, &branch), &new, old.as_ref(), &now)
                    .map_err(|e| StoreError::Io(e.into()).into())
            });
            tell(&found, decided)
        }
    };
    let updated = store.update(&key, Preconditions::none(), Box::new(edit)).await?;
    let decision = take(&found)?;
    let stored = updated.after.ok_or_else(|| StoreError::Corrupt {
        key: key.to_string(),
        reason: "nothing stands there after a write".into(),
    })?;
    let set = match cache {
        Some(cache) => cache.parse(&key, &stored)?,
        None => Arc::new(StoredSet::parse(&key, &stored)?),
    };
    Ok(Replacement { set, changed: decision.changed, created: decision.created })
}

/// Removes the set if the preconditions hold for its own tag; says whether one was served.
///
/// # Errors
/// [`ReplaceError::PreconditionFailed`], [`ReplaceError::Store`].
pub(crate) async fn remove_if(
    store: &dyn Store,
    repository: &Name,
    branch: &Name,
    preconditions: Preconditions,
) -> Result<bool, ReplaceError> {
    let key = Key::runtime_set(repository, branch);
    let found: Found = Arc::new(Mutex::new(Ok(Decision::default())));
    let edit = {
        let (key, found) = (key.clone(), Arc::clone(&found));
        move |object: Option<&Object>| {
            let old = object.map(|object| StoredSet::parse(&key, object)).transpose();
            let decided = old.map_err(ReplaceError::from).and_then(|old| {
                // Where the answer is 404, conditions are not evaluated (RFC 9110 §13.2.1).
                if old.as_ref().is_none_or(StoredSet::is_empty) {
                    return Ok((Decision::default(), Change::Keep));
                }
                demand(&preconditions, old.as_ref())?;
                Ok((Decision { changed: true, created: false }, Change::Delete))
            });
            tell(&found, decided)
        }
    };
    store.update(&key, Preconditions::none(), Box::new(edit)).await?;
    Ok(take(&found)?.changed)
}

/// An empty set is not served, so for a condition it is not there.
fn demand(preconditions: &Preconditions, old: Option<&StoredSet>) -> Result<(), ReplaceError> {
    let current = old.filter(|old| !old.is_empty()).map(StoredSet::tag);
    match preconditions.evaluate(current) {
        Verdict::Holds => Ok(()),
        Verdict::MatchFailed | Verdict::NoneMatchFailed => {
            Err(ReplaceError::PreconditionFailed { current: current.cloned() })
        }
    }
}

fn decide(
    names: (&Name, &Name),
    new: &NewSet,
    old: Option<&StoredSet>,
    now: &str,
) -> serde_json::Result<(Decision, Change)> {
    let created = old.is_none_or(StoredSet::is_empty) && !new.files.is_empty();
    match old {
        Some(old) if old.has_content_of(new) => {
            let decision = Decision { changed: false, created };
            if old.revision() == new.revision {
                return Ok((decision, Change::Keep));
            }
            Ok((decision, Change::Put(old.with_revision(&new.revision)?)))
        }
        old => {
            let changed = old.is_some() || created;
            Ok((Decision { changed, created }, Change::Put(encode(names, new, old, now)?)))
        }
    }
}

/// Notes what was decided; a refusal leaves everything as it is.
fn tell(found: &Found, decided: Result<(Decision, Change), ReplaceError>) -> Change {
    let (result, change) = match decided {
        Ok((decision, change)) => (Ok(decision), change),
        Err(error) => (Err(error), Change::Keep),
    };
    *found.lock().unwrap_or_else(PoisonError::into_inner) = result;
    change
}

fn take(found: &Found) -> Result<Decision, ReplaceError> {
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *found, Ok(Decision::default()))
}
