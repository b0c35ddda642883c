//! Events as `kubectl describe` and `kubectl events` show them.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use serde_json::json;
use stowage_operator::kubernetes::{Events, Severity};

use crate::support::TestNamespace;

#[tokio::test]
async fn an_event_is_written_and_says_what_happened() {
    let ns = TestNamespace::new("events").await;
    let about: ConfigMap = ns.create("demo", json!({"data": {"a": "b"}})).await;
    let events = Events::new(ns.admin.clone());
    let long = "é".repeat(2000);
    events.publish(&about, Severity::Warning, "NameTaken", "Reconcile", &long).await;
    let found = ns.api::<Event>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(found.len(), 1, "{found:#?}");
    let event = &found[0];
    assert_eq!(event.reason.as_deref(), Some("NameTaken"));
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(event.regarding.as_ref().unwrap().uid, about.metadata.uid);
}
