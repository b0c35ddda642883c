//! Clients of a store, and what they sent and got back, with the disk's operations in between.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::join_all;
use stowage_store::{
    Change, EntityTag, Object, Patch, Preconditions, Result, Store, StoreError, TagCondition,
    Updated, WireTag,
};

use crate::content::{
    ARCHIVES, DOCUMENTS, JOB, NAMESPACES, archive_key, body, body_name, changes, document_key, job,
    members, namespace_key,
};
use crate::contracts::{Answer, Condition, DocumentOperation, NamespaceOperation, Tag};
use crate::disk::SimDisk;
use crate::places;
use crate::session::{Extent, Focus};

/// A time after everything that clients did.
pub(crate) const LATER: u64 = u64::MAX / 2;

/// How long a store that is sound takes at the most.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a store, and fails where it does not answer.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("no end within {PATIENCE:?}: {what}"),
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Document(usize, DocumentOperation),
    Namespace(usize, NamespaceOperation),
    /// The job was deleted as a whole, under a condition on its own document.
    Job {
        condition: Condition,
        answer: Answer<bool>,
    },
}

/// What a client did.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// When it was sent and answered, in ticks of the [`Log`]; an unknown outcome is open until
    /// the store was closed.
    pub(crate) call: u64,
    pub(crate) end: u64,
    /// The disk's last operation before it was sent: only later ones can be of its making.
    pub(crate) sent: u64,
    /// The disk's last operation by the time at which the end was known.
    pub(crate) settled: u64,
    pub(crate) event: Event,
}

impl Recorded {
    fn is_unknown(&self) -> bool {
        match &self.event {
            Event::Document(_, DocumentOperation::Put { answer, .. }) => *answer == Answer::Unknown,
            Event::Document(_, DocumentOperation::Delete { answer, .. }) => {
                *answer == Answer::Unknown
            }
            Event::Namespace(_, NamespaceOperation::Patch { answer, .. }) => {
                *answer == Answer::Unknown
            }
            Event::Job { answer, .. } => *answer == Answer::Unknown,
            _ => false,
        }
    }
}

/// What clients did with the stores on one disk.
#[derive(Debug)]
pub(crate) struct Log {
    disk: SimDisk,
    ticks: Cell<u64>,
    /// Numbers for writes, each used once.
    writes: Cell<u64>,
    recorded: RefCell<Vec<Recorded>>,
}

/// What is known when something is sent.
struct Sent {
    call: u64,
    sent: u64,
}

impl Log {
    /// A log whose writes are numbered from here on.
    pub(crate) fn new(disk: SimDisk, first_write: u64) -> Self {
        let (ticks, writes) = (Cell::new(0), Cell::new(first_write));
        Self { disk, ticks, writes, recorded: RefCell::default() }
    }

    fn tick(&self) -> u64 {
        self.ticks.set(self.ticks.get() + 1);
        self.ticks.get()
    }

    pub(crate) fn next_write(&self) -> u64 {
        self.writes.set(self.writes.get() + 1);
        self.writes.get()
    }

    fn send(&self) -> Sent {
        Sent { call: self.tick(), sent: self.disk.operations() }
    }

    fn answered(&self, sent: Sent, event: Event) {
        let Sent { call, sent } = sent;
        let settled = self.disk.operations();
        let mut recorded = Recorded { call, end: self.tick(), sent, settled, event };
        if recorded.is_unknown() {
            (recorded.end, recorded.settled) = (LATER, u64::MAX);
        }
        self.recorded.borrow_mut().push(recorded);
    }

    /// The store is closed: what nobody got an answer to was carried out by now, or never is.
    pub(crate) fn close(&self) {
        let (end, settled) = (self.tick(), self.disk.operations());
        for recorded in self.recorded.borrow_mut().iter_mut().filter(|r| r.settled == u64::MAX) {
            (recorded.end, recorded.settled) = (end, settled);
        }
    }

    pub(crate) fn into_recorded(self) -> Vec<Recorded> {
        self.recorded.into_inner()
    }
}

/// What an error means: every error but two says that nothing was changed.
fn answer<T>(result: Result<T>) -> Answer<T> {
    match result {
        Ok(value) => Answer::Done(value),
        Err(StoreError::PreconditionFailed { current }) => {
            Answer::Refused(current.map(|tag| tag.opaque().to_owned()))
        }
        Err(StoreError::Indeterminate { .. }) => Answer::Unknown,
        Err(_) => Answer::Unchanged,
    }
}

fn preconditions(condition: &Condition) -> Preconditions {
    match condition {
        Condition::Nothing => Preconditions::none(),
        Condition::Absent => Preconditions::absent(),
        Condition::Matches(tag) => {
            let tag = WireTag { weak: false, opaque: tag.clone() };
            Preconditions { if_match: Some(TagCondition::Tags(vec![tag])), if_none_match: None }
        }
    }
}

