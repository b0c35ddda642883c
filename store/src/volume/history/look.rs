//! Reading versions: what the files hold, and behind that what they lack yet.

use std::io;
use std::sync::Arc;

use super::directory;
use super::file::{self, Entries, Head, Kind};
use super::unwritten::Unwritten;
use crate::disk::{Access, Disk};
use crate::history::{Kept, Place, Span, Version, What, Written};
use crate::journal::entry::read_operations;
use crate::revision::Revision;
use crate::volume::blocking;
use crate::volume::cache::Entry;
use crate::volume::engine::Engine;
use crate::volume::namespace_file;
use crate::{EntityTag, Key, Namespace, NamespaceKey, Object, Operation, Result, StoreError};

/// How often a list is made anew after it was overtaken by writes.
const LOOKS_MAX: usize = 16;

/// Where an entry's content is.
#[derive(Debug, Clone)]
enum Source {
    File(Span),
    Memory(Arc<Written>),
    Base(Arc<Namespace>),
}

/// One version of a namespace.
#[derive(Debug, Clone)]
struct Step {
    head: Head,
    /// How it came from the one before.
    patch: Option<Source>,
    /// All of it.
    whole: Option<Source>,
}

/// The history of one path, as it is read.
struct Look<'a> {
    disk: &'a dyn Disk,
    path: &'a str,
    /// In the order of the writes.
    entries: Vec<(Head, Source)>,
}

