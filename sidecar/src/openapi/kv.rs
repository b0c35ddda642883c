//! Contract 2: KV.

use serde_json::{Value, json};
use stowage_config::Contract::Kv;
use stowage_store::MEMBER_KEY_BYTES_MAX;

use super::Path;
use super::operation::{Operation, answer_ref, schema_ref};
use crate::http::ttl::SECONDS_MAX;

pub(super) fn paths() -> Vec<Path> {
    vec![
        ("/api/storage", namespace(["readNamespace", "patchNamespace", "clearNamespace"])),
        (
            "/storage",
            namespace(["readNamespaceAlias", "patchNamespaceAlias", "clearNamespaceAlias"]),
        ),
    ]
}

fn namespace([read, patch, clear]: [&'static str; 3]) -> Vec<(&'static str, Operation)> {
    let get = of_namespace(Operation::new(read, Kv, "Read a namespace, or one key of it"))
        .query("key", "Answers this key's value alone", schema_ref("MemberKey"))
        .conditional_read()
        .document(
            200,
            "The object of all keys, an empty one for a namespace that was never written; or the \
             value of the key",
            "Document",
        )
        .watched()
        .historic()
        .answer(404, answer_ref("Problem404Key"));
    let patch = of_namespace(Operation::new(patch, Kv, "Apply operations, all or none"))
        .describe(
            "In order. The version grows by exactly one, also where nothing changes, and never \
             goes back. If-Match takes a bare number, too; \"0\" creates.",
        )
        .parameters(&["AppId", "Prefer"])
        .conditional_write()
        .json_body("Operations", true)
        .answer(415, answer_ref("Problem415Patch"))
        .document(200, "The new version; empty with Prefer: return=minimal", "Patched")
        .document(201, "The same, where the version was 0", "Patched")
        .problems(&[428]);
    let delete = of_namespace(Operation::new(clear, Kv, "Clear a namespace"))
        .describe("And its history. The version grows by one, as by a PATCH.")
        .parameters(&["Prefer"])
        .conditional_write()
        .document(200, "The new version", "Patched")
        .problems(&[428]);
    vec![("get", get), ("patch", patch), ("delete", delete)]
}

fn of_namespace(operation: Operation) -> Operation {
    operation
        .required_query("ns", "The namespace's name", schema_ref("Name"))
        .parameters(&["Scope"])
}

pub(super) fn schemas() -> Value {
    json!({
        "MemberKey": {
            "type": "string",
            "description": format!("1 to {MEMBER_KEY_BYTES_MAX} bytes"),
            "minLength": 1,
            "maxLength": MEMBER_KEY_BYTES_MAX,
        },
        "Operations": operations(),
        "Patched": {
            "type": "object",
            "required": ["version", "snapshot"],
            "properties": {
                "version": {"type": "string", "pattern": "^[0-9]+$"},
                "snapshot": {"type": "object"},
            },
        },
    })
}

/// The operations of a PATCH.
fn operations() -> Value {
    let key = schema_ref("MemberKey");
    json!({
        "type": "array",
        "maxItems": crate::http::OPERATIONS_MAX,
        "items": {"oneOf": [
            {
                "type": "object",
                "required": ["op", "key", "value"],
                "properties": {"op": {"const": "set"}, "key": key, "value": true, "ttl": ttl()},
            },
            {
                "type": "object",
                "required": ["op", "key"],
                "properties": {"op": {"const": "del"}, "key": key},
            },
            {"type": "object", "required": ["op"], "properties": {"op": {"const": "clear"}}},
        ]},
        "examples": [[{"op": "set", "key": "apples", "value": 3}, {"op": "del", "key": "pears"}]],
    })
}

/// How long a key is to live; the texts are some of those that are taken.
fn ttl() -> Value {
    json!({
        "description": "Seconds, or a number with s, m or h; at most ten years.",
        "oneOf": [
            {"type": "integer", "minimum": 1, "maximum": SECONDS_MAX},
            {"type": "string", "pattern": "^([1-9][0-9]{0,7}s|[1-9][0-9]{0,5}m|[1-9][0-9]{0,3}h)$"},
        ],
    })
}
