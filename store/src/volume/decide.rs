//! Deciding writes: on what was decided last, under the lock, in the order in which the journal
//! gets them. What is decided is durable once its batch is, and is answered then.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::futures::Notified;
use tokio::sync::oneshot;

use super::cache::Entry;
use super::engine::{DEFECT, Engine};
use super::lone;
use super::read::Loaded;
use super::rounds::{Rounds, Want};
use super::state::{NoRoom, Purpose, State};
use super::tree::FILE_BYTES_MAX;
use crate::journal::entry::{Change as Written, Entry as Record};
use crate::journal::segments;
use crate::revision::{Revision, content_hash};
use crate::{
    Change, Edit, EntityTag, Key, NamespaceKey, Object, Patch, Patched, Preconditions, Put, Result,
    StoreError, Updated,
};

/// How often an update is decided anew after somebody else came first; then it is decided under
/// the lock.
const RACES_MAX: u32 = 16;

/// What one look at the state came to.
pub(super) enum Attempt<T> {
    /// It is decided; the result holds once the receiver says so.
    Decided(Result<T>, oneshot::Receiver<Result<()>>),
    /// It is decided on what is durable already, and nothing is to be written.
    Settled(Result<T>),
    /// The path has to be read first.
    Unknown,
    /// There is no room now.
    NoRoom(Want),
}

impl Engine {
    pub(super) async fn put(
        self: &Arc<Self>,
        key: &Key,
        body: Bytes,
        preconditions: &Preconditions,
        author: Option<Arc<str>>,
    ) -> Result<Put> {
        check_length(&body)?;
        let hash = content_hash(&body);
        self.decide(key.as_str(), |state, path, entry| {
            let current = entry.as_document();
            if let Err(error) = require(preconditions, current) {
                return self.unchanged(state, path, Err(error));
            }
            let object = stamped(state, current, body.clone(), hash);
            let replaced = current.map(|current| current.tag.clone());
            let put = Put { tag: object.tag.clone(), created: replaced.is_none(), replaced };
            self.put_object(state, path, entry, (object, author.as_ref()), put)
        })
        .await
    }

    pub(super) async fn delete(
        self: &Arc<Self>,
        key: &Key,
        preconditions: &Preconditions,
    ) -> Result<Option<EntityTag>> {
        self.decide(key.as_str(), |state, path, entry| {
            let Some(current) = entry.as_document() else {
                return self.unchanged(state, path, Ok(None));
            };
            if let Err(error) = require(preconditions, Some(current)) {
                return self.unchanged(state, path, Err(error));
            }
            self.delete_object(state, path, entry, current, Some(current.tag.clone()))
        })
        .await
    }

    pub(super) async fn update(
        self: &Arc<Self>,
        key: &Key,
        preconditions: &Preconditions,
        mut edit: Edit,
        author: Option<Arc<str>>,
    ) -> Result<Updated> {
        let author = author.as_ref();
        for _ in 0..RACES_MAX {
            let before = self
                .decide(key.as_str(), |state, path, entry| {
                    let before = entry.as_document().cloned();
                    match require(preconditions, before.as_ref()) {
                        Ok(()) => Attempt::Settled(Ok(before)),
                        Err(error) => self.unchanged(state, path, Err(error)),
                    }
                })
                .await?;
            let change = edit(before.as_deref());
            let hash = hash_of(&change);
            let updated = self
                .decide(key.as_str(), |state, path, entry| {
                    if !is_same(entry.as_document(), before.as_ref()) {
                        // Somebody came first.
                        return Attempt::Settled(Ok(None));
                    }
                    self.change(state, path, entry, (&change, hash, author))
                })
                .await?;
            if let Some(updated) = updated {
                return Ok(updated);
            }
        }
        let mut panic = None;
        let updated = self
            .decide(key.as_str(), |state, path, entry| {
                let before = entry.as_document();
                if let Err(error) = require(preconditions, before) {
                    return self.unchanged(state, path, Err(error));
                }
                let decided = catch_unwind(AssertUnwindSafe(|| edit(before.map(|it| &**it))));
                match decided {
                    Ok(change) => {
                        let hash = hash_of(&change);
                        self.change(state, path, entry, (&change, hash, author))
                    }
                    Err(payload) => {
                        panic = Some(payload);
                        Attempt::Settled(Ok(None))
                    }
                }
            })
            .await?;
        match (updated, panic) {
            (Some(updated), None) => Ok(updated),
            (_, Some(payload)) => resume_unwind(payload),
            (None, None) => Err(StoreError::Unavailable { reason: DEFECT.into() }),
        }
    }

