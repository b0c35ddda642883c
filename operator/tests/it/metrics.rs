//! What the operator says of its own writes, against the requests that it made.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use stowage_crds::{RuntimeConfigSource, Store, StoreNamespace};

use crate::support::{
    Ends, Operator, TestNamespace, a_store, eventually_some, published, secret_value, serve,
    source, wait_for_reason,
};

/// The counter of writes, by kind.
fn counted(operator: &Operator) -> BTreeMap<String, usize> {
    let text = operator.metrics();
    let samples =
        text.lines().filter_map(|line| line.strip_prefix("stowage_operator_writes_total{kind=\""));
    samples
        .map(|sample| {
            let (kind, count) = sample.split_once("\"} ").expect("a label and a number");
            (kind.to_owned(), count.parse().expect("a whole number"))
        })
        .collect()
}

/// The same, of the requests that succeeded.
fn seen(operator: &Operator) -> BTreeMap<String, usize> {
    let kinds = BTreeMap::from([
        ("configmaps", "ConfigMap"),
        ("cronjobs", "CronJob"),
        ("events", "Event"),
        ("jobs", "Job"),
        ("persistentvolumeclaims", "PersistentVolumeClaim"),
        ("pods", "Pod"),
        ("runtimeconfigsources", "RuntimeConfigSource"),
        ("secrets", "Secret"),
        ("serviceaccounts", "ServiceAccount"),
        ("services", "Service"),
        ("statefulsets", "StatefulSet"),
        ("storenamespaces", "StoreNamespace"),
        ("stores", "Store"),
    ]);
    let written = operator.written().into_iter();
    written.map(|(resource, count)| (kinds[resource.as_str()].to_owned(), count)).collect()
}

#[tokio::test]
async fn every_write_is_counted_by_the_kind_of_its_object() {
    let ns = TestNamespace::new("metrics").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    let tenant = json!({"spec": {"storeRef": {"name": "demo"}, "contract": "kv"}});
    ns.create::<StoreNamespace>("cart", tenant).await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    wait_for_reason::<StoreNamespace>(&ns, "cart", "Bound").await;
    ns.create::<RuntimeConfigSource>("etl", source(&["main", "next"])).await;
    for job in ns.running_jobs(2).await {
        ns.finish(&job, Ends::With(published('a', 1))).await;
    }
    ns.source_is("etl", "True", "Published").await;
    // A Job is cut off, and the children of a branch are removed.
    ns.patch::<RuntimeConfigSource>("etl", json!({"spec": {"include": ["a.yaml"]}})).await;
    ns.running_jobs(2).await;
    let one = json!({"spec": {"include": ["b.yaml"], "branches": [
        {"name": "main", "storeRef": {"name": "demo"}},
    ]}});
    ns.patch::<RuntimeConfigSource>("etl", one).await;
    // The user brings tokens, so those of the operator go.
    eventually_some("the Secret is there", async || {
        secret_value(&ns.find("demo-admin").await?, "token")
    })
    .await;
    ns.create_secret("demo-tokens", &[("admin", "change-me-0123456789abcdef")]).await;
    let tokens = json!({"spec": {"auth": {"tokensSecretRef": {"name": "demo-tokens"}}}});
    ns.patch::<Store>("demo", tokens).await;
    // What is written in part only: a Store's finalizer, and a Secret that somebody added to.
    ns.patch::<Store>("demo", json!({"spec": {"deletionPolicy": "Delete"}})).await;
    let foreign = json!({"stringData": {"junk": "x"}});
    ns.patch::<Secret>("demo-server-tokens", foreign).await;
    operator.rest().await;

    let deleted: Vec<String> =
        operator.writes().into_iter().filter(|line| line.starts_with("DELETE")).collect();
    for kind in ["/jobs/", "/cronjobs/", "/configmaps/", "/secrets/"] {
        assert!(deleted.iter().any(|line| line.contains(kind)), "no {kind} in {deleted:#?}");
    }
    let seen = seen(&operator);
    assert_eq!(seen.len(), 13, "something of every kind was written: {seen:#?}");
    assert_eq!(counted(&operator), seen, "{:#?}", operator.writes());
}
