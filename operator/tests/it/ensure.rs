//! `ensure` and `remove` on a real API server: who owns what, and when something is written.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{ObjectMeta, Resource};
use serde_json::{Value, json};
use stowage_config::ByteSize;
use stowage_operator::kubernetes::{
    Applied, ApplyError, COMPONENT_STORE, Owner, canonical_bytes, ensure, labels, remove,
};

use crate::support::TestNamespace;

fn reference(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "stowage.dev/v1alpha1".into(),
        kind: "Store".into(),
        name: name.into(),
        uid: uid.into(),
        controller: Some(true),
        ..OwnerReference::default()
    }
}

fn ours() -> Owner {
    Owner::Controls(reference("demo", "uid-1"))
}

/// Makes sure that there is the ConfigMap `child` with this data.
async fn ensured(
    namespace: &TestNamespace,
    data: Value,
    owner: &Owner,
) -> Result<Applied<ConfigMap>, ApplyError> {
    ensure(&namespace.api::<ConfigMap>(), child(data), owner).await
}

fn child(data: Value) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some("child".into()),
            labels: Some(labels(COMPONENT_STORE, "demo")),
            ..ObjectMeta::default()
        },
        data: Some(serde_json::from_value(data).unwrap()),
        ..ConfigMap::default()
    }
}

#[tokio::test]
async fn what_differs_is_written_and_nothing_else() {
    let ns = TestNamespace::new("ensure").await;
    let wanted = || json!({"a": "1", "b": "2"});
    assert!(ensured(&ns, wanted(), &ours()).await.unwrap().written, "it was not there");
    let again = ensured(&ns, wanted(), &ours()).await.unwrap();
    assert!(!again.written, "nothing had changed");

    ns.patch::<ConfigMap>("child", json!({"data": {"a": "edited", "theirs": "x"}})).await;
    let put_back = ensured(&ns, wanted(), &ours()).await.unwrap();
    assert!(put_back.written, "a value had been edited");
    let data = put_back.object.data.unwrap();
    assert_eq!(data.get("a").map(String::as_str), Some("1"));
    assert_eq!(data.get("theirs").map(String::as_str), Some("x"), "what others add is theirs");

    let less = ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap();
    assert!(less.written && !less.object.data.unwrap().contains_key("b"), "b is wanted no more");
    assert!(!ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap().written);

    ns.patch::<ConfigMap>("child", json!({"metadata": {"ownerReferences": null}})).await;
    let owned = ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap();
    assert!(owned.written, "its owner had been taken away");
    assert_eq!(owned.object.meta().owner_references.as_ref().unwrap()[0].uid, "uid-1");
}

#[tokio::test]
async fn an_owner_that_somebody_else_adds_costs_no_write_and_stays() {
    let ns = TestNamespace::new("ensure").await;
    let wanted = || json!({"a": "1"});
    let live = ensured(&ns, wanted(), &ours()).await.unwrap().object;
    let theirs = OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: "theirs".into(),
        uid: "uid-9".into(),
        ..OwnerReference::default()
    };
    let owners = |object: &ConfigMap| -> Vec<String> {
        let mut uids: Vec<String> =
            object.owner_references().iter().map(|owner| owner.uid.clone()).collect();
        uids.sort();
        uids
    };
    // Theirs first, so that the place in the list says nothing.
    let references = json!([theirs, live.owner_references()[0]]);
    ns.patch::<ConfigMap>("child", json!({"metadata": {"ownerReferences": references}})).await;
    let again = ensured(&ns, wanted(), &ours()).await.unwrap();
    assert!(!again.written, "ours was there: {:?}", again.object.owner_references());
    assert_eq!(owners(&again.object), ["uid-1", "uid-9"]);
    let changed = ensured(&ns, json!({"a": "2"}), &ours()).await.unwrap();
    assert!(changed.written);
    assert_eq!(owners(&changed.object), ["uid-1", "uid-9"], "what others add is theirs");

    let mut weaker = live.owner_references()[0].clone();
    weaker.block_owner_deletion = Some(false);
    let strict = OwnerReference { block_owner_deletion: Some(true), ..reference("demo", "uid-1") };
    let strict = Owner::Controls(strict);
    ensured(&ns, json!({"a": "2"}), &strict).await.unwrap();
    let references = json!([theirs, weaker]);
    ns.patch::<ConfigMap>("child", json!({"metadata": {"ownerReferences": references}})).await;
    let put_back = ensured(&ns, json!({"a": "2"}), &strict).await.unwrap();
    assert!(put_back.written, "a field of ours had been edited");
}

