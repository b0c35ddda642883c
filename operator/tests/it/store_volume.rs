//! The volume: who owns it, and how it grows.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use stowage_crds::Store;

use crate::support::{
    TestNamespace, a_store, bind, eventually, eventually_some, serve, wait_for_reason,
};

async fn asked(ns: &TestNamespace) -> String {
    let claim = json!(ns.get::<PersistentVolumeClaim>("demo-data").await);
    claim["spec"]["resources"]["requests"]["storage"].as_str().unwrap().to_owned()
}

/// Makes a StorageClass of this test's own.
async fn class(ns: &TestNamespace, grows: bool) -> String {
    let name = format!("{}-{grows}", ns.name);
    let class: StorageClass = serde_json::from_value(json!({
        "metadata": {"name": name}, "provisioner": "stowage.test/none",
        "allowVolumeExpansion": grows,
    }))
    .unwrap();
    let api: Api<StorageClass> = Api::all(ns.admin.clone());
    api.create(&PostParams::default(), &class).await.unwrap();
    name
}

async fn a_store_of_class(ns: &TestNamespace, class: &str) {
    let volume = json!({"size": "1Gi", "storageClassName": class});
    ns.create::<Store>("demo", json!({"spec": {"backend": {"volume": volume}}})).await;
    serve(ns, "demo").await;
    wait_for_reason::<Store>(ns, "demo", "Serving").await;
}

async fn grow(ns: &TestNamespace, size: &str) {
    ns.patch::<Store>("demo", json!({"spec": {"backend": {"volume": {"size": size}}}})).await;
}

#[tokio::test]
async fn a_volume_grows_where_its_class_lets_it() {
    let ns = TestNamespace::new("grow").await;
    let operator = ns.operator();
    a_store_of_class(&ns, &class(&ns, true).await).await;
    grow(&ns, "3G").await;
    eventually("the claim asks for more", async || asked(&ns).await, |size| size == "3G").await;
    bind(&ns, "demo-data").await;
    eventually(
        "the status has the new capacity",
        async || ns.get::<Store>("demo").await.status.unwrap().backend.unwrap().capacity,
        |capacity| capacity.as_deref() == Some("3G"),
    )
    .await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    operator.rest().await;
    operator.stop().await;
}

#[tokio::test]
async fn a_volume_that_cannot_grow_is_told_and_serves_on() {
    let ns = TestNamespace::new("grow").await;
    let operator = ns.operator();
    let class = class(&ns, false).await;
    a_store_of_class(&ns, &class).await;
    grow(&ns, "2Gi").await;
    let (_, message) = wait_for_reason::<Store>(&ns, "demo", "VolumeGrowthRefused").await;
    assert!(message.contains(&class) && message.contains("stays at 1Gi"), "{message}");
    assert_eq!(asked(&ns).await, "1Gi");
    operator.rest().await;
    let another = ns.operator();
    another.rest().await;
    assert_eq!(another.writes(), Vec::<String>::new(), "it is not asked for again and again");
    // Everything else goes on.
    ns.patch::<Store>("demo", json!({"spec": {"image": "stowage.test/other:2"}})).await;
    eventually(
        "the pod has the new image",
        async || json!(ns.get::<StatefulSet>("demo").await),
        |set| {
            let image = &set["spec"]["template"]["spec"]["containers"][0]["image"];
            image == "stowage.test/other:2"
        },
    )
    .await;
    // What it says helps.
    assert!(message.contains("write the old size back"), "{message}");
    grow(&ns, "1Gi").await;
    eventually(
        "the Store is no longer told off",
        async || json!(ns.get::<Store>("demo").await.status.unwrap().conditions),
        |conditions| !conditions.to_string().contains("VolumeGrowthRefused"),
    )
    .await;
    assert_eq!(asked(&ns).await, "1Gi");
}

#[tokio::test]
async fn a_retained_volume_that_is_larger_keeps_its_size() {
    let ns = TestNamespace::new("keep").await;
    let first = ns.operator();
    ns.create::<Store>("demo", json!({"spec": {"backend": {"volume": {"size": "5Gi"}}}})).await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    bind(&ns, "demo-data").await;
    first.stop().await;
    ns.delete::<Store>("demo").await;
    ns.collect_garbage("demo").await;

    a_store(&ns, "demo").await;
    let _second = ns.operator();
    wait_for_reason::<Store>(&ns, "demo", "Starting").await;
    assert_eq!(asked(&ns).await, "5Gi");
    let status = ns.get::<Store>("demo").await.status.unwrap();
    assert_eq!(status.backend.unwrap().capacity.as_deref(), Some("5Gi"), "the status says so");
}

