//! Contract 3: jobs.

use serde_json::{Map, Value, json};
use stowage_config::Contract::Jobs;
use stowage_store::{EVENT_NUMBER_MAX, NAME_BYTES_MAX};

use super::Path;
use super::components::SEGMENT;
use super::operation::{Operation, answer_ref, header_ref, schema_ref, with_headers};

pub(super) fn paths() -> Vec<Path> {
    vec![
        ("/jobs", vec![("get", list("listJobs", "List the jobs, the newest first", "Job"))]),
        ("/jobs/{job}", job()),
        ("/jobs/{job}/checkpoints", checkpoints()),
        ("/jobs/{job}/checkpoints/{id}", checkpoint()),
        ("/jobs/{job}/runs/{run}", run()),
        ("/jobs/{job}/runs/{run}/events", events()),
        (
            "/jobs/{job}/runs/{run}/events/{event}",
            vec![("get", read("readEvent", "Read an event", "Event"))],
        ),
        ("/runs", vec![("get", list("listRuns", "List all runs, the newest first", "RunSetting"))]),
    ]
}

fn job() -> Vec<(&'static str, Operation)> {
    let delete = Operation::new(
        "deleteJob",
        Jobs,
        "Delete a job with its checkpoints, runs and events, all at once",
    )
    .describe("Conditions are on the job's own document.")
    .conditional_write()
    .empty(204, "There was something of it, and it is gone");
    vec![
        ("get", read("readJob", "Read a job", "Job")),
        ("put", write("writeJob", "Write a job", "Job")),
        ("delete", delete),
    ]
}

fn checkpoints() -> Vec<(&'static str, Operation)> {
    vec![("get", list("listCheckpoints", "List a job's checkpoints by stepNumber", "Checkpoint"))]
}

fn checkpoint() -> Vec<(&'static str, Operation)> {
    vec![
        ("get", read("readCheckpoint", "Read a checkpoint", "Checkpoint")),
        ("put", write("writeCheckpoint", "Write a checkpoint", "Checkpoint")),
    ]
}

fn run() -> Vec<(&'static str, Operation)> {
    let put = write("writeRun", "Write a run's setting", "RunSetting")
        .describe("One that is there stays, with updatedAt set to now.");
    vec![("get", read("readRun", "Read a run's setting", "RunSetting")), ("put", put)]
}

fn events() -> Vec<(&'static str, Operation)> {
    let get = list(
        "listEvents",
        "List a run's events by stepNumber; with contents=true the events themselves, by timestamp",
        "ListedEvent",
    )
    .query("contents", "Whether the events themselves are wanted", json!({"type": "boolean"}))
    .query(
        "maxStep",
        "Leaves out events of later steps",
        json!({"type": "integer", "minimum": 0}),
    );
    let created = with_headers(
        json!({
            "description": "The event; one of the same timestamp, step and type was replaced",
            "content": {"application/json": {"schema": schema_ref("Event")}},
        }),
        json!({"ETag": header_ref("ETag"), "Location": header_ref("Location")}),
    );
    let post = Operation::new("addEvent", Jobs, "Add an event to a run")
        .parameters(&["Prefer"])
        .conditional_write()
        .json_body("Event", true)
        .answer(201, created);
    vec![("get", get), ("post", post)]
}

fn read(id: &'static str, summary: &'static str, schema: &str) -> Operation {
    Operation::new(id, Jobs, summary).conditional_read().document(200, "The document", schema)
}

fn write(id: &'static str, summary: &'static str, schema: &str) -> Operation {
    Operation::new(id, Jobs, summary)
        .parameters(&["Prefer"])
        .conditional_write()
        .json_body(schema, true)
        .document(200, "It was replaced; empty with Prefer: return=minimal", schema)
        .document(201, "It was created", schema)
}

fn list(id: &'static str, summary: &'static str, item: &str) -> Operation {
    let schema = json!({"type": "array", "items": schema_ref(item)});
    let content: Value = json!({
        "application/json": {"schema": schema},
        "application/x-ndjson": {"schema": {"type": "string", "description": "One a line"}},
    });
    let answer = with_headers(
        json!({"description": "A page of the list, or all of it", "content": content}),
        json!({
            "ETag": header_ref("ETag"),
            "Link": header_ref("Link"),
            "X-Stowage-Continue": header_ref("XStowageContinue"),
        }),
    );
    Operation::new(id, Jobs, summary)
        .query("limit", "The most entries of a page", json!({"type": "integer", "minimum": 1}))
        .query(
            "continue",
            "The token of the next page, as X-Stowage-Continue answered it",
            json!({"type": "string"}),
        )
        .conditional_read()
        .answer(200, answer)
        .answer(304, answer_ref("NotModifiedPage"))
}

pub(super) fn schemas() -> Value {
    json!({
        "EventId": {
            "type": "string",
            "description": "{timestamp}-{stepNumber}-{type}",
            "pattern": format!("^[0-9]{{1,16}}-[0-9]{{1,16}}-{SEGMENT}{{1,{NAME_BYTES_MAX}}}$"),
            "examples": ["1700000000200-1-startRun"],
        },
        "Job": document_of(&["id"]),
        "Checkpoint": document_of(&["id", "jobId"]),
        "RunSetting": document_of(&["jobId", "runId"]),
        "Event": {
            "type": "object",
            "required": ["timestamp", "stepNumber", "type"],
            "properties": {
                "timestamp": whole_number(),
                "stepNumber": whole_number(),
                "type": schema_ref("Name"),
                "jobId": {"type": "string"},
                "runId": {"type": "string"},
            },
        },
        "ListedEvent": {"type": "object", "required": ["timestamp", "stepNumber", "type"]},
    })
}

/// An object that may say the ids of its path.
fn document_of(ids: &[&str]) -> Value {
    let ids = ids.iter().map(|id| ((*id).to_owned(), json!({"type": "string"})));
    json!({
        "type": "object",
        "description": "In the bytes that came. An id that it says is that of the path.",
        "properties": ids.collect::<Map<_, _>>(),
    })
}

/// What ECMAScript counts exactly.
fn whole_number() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": EVENT_NUMBER_MAX})
}