#[tokio::test]
async fn what_belongs_to_others_is_not_touched() {
    let ns = TestNamespace::new("ensure").await;
    let ours_by_label = json!(labels(COMPONENT_STORE, "demo"));
    let table = [
        (json!({}), "belongs to somebody else"),
        (json!({"labels": {"app": "theirs"}}), "belongs to somebody else"),
        (
            json!({"ownerReferences": [reference("other", "uid-2")], "labels": ours_by_label}),
            "belongs to the Store other",
        ),
    ];
    for (metadata, expected) in table {
        let theirs: ConfigMap =
            ns.create("child", json!({"metadata": metadata, "data": {"k": "v"}})).await;
        let error = ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap_err();
        assert!(matches!(error, ApplyError::NameTaken { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error} should say: {expected}");
        assert!(!remove(&ns.api::<ConfigMap>(), "child", &ours()).await.unwrap());
        let after: ConfigMap = ns.get("child").await;
        assert_eq!(after.metadata.resource_version, theirs.metadata.resource_version);
        ns.delete::<ConfigMap>("child").await;
    }
}

#[tokio::test]
async fn what_is_on_its_way_out_is_waited_for_and_not_written_to() {
    let ns = TestNamespace::new("ensure").await;
    // What a deleted resource of the same name left to the garbage collector.
    let before = Owner::Controls(reference("demo", "uid-0"));
    ensured(&ns, json!({"a": "1"}), &before).await.unwrap();
    let error = ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Leaving { .. }), "{error:?}");
    ns.delete::<ConfigMap>("child").await;

    ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap();
    ns.patch::<ConfigMap>("child", json!({"metadata": {"finalizers": ["test.local/hold"]}})).await;
    ns.delete::<ConfigMap>("child").await;
    let error = ensured(&ns, json!({"a": "2"}), &ours()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Leaving { .. }), "{error:?}");
    assert!(!remove(&ns.api::<ConfigMap>(), "child", &ours()).await.unwrap());
    ns.patch::<ConfigMap>("child", json!({"metadata": {"finalizers": null}})).await;
    assert!(ensured(&ns, json!({"a": "2"}), &ours()).await.unwrap().written);
}

#[tokio::test]
async fn what_is_kept_has_no_owner_and_is_taken_up_again() {
    let ns = TestNamespace::new("ensure").await;
    let kept = Owner::Keeps(reference("demo", "uid-1"));
    let made = ensured(&ns, json!({"a": "1"}), &kept).await.unwrap();
    assert_eq!(made.object.meta().owner_references, None);
    // A new resource of the same name.
    let successor = Owner::Keeps(reference("demo", "uid-2"));
    let taken_up = ensured(&ns, json!({"a": "1"}), &successor).await.unwrap();
    assert!(!taken_up.written, "it is as it should be");
    // The policy changes, and changes back.
    let controlled = ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap();
    assert_eq!(controlled.object.meta().owner_references.as_ref().unwrap()[0].uid, "uid-1");
    let kept_again = ensured(&ns, json!({"a": "1"}), &kept).await.unwrap();
    assert!(kept_again.written);
    assert_eq!(kept_again.object.meta().owner_references, None);
}

#[tokio::test]
async fn what_was_decided_by_looking_at_an_object_is_written_to_no_other() {
    let ns = TestNamespace::new("ensure").await;
    let first = ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap().object;
    let api = ns.api::<ConfigMap>();
    let owner = ours();
    let decided = async |data: Value| {
        let mut desired = child(data);
        desired.metadata.uid = first.metadata.uid.clone();
        ensure(&api, desired, &owner).await
    };
    assert!(!decided(json!({"a": "1"})).await.unwrap().written, "it is that very object");
    assert!(decided(json!({"a": "2"})).await.unwrap().written);

    ns.delete::<ConfigMap>("child").await;
    let error = decided(json!({"a": "2"})).await.unwrap_err();
    assert!(matches!(error, ApplyError::Api { .. }), "to be tried again: {error:?}");
    assert!(ns.find::<ConfigMap>("child").await.is_none(), "it does not come back");

    ensured(&ns, json!({"a": "3"}), &ours()).await.unwrap();
    let error = decided(json!({"a": "2"})).await.unwrap_err();
    assert!(matches!(error, ApplyError::Leaving { .. }), "to be looked at again: {error:?}");
    let data = ns.get::<ConfigMap>("child").await.data.unwrap();
    assert_eq!(data["a"], "3", "its successor is left as it is");
}

#[tokio::test]
async fn ours_is_removed() {
    let ns = TestNamespace::new("ensure").await;
    assert!(!remove(&ns.api::<ConfigMap>(), "child", &ours()).await.unwrap(), "there is none");
    ensured(&ns, json!({"a": "1"}), &ours()).await.unwrap();
    assert!(remove(&ns.api::<ConfigMap>(), "child", &ours()).await.unwrap());
    assert!(ns.find::<ConfigMap>("child").await.is_none());
}

#[tokio::test]
async fn a_refusal_says_what_the_api_server_says() {
    let ns = TestNamespace::new("ensure").await;
    let error = ensured(&ns, json!({"not a key": "1"}), &ours()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("not a key"), "{error}");
}

#[tokio::test]
async fn sizes_are_written_as_the_api_server_keeps_them() {
    let ns = TestNamespace::new("ensure").await;
    let sizes = ["1Gi", "1536Mi", "1.5Gi", "1000", "1500", "3G", "1001", "10k", "512000", "1.5G"];
    for (number, size) in sizes.into_iter().enumerate() {
        let size: ByteSize = size.parse().unwrap();
        let wanted = canonical_bytes(&size);
        let claim: PersistentVolumeClaim = ns
            .create(
                &format!("claim-{number}"),
                json!({"spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": wanted}},
                }}),
            )
            .await;
        let kept = claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].clone();
        assert_eq!(kept, wanted, "{size}");
    }
}
