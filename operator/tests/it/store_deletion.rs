//! What becomes of the volume of a Store that is deleted, also while no operator runs.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use stowage_crds::Store;

use crate::support::{
    Operator, TestNamespace, a_store, eventually, eventually_some, serve, wait_for_reason,
};

const FINALIZER: &str = "stowage.dev/volume";

/// A Store that takes its volume along, at rest.
async fn a_store_with_delete(ns: &TestNamespace, operator: &Operator) -> Store {
    let spec = json!({"backend": {"volume": {"size": "1Gi"}}, "deletionPolicy": "Delete"});
    ns.create::<Store>("demo", json!({"spec": spec})).await;
    wait_for_reason::<Store>(ns, "demo", "VolumePending").await;
    operator.rest().await;
    ns.get("demo").await
}

async fn claim(ns: &TestNamespace) -> PersistentVolumeClaim {
    ns.get("demo-data").await
}

async fn set_policy(ns: &TestNamespace, policy: &str) {
    ns.patch::<Store>("demo", json!({"spec": {"deletionPolicy": policy}})).await;
}

async fn gone(ns: &TestNamespace) {
    eventually("the Store is gone", async || ns.find::<Store>("demo").await, Option::is_none).await;
}

async fn is_kept(ns: &TestNamespace, before: &PersistentVolumeClaim) {
    let after = claim(ns).await;
    assert_eq!(after.uid(), before.uid(), "the claim is the same one");
    assert_eq!(after.metadata.deletion_timestamp, None, "the claim is being deleted");
    assert_eq!(after.owner_references(), [], "the garbage collector would take it");
}

async fn is_leaving(ns: &TestNamespace) {
    // The API server keeps a claim until the controller, which is not there, sees no pod use it.
    let claim = ns.find::<PersistentVolumeClaim>("demo-data").await;
    let kept = claim.filter(|claim| claim.metadata.deletion_timestamp.is_none());
    assert_eq!(kept, None, "nobody deleted the claim");
}

/// The owner reference that earlier builds gave the claim of a Store with `Delete`.
async fn own_as_before(ns: &TestNamespace, store: &Store) {
    let owner = json!([{
        "apiVersion": "stowage.dev/v1alpha1", "kind": "Store", "name": "demo",
        "uid": store.uid(), "controller": true, "blockOwnerDeletion": true,
    }]);
    ns.patch::<PersistentVolumeClaim>("demo-data", json!({"metadata": {"ownerReferences": owner}}))
        .await;
}

#[tokio::test]
async fn a_volume_to_be_deleted_waits_for_the_operator_and_goes() {
    let ns = TestNamespace::new("deletion").await;
    let first = ns.operator();
    let store = a_store_with_delete(&ns, &first).await;
    assert_eq!(store.finalizers(), [FINALIZER]);
    assert_eq!(claim(&ns).await.owner_references(), []);
    first.stop().await;
    let another = ns.operator();
    another.rest().await;
    assert_eq!(another.writes(), Vec::<String>::new(), "what is in place is not written again");
    another.stop().await;

    ns.delete::<Store>("demo").await;
    let waiting: Store = ns.get("demo").await;
    assert!(waiting.metadata.deletion_timestamp.is_some(), "{waiting:?}");
    assert_eq!(claim(&ns).await.metadata.deletion_timestamp, None, "nobody is there to do it");
    let _last = ns.operator();
    gone(&ns).await;
    is_leaving(&ns).await;
}

/// The policy that counts is the one at the deletion, whoever saw the change.
#[tokio::test]
async fn a_change_to_retain_counts_though_no_operator_saw_it() {
    let ns = TestNamespace::new("deletion").await;
    let first = ns.operator();
    a_store_with_delete(&ns, &first).await;
    let before = claim(&ns).await;
    first.stop().await;
    set_policy(&ns, "Retain").await;
    ns.delete::<Store>("demo").await;
    let _second = ns.operator();
    gone(&ns).await;
    is_kept(&ns, &before).await;
}

#[tokio::test]
async fn a_store_that_leaves_its_volume_has_no_finalizer_when_its_status_says_so() {
    let ns = TestNamespace::new("deletion").await;
    let operator = ns.operator();
    a_store_with_delete(&ns, &operator).await;
    let before = claim(&ns).await;
    set_policy(&ns, "Retain").await;
    let store = eventually(
        "the status is of the changed spec",
        async || ns.get::<Store>("demo").await,
        |store| {
            let seen = store.status.as_ref().and_then(|status| status.observed_generation);
            seen == store.metadata.generation
        },
    )
    .await;
    assert_eq!(store.finalizers(), Vec::<String>::new());
    operator.stop().await;
    ns.delete::<Store>("demo").await;
    assert!(ns.find::<Store>("demo").await.is_none(), "it goes while no operator runs");
    is_kept(&ns, &before).await;
    // One that takes the same volume up is guarded again.
    ns.collect_garbage("demo").await;
    let operator = ns.operator();
    a_store_with_delete(&ns, &operator).await;
    assert_eq!(ns.get::<Store>("demo").await.finalizers(), [FINALIZER]);
}

