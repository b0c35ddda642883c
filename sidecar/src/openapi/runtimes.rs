//! Contract 4: runtime configs.

use serde_json::{Value, json};
use stowage_config::Contract::Runtimes;
use stowage_store::NAME_BYTES_MAX;

use super::Path;
use super::components::{SEGMENT, of};
use super::operation::{Operation, answer_ref, header_ref, schema_ref, with_headers};
use crate::http::SetSummary;

pub(super) fn paths() -> Vec<Path> {
    vec![
        ("/runtimes", vec![("get", list())]),
        ("/runtimes/{repo_id}/{branch}", set()),
        ("/runtimes/{repo_id}/{branch}/{filepath}", vec![("get", file())]),
    ]
}

fn list() -> Operation {
    Operation::new("listRuntimeSets", Runtimes, "List the sets that the caller may read")
        .conditional_read()
        .document(200, "One entry a branch", "RuntimeSets")
}

fn set() -> Vec<(&'static str, Operation)> {
    let get = Operation::new("readRuntimeSet", Runtimes, "Read all files of a branch")
        .conditional_read()
        .answer(200, revised("The files by path, bytewise", schema_ref("RuntimeFiles")))
        .watched()
        .historic()
        .answer(304, answer_ref("NotModifiedSet"))
        .answer(404, answer_ref("Problem404Set"));
    let put = Operation::new("replaceRuntimeSet", Runtimes, "Replace the whole set of a branch")
        .describe("Readers see the old set or the new one. The same content again keeps the tag.")
        .conditional_write()
        .json_body("NewRuntimeSet", true)
        .answer(200, revised("The set's line in the list", schema_ref("RuntimeSet")))
        .answer(201, revised("The same, where none was served before", schema_ref("RuntimeSet")));
    let delete = Operation::new("deleteRuntimeSet", Runtimes, "Delete the set of a branch")
        .describe("And its history.")
        .conditional_write()
        .empty(204, "There was one, and it is gone");
    vec![("get", get), ("put", put), ("delete", delete)]
}

fn file() -> Operation {
    Operation::new("readRuntimeFile", Runtimes, "Read one config")
        .describe("The path's slashes stay as they are; it is all that follows the branch.")
        .conditional_read()
        .parameters(&["At"])
        .problems(&[410])
        .answer(304, answer_ref("NotModifiedSet"))
        .answer(404, answer_ref("Problem404Set"))
        .answer(200, revised("The config as JSON", schema_ref("Document")))
}

fn revised(description: &str, schema: Value) -> Value {
    with_headers(
        json!({"description": description, "content": {"application/json": {"schema": schema}}}),
        json!({"ETag": header_ref("ETag"), "X-Stowage-Revision": header_ref("XStowageRevision")}),
    )
}

pub(super) fn schemas() -> Value {
    let time = json!({"type": "string", "format": "date-time"});
    let slashed = |length: usize, description: &str, example: &str| {
        json!({
            "type": "string",
            "description": description,
            "minLength": 1,
            "maxLength": length,
            "pattern": format!("^{SEGMENT}+(/{SEGMENT}+)*$"),
            "not": {"pattern": "(^|/)\\.{1,2}(/|$)"},
            "examples": [example],
        })
    };
    json!({
        "SlashedName": slashed(NAME_BYTES_MAX, "May hold slashes, sent as %2F", "feature/search"),
        "FilePath": slashed(1024, "Names with slashes between them", "jobs/nightly.yaml"),
        "RuntimeFiles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["repo_id", "branch", "filepath", "config", "created_at", "updated_at"],
                "properties": {
                    "repo_id": {"type": "string"},
                    "branch": {"type": "string"},
                    "filepath": schema_ref("FilePath"),
                    "config": true,
                    "created_at": time,
                    "updated_at": time,
                },
                "additionalProperties": false,
            },
        },
        "RuntimeSet": of::<SetSummary<'_>>(),
        "RuntimeSets": {"type": "array", "items": schema_ref("RuntimeSet")},
        "NewRuntimeSet": {
            "type": "object",
            "required": ["revision", "files"],
            "properties": {
                "revision": {"type": "string", "description": "The Git commit"},
                "files": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["filepath", "config"],
                        "properties": {"filepath": schema_ref("FilePath"), "config": true},
                    },
                },
            },
        },
    })
}
