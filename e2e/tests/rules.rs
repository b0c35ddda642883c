//! Every rule of every kind on a real API server: what it takes, what it refuses, and with which
//! sentence. The cases are those that the crate `crds` checks without a cluster.
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

#[path = "../../crds/tests/support/cases.rs"]
mod cases;
#[path = "../../crds/tests/support/resources.rs"]
mod resources;

use std::collections::BTreeMap;

use cases::{Case, cases};
use kube::api::{ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use stowage_e2e::ControlPlane;

struct Server {
    client: Client,
    namespace: String,
}

impl Server {
    async fn new(prefix: &str) -> Self {
        let control_plane = ControlPlane::shared();
        control_plane.apply_crds().await.unwrap();
        Self {
            client: Client::try_from(control_plane.config()).unwrap(),
            namespace: control_plane.namespace(prefix).await.unwrap(),
        }
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("stowage.dev", "v1alpha1", kind);
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    fn object(&self, resource: &Value) -> DynamicObject {
        let mut object: DynamicObject = serde_json::from_value(resource.clone()).unwrap();
        object.metadata.namespace = Some(self.namespace.clone());
        object
    }

    /// The sentence with which the API server refuses a resource; nothing is kept of it.
    async fn refusal(&self, kind: &str, resource: &Value) -> Option<String> {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        refusal(self.api(kind).create(&dry, &self.object(resource)).await)
    }

    /// The sentence with which it refuses a change.
    async fn change_refusal(&self, kind: &str, old: &Value, new: &Value) -> Option<String> {
        let api = self.api(kind);
        let status = old.get("status");
        let mut old = api.create(&PostParams::default(), &self.object(old)).await.unwrap();
        if let Some(status) = status {
            // A create drops it.
            old.data["status"] = status.clone();
            old = api.replace_status(&old.name_any(), &PostParams::default(), &old).await.unwrap();
        }
        let mut new = self.object(new);
        new.metadata.resource_version = old.resource_version();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let answer = refusal(api.replace(&old.name_any(), &dry, &new).await);
        api.delete(&old.name_any(), &DeleteParams::default()).await.unwrap();
        answer
    }
}

fn refusal(answer: Result<DynamicObject, kube::Error>) -> Option<String> {
    match answer {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => {
            Some(status.message.clone())
        }
        Err(error) => panic!("the API server was asked in vain: {error}"),
    }
}

async fn check(server: &Server, case: &Case) {
    let Case { kind, at, message, .. } = case;
    for value in &case.accepted {
        let found = server.refusal(kind, &case.resource(value)).await;
        assert_eq!(found, None, "{kind} {at} = {value} is right");
    }
    for (old, new) in &case.accepted_changes {
        let found = server.change_refusal(kind, &case.resource(old), &case.resource(new)).await;
        assert_eq!(found, None, "{kind} {at}: {old} to {new} is right");
    }
    // Where the schema refuses a value already, no rule is asked; so each value must be refused,
    // and at least one of them with the rule's own sentence.
    let mut sentences = Vec::new();
    for value in &case.refused {
        let found = server.refusal(kind, &case.resource(value)).await;
        sentences.push(found.unwrap_or_else(|| panic!("{kind} {at} = {value} was taken")));
    }
    for (old, new) in &case.refused_changes {
        let found = server.change_refusal(kind, &case.resource(old), &case.resource(new)).await;
        sentences.push(found.unwrap_or_else(|| panic!("{kind} {at}: {old} to {new} was taken")));
    }
    assert!(
        sentences.iter().any(|sentence| sentence.contains(message)),
        "{kind} {at}: nobody reads {message:?} but {sentences:#?}"
    );
}

async fn check_all(kind: &str) {
    let server = Server::new("rules").await;
    let mut checked: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases().iter().filter(|case| case.kind == kind) {
        check(&server, case).await;
        *checked.entry(case.place()).or_default() += 1;
    }
    assert!(checked.len() > 3, "{kind}: only {checked:?} was checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_a_store_holds_on_an_api_server() {
    check_all("Store").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_a_store_namespace_holds_on_an_api_server() {
    check_all("StoreNamespace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_a_source_holds_on_an_api_server() {
    check_all("RuntimeConfigSource").await;
}
