//! Namespaces, one caller at a time.

use std::sync::Arc;

use stowage_store::{
    EntityTag, MemberKey, Operation, Patch, Patched, Preconditions, Quota, Store, StoreError,
    TagCondition,
};

use super::{ANY, lost, patch, patch_at, tags, weak};
use crate::keys::{namespace, set};

fn delete(key: &str) -> Operation {
    Operation::Delete { key: MemberKey::new(key).expect("a key") }
}

fn text(patched: &Patched) -> String {
    String::from_utf8(patched.namespace.snapshot().to_vec()).expect("JSON is UTF-8")
}

pub(crate) async fn a_patch_applies_in_order_and_counts_once(store: Arc<dyn Store>) {
    let key = namespace("a");
    let steps: Vec<(Vec<Operation>, &str)> = vec![
        (vec![], "{}"),
        (vec![set("b", "1"), set("a", "2")], r#"{"a":2,"b":1}"#),
        (vec![set("a", "3"), set("a", "4"), delete("b")], r#"{"a":4}"#),
        (vec![delete("absent")], r#"{"a":4}"#),
        (vec![set("x", "1"), Operation::Clear, set("y", "null")], r#"{"y":null}"#),
        (vec![set("z", "1"), delete("z"), Operation::Clear], "{}"),
    ];
    for (i, (operations, expected)) in steps.into_iter().enumerate() {
        let patched = store.patch(&key, patch(operations)).await.expect("a patch");
        assert_eq!(text(&patched), expected, "step {i}");
        assert_eq!(patched.namespace.version(), i as u64 + 1, "step {i}");
        assert_eq!(patched.created, i == 0, "step {i}");
        let read = store.namespace(&key).await.expect("the namespace");
        assert_eq!(read, patched.namespace, "step {i}");
    }
}

pub(crate) async fn preconditions_decide_a_patch(store: Arc<dyn Store>) {
    let key = namespace("a");
    let tag = EntityTag::from_version;
    let with = |if_match: Option<TagCondition>, if_none_match: Option<TagCondition>| Patch {
        preconditions: Preconditions { if_match, if_none_match },
        operations: vec![set("k", "1")],
        ..Patch::default()
    };
    let result = store.patch(&key, patch_at(1, vec![set("k", "1")])).await;
    assert_eq!(lost("version 1 of a new one", result), Some(tag(0)));
    let created = store.patch(&key, patch_at(0, vec![set("k", "1")])).await.expect("a create");
    assert!(created.created);

    let refused = [
        ("version 0", with(tags(&[&tag(0)]), None)),
        ("version 2", with(tags(&[&tag(2)]), None)),
        ("weak version 1", with(weak(&tag(1)), None)),
        ("no version", with(tags(&[]), None)),
        ("not version 1", with(None, weak(&tag(1)))),
        ("not any", with(None, ANY)),
    ];
    for (what, patch) in refused {
        assert_eq!(lost(what, store.patch(&key, patch).await), Some(tag(1)), "{what}");
        assert_eq!(store.namespace(&key).await.expect("it").version(), 1, "{what} writes nothing");
    }
    let accepted = [
        ("version 1", with(tags(&[&tag(1)]), None)),
        ("any", with(ANY, None)),
        ("version 7 or 3", with(tags(&[&tag(7), &tag(3)]), None)),
        ("not version 3", with(None, tags(&[&tag(3)]))),
    ];
    for (what, patch) in accepted {
        if let Err(error) = store.patch(&key, patch).await {
            panic!("{what}: expected a patch, got {error}");
        }
    }
    assert_eq!(store.namespace(&key).await.expect("it").version(), 5);
}

pub(crate) async fn without_a_history_there_is_none(store: Arc<dyn Store>) {
    let key = namespace("n");
    for value in ["1", "2"] {
        store.patch(&key, patch(vec![set("k", value)])).await.expect("a patch");
    }
    assert_eq!(store.history_length(), 0);
    assert!(store.namespace_history(&key).await.expect("a look").is_empty());
    for version in 0..4 {
        let found = store.namespace_version(&key, version).await.expect("a look");
        assert_eq!(found.map(|it| it.version()), None, "version {version}");
    }
    assert_eq!(store.namespace_changes(&key, 1, 2, 1).await.expect("a look"), None);
}

pub(crate) async fn versions_never_go_back(store: Arc<dyn Store>) {
    let key = namespace("a");
    for version in 1..=6 {
        let operation = if version % 2 == 0 { Operation::Clear } else { set("k", "1") };
        let patched = store.patch(&key, patch_at(version - 1, vec![operation])).await;
        let patched = patched.expect("a patch of the current version");
        assert_eq!(patched.namespace.version(), version);
        assert_eq!(patched.created, version == 1, "a cleared namespace is not new");
    }
    let result = store.patch(&key, patch_at(0, vec![set("k", "1")])).await;
    assert_eq!(lost("version 0 of a cleared one", result), Some(EntityTag::from_version(6)));
}

pub(crate) async fn a_quota_of_bytes_lets_a_namespace_shrink(store: Arc<dyn Store>) {
    let key = namespace("a");
    let limited =
        |limit, operations| Patch { operations, max_bytes: Some(limit), ..Patch::default() };
    // {"k":"0123456789"} is 18 bytes.
    let ten = r#""0123456789""#;
    store.patch(&key, limited(18, vec![set("k", ten)])).await.expect("a patch up to the quota");

    let error = store.patch(&key, limited(18, vec![set("l", "1")])).await.expect_err("too much");
    assert!(
        matches!(error, StoreError::QuotaExceeded { quota: Quota::Bytes, limit: 18, needed: 24 }),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "the namespace's quota is 18 bytes, and the write needs 24");
    assert_eq!(store.namespace(&key).await.expect("it").version(), 1, "nothing is written");

    // What counts is the end, not the way there.
    let swap = vec![set("l", ten), delete("k")];
    store.patch(&key, limited(18, swap)).await.expect("a patch that ends at the quota");
    store
        .patch(&key, limited(5, vec![set("l", r#""012345678""#)]))
        .await
        .expect("one that shrinks");
    store.patch(&key, limited(5, vec![])).await.expect("one that changes nothing");
    store.patch(&key, limited(5, vec![Operation::Clear])).await.expect("one that clears");
    assert_eq!(store.namespace(&key).await.expect("it").version(), 5);
}

pub(crate) async fn a_quota_of_keys_lets_a_namespace_shrink(store: Arc<dyn Store>) {
    let key = namespace("a");
    let limited =
        |limit, operations| Patch { operations, max_keys: Some(limit), ..Patch::default() };
    store
        .patch(&key, limited(2, vec![set("a", "1"), set("b", "1")]))
        .await
        .expect("a patch up to the quota");
    let error = store.patch(&key, limited(2, vec![set("c", "1")])).await.expect_err("too many");
    assert!(
        matches!(error, StoreError::QuotaExceeded { quota: Quota::Keys, limit: 2, needed: 3 }),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "the namespace's quota is 2 keys, and the write needs 3");
    store.patch(&key, limited(2, vec![set("b", "2")])).await.expect("a value that is replaced");
    store.patch(&key, limited(0, vec![set("b", "33333")])).await.expect("one above the quota too");
    store.patch(&key, limited(0, vec![delete("a")])).await.expect("one that shrinks");
    let snapshot = store.namespace(&key).await.expect("it").snapshot();
    assert_eq!(snapshot, r#"{"b":33333}"#);
}

pub(crate) async fn keys_and_values_keep_their_bytes(store: Arc<dyn Store>) {
    let values =
        ["1.0", "1e400", "-0", "123456789012345678901", r#""\ud83d""#, r#"{"b":1,"a":[2,{}]}"#];
    let longest = "k".repeat(256);
    let keys = ["a", "\"\\/", "\u{0}\n\u{7f}", "é🚀\u{2028}", "__proto__", &longest];
    let operations = keys.iter().zip(values).map(|(key, value)| set(key, value)).collect();
    store.patch(&namespace("a"), patch(operations)).await.expect("a patch");
    let read = store.namespace(&namespace("a")).await.expect("the namespace");
    for (key, value) in keys.iter().zip(values) {
        assert_eq!(read.get(key).map(|value| &value[..]), Some(value.as_bytes()), "{key:?}");
    }
    assert_eq!((read.len(), read.is_empty()), (keys.len(), false));
}

pub(crate) async fn namespaces_are_apart(store: Arc<dyn Store>) {
    let names = ["a", "A", "a.json", ".a", "a:b@c+d~e"];
    for (i, name) in names.iter().enumerate() {
        for _ in 0..=i {
            let operations = vec![set("name", &format!("\"{name}\""))];
            store.patch(&namespace(name), patch(operations)).await.expect("a patch");
        }
    }
    for (i, name) in names.iter().enumerate() {
        let read = store.namespace(&namespace(name)).await.expect("the namespace");
        assert_eq!(read.version(), i as u64 + 1, "{name}");
        assert_eq!(read.snapshot(), format!("{{\"name\":\"{name}\"}}"));
    }
}
