//! Watching: what stands there, then every durable change, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::join_all;
use stowage_store::{
    Changed, Changes, Ended, EntityTag, Namespace, Object, Operation, Preconditions, Store, What,
};

use tokio::runtime::Handle;

use super::patch;
use crate::deadline::in_time;
use crate::keys::{document, namespace, set};

async fn next(changes: &mut Changes) -> Arc<Changed> {
    in_time("a change", changes.next()).await.expect("a watch that goes on")
}

/// The document of a change, as its tag and its text.
fn text(object: Option<&Arc<Object>>) -> Option<(EntityTag, String)> {
    object.map(|it| (it.tag.clone(), String::from_utf8(it.body.to_vec()).expect("text")))
}

fn document_of(changed: &Changed) -> Option<&Arc<Object>> {
    match &changed.what {
        What::Document(document) => document.as_ref(),
        What::Namespace { .. } => panic!("expected a document, got {changed:?}"),
    }
}

fn patch_of(changed: &Changed) -> (u64, &[Operation]) {
    match &changed.what {
        What::Namespace { version, operations, .. } => (*version, operations),
        What::Document(_) => panic!("expected a patch, got {changed:?}"),
    }
}

pub(crate) async fn a_watch_begins_with_what_stands_there_and_gets_every_change(
    store: Arc<dyn Store>,
) {
    let none = Preconditions::none;
    let (nothing, mut from_nothing) = store.watch(&document("a")).await.expect("a watch");
    assert_eq!(nothing, None);
    let first = store.put(&document("a"), "1".into(), none()).await.expect("a put").tag;
    let (object, mut from_first) = store.watch(&document("a")).await.expect("a watch");
    assert_eq!(text(object.as_ref()), Some((first.clone(), "1".into())));
    store.put(&document("other"), "x".into(), none()).await.expect("a put of another");
    let second = store.put(&document("a"), "2".into(), none()).await.expect("a put").tag;
    assert!(store.delete(&document("a"), none()).await.expect("a delete").is_some());
    let third = store.put(&document("a"), "2".into(), none()).await.expect("a put").tag;

    let later = [Some((second, "2".to_owned())), None, Some((third, "2".to_owned()))];
    let all: Vec<_> = [Some((first, "1".to_owned()))].into_iter().chain(later.clone()).collect();
    for (changes, expected) in [(&mut from_nothing, &all[..]), (&mut from_first, &later[..])] {
        for expected in expected {
            assert_eq!(&text(document_of(&*next(changes).await)), expected);
        }
        assert!(changes.next().now_or_never().is_none(), "nothing else has happened");
    }
}

pub(crate) async fn a_watched_namespace_tells_its_operations(store: Arc<dyn Store>) {
    let key = namespace("a");
    store.patch(&key, patch(vec![set("k", "0")])).await.expect("a patch");
    let (state, mut changes) = store.watch_namespace(&key).await.expect("a watch");
    assert_eq!(state, store.namespace(&key).await.expect("the namespace"));
    let patches = [vec![set("k", "1"), set("l", "2")], vec![], vec![Operation::Clear]];
    for operations in &patches {
        store.patch(&key, patch(operations.clone())).await.expect("a patch");
    }
    store.patch(&namespace("other"), patch(vec![])).await.expect("a patch of another");
    for (i, operations) in patches.iter().enumerate() {
        let changed = next(&mut changes).await;
        assert_eq!(patch_of(&changed), (i as u64 + 2, &operations[..]));
    }
    assert!(changes.next().now_or_never().is_none(), "nothing else has happened");
}

pub(crate) async fn watchers_see_every_version_once_and_in_order(store: Arc<dyn Store>) {
    const WRITERS: u64 = 8;
    const PATCHES: u64 = 40;
    const VERSIONS: u64 = WRITERS * PATCHES;
    let key = namespace("a");
    let writers = (0..WRITERS).map(|writer| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move {
            for i in 0..PATCHES {
                let operations = vec![set(&format!("{writer}"), &i.to_string())];
                store.patch(&key, patch(operations)).await.expect("a patch");
            }
        })
    });
    // They begin at any moment of that.
    let watchers = (0..16).map(|watcher| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move {
            while store.namespace(&key).await.expect("it").version() < watcher * VERSIONS / 20 {
                tokio::task::yield_now().await;
            }
            let (state, mut changes) = store.watch_namespace(&key).await.expect("a watch");
            let mut followed = Namespace::clone(&state);
            while followed.version() < VERSIONS {
                let changed = next(&mut changes).await;
                let (version, operations) = patch_of(&changed);
                assert_eq!(version, followed.version() + 1, "each version once and in order");
                followed = followed.next(operations).expect("a next version");
            }
            followed
        })
    });
    let (writers, watchers): (Vec<_>, Vec<_>) = (writers.collect(), watchers.collect());
    for writer in in_time("every writer gets through", join_all(writers)).await {
        writer.expect("a writer that does not panic");
    }
    let end = store.namespace(&key).await.expect("the namespace");
    for watcher in in_time("every watcher gets through", join_all(watchers)).await {
        assert_eq!(watcher.expect("a watcher that saw nothing wrong"), *end);
    }
}

