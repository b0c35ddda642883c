//! History: the last versions, as they were.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fastrand::Rng;
use stowage_store::{
    Change, EntityTag, Kept, Key, Name, NameKind, Operation, Patch, Preconditions, Store, Version,
};

use super::patch;
use crate::VERSIONS;
use crate::deadline::in_time;
use crate::keys::{document, namespace, set};

fn author(name: &str) -> Option<Arc<str>> {
    Some(name.into())
}

fn by(name: &str, operations: Vec<Operation>) -> Patch {
    Patch { operations, author: author(name), ..Patch::default() }
}

fn clear() -> Patch {
    Patch { forgets_history: true, ..by("cleaner", vec![Operation::Clear]) }
}

/// Tag and author of each.
fn told(versions: &[Version]) -> Vec<(String, Option<&str>)> {
    versions.iter().map(|it| (it.tag.opaque().to_string(), it.author.as_deref())).collect()
}

fn numbered<'a>(versions: &[(u64, Option<&'a str>)]) -> Vec<(String, Option<&'a str>)> {
    versions.iter().map(|(version, author)| (version.to_string(), *author)).collect()
}

async fn snapshot(store: &dyn Store, version: u64) -> Option<String> {
    let namespace = store.namespace_version(&namespace("n"), version).await.expect("a look");
    namespace.map(|it| {
        assert_eq!(it.version(), version);
        String::from_utf8(it.snapshot().to_vec()).expect("text")
    })
}

