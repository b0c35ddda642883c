//! The CustomResourceDefinitions: their files, and what `kubectl` shows of them.
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

#[path = "support/resources.rs"]
mod resources;
#[path = "support/schemas.rs"]
mod schemas;

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use resources::base;
use schemas::{kinds, schema_of, walk};
use serde_json::Value;
use stowage_crds::{RuntimeConfigSource, Store, StoreNamespace, chart_template, definitions, yaml};

#[test]
fn the_files_are_what_the_types_say() {
    same_files("yaml", |definition| yaml(definition).unwrap());
    same_files("../charts/stowage/templates/crds", |definition| {
        chart_template(definition).unwrap()
    });
}

/// The directory, relative to this crate, holds what `text` gives for each kind and nothing else.
fn same_files(directory: &str, text: impl Fn(&CustomResourceDefinition) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut expected = Vec::new();
    for definition in definitions() {
        let name = format!("{}.yaml", definition.metadata.name.as_deref().unwrap());
        let written = std::fs::read_to_string(path.join(&name)).unwrap_or_default();
        assert!(written == text(&definition), "{directory}/{name} is old: run `make crds`");
        expected.push(name);
    }
    let mut found: Vec<String> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{directory} holds other files than those of the kinds");
}

#[test]
fn the_reference_is_what_the_types_say() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/resources.md");
    let written = std::fs::read_to_string(page).unwrap_or_default();
    assert!(written == stowage_crds::reference(), "docs/resources.md is old: run `make crds`");
    for field in ["spec.backend.volume.size", "spec.branches[].storeRef.name", "spec.quota.maxKeys"]
    {
        assert!(written.contains(&format!("| `{field}` |")), "{field} is not in the reference");
    }
}

#[test]
fn the_files_are_the_definitions_again_when_they_are_read() {
    for definition in definitions() {
        let text = yaml(&definition).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        let expected = serde_json::to_value(&definition).unwrap();
        // Numbers of a schema are floating point in the API and may be read as whole ones.
        assert_eq!(numbers_as_text(&read), numbers_as_text(&expected));
    }
}

fn numbers_as_text(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(format!("{:?}", number.as_f64())),
        Value::Array(items) => items.iter().map(numbers_as_text).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(k, v)| (k.clone(), numbers_as_text(v))).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn names_are_those_that_people_type() {
    let table = [
        ("stores.stowage.dev", "Store", "st"),
        ("storenamespaces.stowage.dev", "StoreNamespace", "stns"),
        ("runtimeconfigsources.stowage.dev", "RuntimeConfigSource", "rcs"),
    ];
    for (definition, (name, kind, short)) in definitions().into_iter().zip(table) {
        assert_eq!(definition.metadata.name.as_deref(), Some(name));
        let names = &definition.spec.names;
        assert_eq!(names.kind, kind);
        assert_eq!(names.short_names, Some(vec![short.to_owned()]));
        assert_eq!(names.categories, Some(vec!["stowage".to_owned()]));
        assert_eq!(definition.spec.scope, "Namespaced");
        assert!(definition.spec.versions[0].subresources.as_ref().unwrap().status.is_some());
    }
}

#[test]
fn columns_show_what_a_person_looks_for() {
    let columns: Vec<Vec<String>> = definitions()
        .into_iter()
        .map(|mut definition| {
            let columns = definition.spec.versions.remove(0).additional_printer_columns;
            columns.unwrap().into_iter().map(|column| column.name).collect()
        })
        .collect();
    assert_eq!(columns[0], ["Ready", "Status", "Backend", "Capacity", "URL", "Age"]);
    assert_eq!(
        columns[1],
        ["Ready", "Status", "Store", "Contract", "Secret", "Access", "Token Expires", "Age"]
    );
    assert_eq!(columns[2], ["Ready", "Status", "Revision", "Files", "Last Sync", "URL", "Age"]);
}

#[test]
fn every_field_is_described() {
    for kind in kinds() {
        walk(&schema_of(kind), &mut |place, node| {
            let described = node["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(described || place.ends_with("[]"), "{kind} {place} has no description");
            let derived = node["description"].as_str().unwrap_or("").contains("Auto-generated");
            assert!(!derived, "{kind} {place}: nobody wrote its description");
        });
    }
}

/// An API server takes only structural schemas, and what reaches a rule is never null.
#[test]
fn schemas_are_structural_and_without_null() {
    for kind in kinds() {
        walk(&schema_of(kind), &mut |place, node| {
            let typed = node["type"].is_string() || node["x-kubernetes-int-or-string"] == true;
            assert!(typed, "{kind} {place} has no type");
            // A map of texts, such as labels, is the only free one.
            let texts = serde_json::json!({"type": "string"});
            let free = node.get("additionalProperties");
            assert!(free.is_none_or(|values| *values == texts), "{kind} {place} is free-form");
            for keyword in ["nullable", "oneOf", "anyOf", "$ref"] {
                assert!(node.get(keyword).is_none(), "{kind} {place} has {keyword}");
            }
            let null = node["enum"].as_array().is_some_and(|values| values.contains(&Value::Null));
            assert!(!null, "{kind} {place} lists null");
        });
    }
}

#[test]
fn a_resource_with_nothing_left_out_is_read_and_written_back_unchanged() {
    fn round_trip<K: serde::Serialize + serde::de::DeserializeOwned>(kind: &str) {
        let resource = base(kind);
        let typed: K = serde_json::from_value(resource.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap(), resource, "{kind}");
    }
    round_trip::<Store>("Store");
    round_trip::<StoreNamespace>("StoreNamespace");
    round_trip::<RuntimeConfigSource>("RuntimeConfigSource");
}

/// The API server's own type, which knows more fields in each version: of those it does not know,
/// the API server itself warns.
const NOT_OURS: &str = "/spec/affinity";

/// Every object of a spec refuses what it does not know: nothing is accepted and ignored.
#[test]
fn unknown_fields_are_refused_in_every_object() {
    fn read(kind: &str, resource: Value) -> Result<(), serde_json::Error> {
        match kind {
            "Store" => serde_json::from_value::<Store>(resource).map(drop),
            "StoreNamespace" => serde_json::from_value::<StoreNamespace>(resource).map(drop),
            _ => serde_json::from_value::<RuntimeConfigSource>(resource).map(drop),
        }
    }
    for kind in kinds() {
        let mut objects = Vec::new();
        find_objects("/spec", &base(kind)["spec"], &mut objects);
        assert!(objects.len() > 2, "{kind}: {objects:?}");
        objects.retain(|object| !object.starts_with(NOT_OURS));
        for object in objects {
            let mut resource = base(kind);
            resources::put(&mut resource, &format!("{object}/surprise"), 1.into());
            assert!(read(kind, resource).is_err(), "{kind} {object} takes a field unknown to it");
        }
    }
}

fn find_objects(pointer: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(pointer.to_owned());
            for (key, member) in members {
                find_objects(&format!("{pointer}/{key}"), member, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_objects(&format!("{pointer}/{index}"), item, found);
            }
        }
        _ => {}
    }
}
