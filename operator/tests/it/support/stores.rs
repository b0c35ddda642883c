//! Stores, and what the controller manager and the kubelet would do for them.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};
use stowage_crds::Store;

use super::{Object, TestNamespace, condition, eventually, eventually_some};

/// A Store with nothing said that need not be.
pub(crate) async fn a_store(ns: &TestNamespace, name: &str) -> Store {
    ns.create(name, json!({"spec": {"backend": {"volume": {"size": "1Gi"}}}})).await
}

/// Binds the claim, makes the pod, and says that it is ready.
pub(crate) async fn serve(ns: &TestNamespace, store: &str) {
    let claim = format!("{store}-data");
    eventually_some("the claim is there", async || ns.find::<PersistentVolumeClaim>(&claim).await)
        .await;
    bind(ns, &claim).await;
    start_pod(ns, store, json!({"conditions": [{"type": "Ready", "status": "True"}]})).await;
    roll_out(ns, store).await;
}

/// Says that the StatefulSet's newest pod is ready.
pub(crate) async fn roll_out(ns: &TestNamespace, store: &str) {
    let set: StatefulSet = ns.get(store).await;
    let status = json!({
        "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
        "observedGeneration": set.metadata.generation,
    });
    ns.patch_status::<StatefulSet>(store, status).await;
}

/// Gives a claim the volume that it asks for.
pub(crate) async fn bind(ns: &TestNamespace, claim: &str) {
    let live: PersistentVolumeClaim = ns.get(claim).await;
    let asked = json!(live.spec.unwrap().resources.unwrap().requests);
    ns.patch_status::<PersistentVolumeClaim>(claim, json!({"phase": "Bound", "capacity": asked}))
        .await;
}

/// Makes the pod of a Store's StatefulSet as its controller would, with a status as of the kubelet.
pub(crate) async fn start_pod(ns: &TestNamespace, store: &str, status: Value) -> Pod {
    let set =
        eventually_some("the StatefulSet is there", async || ns.find::<StatefulSet>(store).await)
            .await;
    let name = format!("{store}-0");
    let mut pod = json!(set.spec.unwrap().template);
    // Admission asks for the service account's Secrets and the like, which nobody makes here.
    pod["metadata"]["creationTimestamp"].take();
    ns.create::<Pod>(&name, pod).await;
    ns.patch_status(&name, status).await
}

impl TestNamespace {
    /// Removes what a deleted Store owned, as the garbage collector would.
    pub(crate) async fn collect_garbage(&self, store: &str) {
        for secret in ["signing-key", "server-tokens", "publisher", "admin"] {
            self.delete::<Secret>(&format!("{store}-{secret}")).await;
        }
        self.delete::<ServiceAccount>(store).await;
        self.delete::<ConfigMap>(&format!("{store}-config")).await;
        self.delete::<Service>(store).await;
        self.delete::<Service>(&format!("{store}-headless")).await;
        self.delete::<StatefulSet>(store).await;
    }
}

/// Waits until `Ready` has a reason; gives its status and message.
pub(crate) async fn wait_for_reason<K: Object>(
    ns: &TestNamespace,
    name: &str,
    reason: &str,
) -> (String, String) {
    let what = format!("{} {name} says {reason}", K::kind(&()));
    let found = eventually(&what, async || ready::<K>(ns, name).await, |found| found.1 == reason);
    let (status, _, message) = found.await;
    (status, message)
}

async fn ready<K: Object>(ns: &TestNamespace, name: &str) -> (String, String, String) {
    condition(&conditions::<K>(ns, name).await, "Ready")
}

/// The conditions of an object.
pub(crate) async fn conditions<K: Object>(ns: &TestNamespace, name: &str) -> Vec<Condition> {
    let object = json!(ns.get::<K>(name).await);
    let found = object.pointer("/status/conditions").cloned();
    found.map(|conditions| serde_json::from_value(conditions).unwrap()).unwrap_or_default()
}
