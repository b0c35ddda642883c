//! The jobs' tree: its documents, and the directories that they stand in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stowage_store::{
    EventId, Folder, Key, Name, NameKind, Preconditions, Prefix, RemovedJob, Segment, Store,
};

fn segment(text: &str) -> Segment {
    (&Name::parse(NameKind::Job, text).expect("a name")).into()
}

fn job(name: &str) -> Key {
    Key::job(&segment(name))
}

fn checkpoint(job: &str, id: &str) -> Key {
    Key::checkpoint(&segment(job), &Name::parse(NameKind::Checkpoint, id).expect("a name"))
}

fn run(job: &str, run: &str) -> Key {
    Key::run_setting(&segment(job), &segment(run))
}

fn event(job: &str, run: &str, id: &str) -> Key {
    Key::event(&segment(job), &segment(run), &EventId::parse(id).expect("an id"))
}

async fn fill(store: &dyn Store, keys: &[Key]) {
    for key in keys {
        store.put(key, "{}".into(), Preconditions::absent()).await.expect("a create");
    }
}

async fn names(store: &dyn Store, folder: &Folder) -> Vec<String> {
    let found = store.directories(folder, None, 1_000).await.expect("a list");
    found.iter().map(ToString::to_string).collect()
}

pub(crate) async fn a_job_s_documents_are_listed_by_what_they_are(store: Arc<dyn Store>) {
    let checkpoints = [checkpoint("j", "a"), checkpoint("j", "b")];
    // `event-` sorts before `run-setting`.
    let of_run = [event("j", "r", "10-1-a"), event("j", "r", "9-2-b"), run("j", "r")];
    fill(&*store, &[job("j"), job("k"), run("j", "s"), event("k", "r", "1-1-a")]).await;
    fill(&*store, &checkpoints).await;
    fill(&*store, &of_run).await;

    let list = async |prefix: Prefix| store.list(&prefix, None, 100).await.expect("a list");
    assert_eq!(list(Prefix::checkpoints(&segment("j"))).await, checkpoints);
    assert_eq!(list(Prefix::checkpoints(&segment("k"))).await, []);
    assert_eq!(list(Prefix::run(&segment("j"), &segment("r"))).await, of_run);
    assert_eq!(list(Prefix::run(&segment("j"), &segment("nobody"))).await, []);
    assert_eq!(names(&*store, &Folder::jobs()).await, ["j", "k"]);
    assert_eq!(names(&*store, &Folder::runs(&segment("j"))).await, ["r", "s"]);
    assert_eq!(names(&*store, &Folder::runs(&segment("k"))).await, ["r"]);
    assert_eq!(names(&*store, &Folder::runs(&segment("nobody"))).await, [""; 0]);
}

pub(crate) async fn directories_are_cut_into_pages_in_byte_order(store: Arc<dyn Store>) {
    // `-` and `.` sort before the slash that ends a name in a path, digits and letters after.
    let jobs = ["B", "a-b", "a.b", "a", "a0", "ab", "b"];
    for name in jobs {
        fill(&*store, &[job(name), run(name, "r"), event(name, "r", "1-1-a")]).await;
    }
    for limit in [1, 2, 3, 6, 7, 1_000] {
        let mut found: Vec<Segment> = Vec::new();
        loop {
            let page = store.directories(&Folder::jobs(), found.last(), limit).await;
            let page = page.expect("a page");
            let rest = jobs.len() - found.len();
            assert_eq!(page.len(), limit.min(rest), "a page is full or the last, at {limit}");
            found.extend(page);
            if rest <= limit {
                break;
            }
        }
        let found: Vec<&str> = found.iter().map(Segment::as_str).collect();
        assert_eq!(found, jobs, "in pages of {limit}");
    }
    let between = segment("a.c");
    let after = store.directories(&Folder::jobs(), Some(&between), 2).await.expect("a page");
    assert_eq!(after, [segment("a"), segment("a0")], "after one that is not there");
    assert_eq!(store.directories(&Folder::jobs(), None, 0).await.expect("a page"), []);
}