    /// Carries out what an edit decided; `None` is never the result.
    fn change(
        &self,
        state: &mut State,
        path: &Arc<str>,
        entry: &Entry,
        (change, hash, author): (&Change, u64, Option<&Arc<str>>),
    ) -> Attempt<Option<Updated>> {
        let before = entry.as_document().cloned();
        match (change, &before) {
            (Change::Keep, _) | (Change::Delete, None) => {
                let after = before.clone();
                self.unchanged(state, path, Ok(Some(Updated { before, after })))
            }
            (Change::Put(body), _) => {
                if let Err(error) = check_length(body) {
                    return Attempt::Settled(Err(error));
                }
                let object = stamped(state, before.as_ref(), body.clone(), hash);
                let updated = Updated { before, after: Some(Arc::clone(&object)) };
                self.put_object(state, path, entry, (object, author), Some(updated))
            }
            (Change::Delete, Some(current)) => {
                let updated = Updated { before: before.clone(), after: None };
                self.delete_object(state, path, entry, current, Some(updated))
            }
        }
    }

    pub(super) async fn patch(
        self: &Arc<Self>,
        key: &NamespaceKey,
        patch: &Patch,
    ) -> Result<Patched> {
        loop {
            let purpose = match self.patch_current(key, patch).await? {
                Ok(patched) => return Ok(patched),
                Err(purpose) => purpose,
            };
            let expired = self.decide(key.as_str(), |state, path, entry| {
                self.expire(state, path, entry, purpose)
            });
            expired.await?;
        }
    }

    /// Patches a namespace, unless keys are over there that have to go first. Where the patch makes
    /// room by leaving nothing, they may take the room that it may.
    async fn patch_current(
        self: &Arc<Self>,
        key: &NamespaceKey,
        patch: &Patch,
    ) -> Result<Result<Patched, Option<Purpose>>> {
        self.decide(key.as_str(), |state, path, entry| {
            let Some(current) = entry.as_namespace() else {
                return Attempt::Settled(Err(StoreError::Unavailable { reason: DEFECT.into() }));
            };
            if current.is_due(&self.options.clock) {
                let without = current.next(&current.expired(self.options.clock.now()));
                let next = without.and_then(|without| without.patched(patch));
                let is_freeing = next.is_ok_and(|next| next.is_empty());
                return Attempt::Settled(Ok(Err(is_freeing.then_some(Purpose::Freeing))));
            }
            let next = match current.patched(patch) {
                Ok(next) => Arc::new(next),
                Err(error) => return self.unchanged(state, path, Err(error)),
            };
            let purpose = Purpose::of_patch(current, &next);
            let change = Written::Patch {
                version: next.version(),
                operations: patch.operations.clone(),
                note: self.noted(path, patch.author.as_ref(), patch.forgets_history),
            };
            let patched = Patched { namespace: Arc::clone(&next), created: current.version() == 0 };
            self.accept(state, path, entry, Entry::Namespace(next), change, purpose, Ok(patched))
        })
        .await
    }

    fn put_object<T>(
        &self,
        state: &mut State,
        path: &Arc<str>,
        entry: &Entry,
        (object, author): (Arc<Object>, Option<&Arc<str>>),
        result: T,
    ) -> Attempt<T> {
        let revision = Revision::at(object.modified);
        let author = author.filter(|_| self.keeps(path)).cloned();
        let change = Written::Put { revision, body: object.body.clone(), author };
        let next = Entry::Document(Some(object));
        self.accept(state, path, entry, next, change, Purpose::Growing, result)
    }

