//! What belongs to no contract.

use serde_json::{Value, json};
use stowage_config::Contract;

use super::Path;
use super::components::of;
use super::operation::{Operation, header_ref, schema_ref, with_headers};
use crate::http::{Health, StorageInfo};

pub(super) fn paths() -> Vec<Path> {
    let health = |id| {
        let operation = Operation::open(id, "Whether the process answers");
        let content = json!({"application/json": {"schema": schema_ref("Health")}});
        let answer = json!({"description": "It does", "content": content});
        let headers = json!({"Cache-Control": header_ref("NoStore")});
        vec![("get", operation.answer(200, with_headers(answer, headers)))]
    };
    let description = Operation::open("describe", "This description")
        .document(200, "OpenAPI 3.1", "Document")
        .conditional_read();
    let info = Operation::new("storageInfo", Contract::RunStore, "Where the data stands")
        .server()
        .describe("404 unless debugging is enabled; it names directories.")
        .json(200, "The backend's kind and place", "StorageInfo");
    vec![
        ("/health", health("health")),
        ("/run-stores/{name}/health", health("documentHealth")),
        ("/openapi.json", vec![("get", description)]),
        ("/_debug/storage-info", vec![("get", info)]),
    ]
}

pub(super) fn schemas() -> Value {
    json!({"Health": of::<Health>(), "StorageInfo": of::<StorageInfo>()})
}