/// Random puts, deletes and lists. A directory that was emptied may be named, and no other.
pub(crate) async fn directories_and_documents_agree_with_a_model(store: Arc<dyn Store>) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut model: BTreeMap<String, BTreeSet<Key>> = BTreeMap::new();
    for step in 0..1_500 {
        let name = ["a", "a-b", "a0", "b", "c"][random.usize(..5)];
        let key = match random.usize(..4) {
            0 => job(name),
            1 => checkpoint(name, &random.usize(..4).to_string()),
            2 => run(name, &random.usize(..3).to_string()),
            _ => event(name, "r", &format!("{}-1-a", random.usize(..4))),
        };
        let of_job = model.entry(name.to_owned()).or_default();
        match random.usize(..5) {
            0..2 => {
                store.put(&key, "{}".into(), Preconditions::none()).await.expect("a put");
                of_job.insert(key);
            }
            2 => {
                let was_there = store.delete(&key, Preconditions::none()).await.expect("a delete");
                assert_eq!(was_there.is_some(), of_job.remove(&key), "step {step}: {key}");
            }
            3 => {
                let prefix = Prefix::checkpoints(&segment(name));
                let is_in = |key: &&Key| key.as_str().starts_with(prefix.as_str());
                let expected: Vec<Key> = of_job.iter().filter(is_in).cloned().collect();
                let found = store.list(&prefix, None, 100).await.expect("a list");
                assert_eq!(found, expected, "step {step}: {prefix:?}");
            }
            _ => {
                let found = names(&*store, &Folder::jobs()).await;
                let mut in_order = found.clone();
                in_order.sort_by_key(|name| format!("{name}/"));
                assert_eq!(found, in_order, "step {step}");
                for (name, documents) in &model {
                    let is_there = found.contains(name);
                    assert!(is_there || documents.is_empty(), "step {step}: {name} in {found:?}");
                }
                let unknown = found.iter().find(|name| !model.contains_key(*name));
                assert_eq!(unknown, None, "step {step}");
            }
        }
    }
}

