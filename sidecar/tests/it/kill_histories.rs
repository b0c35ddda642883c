//! SIGKILL under load from several clients: what all of them saw, before and after every kill,
//! is what one document or one namespace can do (`linearizability.rs`).
//!
//! 50 kills, or 1,000 with `STOWAGE_LONG=1`.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::contracts::{
    Answer, Change, Condition, Document, DocumentOperation, Members, Namespace, NamespaceOperation,
    Tag, Tags,
};
use super::harness::{ADMIN, eventually};
use super::linearizability::{Model, Span, check};
use super::process::Place;

const DOCUMENTS: usize = 3;
const NAMESPACES: usize = 2;
const MEMBERS: u32 = 4;
const CLIENTS: usize = 8;
/// The end of a write that is under way still.
const OPEN: u64 = u64::MAX;

/// What all clients saw since the last start.
#[derive(Default)]
struct History {
    documents: [Vec<Span<DocumentOperation>>; DOCUMENTS],
    namespaces: [Vec<Span<NamespaceOperation>>; NAMESPACES],
}

/// What the clients of one server share.
struct Shared {
    http: Client,
    address: SocketAddr,
    ticks: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
    acknowledged: AtomicU64,
    history: Mutex<History>,
}

/// The server is gone.
struct Gone;

/// A write's content: long enough that half of it would show.
fn content(write: u64) -> Value {
    json!({"n": write, "padding": "x".repeat(usize::try_from(write * 7_919 % 3_000).expect("small")), "end": write})
}

fn name(found: &Value) -> String {
    match found["n"].as_u64() {
        Some(write) if *found == content(write) => format!("w{write}"),
        _ => format!("DAMAGED: {}", found.to_string().chars().take(200).collect::<String>()),
    }
}

fn tag(answer: &Response) -> Option<Tag> {
    let tag = answer.headers().get(ETAG)?.to_str().expect("a tag is text");
    Some(tag.trim_matches('"').to_owned())
}

