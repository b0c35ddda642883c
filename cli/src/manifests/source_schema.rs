//! The JSON Schema of a source, where the manifests hold it.

use jsonschema::{PatternOptions, Retrieve, Uri};
use serde_json::Value;
use stowage_crds::{RuntimeConfigSource, SchemaSource};

use super::collection::{Collection, Found};
use super::kind::Kind;
use super::problem::Problem;
use super::resources::ObjectName;

/// A relative reference needs something to be relative to before it can be refused.
const BASE_URI: &str = "schema:/";

/// Whether the schema is there, and is one.
pub(super) fn check(all: &Collection, source: &Found<RuntimeConfigSource>) -> Vec<Problem> {
    let schema = source.resource.spec.schema.as_ref().and_then(|schema| schema.source());
    let found = match schema {
        None | Some(SchemaSource::Repository(_)) => Ok(()),
        Some(SchemaSource::Inline(schema)) => compile(&Value::Object(schema.clone()))
            .map_err(|message| ("spec.schema.inline", message)),
        Some(SchemaSource::ConfigMap(reference)) => {
            in_config_map(all, &source.name, &reference.name, &reference.key)
        }
    };
    found
        .err()
        .map(|(field, message)| source.document.problem_at(field, message))
        .into_iter()
        .collect()
}

fn in_config_map(
    all: &Collection,
    from: &ObjectName,
    name: &str,
    key: &str,
) -> Result<(), (&'static str, String)> {
    let wanted = ObjectName { namespace: from.namespace.clone(), name: name.to_owned() };
    let Some(found) = all.config_maps.iter().find(|map| map.name == wanted) else {
        if all.declares(Kind::ConfigMap, &wanted) {
            return Ok(());
        }
        let message = all.missing(Kind::ConfigMap, &wanted);
        return Err(("spec.schema.configMapRef.name", message));
    };
    let place = found.document.place();
    let Some(text) = found.resource.data.get(key) else {
        let keys: Vec<&str> = found.resource.data.keys().map(String::as_str).collect();
        let message =
            format!("the ConfigMap {name} at {place} has no such key; it has {}", keys.join(", "));
        return Err(("spec.schema.configMapRef.key", message));
    };
    serde_saphyr::from_str(text)
        .map_err(|error| format!("it is neither JSON nor YAML: {error}"))
        .and_then(|schema| compile(&schema))
        .map_err(|message| {
            let message = format!("{key} of the ConfigMap {name} at {place}: {message}");
            ("spec.schema.configMapRef.key", message)
        })
}

fn compile(schema: &Value) -> Result<(), String> {
    jsonschema::options()
        .with_base_uri(BASE_URI)
        .with_retriever(Deny)
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map(drop)
        .map_err(|error| {
            let at = error.instance_path().to_string();
            let place = if at.is_empty() { String::new() } else { format!(" at {at}") };
            format!("it is not a usable JSON Schema{place}: {error}")
        })
}

/// Nothing outside the schema is read.
struct Deny;

impl Retrieve for Deny {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("a $ref leads out of the schema; put what it refers to under $defs".into())
    }
}