pub(crate) async fn every_job_of_many_writers_is_listed(store: Arc<dyn Store>) {
    let writers = (0..16).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0..20 {
                let name = format!("{writer:02}-{number:02}");
                let key = job(&name);
                store.put(&key, "{}".into(), Preconditions::absent()).await.expect("a create");
                // What was acknowledged is seen by the next list.
                let before = segment(&format!("{writer:02}-{:02}", number - 1));
                let after = (number > 0).then_some(&before);
                let found = store.directories(&Folder::jobs(), after, 1).await.expect("a page");
                assert!(number == 0 || found == [segment(&name)], "{found:?} lacks {name}");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    let found = names(&*store, &Folder::jobs()).await;
    let expected: Vec<String> =
        (0..16).flat_map(|w| (0..20).map(move |n| format!("{w:02}-{n:02}"))).collect();
    assert_eq!(found, expected);
}

fn documents(name: &str) -> [Key; 5] {
    [
        job(name),
        checkpoint(name, "c"),
        run(name, "r"),
        event(name, "r", "1-1-a"),
        event(name, "s", "2-1-b"),
    ]
}

async fn count(store: &dyn Store, keys: &[Key]) -> usize {
    let mut count = 0;
    for key in keys {
        count += usize::from(store.get(key).await.expect("a get").is_some());
    }
    count
}

async fn delete(store: &dyn Store, name: &str) -> bool {
    store.delete_job(&segment(name), Preconditions::none()).await.expect("a delete").is_some()
}

pub(crate) async fn a_job_goes_as_a_whole_and_nothing_else_does(store: Arc<dyn Store>) {
    // Their paths begin with the same bytes.
    let others = ["j-", "j.", "j0", "jj", "k"];
    for name in others.into_iter().chain(["j"]) {
        fill(&*store, &documents(name)).await;
    }
    let root = Key::default_run_store();
    fill(&*store, std::slice::from_ref(&root)).await;
    assert!(!delete(&*store, "nobody").await, "there is none");
    assert!(delete(&*store, "j").await, "it was there");
    assert_eq!(count(&*store, &documents("j")).await, 0);
    for prefix in [Prefix::checkpoints(&segment("j")), Prefix::run(&segment("j"), &segment("r"))] {
        assert_eq!(store.list(&prefix, None, 10).await.expect("a list"), []);
    }
    assert!(!delete(&*store, "j").await, "it is gone");
    for name in others {
        assert_eq!(count(&*store, &documents(name)).await, 5, "{name} stays");
        let found = store.list(&Prefix::run(&segment(name), &segment("r")), None, 10).await;
        assert_eq!(found.expect("a list").len(), 2, "{name} stays");
    }
    assert!(store.get(&root).await.expect("a get").is_some());

    // It can be made again, and has tags of its own.
    let put = store.put(&job("j"), "{}".into(), Preconditions::absent()).await.expect("a create");
    assert!(put.created);
    assert_eq!(count(&*store, &documents("j")).await, 1);
    assert!(delete(&*store, "j").await, "it was there again");
    fill(&*store, &[event("j", "r", "1-1-a")]).await;
    assert!(delete(&*store, "j").await, "a job without its own document");
}

pub(crate) async fn preconditions_decide_the_delete_of_a_job(store: Arc<dyn Store>) {
    fill(&*store, &documents("j")).await;
    let key = job("j");
    let tag = store.get(&key).await.expect("a get").expect("a document").tag.clone();
    let all = documents("j");
    let matching = Preconditions::matches(&tag);
    let refused = [
        (Preconditions { if_match: super::weak(&tag), if_none_match: None }, "a weak tag"),
        (Preconditions { if_match: None, if_none_match: super::ANY }, "it is there"),
        (Preconditions { if_match: None, if_none_match: super::tags(&[&tag]) }, "this tag"),
    ];
    for (preconditions, what) in refused {
        let result = store.delete_job(&segment("j"), preconditions).await;
        assert_eq!(super::lost(what, result), Some(tag.clone()), "{what}");
        assert_eq!(count(&*store, &all).await, 5, "{what}: nothing is deleted");
    }
    store.put(&key, "{}".into(), Preconditions::none()).await.expect("a put");
    let result = store.delete_job(&segment("j"), matching).await;
    let now = super::lost("an old tag", result).expect("the current tag");
    assert_ne!(now, tag);
    let gone = store.delete_job(&segment("j"), Preconditions::matches(&now)).await;
    assert_eq!(gone.expect("it matches"), Some(RemovedJob { tag: Some(now.clone()) }));
    assert_eq!(count(&*store, &all).await, 0);
    let nothing = store.delete_job(&segment("j"), Preconditions::matches(&now)).await;
    assert_eq!(nothing.expect("nothing is there"), None, "no condition is looked at");
    fill(&*store, &all[1..2]).await;
    let result = store.delete_job(&segment("j"), Preconditions::matches(&now)).await;
    assert_eq!(super::lost("no document of its own", result), None);
    let without = store.delete_job(&segment("j"), Preconditions::none()).await;
    assert_eq!(
        without.expect("a delete"),
        Some(RemovedJob { tag: None }),
        "of its own it had none"
    );
    let tag = store.put(&key, "{}".into(), Preconditions::none()).await.expect("a put").tag;
    let removed = store.delete_job(&segment("j"), Preconditions::none()).await;
    assert_eq!(removed.expect("a delete"), Some(RemovedJob { tag: Some(tag) }));
}

pub(crate) async fn of_a_job_that_is_deleted_all_or_nothing_is_seen(store: Arc<dyn Store>) {
    const DOCUMENTS: usize = 300;
    for round in 0..3 {
        let id = |n| format!("{:04}-{round}-a", n + 1_000);
        let keys: Vec<Key> = (0..DOCUMENTS).map(|n| event("j", "r", &id(n))).collect();
        let puts = keys.iter().map(|key| store.put(key, "{}".into(), Preconditions::absent()));
        for put in futures_util::future::join_all(puts).await {
            put.expect("a create");
        }
        assert_eq!(
            count(&*store, &keys).await,
            DOCUMENTS,
            "they are read, so they may be in memory"
        );
        let ends = [0, DOCUMENTS / 2, DOCUMENTS - 1].map(|place| keys[place].clone());
        let readers = (0..3).map(|reader| {
            let (store, mut ends) = (Arc::clone(&store), ends.clone());
            ends.rotate_left(reader);
            tokio::spawn(async move {
                while store.get(&ends[0]).await.expect("a get").is_some() {
                    tokio::task::yield_now().await;
                }
                // Who has seen one gone sees all gone.
                assert_eq!(count(&*store, &ends).await, 0, "round {round}: a part is left");
            })
        });
        let readers: Vec<_> = readers.collect();
        assert!(delete(&*store, "j").await, "round {round}");
        for reader in readers {
            reader.await.expect("a reader");
        }
    }
}

pub(crate) async fn what_is_put_after_the_delete_of_a_job_stays(store: Arc<dyn Store>) {
    for round in 0..50 {
        let keys = documents("j");
        fill(&*store, &keys).await;
        let (deleter, writer) = (Arc::clone(&store), Arc::clone(&store));
        let delete = tokio::spawn(async move { delete(&*deleter, "j").await });
        let new = event("j", "new", &format!("{round}-1-a"));
        let key = new.clone();
        let put = tokio::spawn(async move {
            writer.put(&key, "{}".into(), Preconditions::none()).await.expect("a put");
            writer.get(&key).await.expect("a get").is_some()
        });
        assert!(delete.await.expect("a deleter"), "round {round}");
        let was_there = put.await.expect("a writer");
        let is_there = store.get(&new).await.expect("a get").is_some();
        // Before or after it: whoever came second says so.
        assert!(was_there || !is_there, "round {round}: it came back");
        assert_eq!(count(&*store, &keys).await, 0, "round {round}");
        store.put(&keys[0], "2".into(), Preconditions::absent()).await.expect("a create");
        assert_eq!(count(&*store, &keys).await, 1, "round {round}: what is put now stays");
        super::jobs::delete(&*store, "j").await;
    }
}
