//! Short ways to make, change and look at objects.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

pub(crate) use stowage_operator::kubernetes::Child as Object;

use super::TestNamespace;

impl TestNamespace {
    /// Makes an object of what a person would write, without `apiVersion` and `kind`.
    pub(crate) async fn create<K: Object>(&self, name: &str, body: Value) -> K {
        self.try_create(name, body).await.unwrap()
    }

    /// As [`Self::create`], with the API server's refusal.
    pub(crate) async fn try_create<K: Object>(
        &self,
        name: &str,
        body: Value,
    ) -> Result<K, kube::Error> {
        let mut object = body;
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        object["metadata"]["name"] = json!(name);
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await
    }

    pub(crate) async fn get<K: Object>(&self, name: &str) -> K {
        self.api::<K>().get(name).await.unwrap()
    }

    pub(crate) async fn find<K: Object>(&self, name: &str) -> Option<K> {
        self.api::<K>().get_opt(name).await.unwrap()
    }

    /// Changes an object by a merge patch (RFC 7396).
    pub(crate) async fn patch<K: Object>(&self, name: &str, patch: Value) -> K {
        let api: Api<K> = self.api();
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Changes an object's status by a merge patch, as its own controller would.
    pub(crate) async fn patch_status<K: Object>(&self, name: &str, status: Value) -> K {
        let api: Api<K> = self.api();
        let patch = Patch::Merge(json!({"status": status}));
        api.patch_status(name, &PatchParams::default(), &patch).await.unwrap()
    }

    pub(crate) async fn delete<K: Object>(&self, name: &str) {
        self.api::<K>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Makes an Opaque Secret.
    pub(crate) async fn create_secret(&self, name: &str, values: &[(&str, &str)]) -> Secret {
        let values: serde_json::Map<String, Value> =
            values.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.create(name, json!({"stringData": values})).await
    }

    /// The Events about an object, oldest first, as `Reason: note`.
    pub(crate) async fn events_about(&self, kind: &str, name: &str) -> Vec<String> {
        let mut events = self.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        events.retain(|event| {
            event.regarding.as_ref().is_some_and(|object| {
                object.kind.as_deref() == Some(kind) && object.name.as_deref() == Some(name)
            })
        });
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let word = |text: Option<String>| text.unwrap_or_default();
        events.into_iter().map(|e| format!("{}: {}", word(e.reason), word(e.note))).collect()
    }
}

/// The status, reason and message of a condition; empty where there is none.
pub(crate) fn condition(conditions: &[Condition], kind: &str) -> (String, String, String) {
    let found = conditions.iter().find(|condition| condition.type_ == kind);
    found.map(|c| (c.status.clone(), c.reason.clone(), c.message.clone())).unwrap_or_default()
}

/// The plain text of a Secret's value.
pub(crate) fn secret_value(secret: &Secret, key: &str) -> Option<String> {
    let value = secret.data.as_ref()?.get(key)?;
    Some(String::from_utf8(value.0.clone()).unwrap())
}
