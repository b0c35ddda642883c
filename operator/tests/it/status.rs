//! `current` and `write_status` on a real API server: a status is of the version that was read.

use serde_json::json;
use stowage_crds::{Store, StoreNamespace};
use stowage_operator::kubernetes::{current, write_status};

use crate::support::{TestNamespace, a_store};

#[tokio::test]
async fn a_status_is_written_to_the_version_that_was_read_and_to_no_other() {
    let ns = TestNamespace::new("status").await;
    let read = a_store(&ns, "demo").await;
    let context = ns.context();
    let write = async |read: &Store, url: &str| {
        write_status::<Store>(&context, read, &json!({"url": url})).await.unwrap()
    };
    let url = async || ns.get::<Store>("demo").await.status.and_then(|status| status.url);

    assert!(write(&read, "a").await, "nobody had changed it");
    assert_eq!(url().await.as_deref(), Some("a"));
    assert!(!write(&read, "b").await, "its status had changed since it was read");
    assert_eq!(url().await.as_deref(), Some("a"));

    let read = current(&ns.admin, &read).await.unwrap().expect("it is there");
    ns.patch::<Store>("demo", json!({"spec": {"suspend": true}})).await;
    assert!(!write(&read, "c").await, "its spec had changed since it was read");
    assert_eq!(url().await.as_deref(), Some("a"));

    let read = current(&ns.admin, &read).await.unwrap().expect("it is there");
    assert_eq!(read.status.as_ref().and_then(|status| status.url.as_deref()), Some("a"));
    assert!(write_status::<Store>(&context, &read, &json!({"replicas": 1})).await.unwrap());
    assert_eq!(url().await, None, "what a status does not say is taken out");

    ns.delete::<Store>("demo").await;
    assert!(!write(&read, "d").await, "it is gone");
}

#[tokio::test]
async fn what_is_gone_or_going_or_another_one_is_not_current() {
    let ns = TestNamespace::new("status").await;
    let spec = json!({"storeRef": {"name": "demo"}, "contract": "kv"});
    let body = || json!({"metadata": {"finalizers": ["test.local/hold"]}, "spec": spec});
    let first: StoreNamespace = ns.create("cart", body()).await;
    let is_current =
        async |seen: &StoreNamespace| current(&ns.admin, seen).await.unwrap().is_some();
    assert!(is_current(&first).await);
    ns.delete::<StoreNamespace>("cart").await;
    assert!(!is_current(&first).await, "it is on its way out");
    ns.patch::<StoreNamespace>("cart", json!({"metadata": {"finalizers": null}})).await;
    assert!(!is_current(&first).await, "it is gone");
    let second: StoreNamespace = ns.create("cart", body()).await;
    assert!(!is_current(&first).await, "it is another one");
    assert!(is_current(&second).await);
}