pub(crate) async fn the_last_versions_of_a_namespace_are_kept(store: Arc<dyn Store>) {
    let key = namespace("n");
    assert_eq!(store.history_length(), VERSIONS);
    assert_eq!(told(&store.namespace_history(&key).await.expect("a history")), []);
    for version in 1..=6 {
        let operations = match version {
            5 => vec![Operation::Clear],
            _ => vec![set(&format!("k{version}"), &version.to_string())],
        };
        let name = format!("token-{version}");
        store.patch(&key, by(&name, operations)).await.expect("a patch");
    }
    let versions = store.namespace_history(&key).await.expect("a history");
    let expected =
        [(6, Some("token-6")), (5, Some("token-5")), (4, Some("token-4")), (3, Some("token-3"))];
    assert_eq!(told(&versions), numbered(&expected), "the last first");
    assert!(versions.iter().all(|version| version.time.is_some()), "{versions:?}");
    let expected = [
        (0, None),
        (2, None),
        (3, Some(r#"{"k1":1,"k2":2,"k3":3}"#)),
        (4, Some(r#"{"k1":1,"k2":2,"k3":3,"k4":4}"#)),
        (5, Some("{}")),
        (6, Some(r#"{"k6":6}"#)),
        (7, None),
    ];
    for (version, expected) in expected {
        assert_eq!(snapshot(&*store, version).await.as_deref(), expected, "version {version}");
    }
}

pub(crate) async fn the_last_versions_of_a_document_are_kept(store: Arc<dyn Store>) {
    let key = document("d");
    let none = Preconditions::none;
    assert_eq!(told(&store.history(&key).await.expect("a history")), []);
    let mut tags = Vec::new();
    for number in 1..=6 {
        let put = store.put_by(&key, number.to_string().into(), none(), author("ci"));
        tags.push(put.await.expect("a put").tag);
    }
    tags.push(store.put(&key, "nobody's".into(), none()).await.expect("a put").tag);
    let versions = store.history(&key).await.expect("a history");
    let found: Vec<_> = versions.iter().map(|it| (it.tag.clone(), it.author.clone())).collect();
    let expected = [None, author("ci"), author("ci"), author("ci")];
    let expected: Vec<_> = tags.iter().rev().cloned().zip(expected).collect();
    assert_eq!(found, expected);
    for (version, body) in versions.iter().zip(["nobody's", "6", "5", "4"]) {
        let object = store.version(&key, version).await.expect("a look").expect("it is kept");
        assert_eq!((&*object.body, &object.tag), (body.as_bytes(), &version.tag));
        assert_eq!(Some(object.modified), version.time);
    }
}

pub(crate) async fn what_ends_a_history_leaves_nothing_of_it(store: Arc<dyn Store>) {
    let (key, of_namespace) = (document("d"), namespace("n"));
    for round in 0..3 {
        for number in 0..2 {
            let body = Bytes::from(format!("{round}-{number}"));
            store.put(&key, body, Preconditions::none()).await.expect("a put");
        }
        assert_eq!(store.history(&key).await.expect("a history").len(), 2, "since the last delete");
        assert!(store.delete(&key, Preconditions::none()).await.expect("a delete").is_some());
        assert_eq!(told(&store.history(&key).await.expect("a history")), []);

        let first = 1 + round * 3;
        for number in first..first + 2 {
            let operations = vec![set("k", &number.to_string())];
            store.patch(&of_namespace, by("w", operations)).await.expect("a patch");
        }
        store.patch(&of_namespace, clear()).await.expect("a clear");
        let cleared = first + 2;
        let versions = store.namespace_history(&of_namespace).await.expect("a history");
        assert_eq!(told(&versions), numbered(&[(cleared, Some("cleaner"))]));
        for gone in 1..cleared {
            assert_eq!(snapshot(&*store, gone).await, None, "{gone} is gone");
        }
        assert_eq!(snapshot(&*store, cleared).await.as_deref(), Some("{}"));
    }
}

pub(crate) async fn a_history_tells_what_led_from_one_version_to_the_next(store: Arc<dyn Store>) {
    let key = namespace("n");
    let operations = |version: u64| vec![set(&format!("k{version}"), "1")];
    for version in 1..=6 {
        store.patch(&key, patch(operations(version))).await.expect("a patch");
    }
    let changes = async |after, up_to, bytes| {
        store.namespace_changes(&key, after, up_to, bytes).await.expect("a look")
    };
    let kept = |versions: std::ops::RangeInclusive<u64>| {
        let kept = versions.map(|version| Kept { version, operations: operations(version) });
        Some(kept.collect::<Vec<_>>())
    };
    assert_eq!(changes(3, 6, u64::MAX).await, kept(4..=6));
    assert_eq!(changes(4, 5, u64::MAX).await, kept(5..=5));
    assert_eq!(changes(6, 6, u64::MAX).await, Some(Vec::new()));
    assert_eq!(changes(3, 6, 1).await, kept(4..=4), "one at least");
    assert_eq!(changes(2, 6, u64::MAX).await.map(|_| ()), None, "2 is not kept");
    assert_eq!(changes(6, 7, u64::MAX).await, None, "7 is yet to come");
    assert_eq!(changes(5, 4, u64::MAX).await, None);
    store.patch(&key, clear()).await.expect("a clear");
    assert_eq!(changes(6, 7, u64::MAX).await, None, "what was before is gone");
}

pub(crate) async fn an_update_is_told_with_its_author(store: Arc<dyn Store>) {
    let key = Key::runtime_set(
        &Name::parse(NameKind::Repository, "a/b").expect("a name"),
        &Name::parse(NameKind::Branch, "main").expect("a name"),
    );
    for body in ["1", "2"] {
        let edit = Box::new(move |_: Option<&_>| Change::Put(body.into()));
        let updated = store.update_by(&key, Preconditions::none(), edit, author(body)).await;
        updated.expect("an update");
    }
    let keep = Box::new(|_: Option<&_>| Change::Keep);
    store.update_by(&key, Preconditions::none(), keep, author("x")).await.expect("nothing");
    let versions = store.history(&key).await.expect("a history");
    let authors: Vec<_> = versions.iter().map(|it| it.author.as_deref()).collect();
    assert_eq!(authors, [Some("2"), Some("1")]);
    let delete = Box::new(|_: Option<&_>| Change::Delete);
    store.update_by(&key, Preconditions::none(), delete, author("x")).await.expect("a delete");
    assert_eq!(told(&store.history(&key).await.expect("a history")), []);
}

pub(crate) async fn what_is_no_document_of_a_client_has_no_history(store: Arc<dyn Store>) {
    let job = Name::parse(NameKind::Job, "j").expect("a name");
    let job = Key::job(&(&job).into());
    let site = Name::parse(NameKind::Site, "s").expect("a name");
    let build = Name::parse(NameKind::Build, "b").expect("a name");
    for key in [job, Key::build_log(&site, &build)] {
        for body in ["1", "2"] {
            store.put(&key, body.into(), Preconditions::none()).await.expect("a put");
        }
        assert_eq!(told(&store.history(&key).await.expect("a history")), [], "{key}");
    }
}

pub(crate) async fn readers_of_a_history_see_versions_as_they_were(store: Arc<dyn Store>) {
    let (key, of_document) = (namespace("n"), document("d"));
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut seen = 0;
                while seen == 0 || !is_over.load(Ordering::Relaxed) {
                    for version in store.namespace_history(&namespace("n")).await.expect("a look") {
                        let number = version.tag.opaque().to_string().parse().expect("a number");
                        if let Some(found) = snapshot(&*store, number).await {
                            assert_eq!(found, format!(r#"{{"k":{number}}}"#));
                            seen += 1;
                        }
                    }
                    for version in store.history(&document("d")).await.expect("a look") {
                        let key = document("d");
                        let object = store.version(&key, &version).await.expect("a look");
                        let Some(object) = object else { continue };
                        let expected = version.author.as_deref().expect("an author");
                        assert_eq!(object.body, expected.as_bytes());
                        seen += 1;
                    }
                    tokio::task::yield_now().await;
                }
                seen
            })
        })
        .collect();
    for number in 1..=150 {
        let text = number.to_string();
        store.patch(&key, patch(vec![set("k", &text)])).await.expect("a patch");
        let by = author(&text);
        store.put_by(&of_document, text.into(), Preconditions::none(), by).await.expect("a put");
    }
    is_over.store(true, Ordering::Relaxed);
    for reader in readers {
        let seen = in_time("what a reader has seen", reader).await.expect("a reader");
        assert!(seen > 0);
    }
}

pub(crate) async fn a_history_agrees_with_a_model(store: Arc<dyn Store>) {
    let mut random = Rng::with_seed(7);
    let (key, of_document) = (namespace("n"), document("d"));
    // Version and snapshot; tag and body.
    let mut versions: VecDeque<(u64, Bytes)> = VecDeque::new();
    let mut documents: VecDeque<(EntityTag, Bytes)> = VecDeque::new();
    for step in 0..200 {
        match random.usize(..10) {
            0 if !versions.is_empty() => {
                let patched = store.patch(&key, clear()).await.expect("a clear");
                versions.clear();
                versions.push_back((patched.namespace.version(), patched.namespace.snapshot()));
            }
            1 => {
                store.delete(&of_document, Preconditions::none()).await.expect("a delete");
                documents.clear();
            }
            2..6 => {
                let member = format!("k{}", random.usize(..5));
                let operation = match random.usize(..6) {
                    0 => Operation::Clear,
                    _ => set(&member, &step.to_string()),
                };
                let patched = store.patch(&key, patch(vec![operation])).await.expect("a patch");
                versions.push_back((patched.namespace.version(), patched.namespace.snapshot()));
            }
            _ => {
                let body = Bytes::from("x".repeat(random.usize(..2_000)));
                let put = store.put(&of_document, body.clone(), Preconditions::none()).await;
                documents.push_back((put.expect("a put").tag, body));
            }
        }
        versions.drain(..versions.len().saturating_sub(VERSIONS));
        documents.drain(..documents.len().saturating_sub(VERSIONS));
        let found = store.namespace_history(&key).await.expect("a history");
        let found: Vec<_> = found.iter().map(|it| it.tag.opaque().to_string()).collect();
        let expected: Vec<_> = versions.iter().rev().map(|it| it.0.to_string()).collect();
        assert_eq!(found, expected, "step {step}");
        for (version, expected) in &versions {
            let found = snapshot(&*store, *version).await;
            assert_eq!(found.map(Bytes::from).as_ref(), Some(expected), "step {step}");
        }
        let found = store.history(&of_document).await.expect("a history");
        assert_eq!(found.len(), documents.len(), "step {step}");
        for (version, (tag, body)) in found.iter().zip(documents.iter().rev()) {
            assert_eq!(&version.tag, tag, "step {step}");
            let object = store.version(&of_document, version).await.expect("a look");
            assert_eq!(object.map(|it| it.body.clone()).as_ref(), Some(body), "step {step}");
        }
    }
}