#[tokio::test]
async fn a_claim_that_an_older_operator_let_the_store_own_is_let_go() {
    let ns = TestNamespace::new("deletion").await;
    let first = ns.operator();
    let store = a_store_with_delete(&ns, &first).await;
    first.stop().await;
    own_as_before(&ns, &store).await;
    let none: Value = json!({"metadata": {"finalizers": null}});
    ns.patch::<Store>("demo", none).await;
    let second = ns.operator();
    eventually(
        "nobody owns the claim, and the Store has the finalizer",
        async || (claim(&ns).await, ns.get::<Store>("demo").await),
        |(claim, store)| claim.owner_references().is_empty() && store.finalizers() == [FINALIZER],
    )
    .await;
    second.stop().await;
    // The same where the Store goes before anybody looked.
    own_as_before(&ns, &store).await;
    let before = claim(&ns).await;
    set_policy(&ns, "Retain").await;
    ns.delete::<Store>("demo").await;
    let _third = ns.operator();
    gone(&ns).await;
    is_kept(&ns, &before).await;
}

#[tokio::test]
async fn a_claim_of_somebody_else_is_never_deleted() {
    let ns = TestNamespace::new("deletion").await;
    let theirs = json!({"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }});
    let before: PersistentVolumeClaim = ns.create("demo-data", theirs).await;
    let _operator = ns.operator();
    let spec = json!({"backend": {"volume": {"size": "1Gi"}}, "deletionPolicy": "Delete"});
    ns.create::<Store>("demo", json!({"spec": spec})).await;
    wait_for_reason::<Store>(&ns, "demo", "NameTaken").await;
    ns.delete::<Store>("demo").await;
    gone(&ns).await;
    is_kept(&ns, &before).await;

    let volume = json!({"existingClaim": "demo-data"});
    let spec = json!({"backend": {"volume": volume}, "deletionPolicy": "Delete"});
    ns.create::<Store>("uses", json!({"spec": spec})).await;
    eventually_some("its children are made", async || ns.find::<Service>("uses").await).await;
    assert_eq!(ns.get::<Store>("uses").await.finalizers(), Vec::<String>::new());
    ns.delete::<Store>("uses").await;
    is_kept(&ns, &before).await;
}

/// A claim of the right name and labels may have found another user since.
#[tokio::test]
async fn a_claim_that_the_store_never_got_is_not_deleted_with_it() {
    let ns = TestNamespace::new("deletion").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    operator.rest().await;
    ns.delete::<Store>("demo").await;
    ns.collect_garbage("demo").await;
    let before = claim(&ns).await;
    // Of two that were made within one second, the one whose name comes first was there first.
    let volume = json!({"existingClaim": "demo-data"});
    ns.create::<Store>("a-user", json!({"spec": {"backend": {"volume": volume}}})).await;
    eventually_some("its children are made", async || ns.find::<Service>("a-user").await).await;
    let spec = json!({"backend": {"volume": {"size": "1Gi"}}, "deletionPolicy": "Delete"});
    ns.create::<Store>("demo", json!({"spec": spec})).await;
    wait_for_reason::<Store>(&ns, "demo", "ClaimInUse").await;
    ns.delete::<Store>("demo").await;
    gone(&ns).await;
    is_kept(&ns, &before).await;
}

/// The pod of the Store before keeps the claim for some moments.
#[tokio::test]
async fn a_store_made_again_waits_for_the_volume_that_goes() {
    let ns = TestNamespace::new("deletion").await;
    let operator = ns.operator();
    a_store_with_delete(&ns, &operator).await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    ns.delete::<Store>("demo").await;
    gone(&ns).await;
    is_leaving(&ns).await;
    a_store(&ns, "demo").await;
    let (_, message) = wait_for_reason::<Store>(&ns, "demo", "Replacing").await;
    operator.rest().await;
    let told = ns.events_about("Store", "demo").await.join("\n");
    assert!(!told.contains("VolumeDeleted"), "nobody deleted it by hand: {message}\n{told}");
}

/// What its policy is nobody can say, so its volume stays; and it does not stay for ever itself.
#[tokio::test]
async fn a_store_that_does_not_parse_can_be_deleted() {
    // The definition is loosened, so this API server is nobody else's.
    let ns = TestNamespace::alone("deletion").await;
    ns.loosen::<Store>("stores.stowage.dev").await;
    ns.create_loose::<Store>("odd", json!({"backend": {"volume": {"size": true}}})).await;
    let stores = ns.loose::<Store>();
    let held = json!({"metadata": {"finalizers": [FINALIZER]}});
    let parameters = kube::api::PatchParams::default();
    stores.patch("odd", &parameters, &kube::api::Patch::Merge(held)).await.unwrap();
    stores.delete("odd", &DeleteParams::default()).await.unwrap();
    let _operator = ns.operator();
    eventually(
        "it is gone",
        async || stores.list_metadata(&ListParams::default()).await.unwrap().items,
        Vec::is_empty,
    )
    .await;
}
