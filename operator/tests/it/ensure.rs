//! `ensure` and `remove` on a real API server: who owns what, and when something is written.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
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
    let desired = ConfigMap {
        metadata: ObjectMeta {
            name: Some("child".into()),
            labels: Some(labels(COMPONENT_STORE, "demo")),
            ..ObjectMeta::default()
        },
        data: Some(serde_json::from_value(data).unwrap()),
        ..ConfigMap::default()
    };
    ensure(&namespace.api::<ConfigMap>(), desired, owner).await
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
