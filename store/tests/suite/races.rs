//! Many callers at once.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use stowage_store::{Change, Object, Preconditions, Store, StoreError};

use super::{patch, patch_at};
use crate::deadline::in_time;
use crate::keys::{document, namespace, set};

const WRITERS: u64 = 64;

/// Wins that each writer must see; more would add time, not interleavings.
const WINS: u64 = 2;

/// Runs one task for each writer and collects what they return.
async fn writers<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    run: impl Fn(u64) -> F,
) -> Vec<T> {
    let tasks: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(run(writer))).collect();
    let results = in_time("every writer gets through", join_all(tasks)).await;
    results.into_iter().map(|result| result.expect("a writer that does not panic")).collect()
}

pub(crate) async fn of_64_creators_one_wins(store: Arc<dyn Store>) {
    let results = writers(|writer| {
        let store = Arc::clone(&store);
        async move {
            let body = writer.to_string();
            store.put(&document("a"), body.into(), Preconditions::absent()).await
        }
    })
    .await;
    let read = store.get(&document("a")).await.expect("a get").expect("the document");
    let mut winners = Vec::new();
    for (writer, result) in results.into_iter().enumerate() {
        match result {
            Ok(put) => winners.push((writer.to_string(), put.tag)),
            Err(StoreError::PreconditionFailed { current }) => {
                assert_eq!(current, Some(read.tag.clone()), "writer {writer} lost to the winner");
            }
            Err(error) => panic!("writer {writer}: expected a lost race, got {error}"),
        }
    }
    let body = String::from_utf8(read.body.to_vec()).expect("digits");
    assert_eq!(winners, [(body, read.tag.clone())], "the one winner's bytes are there");
}

pub(crate) async fn of_64_deleters_one_wins(store: Arc<dyn Store>) {
    let put = store.put(&document("a"), "1".into(), Preconditions::none()).await.expect("a put");
    let results = writers(|_| {
        let (store, tag) = (Arc::clone(&store), put.tag.clone());
        async move { store.delete(&document("a"), Preconditions::matches(&tag)).await }
    })
    .await;
    let deleted = results.into_iter().filter_map(|result| result.expect("a delete"));
    assert_eq!(deleted.collect::<Vec<_>>(), [put.tag], "one removed it");
    assert_eq!(store.get(&document("a")).await.expect("a get"), None);
}

pub(crate) async fn of_64_writers_each_tells_what_it_replaced(store: Arc<dyn Store>) {
    let puts = writers(|writer| {
        let store = Arc::clone(&store);
        async move {
            let body = writer.to_string();
            store.put(&document("a"), body.into(), Preconditions::none()).await.expect("a put")
        }
    })
    .await;
    let deleted = store.delete(&document("a"), Preconditions::none()).await.expect("a delete");
    // One after the other, from nothing to what was removed.
    let mut after: HashMap<_, _> = puts.into_iter().map(|put| (put.replaced, put.tag)).collect();
    let (mut writes, mut tag) = (0, None);
    while let Some(next) = after.remove(&tag) {
        (writes, tag) = (writes + 1, Some(next));
    }
    assert_eq!((writes, tag), (WRITERS, deleted), "a chain of all writes; left are {after:?}");
}

pub(crate) async fn what_64_writers_were_told_is_in_the_document(store: Arc<dyn Store>) {
    let wins = writers(|writer| {
        let store = Arc::clone(&store);
        async move {
            let mut wins = Vec::new();
            while (wins.len() as u64) < WINS {
                let current = store.get(&document("a")).await.expect("a get");
                let preconditions = current.as_ref().map_or_else(Preconditions::absent, |object| {
                    Preconditions::matches(&object.tag)
                });
                let entry = format!("{writer}.{}\n", wins.len());
                let old = current.map(|object| object.body.to_vec()).unwrap_or_default();
                let body = [&old[..], entry.as_bytes()].concat();
                match store.put(&document("a"), body.into(), preconditions).await {
                    Ok(_) => wins.push(entry),
                    Err(StoreError::PreconditionFailed { .. }) => {}
                    Err(error) => panic!("expected a win or a lost race, got {error}"),
                }
            }
            wins
        }
    })
    .await;
    let read = store.get(&document("a")).await.expect("a get").expect("the document");
    let text = String::from_utf8(read.body.to_vec()).expect("lines");
    let mut found: Vec<&str> = text.split_inclusive('\n').collect();
    let mut acknowledged: Vec<&str> = wins.iter().flatten().map(String::as_str).collect();
    found.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(found, acknowledged, "exactly the acknowledged wins are in it");
}

