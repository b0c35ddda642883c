//! A deleted Store leaves its volume, or takes it along, as its `deletionPolicy` says.

use serde_json::json;

use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::{SOON, eventually, stores};

fn gone(namespace: &Namespace, what: &str) {
    namespace.kubectl(&["wait", "--for=delete", "--timeout=2m", what]);
}

/// Deletes the Store, and waits until the garbage collector is through with all that it owned.
fn delete_demo(namespace: &Namespace) {
    namespace.kubectl(&["delete", "store/demo"]);
    for child in [
        "statefulset/demo",
        "pod/demo-0",
        "service/demo",
        "service/demo-headless",
        "configmap/demo-config",
        "secret/demo-signing-key",
        "secret/demo-server-tokens",
        "secret/demo-publisher",
        "serviceaccount/demo",
    ] {
        gone(namespace, child);
    }
}

fn is_kept(namespace: &Namespace, claim: &str) {
    let kept = namespace.get("persistentvolumeclaim/demo-data");
    assert_eq!(stores::uid(&kept), claim);
    let metadata = &kept["metadata"];
    assert_eq!(metadata["deletionTimestamp"], json!(null), "it is being deleted");
    assert_eq!(metadata["ownerReferences"], json!(null), "somebody owns it");
}

#[test]
fn a_store_made_again_finds_its_data() {
    let _cluster = release::shared();
    let namespace = Namespace::create("retain");
    let caller = stores::demo(&namespace);
    let written = caller.put("/run-stores/kept", &[], &json!({"run": 7})).unwrap();
    assert_eq!(written.status, 200, "{written:?}");
    let tag = caller.get("/run-stores/kept").unwrap().etag;
    let claim = stores::uid(&namespace.get("persistentvolumeclaim/demo-data"));

    delete_demo(&namespace);
    is_kept(&namespace, &claim);

    let caller = stores::demo(&namespace);
    let found = caller.get("/run-stores/kept").unwrap();
    assert_eq!((found.status, found.body.as_str()), (200, r#"{"run":7}"#));
    assert_eq!(found.etag, tag, "the version is that of before");
    assert_eq!(stores::uid(&namespace.get("persistentvolumeclaim/demo-data")), claim);
}

#[test]
fn a_store_to_be_deleted_with_its_volume_takes_it_along() {
    let _cluster = release::shared();
    let namespace = Namespace::create("delete");
    namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
    namespace.apply(&stores::manifest("gone", &json!({"deletionPolicy": "Delete"})));
    stores::ready(&namespace, "gone");
    let volume = namespace.get("persistentvolumeclaim/gone-data")["spec"]["volumeName"].clone();
    let volume = format!("persistentvolume/{}", volume.as_str().unwrap());

    namespace.kubectl(&["delete", "store/gone"]);
    gone(&namespace, "persistentvolumeclaim/gone-data");
    eventually("the volume is gone", SOON, || match namespace.try_get(&volume) {
        Err(said) if said.contains("NotFound") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Whoever changes their mind is heard: the policy that counts is the one at the deletion.
#[test]
fn the_policy_can_be_changed_before_the_deletion() {
    let _cluster = release::shared();
    let namespace = Namespace::create("policy");
    namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
    namespace.apply(&stores::manifest("demo", &json!({"deletionPolicy": "Delete"})));
    stores::ready(&namespace, "demo");
    namespace.apply(&stores::manifest("demo", &json!({"deletionPolicy": "Retain"})));
    let claim = stores::uid(&namespace.get("persistentvolumeclaim/demo-data"));
    delete_demo(&namespace);
    is_kept(&namespace, &claim);
}
