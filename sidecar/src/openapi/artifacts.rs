//! Contract 5: artifacts.

use serde_json::{Value, json};
use stowage_config::Contract::Artifacts;

use super::Path;
use super::components::of;
use super::operation::{Operation, answer_ref, header_ref, json_answer, with_headers};
use crate::http::{Logged, NewEntry, StoredArtifact};

pub(super) fn paths() -> Vec<Path> {
    vec![
        (
            "/sites/{site}/artifacts/{build}",
            archive(["readArtifact", "writeArtifact", "deleteArtifact"]),
        ),
        (
            "/artifacts/{site}/{build}",
            archive(["readArtifactAlias", "writeArtifactAlias", "deleteArtifactAlias"]),
        ),
        ("/sites/{site}/logs", vec![("post", log())]),
        ("/sites/{site}/versions", vec![("get", versions())]),
    ]
}

fn archive([read, write, delete]: [&'static str; 3]) -> Vec<(&'static str, Operation)> {
    const DATES: [&str; 2] = ["IfModifiedSince", "IfUnmodifiedSince"];
    let get = Operation::new(read, Artifacts, "Read an archive, or a part of it")
        .parameters(&["Range", "IfRange"])
        .parameters(&DATES)
        .conditional_read()
        .answer(304, answer_ref("NotModifiedArchive"))
        .answer(200, bytes("The archive as it was sent", json!({})))
        .answer(206, bytes("The part", json!({"Content-Range": header_ref("ContentRange")})))
        .problems(&[416]);
    let mut stored = with_headers(
        json_answer("It is there, whether it is new or replaced one", "StoredArtifact"),
        json!({"ETag": header_ref("ETag")}),
    );
    // It tells of the archive and is not it.
    if let Some(headers) = stored["headers"].as_object_mut() {
        headers.remove("Cache-Control");
    }
    let put = Operation::new(write, Artifacts, "Upload an archive")
        .describe(
            "It streams to the disk and becomes visible as a whole. If-None-Match: * makes builds \
             that never change.",
        )
        .parameters(&["ContentMd5"])
        .parameters(&DATES)
        .conditional_write()
        .bytes_body("The archive, of any type")
        .answer(201, stored);
    let delete = Operation::new(delete, Artifacts, "Delete an archive")
        .describe("The build's log stays.")
        .parameters(&DATES)
        .conditional_write()
        .empty(204, "There was one, and it is gone");
    vec![("get", get), ("put", put), ("delete", delete)]
}

fn bytes(description: &str, headers: Value) -> Value {
    let mut all = json!({
        "ETag": header_ref("ETag"),
        "Last-Modified": header_ref("LastModified"),
        "Accept-Ranges": header_ref("AcceptRanges"),
        "Content-Disposition": header_ref("ContentDisposition"),
    });
    if let (Some(all), Value::Object(headers)) = (all.as_object_mut(), headers) {
        all.extend(headers);
    }
    let content = json!({"application/gzip": {"schema": {}}});
    with_headers(json!({"description": description, "content": content}), all)
}

fn log() -> Operation {
    Operation::new("logBuild", Artifacts, "Log what became of a build")
        .json_body("NewLogEntry", true)
        .conditional_write()
        .json(201, "It is in the build's log, with the server's time", "Logged")
}

fn versions() -> Operation {
    Operation::new("listVersions", Artifacts, "List a site's builds, the newest first")
        .query("all", "Also archives without a log", json!({"type": "boolean"}))
        .conditional_read()
        .document(200, "The versions; none for an unknown site", "Versions")
}

pub(super) fn schemas() -> Value {
    json!({
        "StoredArtifact": of::<StoredArtifact<'_>>(),
        "NewLogEntry": of::<NewEntry<'_>>(),
        "Logged": of::<Logged<'_>>(),
        "Versions": {
            "type": "object",
            "required": ["site_id", "count", "versions"],
            "properties": {
                "site_id": {"type": "string"},
                "count": {"type": "integer", "minimum": 0},
                "versions": {"type": "array", "items": version()},
            },
            "additionalProperties": false,
        },
    })
}

fn version() -> Value {
    let time = json!({"type": "string", "format": "date-time"});
    let or_null = |schema: Value| json!({"anyOf": [schema, {"type": "null"}]});
    json!({
        "type": "object",
        "required": [
            "build_id", "size_bytes", "created_at", "timestamp", "action", "status", "metadata",
            "logs",
        ],
        "properties": {
            "build_id": {"type": "string"},
            "size_bytes": or_null(json!({"type": "integer", "minimum": 0})),
            "created_at": or_null(time.clone()),
            "timestamp": time,
            "action": or_null(json!({"type": "string"})),
            "status": or_null(json!({"type": "string"})),
            "metadata": {"type": "object"},
            "logs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["action", "status", "timestamp", "metadata"],
                },
            },
        },
        "additionalProperties": false,
    })
}
