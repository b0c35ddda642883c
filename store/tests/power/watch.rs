//! What is told to those who watch, when the disk fails: nothing that is not durable.

use std::sync::Arc;

use stowage_store::{Ended, Preconditions, Store, StoreError, VolumeOptions, VolumeStore, What};

use crate::clients::in_time;
use crate::content::{body, document_key};
use crate::disk::{SimDisk, Survival};

#[tokio::test]
async fn a_write_that_fails_is_not_told_and_ends_the_watch() {
    let disk = SimDisk::new();
    let options = VolumeOptions::default();
    let store = VolumeStore::open_on(Arc::new(disk.clone()), &options).expect("a store");
    let key = document_key(1);
    let (_, mut changes) = store.watch(&key).await.expect("a watch");
    store.put(&key, body(1), Preconditions::none()).await.expect("a put");
    let next = disk.operations();
    disk.change_faults(|faults| faults.failed_write = Some(next));
    match store.put(&key, body(2), Preconditions::none()).await {
        Err(StoreError::Indeterminate { .. } | StoreError::Unavailable { .. }) => {}
        other => panic!("expected a failed write, got {other:?}"),
    }
    let told = in_time("the first write", changes.next()).await.expect("a change");
    match &told.what {
        What::Document(Some(object)) => assert_eq!(object.body, body(1)),
        other => panic!("expected the first write, got {other:?}"),
    }
    assert_eq!(in_time("the end", changes.next()).await.map(drop), Err(Ended::Closed));
    store.watch(&key).await.map(drop).expect_err("no new watch");
    in_time("a shutdown", store.shutdown()).await;
    drop((store, changes));

    let after = disk.power_cut(Survival::Lost, 0);
    let store = VolumeStore::open_on(Arc::new(after), &options).expect("the journal is sound");
    let (start, mut changes) = store.watch(&key).await.expect("a watch");
    assert_eq!(start.map(|object| object.body.clone()), Some(body(1)), "what was told is there");
    store.put(&key, body(3), Preconditions::none()).await.expect("a put");
    in_time("the next write", changes.next()).await.expect("a change");
}
