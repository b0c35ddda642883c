//! Objects that an API server took under other rules.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{Object, TestNamespace, condition};

impl TestNamespace {
    /// Makes a definition take every spec, and waits until it does. Only on an API server of the
    /// test's own.
    pub(crate) async fn loosen<K: Object>(&self, definition: &str) {
        let api: Api<CustomResourceDefinition> = Api::all(self.admin.clone());
        let mut live = json!(api.get(definition).await.unwrap());
        let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let schema = &mut live["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"] = free;
        schema.as_object_mut().unwrap().remove("x-kubernetes-validations");
        let versions = live["spec"]["versions"].clone();
        let patch = Patch::Merge(json!({"spec": {"versions": versions}}));
        api.patch(definition, &PatchParams::default(), &patch).await.unwrap();
        super::eventually(
            "the API server takes any spec",
            async || {
                let mut probe = self.loose_object::<K>("probe", json!({"surprise": 1}));
                probe.metadata.namespace = Some(self.name.clone());
                let dry = PostParams { dry_run: true, ..PostParams::default() };
                self.loose::<K>().create(&dry, &probe).await.err().map(|error| error.to_string())
            },
            Option::is_none,
        )
        .await;
    }

    pub(crate) async fn create_loose<K: Object>(&self, name: &str, spec: Value) {
        let object = self.loose_object::<K>(name, spec);
        self.loose::<K>().create(&PostParams::default(), &object).await.unwrap();
    }

    /// Changes the spec of one by a merge patch (RFC 7396).
    pub(crate) async fn patch_loose<K: Object>(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.loose::<K>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// The condition of an object that may not parse.
    pub(crate) async fn loose_condition<K: Object>(
        &self,
        name: &str,
        kind: &str,
    ) -> (String, String, String) {
        let object = self.loose::<K>().get(name).await.unwrap();
        let conditions: Vec<Condition> = object
            .data
            .pointer("/status/conditions")
            .map(|conditions| serde_json::from_value(conditions.clone()).unwrap())
            .unwrap_or_default();
        assert_eq!(object.name_any(), name);
        condition(&conditions, kind)
    }

    fn loose_object<K: Object>(&self, name: &str, spec: Value) -> DynamicObject {
        let mut object = DynamicObject::new(name, &ApiResource::erase::<K>(&()));
        object.data = json!({"spec": spec});
        object
    }

    /// Objects that may not parse.
    pub(crate) fn loose<K: Object>(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<K>(&());
        Api::namespaced_with(self.admin.clone(), &self.name, &resource)
    }
}