pub(crate) async fn no_update_of_64_writers_is_lost(store: Arc<dyn Store>) {
    let count = |object: Option<&Object>| -> u64 {
        let text = object.map_or("0", |object| std::str::from_utf8(&object.body).expect("digits"));
        text.parse().expect("a number")
    };
    let results = writers(|_| {
        let store = Arc::clone(&store);
        async move {
            let mut results = Vec::new();
            for _ in 0..WINS {
                let edit = move |object: Option<&Object>| {
                    Change::Put((count(object) + 1).to_string().into())
                };
                let updated =
                    store.update(&document("a"), Preconditions::none(), Box::new(edit)).await;
                let after = updated.expect("an update").after;
                results.push(count(after.as_deref()));
            }
            results
        }
    })
    .await;
    let seen: BTreeSet<u64> = results.into_iter().flatten().collect();
    let expected: BTreeSet<u64> = (1..=WRITERS * WINS).collect();
    assert_eq!(seen, expected, "each update saw the one before");
    let read = store.get(&document("a")).await.expect("a get");
    assert_eq!(count(read.as_deref()), WRITERS * WINS);
}

pub(crate) async fn what_64_writers_were_told_is_in_the_namespace(store: Arc<dyn Store>) {
    let versions = writers(|writer| {
        let store = Arc::clone(&store);
        async move {
            let mut versions = Vec::new();
            while (versions.len() as u64) < WINS {
                let current = store.namespace(&namespace("a")).await.expect("the namespace");
                let key = format!("{writer}.{}", versions.len());
                let operations = vec![set(&key, "1")];
                let patch = patch_at(current.version(), operations);
                match store.patch(&namespace("a"), patch).await {
                    Ok(patched) => versions.push((key, patched.namespace.version())),
                    Err(StoreError::PreconditionFailed { current: Some(_) }) => {}
                    Err(error) => panic!("expected a win or a lost race, got {error}"),
                }
            }
            versions
        }
    })
    .await;
    let read = store.namespace(&namespace("a")).await.expect("the namespace");
    assert_eq!(read.version(), WRITERS * WINS, "one version for each win");
    assert_eq!(read.len() as u64, WRITERS * WINS);
    let mut seen = BTreeSet::new();
    for (key, version) in versions.into_iter().flatten() {
        assert!(read.get(&key).is_some(), "the acknowledged {key} is in it");
        assert!(seen.insert(version), "version {version} was given out once");
    }
}

pub(crate) async fn readers_see_one_whole_state_after_the_other(store: Arc<dyn Store>) {
    const REPLACEMENTS: u64 = 100;
    // A state is its number, repeated: a mixture of two would show.
    let body = |number: u64| format!("{number:016}").repeat(4_096);
    store.put(&document("a"), body(0).into(), Preconditions::none()).await.expect("a put");
    let pair = |number: u64| vec![set("x", &number.to_string()), set("y", &number.to_string())];
    store.patch(&namespace("a"), patch(pair(0))).await.expect("a patch");

    let acknowledged = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut last = 0;
                while last < REPLACEMENTS {
                    let at_least = last.max(acknowledged.load(Ordering::SeqCst));
                    let read =
                        store.get(&document("a")).await.expect("a get").expect("it is there");
                    let text = std::str::from_utf8(&read.body).expect("digits");
                    let number: u64 = text[..16].parse().expect("a number");
                    assert!(text == body(number), "a mixture that begins with {number}");
                    assert!(number >= at_least, "{number} was read after {at_least}");
                    let read = store.namespace(&namespace("a")).await.expect("the namespace");
                    assert_eq!(read.get("x"), read.get("y"), "a mixture");
                    assert!(read.version() > at_least, "{} after {at_least}", read.version());
                    last = number;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 1..=REPLACEMENTS {
        store.patch(&namespace("a"), patch(pair(number))).await.expect("a patch");
        store.put(&document("a"), body(number).into(), Preconditions::none()).await.expect("a put");
        acknowledged.store(number, Ordering::SeqCst);
    }
    for reader in in_time("every reader sees the last state", join_all(readers)).await {
        reader.expect("a reader that saw nothing wrong");
    }
}
