//! What is known of a store's content, and what may be found after a power cut.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::{Event, LATER, Recorded};
use crate::content::{DOCUMENTS, JOB, NAMESPACES};
use crate::contracts::{
    Answer, Change, Document, DocumentOperation, Held, Members, Namespace, NamespaceOperation,
    Tags, apply,
};
use crate::job::{JOB_DOCUMENTS, Job, JobOperation};
use crate::linearizability::{Span, check};

/// What stands in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) documents: [Option<Held>; DOCUMENTS],
    pub(crate) namespaces: [(u64, Members); NAMESPACES],
}

impl Content {
    /// A new store's.
    pub(crate) fn empty() -> Self {
        Self { documents: Default::default(), namespaces: Default::default() }
    }
}

/// Everything that is known of a disk's history so far.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// What stood there when the recorded history began.
    pub(crate) start: Content,
    /// The tags of all times.
    pub(crate) tags: [Tags; DOCUMENTS],
}

/// The part of a history that was over when the power went, what was under way then, and what was
/// found afterwards.
fn as_of(cut: u64, recorded: &Recorded) -> Option<Recorded> {
    if recorded.sent >= cut {
        return None;
    }
    if recorded.settled < cut {
        return Some(recorded.clone());
    }
    let mut open = Recorded { end: LATER, ..recorded.clone() };
    match &mut open.event {
        Event::Document(_, DocumentOperation::Get(_))
        | Event::Namespace(_, NamespaceOperation::Get(..)) => return None,
        Event::Document(_, DocumentOperation::Put { answer, .. }) => *answer = Answer::Unknown,
        Event::Document(_, DocumentOperation::Delete { answer, .. }) => *answer = Answer::Unknown,
        Event::Namespace(_, NamespaceOperation::Patch { answer, .. }) => *answer = Answer::Unknown,
        Event::Job { answer, .. } => *answer = Answer::Unknown,
    }
    Some(open)
}

impl Known {
    /// Nothing was ever written.
    pub(crate) fn nothing() -> Self {
        Self { start: Content::empty(), tags: Default::default() }
    }

    /// Takes in the tags of a whole history.
    pub(crate) fn take_in_tags(&mut self, history: &[Recorded]) -> Result<(), String> {
        for (document, tags) in self.tags.iter_mut().enumerate() {
            let operations = history.iter().filter_map(|recorded| match &recorded.event {
                Event::Document(of, operation) if *of == document => Some(operation),
                _ => None,
            });
            tags.take_in(operations).map_err(|error| format!("document {document}: {error}"))?;
        }
        Ok(())
    }

    /// Checks what was found after a power cut during an operation: that the acknowledged writes,
    /// and any of those under way, lead to it.
    pub(crate) fn check(
        &self,
        history: &[Recorded],
        cut: u64,
        found: &Content,
    ) -> Result<(), String> {
        let mut documents: [Vec<Span<DocumentOperation>>; DOCUMENTS] = Default::default();
        let mut namespaces: [Vec<Span<NamespaceOperation>>; NAMESPACES] = Default::default();
        let mut job: Vec<Span<JobOperation>> = Vec::new();
        for recorded in history.iter().filter_map(|recorded| as_of(cut, recorded)) {
            let Recorded { call, end, event, .. } = recorded;
            match event {
                Event::Document(i, operation) if JOB.contains(&i) => {
                    let operation = JobOperation::One(i - JOB.start, operation);
                    job.push(Span { call, end, operation });
                }
                Event::Job { condition, answer } => {
                    let operation = JobOperation::Delete { condition, answer };
                    job.push(Span { call, end, operation });
                }
                Event::Document(i, operation) => {
                    documents[i].push(Span { call, end, operation });
                }
                Event::Namespace(i, operation) => {
                    namespaces[i].push(Span { call, end, operation });
                }
            }
        }
        let (call, end) = (LATER + 1, LATER + 2);
        for (i, mut history) in documents.into_iter().enumerate() {
            let seen = match &found.documents[i] {
                None => None,
                Some(held) => Some((held.body.clone(), held.tag.clone().ok_or("a tag is read")?)),
            };
            let operation = DocumentOperation::Get(seen);
            if JOB.contains(&i) {
                let operation = JobOperation::One(i - JOB.start, operation);
                job.push(Span { call, end, operation });
                continue;
            }
            history.push(Span { call, end, operation });
            check(&Document, [self.start.documents[i].clone()], &history)
                .map_err(|violation| format!("document {i}: {violation}"))?;
        }
        let mut start: [Option<Held>; JOB_DOCUMENTS] = Default::default();
        start.clone_from_slice(&self.start.documents[JOB]);
        check(&Job, [start], &job).map_err(|violation| format!("the job: {violation}"))?;
        for (i, mut history) in namespaces.into_iter().enumerate() {
            let (version, members) = found.namespaces[i].clone();
            history.push(Span { call, end, operation: NamespaceOperation::Get(version, members) });
            check(&Namespace, [self.start.namespaces[i].clone()], &history)
                .map_err(|violation| format!("namespace {i}: {violation}"))?;
        }
        self.check_tags(found)
    }