/// One client: what it has seen last of each document and namespace.
struct Client<'a, S: ?Sized> {
    store: &'a S,
    log: &'a Log,
    random: Rng,
    tags: [Option<Tag>; DOCUMENTS],
    versions: [u64; NAMESPACES],
}

/// Lets some clients do so many things each, at once.
pub(crate) async fn run<S: Store + ?Sized>(store: &S, log: &Log, random: &mut Rng, extent: Extent) {
    let client = |random: Rng| async move {
        let mut client =
            Client { store, log, random, tags: Default::default(), versions: Default::default() };
        for _ in 0..extent.steps {
            match extent.focus {
                Focus::Everything => client.step().await,
                Focus::Archives => client.step_of_archives().await,
            }
        }
    };
    let clients: Vec<_> = (0..extent.clients).map(|_| client(random.fork())).collect();
    in_time("the clients", join_all(clients)).await;
}

/// Writes until a write is accepted: a store that was full works again once it is not; so does one
/// that could open no files.
///
/// # Errors
/// The store has failed, or does not accept one for long.
pub(crate) async fn write_again<S: Store + ?Sized>(store: &S, log: &Log) -> Result<(), String> {
    let random = Rng::with_seed(0);
    let mut client =
        Client { store, log, random, tags: Default::default(), versions: Default::default() };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        client.put(0, Condition::Nothing).await;
        if client.tags[0].is_some() {
            return Ok(());
        }
        if let Some(error) = store.failed().now_or_never() {
            return Err(format!("once the trouble is over, it has failed: {error}"));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err(format!("once the trouble is over, no write is accepted within {PATIENCE:?}"))
}

/// Reads everything, each of it as a client does.
pub(crate) async fn read_all<S: Store + ?Sized>(store: &S, log: &Log) -> Result<()> {
    for document in 0..DOCUMENTS {
        get(store, log, document).await?;
    }
    for namespace in 0..NAMESPACES {
        read(store, log, namespace).await?;
    }
    Ok(())
}

async fn get<S: Store + ?Sized>(store: &S, log: &Log, document: usize) -> Result<Option<Tag>> {
    let sent = log.send();
    let found = in_time("a get", places::get(store, document)).await?;
    let tag = found.as_ref().map(|(_, tag)| tag.clone());
    log.answered(sent, Event::Document(document, DocumentOperation::Get(found)));
    Ok(tag)
}

async fn read<S: Store + ?Sized>(store: &S, log: &Log, namespace: usize) -> Result<u64> {
    let sent = log.send();
    let found = in_time("a get", store.namespace(&namespace_key(namespace))).await?;
    let version = found.version();
    let event = NamespaceOperation::Get(version, members(&found));
    log.answered(sent, Event::Namespace(namespace, event));
    Ok(version)
}

impl<S: Store + ?Sized> Client<'_, S> {
    async fn step(&mut self) {
        // Seldom an archive: many would leave the journal little to do, and they have histories of
        // their own.
        let document = match self.random.usize(..12) {
            0 => self.random.usize(ARCHIVES),
            _ => self.random.usize(..ARCHIVES.start),
        };
        let namespace = self.random.usize(..NAMESPACES);
        match self.random.usize(..20) {
            0..2 => {
                if let Ok(tag) = get(self.store, self.log, document).await {
                    self.tags[document] = tag;
                }
            }
            2..7 => self.put(document, Condition::Nothing).await,
            7..10 => {
                let tag = self.tags[document].clone();
                self.put(document, tag.map_or(Condition::Absent, Condition::Matches)).await;
            }
            10 if ARCHIVES.contains(&document) => self.abandon(document).await,
            10 => self.update(document).await,
            11..13 if JOB.contains(&document) => self.delete_job().await,
            11..13 => self.delete(document).await,
            13 if self.random.bool() => self.check().await,
            13 => {
                if let Ok(version) = read(self.store, self.log, namespace).await {
                    self.versions[namespace] = version;
                }
            }
            14..16 => self.patch(namespace, Some(self.versions[namespace])).await,
            _ => self.patch(namespace, None).await,
        }
    }

    async fn step_of_archives(&mut self) {
        let archive = self.random.usize(ARCHIVES);
        match self.random.usize(..20) {
            0..3 => {
                if let Ok(tag) = get(self.store, self.log, archive).await {
                    self.tags[archive] = tag;
                }
            }
            3..8 => self.put(archive, Condition::Nothing).await,
            8..12 => {
                let tag = self.tags[archive].clone();
                self.put(archive, tag.map_or(Condition::Absent, Condition::Matches)).await;
            }
            12..17 => self.delete(archive).await,
            17..19 => self.abandon(archive).await,
            _ => self.put(0, Condition::Nothing).await,
        }
    }

    /// Begins an upload and goes away; nothing is to come of it.
    async fn abandon(&mut self, archive: usize) {
        let write = self.log.next_write();
        let (store, key) = (self.store, archive_key(archive));
        let begin = async move {
            let mut upload = store.upload(&key).await?;
            upload.write(body(write)).await
        };
        if self.random.bool() {
            // The store may have failed, or be full.
            let _ = in_time("an upload", begin).await;
        } else {
            let _ = begin.now_or_never();
        }
    }

    /// Asks whether the store works; the answer is not looked at, as it may have failed.
    async fn check(&mut self) {
        let _ = in_time("a check", self.store.check()).await;
    }

    /// Waits for an answer, or sometimes goes away before it comes.
    async fn ask<T>(&mut self, request: impl Future<Output = Result<T>>) -> Answer<T> {
        if self.random.usize(..25) == 0 {
            return request.now_or_never().map_or(Answer::Unknown, answer);
        }
        answer(in_time("a write", request).await)
    }

    async fn put(&mut self, document: usize, condition: Condition) {
        let write = self.log.next_write();
        let sent = self.log.send();
        let request = places::put(self.store, document, body(write), preconditions(&condition));
        let answer = match self.ask(request).await {
            Answer::Done(put) => Answer::Done(put.tag.opaque().to_owned()),
            Answer::Refused(current) => Answer::Refused(current),
            Answer::Unchanged => Answer::Unchanged,
            Answer::Unknown => Answer::Unknown,
        };
        match &answer {
            Answer::Done(tag) => self.tags[document] = Some(tag.clone()),
            Answer::Refused(current) => self.tags[document] = current.clone(),
            Answer::Unchanged | Answer::Unknown => {}
        }
        let put = DocumentOperation::Put { body: body_name(write), condition, answer };
        self.log.answered(sent, Event::Document(document, put));
    }

    /// Reads and writes in one: a put under the condition of what was read.
    async fn update(&mut self, document: usize) {
        let write = self.log.next_write();
        let sent = self.log.send();
        let key = document_key(document);
        let edit = Box::new(move |_: Option<&Object>| Change::Put(body(write)));
        let request = self.store.update(&key, Preconditions::none(), edit);
        let tag = |object: Option<Arc<Object>>| object.map(|it| it.tag.opaque().to_owned());
        let (condition, answer) = match self.ask(request).await {
            Answer::Done(Updated { before, after }) => {
                let before = tag(before).map_or(Condition::Absent, Condition::Matches);
                (before, tag(after).map_or(Answer::Unknown, Answer::Done))
            }
            Answer::Refused(current) => (Condition::Nothing, Answer::Refused(current)),
            Answer::Unchanged => (Condition::Nothing, Answer::Unchanged),
            Answer::Unknown => (Condition::Nothing, Answer::Unknown),
        };
        let put = DocumentOperation::Put { body: body_name(write), condition, answer };
        self.log.answered(sent, Event::Document(document, put));
    }

    async fn delete(&mut self, document: usize) {
        let condition = match &self.tags[document] {
            Some(tag) if self.random.bool() => Condition::Matches(tag.clone()),
            _ => Condition::Nothing,
        };
        let sent = self.log.send();
        let request = places::delete(self.store, document, preconditions(&condition));
        let answer = self.ask(request).await;
        let delete = DocumentOperation::Delete { condition, answer };
        self.log.answered(sent, Event::Document(document, delete));
    }

    async fn delete_job(&mut self) {
        let condition = match &self.tags[JOB.start] {
            Some(tag) if self.random.bool() => Condition::Matches(tag.clone()),
            _ => Condition::Nothing,
        };
        let sent = self.log.send();
        let job = job();
        let request = self.store.delete_job(&job, preconditions(&condition));
        let answer = self.ask(async { Ok(request.await?.is_some()) }).await;
        self.log.answered(sent, Event::Job { condition, answer });
    }

    async fn patch(&mut self, namespace: usize, version: Option<u64>) {
        let write = self.log.next_write();
        let (operations, changes) = changes(write, &mut self.random);
        let preconditions = match version {
            None => Preconditions::none(),
            Some(version) => Preconditions::matches(&EntityTag::from_version(version)),
        };
        let sent = self.log.send();
        let patch = Patch { preconditions, operations, ..Patch::default() };
        let key = namespace_key(namespace);
        let request = self.store.patch(&key, patch);
        let answer = match self.ask(request).await {
            Answer::Done(patched) => {
                self.versions[namespace] = patched.namespace.version();
                Answer::Done(patched.namespace.version())
            }
            Answer::Refused(current) => Answer::Refused(current),
            Answer::Unchanged => Answer::Unchanged,
            Answer::Unknown => Answer::Unknown,
        };
        let patch = NamespaceOperation::Patch { changes, version, answer };
        self.log.answered(sent, Event::Namespace(namespace, patch));
    }
}
