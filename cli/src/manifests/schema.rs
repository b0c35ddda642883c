//! What each kind must look like: the definitions' own schemas, made strict.
//!
//! An API server drops a field that it does not know and warns. Here nothing would show the
//! warning later, so an unknown field is refused.

use std::sync::LazyLock;

use kube::CustomResourceExt;
use kube::core::cel::{CompiledSchema, Validator as CelValidator, compile_schema};
use serde_json::{Map, Value, json};
use stowage_crds::{RuntimeConfigSource, Store, StoreNamespace, definition};

use super::kind::Kind;
use super::yaml::Step;

/// RFC 1123 subdomain.
pub(super) const OBJECT_NAME_PATTERN: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// RFC 1123 label.
pub(super) const NAMESPACE_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// What a resource of one kind must look like.
pub(super) struct KindSchema {
    pub(super) structure: Value,
    pub(super) validator: jsonschema::Validator,
    rules: Option<CompiledSchema>,
}

/// Compiled once: manifests that are watched are read again and again.
static KINDS: LazyLock<Vec<(Kind, KindSchema)>> =
    LazyLock::new(|| Kind::ALL.into_iter().map(|kind| (kind, KindSchema::new(kind))).collect());

/// The schemas of all kinds.
pub(super) struct Schemas {
    cel: CelValidator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        Self { cel: CelValidator::new() }
    }

    pub(super) fn of(&self, kind: Kind) -> &'static KindSchema {
        let found = KINDS.iter().find(|(known, _)| *known == kind);
        &found.expect("there is a schema for every kind").1
    }

    /// The CEL rules that a resource breaks: field and message.
    pub(super) fn broken_rules(&self, kind: Kind, resource: &Value) -> Vec<(String, String)> {
        let Some(rules) = &self.of(kind).rules else { return Vec::new() };
        let errors = self.cel.validate_compiled(rules, resource, None).err();
        errors.into_iter().flatten().map(|error| (error.field_path, error.message)).collect()
    }
}

impl KindSchema {
    fn new(kind: Kind) -> Self {
        let definition = match kind {
            Kind::Store => Some(open_api_schema::<Store>()),
            Kind::StoreNamespace => Some(open_api_schema::<StoreNamespace>()),
            Kind::RuntimeConfigSource => Some(open_api_schema::<RuntimeConfigSource>()),
            Kind::Secret | Kind::ConfigMap => None,
        };
        let rules = definition.as_ref().map(compile_schema);
        let mut structure = definition.unwrap_or_else(|| plain_schema(kind));
        make_strict(&mut structure);
        structure["properties"]["apiVersion"] = json!({"type": "string"});
        structure["properties"]["kind"] = json!({"type": "string"});
        structure["properties"]["metadata"] = metadata_schema();
        let required = structure["required"].as_array_mut();
        required.into_iter().for_each(|names| names.push("metadata".into()));
        let validator = jsonschema::options()
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .build(&structure)
            .expect("the definitions' schemas are JSON Schemas, as every test of them shows");
        Self { structure, validator, rules }
    }

    /// Takes out every null that stands for a field left out, as an API server does.
    pub(super) fn drop_nulls(&self, resource: &mut Value) {
        drop_nulls(resource, &self.structure);
    }

    /// The part of the schema that describes a field.
    pub(super) fn part(&self, path: &[Step]) -> &Value {
        path.iter().fold(&self.structure, |part, step| match step {
            Step::Key(key) => match &part["properties"][key] {
                Value::Null => &part["additionalProperties"],
                known => known,
            },
            Step::Index(_) => &part["items"],
        })
    }
}

fn open_api_schema<K: CustomResourceExt>() -> Value {
    let version = definition::<K>().spec.versions.into_iter().next();
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
    serde_json::to_value(schema).unwrap_or_default()
}

/// Refuses unknown fields and says what an int-or-string is. Annotations are left out, for a
/// shorter compilation.
fn make_strict(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    members.retain(|name, _| {
        !matches!(&**name, "description" | "default" | "format" | "x-kubernetes-validations")
    });
    if members.contains_key("x-kubernetes-int-or-string") {
        members.insert("type".to_owned(), json!(["integer", "string"]));
    }
    let free_form = members.contains_key("x-kubernetes-preserve-unknown-fields");
    if members.contains_key("properties") && !free_form {
        members.insert("additionalProperties".to_owned(), false.into());
    }
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(make_strict);
    }
    if let Some(items) = members.get_mut("items") {
        make_strict(items);
    }
}

fn drop_nulls(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(members) => {
            let Some(properties) = schema["properties"].as_object() else { return };
            members.retain(|name, member| !(member.is_null() && properties.contains_key(name)));
            for (name, member) in members {
                drop_nulls(member, &properties.get(name).cloned().unwrap_or_default());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_nulls(item, &schema["items"])),
        _ => {}
    }
}

/// Secrets and ConfigMaps, as far as they are read.
fn plain_schema(kind: Kind) -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let mut properties = Map::new();
    properties.insert("data".to_owned(), texts.clone());
    properties.insert("immutable".to_owned(), json!({"type": "boolean"}));
    if kind == Kind::Secret {
        properties.insert("stringData".to_owned(), texts);
        properties.insert("type".to_owned(), json!({"type": "string"}));
    }
    json!({"type": "object", "required": [], "properties": properties})
}

/// `ObjectMeta`, with what a server adds to it, so that its output can be read again.
fn metadata_schema() -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": {
                "type": "string", "minLength": 1, "maxLength": 253, "pattern": OBJECT_NAME_PATTERN,
            },
            "namespace": {
                "type": "string", "minLength": 1, "maxLength": 63, "pattern": NAMESPACE_PATTERN,
            },
            "labels": texts,
            "annotations": texts,
            "creationTimestamp": {},
            "deletionGracePeriodSeconds": {},
            "deletionTimestamp": {},
            "finalizers": {},
            "generateName": {},
            "generation": {},
            "managedFields": {},
            "ownerReferences": {},
            "resourceVersion": {},
            "selfLink": {},
            "uid": {},
        },
    })
}
