//! What becomes of writes when a sync fails, or a defect ends one: each is applied, or is not, or
//! says that this is unknown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;

use super::{
    DEADLINE, Fate, bench, document, in_time, namespace, patch, temporary_files, uncached,
};
use crate::volume::{VolumeOptions, VolumeStore};
use crate::{Key, Name, NameKind, Preconditions, Store, StoreError};

#[tokio::test]
async fn a_failed_sync_of_a_file_publishes_nothing_and_ends_nothing() {
    let bench = bench(&uncached());
    let store = &bench.store;
    let first = store.put(&document(), "1".into(), Preconditions::none()).await.unwrap();
    store.patch(&namespace(), patch("1")).await.unwrap();

    bench.sync.0.fail_file.store(true, Ordering::SeqCst);
    let refused = store.put(&document(), "2".into(), Preconditions::none()).await;
    assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
    let refused = store.patch(&namespace(), patch("2")).await;
    assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
    let refused = store.check().await;
    assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
    assert_eq!(temporary_files(&bench), 0, "temporary files are removed");

    bench.sync.0.fail_file.store(false, Ordering::SeqCst);
    let read = store.get(&document()).await.unwrap().unwrap();
    assert_eq!((&read.body[..], &read.tag), (&b"1"[..], &first.tag));
    assert_eq!(store.namespace(&namespace()).await.unwrap().version(), 1);
    assert_eq!(store.patch(&namespace(), patch("3")).await.unwrap().namespace.version(), 2);
    store.check().await.unwrap();
    assert!(store.failed().now_or_never().is_none(), "the store is sound");
}

#[tokio::test]
async fn a_failed_sync_of_a_directory_ends_the_service() {
    type Write = fn(&VolumeStore) -> futures_util::future::BoxFuture<'_, crate::Result<()>>;
    let writes: [(&str, Write); 3] = [
        ("put", |s| {
            async { s.put(&document(), "2".into(), Preconditions::none()).await.map(drop) }.boxed()
        }),
        ("delete", |s| {
            async { s.delete(&document(), Preconditions::none()).await.map(drop) }.boxed()
        }),
        ("patch", |s| async { s.patch(&namespace(), patch("2")).await.map(drop) }.boxed()),
    ];
    for (name, write) in writes {
        let bench = bench(&uncached());
        let store = &*bench.store;
        store.put(&document(), "1".into(), Preconditions::none()).await.unwrap();
        store.patch(&namespace(), patch("1")).await.unwrap();
        assert!(store.failed().now_or_never().is_none(), "the store is sound");

        bench.sync.decide_on_directories(Fate::Fails);
        let unavailable = |result: crate::Result<()>| match result {
            Err(StoreError::Unavailable { reason }) => reason,
            other => panic!("{name}: expected that it is unavailable, got {other:?}"),
        };
        let reason =
            "syncing a directory failed (planted), and only a restart finds out what is durable";
        let error = write(store).await.expect_err("the write's own sync failed");
        assert!(matches!(error, StoreError::Indeterminate { .. }), "{name}: {error:?}");
        let expected = format!(
            "it is unknown whether the write was applied ({reason}): \
             read the current state before writing again"
        );
        assert_eq!(error.to_string(), expected, "{name}");
        // That syncs work again changes nothing.
        bench.sync.decide_on_directories(Fate::Works);
        assert_eq!(unavailable(write(store).await), reason, "{name}: a later write");
        assert_eq!(unavailable(store.check().await), reason, "{name}: the check");
        assert_eq!(unavailable(store.get(&document()).await.map(drop)), reason, "{name}: get");
        let read = store.namespace(&namespace()).await.map(drop);
        assert_eq!(unavailable(read), reason, "{name}: namespace");
        assert_eq!(unavailable(Err(in_time(store.failed()).await)), reason, "{name}: failed()");
        in_time(store.shutdown()).await;
        assert_eq!(unavailable(Err(in_time(store.failed()).await)), reason, "{name}: closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_write_under_way_is_indeterminate_and_what_is_queued_is_not_applied() {
    for (fate, expected) in [
        (
            Fate::Fails,
            "syncing a directory failed (planted), and only a restart finds out what is durable",
        ),
        (Fate::Panics, "the writer has stopped because of a defect"),
    ] {
        let bench = bench(&VolumeOptions { queue_length: 8, ..VolumeOptions::default() });
        let store = &bench.store;
        store.patch(&namespace(), patch("1")).await.unwrap();
        let (announced, release) = bench.sync.hold_directory();
        bench.sync.decide_on_directories(fate);
        let put = |key: Key| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                store.put(&key, "1".into(), Preconditions::none()).await.map(drop)
            })
        };
        let under_way = put(document());
        let announced = move || announced.recv_timeout(DEADLINE);
        tokio::task::spawn_blocking(announced).await.unwrap().unwrap();
        let other = Key::run_store(&Name::parse(NameKind::RunStore, "other").unwrap());
        let patcher = Arc::clone(store);
        let queued = [
            put(other.clone()),
            put(document()),
            tokio::spawn(async move { patcher.patch(&namespace(), patch("2")).await.map(drop) }),
        ];
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while places_left(store) > 8 - queued.len() {
            assert!(tokio::time::Instant::now() < deadline, "three writes are queued");
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();

        match in_time(under_way).await.unwrap() {
            Err(StoreError::Indeterminate { reason }) => assert_eq!(reason, expected),
            other => panic!("{fate:?}: expected that it is indeterminate, got {other:?}"),
        }
        for (i, write) in queued.into_iter().enumerate() {
            match in_time(write).await.unwrap() {
                Err(StoreError::Unavailable { reason }) => assert_eq!(reason, expected),
                other => panic!("{fate:?}: expected that write {i} is refused, got {other:?}"),
            }
        }
        assert_eq!(
            in_time(store.failed()).await.to_string(),
            format!("the store takes no more work: {expected}")
        );
        in_time(store.shutdown()).await;
        let store = VolumeStore::open(bench.directory.path(), &VolumeOptions::default()).unwrap();
        assert!(store.get(&document()).await.unwrap().is_some(), "{fate:?}: it was applied");
        assert_eq!(store.get(&other).await.unwrap(), None, "{fate:?}: a queued put");
        let version = store.namespace(&namespace()).await.unwrap().version();
        assert_eq!(version, 1, "{fate:?}: a queued patch");
    }
}

/// How many more writes the queue takes.
fn places_left(store: &VolumeStore) -> usize {
    store.commands.lock().unwrap().as_ref().expect("an open store").capacity()
}

#[tokio::test]
async fn a_write_whose_directory_cannot_be_made_durable_is_not_applied() {
    let bench = bench(&uncached());
    let store = &bench.store;
    bench.sync.decide_on_directories(Fate::Fails);
    let refused = store.patch(&namespace(), patch("1")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    let failed = in_time(store.failed()).await.to_string();
    assert!(failed.contains("syncing a directory failed"), "{failed}");

    in_time(store.shutdown()).await;
    let store = VolumeStore::open(bench.directory.path(), &uncached()).unwrap();
    assert_eq!(store.namespace(&namespace()).await.unwrap().version(), 0);
}

#[tokio::test]
async fn a_defect_in_a_check_is_no_unknown_write() {
    let bench = bench(&VolumeOptions::default());
    bench.sync.0.panic_file.store(true, Ordering::SeqCst);
    let checked = bench.store.check().await;
    assert!(matches!(checked, Err(StoreError::Unavailable { .. })), "{checked:?}");
    let failed = in_time(bench.store.failed()).await;
    assert!(matches!(failed, StoreError::Unavailable { .. }), "{failed:?}");
}
