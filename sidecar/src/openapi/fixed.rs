//! What belongs to no contract.

use serde_json::{Value, json};
use stowage_config::Contract;

use super::Path;
use super::components::of;
use super::operation::Operation;
use crate::http::{Health, StorageInfo};

pub(super) fn paths() -> Vec<Path> {
    let health = |id| {
        let operation = Operation::open(id, "Whether the process answers");
        vec![("get", operation.json(200, "It does", "Health"))]
    };
    let description = Operation::open("describe", "This description")
        .document(200, "OpenAPI 3.1", "Document")
        .conditional_read()
        .problems(&[400]);
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
