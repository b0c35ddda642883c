//! The JSON Schema of a source.

use crate::support::{SOURCE, STORE, expect};

#[test]
fn schemas_are_there_and_are_schemas() {
    let source = |schema: &str| format!("{STORE}{SOURCE}  schema: {schema}\n");
    let map = |text: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: schemas}}\n\
             data: {{runtime.json: '{text}'}}\n"
        )
    };
    let by_map = source("{configMapRef: {name: schemas, key: runtime.json}}");
    expect("inline", &source("{inline: {type: object, enum: [null]}}"), &[]);
    expect("by ConfigMap", &format!("{by_map}{}", map("{\"type\": \"object\"}")), &[]);
    expect("by path", &source("{path: schema.json, pointer: /runtime}"), &[]);
    expect(
        "two places",
        &source("{inline: {}, path: schema.json}"),
        &[("14:3: spec.schema", "exactly one of inline, configMapRef and path")],
    );
    expect(
        "an inline text",
        &source("{inline: 'true'}"),
        &[("14:12: spec.schema.inline", "here stands a text, and a mapping is expected")],
    );
    expect(
        "an inline schema that is none",
        &source("{inline: {type: objekt}}"),
        &[("14:12: spec.schema.inline", "it is not a usable JSON Schema at /type")],
    );
    expect(
        "a reference to the outside",
        &source("{inline: {$ref: 'https://example.com/a.json'}}"),
        &[("14:12: spec.schema.inline", "a $ref leads out of the schema")],
    );
    let key = "14:42: spec.schema.configMapRef.key";
    expect(
        "no such ConfigMap",
        &by_map,
        &[("14:27: spec.schema.configMapRef.name", "there is no ConfigMap schemas in the")],
    );
    expect(
        "no such key",
        &format!("{by_map}{}", map("{}")).replace("data: {runtime", "data: {other"),
        &[(key, "has no such key; it has other.json")],
    );
    expect(
        "a key that is no schema",
        &format!("{by_map}{}", map("{\"type\": 1}")),
        &[(key, "it is not a usable JSON Schema")],
    );
    expect(
        "a key that is not even JSON",
        &format!("{by_map}{}", map("{\"type\": [")),
        &[(key, "it is neither JSON nor YAML")],
    );
}
