//! Documents, one caller at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stowage_store::{
    Change, EntityTag, Key, Name, NameKind, Object, Preconditions, Prefix, Store, TagCondition,
};

use super::{ANY, lost, tags, weak};
use crate::keys::{document, namespace};

async fn put(store: &dyn Store, key: &Key, body: &'static str) -> EntityTag {
    store.put(key, body.into(), Preconditions::none()).await.expect("an unconditional put").tag
}

async fn get(store: &dyn Store, key: &Key) -> Option<Arc<Object>> {
    store.get(key).await.expect("a get")
}

pub(crate) async fn a_new_store_is_empty(store: Arc<dyn Store>) {
    assert_eq!(get(&*store, &Key::default_run_store()).await, None);
    assert_eq!(get(&*store, &document("a")).await, None);
    assert_eq!(store.list(&Prefix::run_stores(), None, 10).await.expect("a list"), []);
    assert_eq!(store.list(&Prefix::runtime_sets(), None, 10).await.expect("a list"), []);
    let namespace = store.namespace(&namespace("a")).await.expect("a namespace");
    assert_eq!((namespace.version(), &namespace.snapshot()[..]), (0, &b"{}"[..]));
}

pub(crate) async fn a_document_keeps_its_bytes(store: Arc<dyn Store>) {
    let bodies: [Vec<u8>; 4] =
        [b"{}".to_vec(), Vec::new(), vec![0xff, 0x00, b'\n'], vec![b'x'; 3 << 20]];
    let key = document("a");
    let mut before = None;
    for (i, body) in bodies.into_iter().enumerate() {
        let put = store.put(&key, body.clone().into(), Preconditions::none()).await.expect("a put");
        assert_eq!(put.created, i == 0, "body {i}");
        assert_eq!(put.replaced, before.replace(put.tag.clone()), "body {i}");
        let read = get(&*store, &key).await.expect("the document that was put");
        assert!(read.body == body, "body {i}: {} bytes for {}", read.body.len(), body.len());
        assert_eq!(read.tag, put.tag, "body {i}");
        let age = jiff::Timestamp::now().duration_since(read.modified);
        assert!(age.as_secs().abs() < 600, "body {i} was modified {age:?} ago");
    }
}

pub(crate) async fn preconditions_decide_a_put(store: Arc<dyn Store>) {
    let key = document("a");
    let foreign = EntityTag::new("foreign").expect("a tag");
    let none_match = |if_none_match| Preconditions { if_match: None, if_none_match };
    let matches = |if_match| Preconditions { if_match, if_none_match: None };

    for refused in [matches(ANY), matches(tags(&[&foreign])), matches(tags(&[]))] {
        let result = store.put(&key, "x".into(), refused.clone()).await;
        assert_eq!(lost(&format!("{refused:?} on nothing"), result), None);
        assert_eq!(get(&*store, &key).await, None, "{refused:?} on nothing writes nothing");
    }
    for accepted in [none_match(ANY), none_match(tags(&[&foreign])), Preconditions::none()] {
        let put = store.put(&key, "x".into(), accepted.clone()).await;
        let put = put.expect("a put on nothing");
        assert!(put.created && put.replaced.is_none(), "{accepted:?} on nothing: {put:?}");
        let deleted = store.delete(&key, Preconditions::none()).await.expect("a delete");
        assert_eq!(deleted, Some(put.tag), "a delete tells what it removed");
    }

    let current = put(&*store, &key, "x").await;
    let refused: Vec<(&str, Preconditions)> = vec![
        ("If-None-Match: *", none_match(ANY)),
        ("If-None-Match: current", none_match(tags(&[&foreign, &current]))),
        ("If-None-Match: weak current", none_match(weak(&current))),
        ("If-Match: foreign", matches(tags(&[&foreign]))),
        ("If-Match: weak current", matches(weak(&current))),
        ("both", Preconditions { if_match: tags(&[&current]), if_none_match: ANY }),
    ];
    for (what, preconditions) in refused {
        let result = store.put(&key, "y".into(), preconditions).await;
        assert_eq!(lost(what, result), Some(current.clone()), "{what} names the current tag");
        let read = get(&*store, &key).await.expect("the document");
        assert_eq!((&read.body[..], &read.tag), (&b"x"[..], &current), "{what} writes nothing");
    }
    type Accepted = fn(&EntityTag, &EntityTag) -> Preconditions;
    let accepted: [(&str, Accepted); 4] = [
        ("If-Match: *", |_, _| Preconditions { if_match: ANY, if_none_match: None }),
        ("If-Match: foreign, current", |current, foreign| Preconditions {
            if_match: tags(&[foreign, current]),
            if_none_match: None,
        }),
        ("If-None-Match: foreign", |_, foreign| Preconditions {
            if_match: None,
            if_none_match: tags(&[foreign]),
        }),
        ("both", |current, foreign| Preconditions {
            if_match: tags(&[current]),
            if_none_match: tags(&[foreign]),
        }),
    ];
    let mut current = current;
    for (what, preconditions) in accepted {
        let put = store.put(&key, "z".into(), preconditions(&current, &foreign)).await;
        let put = put.unwrap_or_else(|error| panic!("{what}: expected a put, got {error}"));
        assert!(!put.created, "{what} replaces");
        assert_eq!(put.replaced, Some(current), "{what} tells what it replaced");
        current = put.tag;
    }
}

