//! From sound to closed.

use std::sync::Arc;

use futures_util::FutureExt;
use stowage_store::{Change, Preconditions, Prefix, Result, Store, StoreError};

use super::patch;
use crate::archives::{archive, site, upload};
use crate::deadline::in_time;
use crate::keys::{document, namespace, set};

pub(crate) async fn a_sound_store_says_so(store: Arc<dyn Store>) {
    store.check().await.expect("a sound store");
    assert!(store.failed().now_or_never().is_none(), "it has not failed");
    assert_eq!(store.kind().as_str(), "local");
}

pub(crate) async fn a_closed_store_refuses_everything(store: Arc<dyn Store>) {
    let (document, namespace) = (document("a"), namespace("a"));
    let none = Preconditions::none;
    store.put(&document, "1".into(), none()).await.expect("a put");
    store.patch(&namespace, patch(vec![set("k", "1")])).await.expect("a patch");
    let archive = archive("s", "1");
    upload(&*store, &archive, ["1".into()], none()).await.expect("an upload");
    let mut begun = store.upload(&archive).await.expect("an upload");
    in_time("the store closes", store.shutdown()).await;
    in_time("closing it again does nothing", store.shutdown()).await;

    let keep = Box::new(|_: Option<&_>| Change::Keep);
    let operations: [(&str, Result<()>); 13] = [
        ("get", store.get(&document).await.map(drop)),
        ("put", store.put(&document, "2".into(), none()).await.map(drop)),
        ("update", store.update(&document, none(), keep).await.map(drop)),
        ("delete", store.delete(&document, none()).await.map(drop)),
        ("list", store.list(&Prefix::run_stores(), None, 1).await.map(drop)),
        ("namespace", store.namespace(&namespace).await.map(drop)),
        ("patch", store.patch(&namespace, patch(vec![])).await.map(drop)),
        ("upload", store.upload(&archive).await.map(drop)),
        ("write", begun.write("2".into()).await),
        ("archive", store.archive(&archive).await.map(drop)),
        ("delete_archive", store.delete_archive(&archive, none()).await.map(drop)),
        ("archives", store.archives(&site("s"), None, 1).await.map(drop)),
        ("check", store.check().await),
    ];
    for (name, result) in operations {
        match result {
            Err(error @ StoreError::Unavailable { .. }) => assert_eq!(
                error.to_string(),
                "the store takes no more work: it is shutting down",
                "{name}"
            ),
            other => panic!("{name}: expected that it is unavailable, got {other:?}"),
        }
    }
    assert!(store.failed().now_or_never().is_none(), "to be closed is no failure");
}