impl<'a> Look<'a> {
    /// Reads the heads of all entries.
    fn new(disk: &'a dyn Disk, path: &'a str, unwritten: &Unwritten) -> io::Result<Self> {
        let mut entries = Vec::new();
        let first = unwritten.entries().front().map_or(u64::MAX, |first| first.sequence);
        let directory = directory(path);
        let numbers =
            if unwritten.is_forgetting() { Vec::new() } else { file::numbers(disk, &directory)? };
        for number in numbers {
            let file = match disk.open(&file::name(&directory, number), Access::Read) {
                // It was followed by another, or the history has ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            let mut heads = Entries::new(&*file, number)?;
            while let Some((head, span)) = heads.next()? {
                entries.push((head, Source::File(span)));
            }
        }
        // From there on it is in memory.
        while entries.pop_if(|(head, _)| head.sequence >= first).is_some() {}
        if let Some(base) = unwritten.base() {
            let (sequence, number) = (first, base.version());
            let head = Head { kind: Kind::Whole, sequence, number, time: None, author: None };
            entries.push((head, Source::Base(Arc::clone(base))));
        }
        for entry in unwritten.entries() {
            entries.push((Head::of(entry), Source::Memory(Arc::clone(entry))));
        }
        Ok(Self { disk, path, entries })
    }

    /// The versions of a document up to the current one, the first first.
    fn documents(self, current: &Arc<Object>) -> Vec<Version> {
        let version = |(head, source): (Head, Source)| {
            let revision = Revision::from_nanoseconds(head.time?);
            let place = match source {
                Source::File(span) => Place::File(span),
                Source::Memory(written) => match &written.what {
                    What::Document(_) => Place::Memory,
                    What::Patch { .. } | What::Whole { .. } => return None,
                },
                Source::Base(_) => return None,
            };
            let (tag, time) = (revision.tag(head.number), Some(revision.timestamp()));
            Some(Version { tag, time, author: head.author, place })
        };
        let mut versions: Vec<Version> = self.entries.into_iter().filter_map(version).collect();
        match versions.iter().rposition(|version| version.tag == current.tag) {
            // What came meanwhile is later than this.
            Some(place) => versions.truncate(place + 1),
            // It was put there before there was a history, or by a person.
            None => versions.push(Version {
                tag: current.tag.clone(),
                time: Some(current.modified),
                author: None,
                place: Place::Memory,
            }),
        }
        versions
    }

    /// The version of a document with this tag; `None` where it is not kept.
    fn document(&self, tag: &EntityTag) -> Result<Option<Arc<Object>>> {
        let tagged = |head: &Head| {
            let revision = Revision::from_nanoseconds(head.time?);
            (head.kind == Kind::Document && revision.tag(head.number) == *tag).then_some(revision)
        };
        let found = |(head, source): &(Head, Source)| Some((tagged(head)?, source.clone()));
        let Some((revision, source)) = self.entries.iter().rev().find_map(found) else {
            return Ok(None);
        };
        let body = match source {
            Source::File(span) => self.content(&span)?,
            Source::Memory(written) => match &written.what {
                What::Document(object) => return Ok(Some(Arc::clone(object))),
                What::Patch { .. } | What::Whole { .. } => return Err(corrupt(self.path)),
            },
            Source::Base(_) => return Err(corrupt(self.path)),
        };
        Ok(Some(Arc::new(Object { body, tag: tag.clone(), modified: revision.timestamp() })))
    }

    /// The versions of a namespace, each one more than the one before, or whole. One that is there
    /// twice is what was written last: a person may have put an older file back.
    fn steps(entries: &[(Head, Source)]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for (head, source) in entries {
            while steps.last().is_some_and(|last| last.head.number > head.number) {
                steps.pop();
            }
            let last = steps.last_mut();
            match (head.kind, last) {
                (Kind::Whole, Some(last))
                    if last.head.number == head.number && head.time.is_none() =>
                {
                    last.whole = Some(source.clone());
                }
                (Kind::Whole, last) => {
                    if last.is_some_and(|last| last.head.number == head.number) {
                        steps.pop();
                    }
                    let whole = Some(source.clone());
                    steps.push(Step { head: head.clone(), patch: None, whole });
                }
                (Kind::Patch, last) => {
                    if last.is_some_and(|last| last.head.number == head.number) {
                        steps.pop();
                    }
                    // Without the one before it, nobody knows what it came to.
                    if steps.last().is_some_and(|last| last.head.number + 1 == head.number) {
                        let patch = Some(source.clone());
                        steps.push(Step { head: head.clone(), patch, whole: None });
                    }
                }
                (Kind::Document, _) => {}
            }
        }
        steps
    }

    /// The last versions of a namespace up to the current one.
    fn namespaces(&self, current: u64, most: usize) -> Vec<Step> {
        let mut steps = Self::steps(&self.entries);
        let end = steps.partition_point(|step| step.head.number <= current);
        steps.truncate(end);
        let has_current = steps.last().is_some_and(|last| last.head.number == current);
        // The current one is one of them, also where it stands in no history.
        let from = (steps.len() + usize::from(!has_current)).saturating_sub(most);
        steps.drain(..from.min(steps.len()));
        steps
    }

    fn content(&self, span: &Span) -> Result<bytes::Bytes> {
        let path = file::name(&directory(self.path), span.file);
        match self.disk.open(&path, Access::Read) {
            // It is not kept any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error.into()),
            file => file::content(&*file?, span)?.ok_or_else(|| corrupt(self.path)),
        }
    }

    fn whole(&self, source: &Source) -> Result<Arc<Namespace>> {
        match source {
            Source::Base(namespace) => Ok(Arc::clone(namespace)),
            Source::Memory(written) => match &written.what {
                What::Whole { namespace, .. } => Ok(Arc::clone(namespace)),
                What::Document(_) | What::Patch { .. } => Err(corrupt(self.path)),
            },
            Source::File(span) if span.length == 0 => Ok(Arc::default()),
            Source::File(span) => namespace_file::decode(&self.content(span)?)
                .map(Arc::new)
                .map_err(|_| corrupt(self.path)),
        }
    }

    fn operations(&self, source: &Source) -> Result<Vec<Operation>> {
        match source {
            Source::Memory(written) => match &written.what {
                What::Patch { operations, .. } => Ok(operations.clone()),
                What::Document(_) | What::Whole { .. } => Err(corrupt(self.path)),
            },
            Source::Base(_) => Err(corrupt(self.path)),
            Source::File(span) => {
                read_operations(&self.content(span)?).map_err(|_| corrupt(self.path))
            }
        }
    }

    /// The namespace at a version; `None` where it is not kept.
    fn namespace(&self, version: u64) -> Result<Option<Arc<Namespace>>> {
        self.at(&Self::steps(&self.entries), version)
    }

    fn at(&self, steps: &[Step], version: u64) -> Result<Option<Arc<Namespace>>> {
        let Some(end) = steps.iter().rposition(|step| step.head.number == version) else {
            return Ok(None);
        };
        let Some(start) = steps[..=end].iter().rposition(|step| step.whole.is_some()) else {
            return Ok(None);
        };
        let Some(whole) = &steps[start].whole else { return Ok(None) };
        let mut namespace = self.whole(whole)?;
        for step in &steps[start + 1..=end] {
            let Some(patch) = &step.patch else { return Ok(None) };
            let operations = self.operations(patch)?;
            Arc::make_mut(&mut namespace).apply(&operations);
        }
        Ok(Some(namespace))
    }

    /// Whether what a version came to by its patch is what was written of it as a whole later: else
    /// somebody has edited its file in between.
    fn is_unbroken(&self, version: u64) -> Result<bool> {
        let is_base = |(head, _): &&(Head, Source)| {
            head.kind == Kind::Whole && head.time.is_none() && head.number == version
        };
        let Some(place) = self.entries.iter().rposition(|entry| is_base(&entry)) else {
            return Ok(true);
        };
        let before = self.at(&Self::steps(&self.entries[..place]), version)?;
        let after = self.at(&Self::steps(&self.entries[..=place]), version)?;
        Ok(before.is_none() || before == after)
    }

    /// See [`crate::Store::namespace_changes`].
    fn changes(
        &self,
        (after, up_to): (u64, u64),
        bytes_max: u64,
        (current, most): (&Namespace, usize),
    ) -> Result<Option<Vec<Kept>>> {
        let steps = self.namespaces(current.version(), most);
        // Before the first write since a start, nothing else tells that a person has edited it.
        if current.version() == up_to && self.namespace(up_to)?.as_deref() != Some(current) {
            return Ok(None);
        }
        let place = |version: u64| steps.binary_search_by_key(&version, |step| step.head.number);
        let (Ok(first), Ok(last)) = (place(after), place(up_to)) else { return Ok(None) };
        let Some(range) = steps.get(first + 1..=last) else { return Ok(None) };
        if range.len() as u64 != up_to - after {
            return Ok(None);
        }
        for step in steps.get(first..=last).unwrap_or_default() {
            if step.whole.is_some()
                && step.patch.is_some()
                && !self.is_unbroken(step.head.number)?
            {
                return Ok(None);
            }
        }
        // All of them are there before the first is told.
        if range.iter().any(|step| step.patch.is_none()) {
            return Ok(None);
        }
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for step in range {
            let Some(patch) = &step.patch else { return Ok(None) };
            let (version, operations) = (step.head.number, self.operations(patch)?);
            bytes += crate::history::operations_bytes(&operations);
            changes.push(Kept { version, operations });
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(Some(changes))
    }
}

fn corrupt(path: &str) -> StoreError {
    let reason = "its history does not check out; stop the store, then remove it or restore it \
                  from a backup";
    StoreError::Corrupt { key: directory(path), reason: reason.into() }
}

/// What has left the history while it was read is not there any more.
fn unless_gone<T>(result: Result<Option<T>>) -> Result<Option<T>> {
    match result {
        Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result,
    }
}

impl Engine {
    /// Looks at the history of a path, on a thread that may block.
    async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        path: &str,
        read: impl FnOnce(Look<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.look_with(path, |look, _| read(look)).await
    }

    /// The same, with what is committed at the path at that moment; `None` where the tree has it.
    async fn look_with<T: Send + 'static>(
        self: &Arc<Self>,
        path: &str,
        read: impl FnOnce(Look<'_>, Option<Entry>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let path: Arc<str> = path.into();
        let (unwritten, committed) = {
            let state = self.lock();
            self.available()?;
            let slot = state.slots.get(&path);
            let unwritten = slot.and_then(|slot| slot.kept.as_deref());
            let committed = slot.and_then(|slot| slot.committed.clone());
            (unwritten.cloned().unwrap_or_default(), committed)
        };
        blocking(self, move |engine| {
            let look = Look::new(&*engine.disk, &path, &unwritten)?;
            read(look, committed)
        })
        .await
    }

    /// See [`crate::Store::history`].
    pub(in crate::volume) async fn history(self: &Arc<Self>, key: &Key) -> Result<Vec<Version>> {
        if !self.keeps(key.as_str()) {
            return Ok(Vec::new());
        }
        let mut versions = Vec::new();
        for _ in 0..LOOKS_MAX {
            let entry = self.read(key.as_str()).await?;
            let Some(current) = entry.as_document().cloned() else { return Ok(Vec::new()) };
            let tag = current.tag.clone();
            // As of one moment: what is in memory is no more than is kept, so that of an earlier
            // moment some would be missing between it and the files.
            let look = self.look_with(key.as_str(), move |look, committed| {
                let current = match committed {
                    None => current,
                    Some(Entry::Document(Some(committed))) => committed,
                    Some(_) => return Ok(Vec::new()),
                };
                Ok(look.documents(&current))
            });
            versions = look.await?;
            // Where it was written to so often meanwhile that it is not among them, nobody knows
            // that of it which is known.
            let now = self.read(key.as_str()).await?;
            let is_known = versions.last().is_some_and(|last| last.author.is_some());
            if is_known || now.as_document().is_some_and(|now| now.tag == tag) {
                break;
            }
        }
        versions.drain(..versions.len().saturating_sub(self.options.history));
        versions.reverse();
        Ok(versions)
    }

    /// See [`crate::Store::version`].
    pub(in crate::volume) async fn version(
        self: &Arc<Self>,
        key: &Key,
        version: &Version,
    ) -> Result<Option<Arc<Object>>> {
        let span = match &version.place {
            Place::Memory => return self.tagged(key, &version.tag).await,
            Place::Namespace => return Ok(None),
            Place::File(span) => *span,
        };
        self.available()?;
        let (path, tag, time) = (key.clone(), version.tag.clone(), version.time);
        let read = blocking(self, move |engine| {
            let look = Look { disk: &*engine.disk, path: path.as_str(), entries: Vec::new() };
            let (body, modified) = (look.content(&span)?, time.unwrap_or_default());
            Ok(Some(Arc::new(Object { body, tag, modified })))
        });
        let read = unless_gone(read.await);
        if matches!(read, Err(StoreError::Corrupt { .. })) {
            // It may have been given up since it was listed, and another file begun in its place.
            let versions = self.history(key).await?;
            let is_same =
                |version: &Version| matches!(version.place, Place::File(it) if it == span);
            if !versions.iter().any(is_same) {
                return Ok(None);
            }
        }
        read
    }

    /// The version of a document that has this tag.
    async fn tagged(self: &Arc<Self>, key: &Key, tag: &EntityTag) -> Result<Option<Arc<Object>>> {
        let current = self.read(key.as_str()).await?;
        if let Some(current) = current.as_document()
            && current.tag == *tag
        {
            return Ok(Some(Arc::clone(current)));
        }
        let look = async || {
            let tag = tag.clone();
            unless_gone(self.look(key.as_str(), move |look| look.document(&tag)).await)
        };
        match look().await {
            // It may have been given up meanwhile, and another file begun in its place.
            Err(StoreError::Corrupt { .. }) => look().await,
            read => read,
        }
    }

    /// The namespace that stands at a key, where there is a history.
    async fn current(self: &Arc<Self>, key: &NamespaceKey) -> Result<Option<Arc<Namespace>>> {
        if !self.keeps(key.as_str()) {
            return Ok(None);
        }
        let entry = self.read(key.as_str()).await?;
        let Some(current) = entry.as_namespace().cloned() else { return Ok(None) };
        self.without_expired(key.as_str(), current).await.map(Some)
    }

    /// See [`crate::Store::namespace_history`].
    pub(in crate::volume) async fn namespace_history(
        self: &Arc<Self>,
        key: &NamespaceKey,
    ) -> Result<Vec<Version>> {
        let most = self.options.history;
        let (mut current, mut steps, mut has_current) = (0, Vec::new(), false);
        for _ in 0..LOOKS_MAX {
            let Some(namespace) = self.current(key).await? else { return Ok(Vec::new()) };
            current = namespace.version();
            if current == 0 {
                return Ok(Vec::new());
            }
            // As of one moment, as for documents.
            let look = self.look_with(key.as_str(), move |look, committed| {
                let committed = committed.as_ref().and_then(Entry::as_namespace);
                let current = committed.map_or(current, |it| it.version().max(current));
                Ok((current, look.namespaces(current, most)))
            });
            (current, steps) = look.await?;
            has_current = steps.last().is_some_and(|last| last.head.number == current);
            let now = self.current(key).await?;
            // As for documents.
            if has_current || now.is_some_and(|now| now.version() == current) {
                break;
            }
        }
        let version = |head: Head| Version {
            tag: EntityTag::from_version(head.number),
            time: head.time.map(|time| Revision::from_nanoseconds(time).timestamp()),
            author: head.author,
            place: Place::Namespace,
        };
        let mut versions: Vec<Version> = steps
            .into_iter()
            .filter(|step| step.head.number > 0)
            .map(|step| version(step.head))
            .collect();
        if !has_current {
            let tag = EntityTag::from_version(current);
            versions.push(Version { tag, time: None, author: None, place: Place::Namespace });
        }
        versions.reverse();
        Ok(versions)
    }

    /// See [`crate::Store::namespace_version`].
    pub(in crate::volume) async fn namespace_version(
        self: &Arc<Self>,
        key: &NamespaceKey,
        version: u64,
    ) -> Result<Option<Arc<Namespace>>> {
        let Some(current) = self.current(key).await? else { return Ok(None) };
        if version >= current.version() {
            return Ok((version == current.version()).then_some(current));
        }
        if version == 0 {
            return Ok(None);
        }
        let (current, most) = (current.version(), self.options.history);
        let look = move |look: Look<'_>| {
            let steps = look.namespaces(current, most);
            if steps.iter().all(|step| step.head.number != version) {
                return Ok(None);
            }
            look.namespace(version)
        };
        match self.look(key.as_str(), look).await {
            // It may have been given up meanwhile, and another file begun in its place.
            Err(StoreError::Corrupt { .. }) => unless_gone(self.look(key.as_str(), look).await),
            read => unless_gone(read),
        }
    }

    /// See [`crate::Store::namespace_changes`].
    pub(in crate::volume) async fn namespace_changes(
        self: &Arc<Self>,
        key: &NamespaceKey,
        (after, up_to): (u64, u64),
        bytes: u64,
    ) -> Result<Option<Vec<Kept>>> {
        let Some(current) = self.current(key).await?.filter(|_| after <= up_to) else {
            return Ok(None);
        };
        let most = self.options.history;
        let read = self
            .look(key.as_str(), move |look| look.changes((after, up_to), bytes, (&current, most)));
        unless_gone(read.await)
    }
}