    fn delete_object<T>(
        &self,
        state: &mut State,
        path: &Arc<str>,
        entry: &Entry,
        current: &Object,
        result: T,
    ) -> Attempt<T> {
        let revision = state.clock.stamp(Some(Revision::at(current.modified)));
        let change = Written::Delete { revision };
        let next = Entry::Document(None);
        self.accept(state, path, entry, next, change, Purpose::Freeing, result)
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is one decision")]
    pub(super) fn accept<T>(
        &self,
        state: &mut State,
        path: &Arc<str>,
        current: &Entry,
        next: Entry,
        change: Written,
        purpose: Purpose,
        result: T,
    ) -> Attempt<T> {
        if self.must_wait(state, purpose) {
            return Attempt::NoRoom(Want { purpose, is_long: false });
        }
        let record = Record::Change { path: Arc::clone(path), change };
        let (answer, answered) = oneshot::channel();
        let accepted = state.accept(path, current, next, record, purpose, answer);
        self.accepted(state, accepted, purpose, (result, answered))
    }

    /// Whether a write has to wait for the tree to come up to date.
    pub(super) fn must_wait(&self, state: &mut State, purpose: Purpose) -> bool {
        // Deletes come into the tree whatever the room there; as long as there are some, what makes
        // room may wait for that as well.
        let held_max = match purpose {
            Purpose::Growing => self.options.dirty_bytes,
            _ if state.deletes > 0 => self.options.dirty_bytes.saturating_mul(2),
            _ => u64::MAX,
        };
        if state.pinned > held_max {
            state.checkpoint_now = true;
            self.checkpoint.notify_one();
            return true;
        }
        false
    }

    /// What comes of a record that has got its place, or none.
    pub(super) fn accepted<T>(
        &self,
        state: &mut State,
        accepted: Result<(), NoRoom>,
        purpose: Purpose,
        (result, answered): (T, oneshot::Receiver<Result<()>>),
    ) -> Attempt<T> {
        match accepted {
            Ok(()) => {
                if state.wants_segment(&self.options) {
                    self.allocate.notify_one();
                }
                lone::claim(self, state);
                self.wake_commits(state);
                Attempt::Decided(Ok(result), answered)
            }
            Err(no_room) => {
                state.wanted = state.wanted.max(Some(no_room.0));
                if purpose == Purpose::Freeing {
                    state.wanted_freeing = state.wanted_freeing.max(Some(no_room.0));
                }
                self.allocate.notify_one();
                let is_long = segments::capacity_for(no_room.0) > self.options.segment_bytes;
                Attempt::NoRoom(Want { purpose, is_long })
            }
        }
    }

    /// A result that changes nothing. It waits for what it was decided on to be durable: what is
    /// told must not be taken back by a crash.
    pub(super) fn unchanged<T>(
        &self,
        state: &mut State,
        path: &Arc<str>,
        result: Result<T>,
    ) -> Attempt<T> {
        match state.slots.get(path) {
            Some(slot) if slot.decided_at > state.durable => {
                Attempt::Decided(result, self.barrier(state))
            }
            _ => Attempt::Settled(result),
        }
    }

    /// Runs a decision on what was decided last at a path, as often as it takes to know that, and
    /// to have room.
    pub(super) async fn decide<T>(
        self: &Arc<Self>,
        path: &str,
        mut decision: impl FnMut(&mut State, &Arc<str>, &Entry) -> Attempt<T>,
    ) -> Result<T> {
        let path: Arc<str> = path.into();
        let mut loaded: Option<Loaded> = None;
        let mut since = None;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            if since.is_some() {
                // Before the look, so that no wake-up between the two is missed.
                room.as_mut().enable();
            }
            let (attempt, rounds) = self.attempt(&path, loaded.as_ref(), &mut decision)?;
            let is_decided = matches!(attempt, Attempt::Decided(..));
            if matches!(attempt, Attempt::Unknown) {
                loaded = Some(self.load(&path).await?);
            } else if let Some(result) = self.outcome(attempt, rounds, &mut since, room).await {
                if is_decided && matches!(result, Err(StoreError::PreconditionFailed { .. })) {
                    self.in_turn(&path).await;
                }
                return result;
            }
        }
    }