/// The server's lock would end one of the two, over and over, and a restart decides which.
#[tokio::test]
async fn two_stores_do_not_write_one_volume() {
    let ns = TestNamespace::new("shared").await;
    let _operator = ns.operator();
    a_store(&ns, "first").await;
    wait_for_reason::<Store>(&ns, "first", "VolumePending").await;
    serve(&ns, "first").await;
    wait_for_reason::<Store>(&ns, "first", "Serving").await;
    let existing = json!({"spec": {"backend": {"volume": {"existingClaim": "first-data"}}}});
    ns.create::<Store>("second", existing.clone()).await;
    let (_, message) = wait_for_reason::<Store>(&ns, "second", "ClaimInUse").await;
    assert!(message.contains("first-data is in use by the Store first"), "{message}");
    assert!(ns.find::<StatefulSet>("second").await.is_none(), "no pod that cannot start is made");
    wait_for_reason::<Store>(&ns, "first", "Serving").await;

    // What a deleted Store leaves is free for one of another name, and then taken.
    ns.delete::<Store>("second").await;
    ns.delete::<Store>("first").await;
    ns.collect_garbage("first").await;
    ns.delete::<k8s_openapi::api::core::v1::Pod>("first-0").await;
    ns.create::<Store>("third", existing).await;
    eventually_some("it has a pod", async || ns.find::<StatefulSet>("third").await).await;
    // Of two that were made in one second the name decides, and times have no fractions.
    let made = ns.get::<Store>("third").await.metadata.creation_timestamp;
    eventually(
        "a second passes",
        async || k8s_openapi::jiff::Timestamp::now(),
        |now| made.as_ref().is_some_and(|made| now.as_second() > made.0.as_second()),
    )
    .await;
    a_store(&ns, "first").await;
    wait_for_reason::<Store>(&ns, "first", "ClaimInUse").await;
}

/// A claim may hold data: nobody is told to remove one.
#[tokio::test]
async fn a_claim_that_lost_its_labels_is_kept_and_taken_up_again() {
    let ns = TestNamespace::new("labels").await;
    let _operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let none = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    ns.patch::<PersistentVolumeClaim>("demo-data", none).await;
    let (_, message) = wait_for_reason::<Store>(&ns, "demo", "NameTaken").await;
    let remedy = "kubectl label --overwrite pvc demo-data \
                  app.kubernetes.io/managed-by=stowage-operator app.kubernetes.io/instance=demo";
    assert!(message.contains(remedy) && !message.contains("remove"), "{message}");
    let labels = json!({"metadata": {"labels": {
        "app.kubernetes.io/managed-by": "stowage-operator", "app.kubernetes.io/instance": "demo",
    }}});
    ns.patch::<PersistentVolumeClaim>("demo-data", labels).await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
}

#[tokio::test]
async fn a_claim_that_is_deleted_under_a_running_store_is_told_as_what_it_is() {
    let ns = TestNamespace::new("deleted").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    // As the API server does for a claim that a pod uses.
    let held = json!({"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}});
    ns.patch::<PersistentVolumeClaim>("demo-data", held).await;
    ns.delete::<PersistentVolumeClaim>("demo-data").await;
    let (status, message) = wait_for_reason::<Store>(&ns, "demo", "VolumeDeleted").await;
    assert!(status == "False" && message.contains("Copy the data out now"), "{message}");
    // A new template would end the pod, and the volume with it.
    let before = ns.get::<StatefulSet>("demo").await.metadata.resource_version;
    ns.patch::<Store>("demo", json!({"spec": {"image": "stowage.test/other:2"}})).await;
    operator.rest().await;
    assert_eq!(ns.get::<StatefulSet>("demo").await.metadata.resource_version, before);
}

#[tokio::test]
async fn a_retained_volume_of_another_class_serves_and_is_told() {
    let ns = TestNamespace::new("class").await;
    let first = ns.operator();
    let (old, new) = (class(&ns, true).await, class(&ns, false).await);
    a_store_of_class(&ns, &old).await;
    first.stop().await;
    ns.delete::<Store>("demo").await;
    ns.collect_garbage("demo").await;
    ns.delete::<k8s_openapi::api::core::v1::Pod>("demo-0").await;

    let volume = json!({"size": "1Gi", "storageClassName": new});
    ns.create::<Store>("demo", json!({"spec": {"backend": {"volume": volume}}})).await;
    let second = ns.operator();
    let (_, message) = wait_for_reason::<Store>(&ns, "demo", "VolumeDiffers").await;
    assert!(message.contains(&format!("StorageClass {old} and not {new}")), "{message}");
    ns.get::<StatefulSet>("demo").await;
    second.rest().await;
    let refused =
        second.writes().iter().filter(|line| line.contains("persistentvolumeclaims")).count();
    assert!(refused <= 1, "what cannot be changed is not tried: {:#?}", second.writes());
}
