//! Lists of keys.

use std::sync::Arc;

use stowage_store::{Key, Name, NameKind, Preconditions, Prefix, Store};

use crate::keys::{document, namespace, set};

fn runtime_set(repository: &str, branch: &str) -> Key {
    let name = |kind, text| Name::parse(kind, text).expect("a name");
    Key::runtime_set(&name(NameKind::Repository, repository), &name(NameKind::Branch, branch))
}

async fn fill(store: &dyn Store, keys: &[Key]) {
    for key in keys {
        store.put(key, "1".into(), Preconditions::absent()).await.expect("a create");
    }
}

pub(crate) async fn a_list_is_cut_into_pages_in_byte_order(store: Arc<dyn Store>) {
    // `-` and `%` sort before `/`, `.` right before it, and letters after.
    let mut sets: Vec<Key> = ["a", "a-b", "a.b", "a/b", "ab", "B"]
        .iter()
        .flat_map(|repository| ["main", "dev", "x/y", "-"].map(|b| runtime_set(repository, b)))
        .collect();
    fill(&*store, &sets).await;
    fill(&*store, &[Key::default_run_store(), document("a"), document("b")]).await;
    sets.sort();

    for limit in [1, 2, 3, 7, sets.len(), 1_000] {
        let mut found: Vec<Key> = Vec::new();
        loop {
            let page = store.list(&Prefix::runtime_sets(), found.last(), limit).await;
            let page = page.expect("a page");
            let rest = sets.len() - found.len();
            assert_eq!(page.len(), limit.min(rest), "a page is full or the last, at {limit}");
            found.extend(page);
            if rest <= limit {
                break;
            }
        }
        assert_eq!(found, sets, "in pages of {limit}");
    }
    let between = runtime_set("a-c", "nothing");
    let after = store.list(&Prefix::runtime_sets(), Some(&between), 1_000).await.expect("a list");
    let expected: Vec<Key> = sets.iter().filter(|key| **key > between).cloned().collect();
    assert_eq!(after, expected, "after a key that is not there");
    assert_eq!(store.list(&Prefix::runtime_sets(), None, 0).await.expect("a list"), []);
}

pub(crate) async fn a_list_follows_puts_and_deletes(store: Arc<dyn Store>) {
    let keys = [document("a"), document("b"), document("c")];
    fill(&*store, &keys).await;
    fill(&*store, &[Key::default_run_store(), runtime_set("r", "b")]).await;
    let operations = vec![set("k", "1")];
    let patch = stowage_store::Patch { operations, ..Default::default() };
    store.patch(&namespace("n"), patch).await.expect("a patch");

    let prefix = Prefix::run_stores();
    let list = || store.list(&prefix, None, 10);
    assert_eq!(list().await.expect("a list"), keys);
    assert!(store.delete(&keys[1], Preconditions::none()).await.expect("a delete").is_some());
    assert_eq!(list().await.expect("a list"), [keys[0].clone(), keys[2].clone()]);
    fill(&*store, &keys[1..2]).await;
    assert_eq!(list().await.expect("a list"), keys);
}

/// Random puts, deletes and pages, over directories and within one.
pub(crate) async fn a_list_agrees_with_a_model(store: Arc<dyn Store>) {
    let mut random = fastrand::Rng::with_seed(11);
    let mut model = std::collections::BTreeSet::new();
    for step in 0..1_500 {
        let number = random.usize(..40).to_string();
        let key = match random.usize(..2) {
            0 => document(&number),
            _ => runtime_set(["a", "a-b", "a/b"][random.usize(..3)], &number),
        };
        match random.usize(..5) {
            0..2 => {
                store.put(&key, "1".into(), Preconditions::none()).await.expect("a put");
                model.insert(key);
            }
            2 => {
                let was_there = store.delete(&key, Preconditions::none()).await.expect("a delete");
                assert_eq!(was_there.is_some(), model.remove(&key), "step {step}: {key}");
            }
            _ => {
                let prefix =
                    [Prefix::run_stores(), Prefix::runtime_sets()][random.usize(..2)].clone();
                let after = random.bool().then_some(key);
                let limit = random.usize(..12);
                let page = store.list(&prefix, after.as_ref(), limit).await.expect("a page");
                let is_in = |key: &&Key| {
                    key.as_str().starts_with(prefix.as_str())
                        && after.as_ref().is_none_or(|after| *key > after)
                };
                let expected: Vec<Key> = model.iter().filter(is_in).take(limit).cloned().collect();
                assert_eq!(page, expected, "step {step}: {limit} of {prefix:?} after {after:?}");
            }
        }
    }
}