impl Shared {
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    fn next_write(&self) -> u64 {
        self.writes.fetch_add(1, Ordering::Relaxed)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Gone> {
        request.bearer_auth(ADMIN).send().await.map_err(|_| Gone)
    }

    fn record(&self, add: impl FnOnce(&mut History)) {
        add(&mut self.history.lock().expect("no panic while it is held"));
    }

    fn document(&self, document: usize) -> String {
        format!("http://{}/run-stores/{document}", self.address)
    }

    fn namespace(&self, namespace: usize) -> String {
        format!("http://{}/api/storage?ns=n{namespace}", self.address)
    }

    async fn get(&self, document: usize) -> Result<Option<Tag>, Gone> {
        let call = self.tick();
        let answer = self.send(self.http.get(self.document(document))).await?;
        let seen = match (answer.status(), tag(&answer)) {
            (StatusCode::NOT_FOUND, _) => None,
            (StatusCode::OK, Some(tag)) => {
                let body: Value = answer.json().await.map_err(|_| Gone)?;
                Some((name(&body), tag))
            }
            (status, tag) => panic!("GET of document {document}: {status}, {tag:?}"),
        };
        let tag = seen.as_ref().map(|(_, tag)| tag.clone());
        let (end, operation) = (self.tick(), DocumentOperation::Get(seen));
        self.record(|h| h.documents[document].push(Span { call, end, operation }));
        Ok(tag)
    }

    /// A write under a condition; 2xx is read by `done`.
    async fn write<T>(
        &self,
        request: RequestBuilder,
        condition: &Condition,
        done: impl AsyncFnOnce(Response) -> Result<Answer<T>, Gone>,
    ) -> Result<Answer<T>, Gone> {
        let request = match condition {
            Condition::Nothing => request,
            Condition::Absent => request.header(IF_NONE_MATCH, "*"),
            Condition::Matches(tag) => request.header(IF_MATCH, format!("\"{tag}\"")),
        };
        let answer = self.send(request).await?;
        match answer.status() {
            StatusCode::PRECONDITION_FAILED => Ok(Answer::Refused(tag(&answer))),
            StatusCode::SERVICE_UNAVAILABLE => Ok(Answer::Unchanged),
            _ => {
                let answer = done(answer).await?;
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                Ok(answer)
            }
        }
    }

    /// The answer to record, its end, and whether the server is gone.
    fn outcome<T>(&self, answer: Result<Answer<T>, Gone>) -> (Answer<T>, u64, Result<(), Gone>) {
        match answer {
            Ok(answer) => (answer, self.tick(), Ok(())),
            Err(Gone) => (Answer::Unknown, OPEN, Err(Gone)),
        }
    }

    async fn put(&self, document: usize, condition: Condition) -> Result<Option<Tag>, Gone> {
        let write = self.next_write();
        let call = self.tick();
        let request = self.http.put(self.document(document)).json(&content(write));
        let answer = self.write(request, &condition, async |answer| match answer.status() {
            StatusCode::OK => Ok(Answer::Done(tag(&answer).expect("a PUT is answered by a tag"))),
            status => panic!("PUT of document {document}: {status}"),
        });
        let (answer, end, gone) = self.outcome(answer.await);
        let known = match &answer {
            Answer::Done(tag) => Some(tag.clone()),
            Answer::Refused(current) => current.clone(),
            Answer::Unchanged | Answer::Unknown => None,
        };
        let operation = DocumentOperation::Put { body: format!("w{write}"), condition, answer };
        self.record(|h| h.documents[document].push(Span { call, end, operation }));
        gone.map(|()| known)
    }

    async fn delete(&self, document: usize, condition: Condition) -> Result<(), Gone> {
        let call = self.tick();
        let request = self.http.delete(self.document(document));
        let answer = self.write(request, &condition, async |answer| match answer.status() {
            StatusCode::NO_CONTENT => Ok(Answer::Done(true)),
            StatusCode::NOT_FOUND => Ok(Answer::Done(false)),
            status => panic!("DELETE of document {document}: {status}"),
        });
        let (answer, end, gone) = self.outcome(answer.await);
        let operation = DocumentOperation::Delete { condition, answer };
        self.record(|h| h.documents[document].push(Span { call, end, operation }));
        gone
    }

    async fn read(&self, namespace: usize) -> Result<u64, Gone> {
        let call = self.tick();
        let answer = self.send(self.http.get(self.namespace(namespace))).await?;
        assert_eq!(answer.status(), StatusCode::OK, "GET of namespace {namespace}");
        let version = tag(&answer).and_then(|tag| tag.parse().ok()).expect("a version");
        let found: Value = answer.json().await.map_err(|_| Gone)?;
        let found = found.as_object().expect("a snapshot");
        let members: Members =
            found.iter().map(|(key, value)| (key.clone(), name(value))).collect();
        let (end, operation) = (self.tick(), NamespaceOperation::Get(version, members));
        self.record(|h| h.namespaces[namespace].push(Span { call, end, operation }));
        Ok(version)
    }

    async fn patch(
        &self,
        namespace: usize,
        version: Option<u64>,
        random: &mut fastrand::Rng,
    ) -> Result<(), Gone> {
        let write = self.next_write();
        let mut changes = Vec::new();
        let mut operations = Vec::new();
        for _ in 0..1 + random.usize(..3) {
            let key = format!("k{}", random.u32(..MEMBERS));
            match random.u32(..8) {
                0 => {
                    operations.push(json!({"op": "clear"}));
                    changes.push(Change::Clear);
                }
                1..3 => {
                    operations.push(json!({"op": "del", "key": key}));
                    changes.push(Change::Delete(key));
                }
                _ => {
                    operations.push(json!({"op": "set", "key": key, "value": content(write)}));
                    changes.push(Change::Set(key, format!("w{write}")));
                }
            }
        }
        let request = self
            .http
            .patch(self.namespace(namespace))
            .header("X-Thesara-App-Id", "kill")
            .json(&operations);
        let (request, condition) = match version {
            None => (request.header(IF_MATCH, "*"), Condition::Nothing),
            Some(version) => (request, Condition::Matches(version.to_string())),
        };
        let call = self.tick();
        let answer = self.write(request, &condition, async |answer| match answer.status() {
            StatusCode::OK | StatusCode::CREATED => {
                let body: Value = answer.json().await.map_err(|_| Gone)?;
                let version = body["version"].as_str().and_then(|version| version.parse().ok());
                Ok(Answer::Done(version.expect("a PATCH is answered by a version")))
            }
            status => panic!("PATCH of namespace {namespace}: {status}"),
        });
        let (answer, end, gone) = self.outcome(answer.await);
        let operation = NamespaceOperation::Patch { changes, version, answer };
        self.record(|h| h.namespaces[namespace].push(Span { call, end, operation }));
        gone
    }

    /// One client, until the server is gone.
    async fn client(&self, mut random: fastrand::Rng) -> Gone {
        let mut tags: [Option<Tag>; DOCUMENTS] = Default::default();
        let mut versions = [0; NAMESPACES];
        loop {
            let document = random.usize(..DOCUMENTS);
            let namespace = random.usize(..NAMESPACES);
            let known = tags[document].clone().map_or(Condition::Absent, Condition::Matches);
            let done = match random.u32(..20) {
                0..3 => self.get(document).await.map(|tag| tags[document] = tag),
                3..6 => {
                    self.put(document, Condition::Nothing).await.map(|tag| tags[document] = tag)
                }
                6..11 => self.put(document, known).await.map(|tag| tags[document] = tag),
                11 => self.delete(document, Condition::Nothing).await,
                12 => {
                    let condition =
                        tags[document].clone().map_or(Condition::Nothing, Condition::Matches);
                    self.delete(document, condition).await
                }
                13..15 => self.read(namespace).await.map(|version| versions[namespace] = version),
                15..17 => self.patch(namespace, Some(versions[namespace]), &mut random).await,
                _ => self.patch(namespace, None, &mut random).await,
            };
            if let Err(gone) = done {
                return gone;
            }
        }
    }
}

/// Goes on from the states that a thing may be in, through what clients saw of it.
fn go_on<M: Model>(
    what: &str,
    model: &M,
    states: &mut BTreeSet<M::State>,
    history: &[Span<M::Operation>],
) where
    M::Operation: Debug,
{
    *states = check(model, states.clone(), history)
        .unwrap_or_else(|violation| panic!("{what}: {violation}"));
}

fn kills() -> u64 {
    if std::env::var_os("STOWAGE_LONG").is_some_and(|value| value == "1") { 1_000 } else { 50 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_see_across_kills_is_linearizable() {
    let place = Place::new();
    let mut documents: [_; DOCUMENTS] = std::array::from_fn(|_| BTreeSet::from([None]));
    let mut namespaces: [_; NAMESPACES] =
        std::array::from_fn(|_| BTreeSet::from([(0, Members::new())]));
    let mut tags: [Tags; DOCUMENTS] = Default::default();
    let (ticks, writes) = (Arc::default(), Arc::new(AtomicU64::new(1)));
    let (mut total, mut seen, kills) = (0, 0, kills());
    for kill in 0..=kills {
        let process = place.start().await;
        let shared = Arc::new(Shared {
            http: Client::new(),
            address: process.address,
            ticks: Arc::clone(&ticks),
            writes: Arc::clone(&writes),
            acknowledged: AtomicU64::new(0),
            history: Mutex::default(),
        });
        // Everything is seen at once after a start, so that what a kill lost is not covered up.
        for document in 0..DOCUMENTS {
            assert!(shared.get(document).await.is_ok(), "kill {kill}: a GET after the start");
        }
        for namespace in 0..NAMESPACES {
            assert!(shared.read(namespace).await.is_ok(), "kill {kill}: a GET after the start");
        }
        if kill < kills {
            let mut clients = JoinSet::new();
            for _ in 0..CLIENTS {
                let shared = Arc::clone(&shared);
                clients.spawn(async move { shared.client(fastrand::Rng::new()).await });
            }
            // Each kill comes at another point of the stream of writes.
            let wanted = fastrand::u64(1..120);
            eventually("some writes are acknowledged", async || {
                (shared.acknowledged.load(Ordering::Relaxed) >= wanted).then_some(())
            })
            .await;
            process.kill().await;
            while let Some(ended) = clients.join_next().await {
                let Gone = ended.expect("a client ends well");
            }
        } else {
            process.kill().await;
        }
        let gone = shared.tick();
        total += shared.acknowledged.load(Ordering::Relaxed);
        let mut history = std::mem::take(&mut *shared.history.lock().expect("nobody panicked"));
        seen += history.documents.iter().map(Vec::len).sum::<usize>();
        seen += history.namespaces.iter().map(Vec::len).sum::<usize>();
        for (i, history) in history.documents.iter_mut().enumerate() {
            history.iter_mut().for_each(|span| span.end = span.end.min(gone));
            let what = format!("document {i} by kill {kill}");
            go_on(&what, &Document, &mut documents[i], history);
            let known = tags[i].take_in(history.iter().map(|span| &span.operation));
            known.unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        for (i, history) in history.namespaces.iter_mut().enumerate() {
            history.iter_mut().for_each(|span| span.end = span.end.min(gone));
            let what = format!("namespace {i} by kill {kill}");
            go_on(&what, &Namespace, &mut namespaces[i], history);
        }
    }
    println!("{kills} kills, {total} acknowledged writes, {seen} operations checked");
    assert!(total > 10 * kills, "the clients did write: {total} in {kills} kills");
}
