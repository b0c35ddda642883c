//! Keys whose time is over: gone from every read at once, and durably.
//!
//! It is a patch like any other that removes them, with the next version, decided and journaled in
//! its turn: so versions never go back, whatever the clock does. Who reads a namespace where one is
//! due has it decided, and waits until it is durable. A thread does the same without readers, for
//! the namespaces that are known: those that were read, watched or written since the start, and
//! those that the journal had changes of. One that nobody knows of loses its keys when it is next
//! looked at, which is all that can be seen of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cache::Entry;
use super::decide::Attempt;
use super::engine::{DEFECT, Engine};
use super::state::{Purpose, State};
use crate::expiry::Expiry;
use crate::journal::entry::Change as Written;
use crate::{Namespace, Result, StoreError};

/// The thread looks at the clock at least so often: somebody may set it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a namespace is left alone where its keys could not be removed.
const ALONE: Duration = Duration::from_secs(1);

/// Of so many namespaces it is known when their next key is over; beyond that, of those that are
/// watched and of the ones that are next.
const KNOWN_MAX: usize = 1 << 16;

/// When the next key of each known namespace is over.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    known: Mutex<Known>,
    /// Wakes the thread.
    sooner: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    by_time: BTreeSet<(Expiry, Arc<str>)>,
    by_path: HashMap<Arc<str>, Expiry>,
    is_closed: bool,
}

impl Known {
    /// Takes note of a namespace's next; says whether nothing comes before it. Of more than
    /// `most`, the last one is given up that nobody watches.
    fn insert(
        &mut self,
        path: &Arc<str>,
        next: Expiry,
        most: usize,
        is_watched: impl Fn(&str) -> bool,
    ) -> bool {
        self.remove(path);
        let is_first = self.by_time.first().is_none_or(|(first, _)| next < *first);
        self.by_path.insert(Arc::clone(path), next);
        self.by_time.insert((next, Arc::clone(path)));
        if self.by_path.len() > most {
            let given_up = self.by_time.iter().rev().find(|(_, path)| !is_watched(path));
            if let Some((_, path)) = given_up.cloned() {
                self.remove(&path);
            }
        }
        is_first
    }

    fn remove(&mut self, path: &str) {
        if let Some((path, before)) = self.by_path.remove_entry(path) {
            self.by_time.remove(&(before, path));
        }
    }
}

impl Agenda {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.sooner.notify_all();
    }
}

impl Engine {
    /// Takes note of when the next key of a namespace is over, if any is.
    pub(super) fn note_expiry(&self, path: &Arc<str>, entry: &Entry) {
        let next = entry.as_namespace().and_then(|namespace| namespace.earliest_expiry());
        // Where it has none any more, the thread finds that out.
        if next.is_some() {
            self.note(path, next);
        }
    }

    fn note(&self, path: &Arc<str>, next: Option<Expiry>) {
        let mut known = self.agenda.lock();
        let Some(next) = next else { return known.remove(path) };
        let is_watched = |path: &str| self.watches.is_watched(path);
        let is_first = known.insert(path, next, KNOWN_MAX, is_watched);
        drop(known);
        if is_first {
            self.agenda.sooner.notify_one();
        }
    }

    /// The namespace without the keys whose time is over, durably.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where there is no room to remove them; as for a write.
    pub(super) async fn without_expired(
        self: &Arc<Self>,
        path: &str,
        mut namespace: Arc<Namespace>,
    ) -> Result<Arc<Namespace>> {
        while namespace.is_due(&self.options.clock) {
            namespace = self.without_some_expired(path).await?;
        }
        Ok(namespace)
    }

    /// The namespace without the first of the keys whose time is over, durably.
    async fn without_some_expired(self: &Arc<Self>, path: &str) -> Result<Arc<Namespace>> {
        let expired = self.decide(path, |state, path, entry| self.expire(state, path, entry, None));
        expired.await.map_err(|error| match error {
            StoreError::OutOfSpace => StoreError::Unavailable {
                reason: "the volume is full, and keys whose time is over cannot be removed".into(),
            },
            // It was no write that was asked for.
            StoreError::Indeterminate { reason } => StoreError::Unavailable { reason },
            other => other,
        })
    }