pub(crate) async fn what_a_watcher_is_told_is_what_readers_get(store: Arc<dyn Store>) {
    const WRITES: u64 = 200;
    let is_over = Arc::new(AtomicBool::new(false));
    let watchers: Vec<_> = (0..4)
        .map(|_| {
            let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut seen = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let (start, mut changes) = store.watch(&document("a")).await.expect("a watch");
                    let number = |object: Option<&Arc<Object>>| {
                        object
                            .map_or(0, |it| String::from_utf8_lossy(&it.body).parse().unwrap_or(0))
                    };
                    let mut last: u64 = number(start.as_ref());
                    while last < WRITES && seen % 7 != 6 {
                        let told = number(document_of(&*next(&mut changes).await));
                        assert_eq!(told, last + 1, "the next write");
                        let read = store.get(&document("a")).await.expect("a get");
                        assert!(number(read.as_ref()) >= told, "told before it could be read");
                        last = told;
                        seen += 1;
                    }
                    seen += 1;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 1..=WRITES {
        let body = number.to_string().into();
        store.put(&document("a"), body, Preconditions::none()).await.expect("a put");
    }
    is_over.store(true, Ordering::SeqCst);
    for watcher in in_time("every watcher gets through", join_all(watchers)).await {
        watcher.expect("a watcher that saw nothing wrong");
    }
}

/// Nobody is woken here: who watches looks all the time, and so is told of a change in the very moment
/// in which it can be.
pub(crate) async fn what_is_told_before_anybody_is_woken_is_what_readers_get(
    store: Arc<dyn Store>,
) {
    const WRITERS: u64 = 4;
    // All of them together fit the ring, however slow somebody is.
    const PATCHES: u64 = 200;
    let key = namespace("a");
    let is_over = Arc::new(AtomicBool::new(false));
    let mut watchers = Vec::new();
    for _ in 0..3 {
        let (_, mut changes) = store.watch_namespace(&key).await.expect("a watch");
        let (store, key, is_over) = (Arc::clone(&store), key.clone(), Arc::clone(&is_over));
        let runtime = Handle::current();
        watchers.push(std::thread::spawn(move || {
            let mut told = 0;
            while told < WRITERS * PATCHES && !is_over.load(Ordering::SeqCst) {
                let Some(changed) = changes.next().now_or_never() else {
                    std::hint::spin_loop();
                    continue;
                };
                told = patch_of(&changed.expect("a watch that goes on")).0;
                // What is in memory is there without waiting.
                let read = store.namespace(&key).now_or_never();
                let read = read.unwrap_or_else(|| runtime.block_on(store.namespace(&key)));
                let read = read.expect("the namespace").version();
                assert!(read >= told, "version {told} was told, and then {read} was read");
            }
        }));
    }
    let writers = (0..WRITERS).map(|writer| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move {
            for i in 0..PATCHES {
                let operations = vec![set(&writer.to_string(), &i.to_string())];
                store.patch(&key, patch(operations)).await.expect("a patch");
            }
        })
    });
    let written = in_time("every writer gets through", join_all(writers)).await;
    is_over.store(true, Ordering::SeqCst);
    for watcher in watchers {
        watcher.join().expect("a watcher that saw nothing wrong");
    }
    for writer in written {
        writer.expect("a writer that does not panic");
    }
}

pub(crate) async fn a_watch_goes_on_after_what_was_seen(store: Arc<dyn Store>) {
    let key = namespace("a");
    let (_, mut changes) = store.watch_namespace(&key).await.expect("a watch");
    for i in 0..4 {
        store.patch(&key, patch(vec![set("k", &i.to_string())])).await.expect("a patch");
    }
    next(&mut changes).await;
    next(&mut changes).await;
    // Its connection breaks, and more happens before it is back.
    drop(changes);
    store.patch(&key, patch(vec![set("k", "4")])).await.expect("a patch");
    let (state, mut changes) = store.watch_namespace(&key).await.expect("a watch");
    assert_eq!(state.version(), 5);
    assert!(!changes.resume_after(|it| patch_of(it).0 == 9), "version 9 has never been");
    assert!(changes.resume_after(|it| patch_of(it).0 == 2), "version 2 is kept");
    for version in 3..=5 {
        assert_eq!(patch_of(&*next(&mut changes).await).0, version);
    }
    assert!(changes.resume_after(|it| patch_of(it).0 == 5), "nothing came after the last");
    assert!(changes.next().now_or_never().is_none());
}

pub(crate) async fn a_watcher_that_is_too_slow_is_told_so(store: Arc<dyn Store>) {
    let (_, mut slow) = store.watch(&document("a")).await.expect("a watch");
    let (_, mut quick) = store.watch(&document("a")).await.expect("a watch");
    let (_, mut other) = store.watch(&document("b")).await.expect("a watch");
    // Together they weigh more than all that is kept.
    let body = "x".repeat(1 << 20);
    for _ in 0..40 {
        let (key, body) = (document("a"), body.clone().into());
        let tag = store.put(&key, body, Preconditions::none()).await.expect("a put").tag;
        let seen = text(document_of(&*next(&mut quick).await)).map(|(tag, _)| tag);
        assert_eq!(seen, Some(tag), "who keeps up sees each");
    }
    assert_eq!(slow.next().await.map(drop), Err(Ended::Behind));
    assert_eq!(slow.next().await.map(drop), Err(Ended::Behind), "it stays so");
    assert!(other.next().now_or_never().is_none(), "who watches another document is not concerned");
}

pub(crate) async fn the_end_of_the_store_is_the_end_of_its_watches(store: Arc<dyn Store>) {
    let key = namespace("a");
    let (_, mut waiting) = store.watch(&document("a")).await.expect("a watch");
    let (_, mut changes) = store.watch_namespace(&key).await.expect("a watch");
    let waits = tokio::spawn(async move { waiting.next().await.map(drop) });
    store.patch(&key, patch(vec![])).await.expect("a patch");
    store.shutdown().await;
    assert_eq!(in_time("its end", waits).await.expect("no panic"), Err(Ended::Closed));
    assert_eq!(patch_of(&*next(&mut changes).await).0, 1, "what was durable is told");
    assert_eq!(in_time("its end", changes.next()).await.map(drop), Err(Ended::Closed));
    store.watch(&document("a")).await.expect_err("no new watch");
}