pub(crate) async fn preconditions_decide_a_delete(store: Arc<dyn Store>) {
    let key = document("a");
    let stale = put(&*store, &key, "1").await;
    let current = put(&*store, &key, "2").await;
    let result = store.delete(&key, Preconditions::matches(&stale)).await;
    assert_eq!(lost("a stale delete", result), Some(current.clone()));
    assert_eq!(get(&*store, &key).await.expect("the document").tag, current);
    let deleted = store.delete(&key, Preconditions::matches(&current)).await.expect("a delete");
    assert_eq!(deleted, Some(current), "it tells what it removed");
    assert_eq!(get(&*store, &key).await, None);
}

pub(crate) async fn deleting_nothing_is_no_error(store: Arc<dyn Store>) {
    let stale = put(&*store, &document("a"), "1").await;
    let deleted = store.delete(&document("a"), Preconditions::none()).await.expect("a delete");
    assert_eq!(deleted, Some(stale.clone()));
    for name in ["a", "never"] {
        for preconditions in [Preconditions::none(), Preconditions::matches(&stale)] {
            let deleted = store.delete(&document(name), preconditions).await;
            assert_eq!(deleted.expect("a delete of nothing"), None, "{name}");
        }
    }
}

pub(crate) async fn every_write_has_a_tag_of_its_own(store: Arc<dyn Store>) {
    let key = document("a");
    let mut seen = Vec::new();
    for body in ["a", "b", "a", "a"] {
        seen.push(put(&*store, &key, body).await);
    }
    assert!(store.delete(&key, Preconditions::none()).await.expect("a delete").is_some());
    seen.push(put(&*store, &key, "a").await);
    let distinct: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "{seen:?}");
    for stale in &seen[..seen.len() - 1] {
        lost("A→B→A", store.put(&key, "c".into(), Preconditions::matches(stale)).await);
    }
}

pub(crate) async fn an_update_keeps_puts_and_deletes(store: Arc<dyn Store>) {
    let key = document("a");
    let none = Preconditions::none;
    let put = |body: &'static str| Box::new(move |_: Option<&Object>| Change::Put(body.into()));

    for change in [Change::Keep, Change::Delete] {
        let updated = store.update(&key, none(), Box::new(move |_| change.clone())).await;
        let updated = updated.expect("an update of nothing");
        assert_eq!((updated.before, updated.after), (None, None));
    }
    let created = store.update(&key, none(), put("1")).await.expect("an update that creates");
    assert_eq!(created.before, None);
    assert_eq!(created.after, get(&*store, &key).await);
    assert_eq!(&created.after.as_ref().expect("what was put").body[..], b"1");

    let append = |object: Option<&Object>| {
        let old = object.map(|object| object.body.to_vec()).unwrap_or_default();
        Change::Put([&old[..], b"2"].concat().into())
    };
    let replaced = store.update(&key, none(), Box::new(append)).await.expect("an update");
    assert_eq!(replaced.before, created.after);
    assert_eq!(replaced.after, get(&*store, &key).await);
    assert_eq!(&replaced.after.as_ref().expect("what was put").body[..], b"12");

    let kept = store.update(&key, none(), Box::new(|_| Change::Keep)).await.expect("an update");
    assert_eq!((&kept.before, &kept.after), (&replaced.after, &replaced.after));
    assert_eq!(kept.after, get(&*store, &key).await, "nothing was written");

    let deleted = store.update(&key, none(), Box::new(|_| Change::Delete)).await;
    let deleted = deleted.expect("an update that deletes");
    assert_eq!((deleted.before, deleted.after), (replaced.after, None));
    assert_eq!(get(&*store, &key).await, None);
}

pub(crate) async fn preconditions_decide_an_update(store: Arc<dyn Store>) {
    let key = document("a");
    let stale = put(&*store, &key, "1").await;
    let current = put(&*store, &key, "2").await;
    let asked = Arc::new(AtomicBool::new(false));
    let edit = {
        let asked = Arc::clone(&asked);
        Box::new(move |_: Option<&Object>| {
            asked.store(true, Ordering::SeqCst);
            Change::Delete
        })
    };
    let result = store.update(&key, Preconditions::matches(&stale), edit.clone()).await;
    assert_eq!(lost("a stale update", result), Some(current.clone()));
    assert!(!asked.load(Ordering::SeqCst), "nothing is decided on a state that was not demanded");
    store.update(&key, Preconditions::matches(&current), edit).await.expect("an update");
    assert!(asked.load(Ordering::SeqCst));
    let on_nothing = Preconditions { if_match: Some(TagCondition::Any), if_none_match: None };
    let result = store.update(&key, on_nothing, Box::new(|_| Change::Keep)).await;
    assert_eq!(lost("an update of nothing", result), None);
}

pub(crate) async fn documents_are_apart(store: Arc<dyn Store>) {
    let name = |kind, text| Name::parse(kind, text).expect("a name");
    let branch = |repository, branch| {
        Key::runtime_set(&name(NameKind::Repository, repository), &name(NameKind::Branch, branch))
    };
    let longest = "n".repeat(128);
    let keys = [
        Key::default_run_store(),
        document("a"),
        document("A"),
        document(".a"),
        document("..."),
        document("a.json"),
        document("run-store"),
        document(&longest),
        branch("r", "a"),
        branch("r", "a/b"),
        branch("r/a", "b"),
        branch("..r", ".b"),
    ];
    for key in &keys {
        store.put(key, key.to_string().into(), Preconditions::absent()).await.expect("a create");
    }
    for key in &keys {
        let read = get(&*store, key).await.unwrap_or_else(|| panic!("{key} is there"));
        assert_eq!(read.body, key.to_string());
    }
    assert!(store.delete(&keys[1], Preconditions::none()).await.expect("a delete").is_some());
    for key in &keys[2..] {
        assert!(get(&*store, key).await.is_some(), "{key} outlives {}", keys[1]);
    }
}