    /// What an attempt comes to, once that is durable; `None` where it is to be made again, once
    /// there may be room for it. `since` is how many rounds had begun when it waited first.
    pub(super) async fn outcome<T>(
        &self,
        attempt: Attempt<T>,
        rounds: Rounds,
        since: &mut Option<u64>,
        room: Pin<&mut Notified<'_>>,
    ) -> Option<Result<T>> {
        match (attempt, *since) {
            (Attempt::Settled(result), _) => return Some(result),
            (Attempt::Decided(result, answered), _) => {
                let lost = |_| Err(StoreError::Indeterminate { reason: DEFECT.into() });
                return Some(answered.await.unwrap_or_else(lost).and(result));
            }
            (Attempt::Unknown, _) => {}
            (Attempt::NoRoom(_), None) => *since = Some(rounds.begun),
            (Attempt::NoRoom(want), Some(since)) if rounds.has_refused(want, since) => {
                return Some(self.told(Err(StoreError::OutOfSpace)));
            }
            (Attempt::NoRoom(_), Some(_)) => room.await,
        }
        None
    }

    /// Waits, where many have lost a race at a path.
    async fn in_turn(&self, path: &str) {
        let place = {
            let mut state = self.lock();
            let slot = state.slots.get_mut(path);
            slot.and_then(|slot| slot.contention.get_or_insert_default().join())
        };
        if let Some(place) = place {
            place.turn().await;
        }
    }

    /// One look at a path; also says which writes that wait for room are refused by now.
    pub(super) fn attempt<T>(
        &self,
        path: &Arc<str>,
        loaded: Option<&Loaded>,
        decision: &mut impl FnMut(&mut State, &Arc<str>, &Entry) -> Attempt<T>,
    ) -> Result<(Attempt<T>, Rounds)> {
        self.decided(|state| {
            let entry = match state.slots.get(path) {
                Some(slot) => Some(slot.decided.clone()),
                None => self.cache.get(path),
            };
            let entry = entry.or_else(|| loaded.and_then(|loaded| loaded.current(state)).cloned());
            match entry {
                Some(entry) => decision(state, path, &entry),
                None => Attempt::Unknown,
            }
        })
    }

    /// Decides under the lock, and commits what nobody else does.
    pub(super) fn decided<T>(
        &self,
        decision: impl FnOnce(&mut State) -> Attempt<T>,
    ) -> Result<(Attempt<T>, Rounds)> {
        let mut state = self.lock();
        self.available()?;
        if state.is_closed {
            return Err(StoreError::Unavailable { reason: DEFECT.into() });
        }
        let attempt = decision(&mut state);
        let (rounds, claim) = (state.rounds, state.claim.take());
        drop(state);
        if let Some(claim) = claim {
            claim.commit(self);
        }
        Ok((attempt, rounds))
    }
}

/// The document of a body that is accepted now.
fn stamped(
    state: &mut State,
    current: Option<&Arc<Object>>,
    body: Bytes,
    hash: u64,
) -> Arc<Object> {
    let revision = state.clock.stamp(current.map(|current| Revision::at(current.modified)));
    Arc::new(Object { tag: revision.tag(hash), modified: revision.timestamp(), body })
}

/// The hash of what an edit puts; worked out before the lock is taken.
fn hash_of(change: &Change) -> u64 {
    match change {
        Change::Put(body) => content_hash(body),
        Change::Keep | Change::Delete => 0,
    }
}

/// Whether nothing was written between the two looks.
fn is_same(one: Option<&Arc<Object>>, other: Option<&Arc<Object>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.tag == other.tag,
        _ => false,
    }
}

fn check_length(body: &Bytes) -> Result<()> {
    if body.len() as u64 > FILE_BYTES_MAX {
        return Err(StoreError::Io(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(())
}

pub(super) fn require(preconditions: &Preconditions, current: Option<&Arc<Object>>) -> Result<()> {
    preconditions.require(current.map(|object| &object.tag))
}