    /// Decides that the keys whose time is over go, if there are any. It may take the room that a
    /// patch of that purpose may, which waits for it.
    pub(super) fn expire(
        &self,
        state: &mut State,
        path: &Arc<str>,
        entry: &Entry,
        purpose: Option<Purpose>,
    ) -> Attempt<Arc<Namespace>> {
        let Some(current) = entry.as_namespace() else {
            return Attempt::Settled(Err(StoreError::Unavailable { reason: DEFECT.into() }));
        };
        let operations = current.expired(self.options.clock.now());
        if operations.is_empty() {
            return self.unchanged(state, path, Ok(Arc::clone(current)));
        }
        let next = match current.next(&operations) {
            Ok(next) => Arc::new(next),
            Err(error) => return self.unchanged(state, path, Err(error)),
        };
        let note = self.noted(path, None, false);
        let change = Written::Patch { version: next.version(), operations, note };
        // Never more than that otherwise: room for deletes is not for what comes by itself.
        let purpose = purpose.unwrap_or_else(|| Purpose::of_patch(current, &next));
        let (made, result) = (Entry::Namespace(Arc::clone(&next)), next);
        self.accept(state, path, entry, made, change, purpose, result)
    }

    /// The next namespace with a key that is over; waits until there is one. `None` at the end.
    fn next_due(&self) -> Option<Arc<str>> {
        let mut known = self.agenda.lock();
        loop {
            if known.is_closed {
                return None;
            }
            let Some((next, path)) = known.by_time.first() else {
                let waited = self.agenda.sooner.wait(known);
                known = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = next.left(self.options.clock.now());
            if left.is_zero() {
                let path = Arc::clone(path);
                known.remove(&path);
                return Some(path);
            }
            let waited = self.agenda.sooner.wait_timeout(known, left.min(LOOK_EVERY));
            known = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has the keys of a namespace removed that are over, and does not wait for it.
    fn expire_in_passing(self: &Arc<Self>, path: &Arc<str>) -> Result<()> {
        let mut decision = |state: &mut State, path: &Arc<str>, entry: &Entry| {
            self.expire(state, path, entry, None)
        };
        let (mut attempt, _) = self.attempt(path, None, &mut decision)?;
        if let Attempt::Unknown = attempt {
            let loaded = self.load_now(path)?;
            (attempt, _) = self.attempt(path, Some(&loaded), &mut decision)?;
        }
        match attempt {
            Attempt::Decided(result, _) => result.map(drop),
            // The clock was set back, or somebody has set the keys anew.
            Attempt::Settled(result) => {
                let namespace = result?;
                self.note(path, namespace.earliest_expiry());
                Ok(())
            }
            // Somebody else was there in between, or it is tried again once there may be room.
            Attempt::Unknown | Attempt::NoRoom(_) => {
                self.note(path, Some(self.options.clock.now().after(ALONE)));
                Ok(())
            }
        }
    }
}

/// Works until the store is closed or has failed.
pub(super) fn run(engine: &Arc<Engine>) {
    while let Some(path) = engine.next_due() {
        match engine.expire_in_passing(&path) {
            Ok(()) => {}
            Err(_) if engine.has_failed() => return,
            // Who reads it is told so.
            Err(StoreError::Corrupt { .. }) => {}
            Err(_) => engine.note(&path, Some(engine.options.clock.now().after(ALONE))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_those_are_known_that_are_next_or_watched() {
        let mut known = Known::default();
        let path = |i: u64| -> Arc<str> { format!("kv/{i}.json").into() };
        let mut insert = |i: u64, at: u64| {
            let is_watched = |path: &str| path == "kv/9.json";
            known.insert(&path(i), Expiry::at_milliseconds(at), 3, is_watched)
        };
        assert!(insert(9, 90), "the only one is the first");
        assert!(insert(5, 50), "it comes before");
        assert!(!insert(6, 60));
        assert!(!insert(7, 70), "it is given up");
        assert!(insert(1, 10), "6 is given up");
        assert!(!insert(5, 55), "another time of the same");
        let left: Vec<_> =
            known.by_time.iter().map(|(at, path)| (at.milliseconds(), &**path)).collect();
        assert_eq!(left, [(10, "kv/1.json"), (55, "kv/5.json"), (90, "kv/9.json")]);
        assert_eq!(known.by_path.len(), 3);
    }
}
