//! The entries of a list, or of a page of it, in order.
//!
//! An order by what documents say means to look at every one of them; of each no more stays than
//! its place and its key, and with a limit no more of those than the page has. What the documents
//! hold is read again as the answer is taken.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use stowage_store::{Folder, JobDocument, Key, Prefix, Result, Segment, Store};

use super::event::EventMeta;
use super::members::{self, Member};
use super::rank::{List, Page, Position, Rank, compare};

/// How many names one step of a listing takes.
const LIST_STEP: usize = 1_000;

/// An entry, in its place.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    rank: Rank,
    key: Key,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        compare((self.rank, self.key.as_str()), (other.rank, other.key.as_str()))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Entries in the order of their list.
#[derive(Debug)]
pub(crate) struct Selection {
    list: List,
    page: Page,
    /// One more than the page has, where there are more.
    entries: BTreeSet<Entry>,
    /// How many documents were left out because they do not parse, or cannot be read.
    pub(crate) skipped: u64,
}

impl Selection {
    fn new(list: List, page: Page) -> Self {
        Self { list, page, entries: BTreeSet::new(), skipped: 0 }
    }

    fn add(&mut self, rank: Rank, key: Key) {
        let after = self.page.after.as_ref();
        if after.is_some_and(|after| !after.is_before(rank, key.as_str())) {
            return;
        }
        self.entries.insert(Entry { rank, key });
        if self.page.limit.is_some_and(|limit| self.entries.len() > limit.saturating_add(1)) {
            self.entries.pop_last();
        }
    }

    /// Takes a document by what it says.
    async fn read(
        &mut self,
        store: &dyn Store,
        key: Key,
        member: &'static str,
        rank: fn(Option<f64>) -> Rank,
    ) -> Result<()> {
        let members = match store.get(&key).await {
            Ok(None) => return Ok(()),
            Ok(Some(object)) => {
                members::read(&object.body, [member]).map(|[it]: [Member<'_>; 1]| it.number())
            }
            Err(error) if error.is_of_one() => {
                tracing::warn!(%key, %error, "a document is left out of a list");
                self.skipped += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match members {
            Some(number) => self.add(rank(number), key),
            None => {
                tracing::debug!(%key, "a document is left out of a list: it is no JSON object");
                self.skipped += 1;
            }
        }
        Ok(())
    }

    /// Takes the settings of a job's runs.
    async fn add_runs(&mut self, store: &dyn Store, job: &Segment) -> Result<()> {
        let mut after = None;
        while let Some(runs) = step(store, &Folder::runs(job), &mut after).await? {
            for run in &runs {
                let key = Key::run_setting(job, run);
                self.read(store, key, "updatedAt", Rank::descending).await?;
            }
        }
        Ok(())
    }

    /// The keys in order, and the token of the next page where there is one.
    pub(crate) fn into_keys(self) -> (Vec<Key>, Option<String>) {
        let limit = self.page.limit.unwrap_or(usize::MAX);
        let has_more = self.entries.len() > limit;
        let page: Vec<Entry> = self.entries.into_iter().take(limit).collect();
        let next = page
            .last()
            .filter(|_| has_more)
            .map(|Entry { rank, key }| Position::new(*rank, key.as_str()).token(self.list));
        (page.into_iter().map(|entry| entry.key).collect(), next)
    }
}

/// The jobs that a caller may read.
///
/// # Errors
/// As [`Store::directories`] and [`Store::get`].
pub(crate) async fn jobs(
    store: &dyn Store,
    page: Page,
    may_read: impl Fn(&Segment) -> bool,
) -> Result<Selection> {
    let mut selection = Selection::new(List::Jobs, page);
    let mut after = None;
    while let Some(jobs) = step(store, &Folder::jobs(), &mut after).await? {
        for job in jobs.iter().filter(|job| may_read(job)) {
            selection.read(store, Key::job(job), "startedAt", Rank::descending).await?;
        }
    }
    Ok(selection)
}

/// The settings of all runs that a caller may read.
///
/// # Errors
/// As [`Store::directories`] and [`Store::get`].
pub(crate) async fn runs(
    store: &dyn Store,
    page: Page,
    may_read: impl Fn(&Segment) -> bool,
) -> Result<Selection> {
    let mut selection = Selection::new(List::Runs, page);
    let mut after = None;
    while let Some(jobs) = step(store, &Folder::jobs(), &mut after).await? {
        for job in jobs.iter().filter(|job| may_read(job)) {
            match selection.add_runs(store, job).await {
                Err(error) if error.is_of_one() => {
                    let folder = Folder::runs(job);
                    let directory = folder.as_str();
                    tracing::warn!(directory, %error, "a directory is left out of a list");
                }
                added => added?,
            }
        }
    }
    Ok(selection)
}

/// The next directories; `None` behind the last.
async fn step(
    store: &dyn Store,
    folder: &Folder,
    after: &mut Option<Segment>,
) -> Result<Option<Vec<Segment>>> {
    let found = store.directories(folder, after.as_ref(), LIST_STEP).await?;
    *after = found.last().cloned();
    Ok((!found.is_empty()).then_some(found))
}

/// The checkpoints of a job.
///
/// # Errors
/// As [`Store::list`] and [`Store::get`].
pub(crate) async fn checkpoints(store: &dyn Store, page: Page, job: &Segment) -> Result<Selection> {
    let mut selection = Selection::new(List::Checkpoints, page);
    let prefix = Prefix::checkpoints(job);
    let mut after = None;
    while let Some(keys) = keys(store, &prefix, &mut after).await? {
        for key in keys {
            selection.read(store, key, "stepNumber", Rank::ascending).await?;
        }
    }
    Ok(selection)
}

/// The events of a run up to a step, from their keys alone: [`List::Events`] or
/// [`List::Contents`].
///
/// # Errors
/// As [`Store::list`].
pub(crate) async fn events(
    store: &dyn Store,
    page: Page,
    (job, run): (&Segment, &Segment),
    list: List,
    max_step: Option<u64>,
) -> Result<Selection> {
    let mut selection = Selection::new(list, page);
    let prefix = Prefix::run(job, run);
    let mut after = None;
    while let Some(keys) = keys(store, &prefix, &mut after).await? {
        for key in keys {
            let Some(JobDocument::Event { id }) = key.as_job_document() else { continue };
            let Some(meta) = EventMeta::parse(id) else {
                selection.skipped += 1;
                continue;
            };
            if max_step.is_none_or(|max| meta.step_number <= max) {
                let by_step = list == List::Events;
                let number = if by_step { meta.step_number } else { meta.timestamp };
                selection.add(Rank::of(number), key);
            }
        }
    }
    Ok(selection)
}

/// The next keys; `None` behind the last.
async fn keys(
    store: &dyn Store,
    prefix: &Prefix,
    after: &mut Option<Key>,
) -> Result<Option<Vec<Key>>> {
    let found = store.list(prefix, after.as_ref(), LIST_STEP).await?;
    *after = found.last().cloned();
    Ok((!found.is_empty()).then_some(found))
}
