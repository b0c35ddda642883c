//! The schemas of the definitions, and a way around in them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;
use stowage_crds::definitions;

pub(crate) fn kinds() -> [&'static str; 3] {
    ["Store", "StoreNamespace", "RuntimeConfigSource"]
}

/// Made once: a Store's holds that of a Pod's affinity, and tests ask for it a thousand times.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let schema = |definition: CustomResourceDefinition| {
        let validation = definition.spec.versions[0].schema.as_ref().unwrap();
        let schema = serde_json::to_value(validation.open_api_v3_schema.as_ref().unwrap()).unwrap();
        (definition.spec.names.kind, schema)
    };
    definitions().into_iter().map(schema).collect()
});

pub(crate) fn schema_of(kind: &str) -> Value {
    SCHEMAS.get(kind).unwrap_or_else(|| panic!("there is no kind {kind}")).clone()
}

/// Visits every node of a schema with its place, such as `spec.branches[].name`.
pub(crate) fn walk(schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    fn at(place: &str, node: &Value, visit: &mut dyn FnMut(&str, &Value)) {
        visit(place, node);
        for (name, child) in node["properties"].as_object().into_iter().flatten() {
            let dot = if place.is_empty() { "" } else { "." };
            at(&format!("{place}{dot}{name}"), child, visit);
        }
        if node["items"].is_object() {
            at(&format!("{place}[]"), &node["items"], visit);
        }
    }
    at("", schema, visit);
}