    /// A tag that was ever seen is on the body that it was seen on.
    pub(crate) fn check_tags(&self, found: &Content) -> Result<(), String> {
        for (i, held) in found.documents.iter().enumerate() {
            let Some(Held { body, tag: Some(tag) }) = held else { continue };
            self.tags[i].agree(tag, body).map_err(|error| format!("document {i}: {error}"))?;
        }
        Ok(())
    }

    /// Every body and every state of a namespace that was ever sent: what a store may serve that
    /// was lied to about what is durable.
    pub(crate) fn everything_sent(&self, history: &[Recorded]) -> Sent {
        let mut sent = Sent::default();
        for (i, held) in self.start.documents.iter().enumerate() {
            sent.documents[i].extend(held.iter().map(|held| held.body.clone()));
        }
        let mut patches: [Patches<'_>; NAMESPACES] = Default::default();
        for recorded in history {
            match &recorded.event {
                Event::Document(i, DocumentOperation::Put { body, .. }) => {
                    sent.documents[*i].insert(body.clone());
                }
                Event::Namespace(i, NamespaceOperation::Patch { changes, answer, .. }) => {
                    match answer {
                        Answer::Done(version) => {
                            patches[*i].answered.insert(*version, changes);
                        }
                        Answer::Unknown => patches[*i].unknown.push(changes),
                        Answer::Refused(_) | Answer::Unchanged => {}
                    }
                }
                _ => {}
            }
        }
        for (i, patches) in patches.iter().enumerate() {
            sent.namespaces[i] = patches.states(&self.start.namespaces[i]);
        }
        sent
    }
}

/// The patches of one namespace.
#[derive(Debug, Default)]
struct Patches<'a> {
    answered: BTreeMap<u64, &'a Vec<Change>>,
    unknown: Vec<&'a Vec<Change>>,
}

impl Patches<'_> {
    /// What may have stood at each version. Where no answer names the patch that made one, it was
    /// one without an answer.
    fn states(&self, start: &(u64, Members)) -> BTreeMap<u64, BTreeSet<Members>> {
        let (mut version, members) = start.clone();
        let mut states = BTreeMap::from([(version, BTreeSet::from([members]))]);
        let mut unknown_left = self.unknown.len();
        loop {
            let changes = match self.answered.get(&(version + 1)) {
                Some(changes) => std::slice::from_ref(changes),
                None if unknown_left == 0 => return states,
                None => {
                    unknown_left -= 1;
                    &self.unknown[..]
                }
            };
            let mut next = BTreeSet::new();
            for members in &states[&version] {
                for changes in changes {
                    let mut members = members.clone();
                    apply(changes, &mut members);
                    next.insert(members);
                }
            }
            version += 1;
            states.insert(version, next);
        }
    }
}

/// What was ever sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    documents: [BTreeSet<String>; DOCUMENTS],
    namespaces: [BTreeMap<u64, BTreeSet<Members>>; NAMESPACES],
}

impl Sent {
    /// Checks that a body was sent for this document.
    pub(crate) fn check_document(&self, document: usize, body: &str) -> Result<(), String> {
        if self.documents[document].contains(body) {
            return Ok(());
        }
        Err(format!("document {document}: {body} was never sent"))
    }

    /// Checks that a namespace once stood like this. Nothing at version 0 always did.
    pub(crate) fn check_namespace(
        &self,
        namespace: usize,
        version: u64,
        members: &Members,
    ) -> Result<(), String> {
        let expected = self.namespaces[namespace].get(&version);
        let is_sent = expected.is_some_and(|expected| expected.contains(members));
        if is_sent || (version == 0 && members.is_empty()) {
            return Ok(());
        }
        Err(format!(
            "namespace {namespace} at version {version}: expected {expected:?}, found {members:?}"
        ))
    }
}
