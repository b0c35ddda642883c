//! Deleting a job: all of its documents by one record, at one place in the order of writes.
//!
//! What there is to delete is what the tree holds of the job and what was decided since. The two
//! are looked at in that order, and no name changes in between: what is decided leaves the memory
//! only once it has its name in the tree. So nothing that was decided before is missed, and what is
//! decided later comes later in the journal. A start finds the same documents: those that earlier
//! records name, and those in the tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::blocking;
use super::cache::Entry;
use super::decide::{Attempt, require};
use super::engine::Engine;
use super::rounds::{Rounds, Want};
use super::state::Purpose;
use crate::journal::entry::{Change, Entry as Record};
use crate::key::jobs::job_directory;
use crate::revision::Revision;
use crate::{Key, Preconditions, RemovedJob, Result, Segment};

/// What the tree holds of a job.
struct Found {
    paths: Vec<Arc<str>>,
    /// The same in order, made while nobody waits for it.
    in_order: BTreeSet<Arc<str>>,
    /// The revision of the latest of its files.
    latest: Option<Revision>,
    /// The job's own document, `None` where it cannot be read and no condition asks for it.
    job: Option<Entry>,
}

impl Engine {
    /// Deletes a job, see [`crate::Store::delete_job`].
    pub(super) async fn delete_job(
        self: &Arc<Self>,
        job: &Segment,
        preconditions: Preconditions,
    ) -> Result<Option<RemovedJob>> {
        let preconditions = Arc::new(preconditions);
        let mut since = None;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            if since.is_some() {
                room.as_mut().enable();
            }
            let (job, preconditions) = (job.clone(), Arc::clone(&preconditions));
            let attempt = move |engine: &Arc<Self>| engine.attempt_removal(&job, &preconditions);
            let (attempt, rounds) = blocking(self, attempt).await?;
            if let Some(result) = self.outcome(attempt, rounds, &mut since, room).await {
                return result;
            }
        }
    }

    /// One look, as [`Engine::attempt`] is for one path; blocks.
    fn attempt_removal(
        &self,
        job: &Segment,
        preconditions: &Preconditions,
    ) -> Result<(Attempt<Option<RemovedJob>>, Rounds)> {
        let steady = self.names.steady();
        let found = self.found(job, preconditions)?;
        self.decided(move |state| {
            let attempt = self.decide_removal(state, job, preconditions, found);
            // Before the commit, which takes long.
            drop(steady);
            attempt
        })
    }

    fn found(&self, job: &Segment, preconditions: &Preconditions) -> Result<Found> {
        let mut found =
            Found { paths: Vec::new(), in_order: BTreeSet::new(), latest: None, job: None };
        self.tree.walk(&job_directory(job), &mut |path| {
            if Key::from_path(path).is_some() {
                found.paths.push(path.into());
            }
        })?;
        for path in &found.paths {
            found.latest = found.latest.max(self.tree.modified(path)?);
        }
        found.in_order = found.paths.iter().cloned().collect();
        found.job = match self.read_tree(Key::job(job).as_str()) {
            // What is damaged can be deleted.
            Err(_) if *preconditions == Preconditions::none() => None,
            job => Some(job?),
        };
        Ok(found)
    }

    fn decide_removal(
        &self,
        state: &mut super::state::State,
        job: &Segment,
        preconditions: &Preconditions,
        found: Found,
    ) -> Attempt<Option<RemovedJob>> {
        let directory = job_directory(job);
        let Found { mut paths, in_order, mut latest, job: in_tree } = found;
        paths.retain(|path| !state.slots.contains_key(path));
        let mut last = None;
        for (path, slot) in state.job_slots(&format!("{directory}/"), "") {
            last = last.max(Some((slot.decided_at, Arc::clone(path))));
            if let Some(document) = slot.decided.as_document() {
                latest = latest.max(Some(Revision::at(document.modified)));
                paths.push(Arc::clone(path));
            }
        }
        if paths.is_empty() {
            return match last {
                // The delete of the last of them may not be durable yet.
                Some((_, path)) => self.unchanged(state, &path, Ok(None)),
                None => Attempt::Settled(Ok(None)),
            };
        }
        let key: Arc<str> = Key::job(job).as_str().into();
        let decided = state.slots.get(&key).map(|slot| &slot.decided).or(in_tree.as_ref());
        let own = decided.and_then(Entry::as_document);
        let removed = RemovedJob { tag: own.map(|own| own.tag.clone()) };
        if let Err(error) = require(preconditions, own) {
            return self.unchanged(state, &key, Err(error));
        }
        if self.must_wait(state, Purpose::Freeing) {
            return Attempt::NoRoom(Want { purpose: Purpose::Freeing, is_long: false });
        }
        let change = Change::DeleteJob { revision: state.clock.stamp(latest) };
        let record = Record::Change { path: directory.into(), change };
        let (answer, answered) = oneshot::channel();
        let accepted = state.accept_removal(paths, in_order, record, answer);
        self.accepted(state, accepted, Purpose::Freeing, (Some(removed), answered))
    }
}
