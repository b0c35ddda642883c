//! The second port: whether the server runs and is ready, and its metrics. Its paths have a server of their own.

use serde_json::{Map, Value, json};

use super::operation::{Operation, with_headers};
use crate::http::{MANAGEMENT_PATHS, METRICS_TYPE};

/// As the server's framework says it of a text.
const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn paths() -> Map<String, Value> {
    let livez =
        Operation::open("livez", "Whether the process runs").answer(200, text("It does", TEXT));
    let readyz = Operation::open("readyz", "Whether requests are welcome")
        .answer(200, text("The storage can be read and written, and no shutdown has begun", TEXT))
        .problems(&[503]);
    let metrics = Operation::open("metrics", "Read the metrics")
        .answer(200, text("OpenMetrics, as Prometheus reads it", METRICS_TYPE));
    let item = |(path, operation): (&str, Operation)| {
        let item = json!({"servers": [server()], "get": operation.into_value(path)});
        (path.to_owned(), item)
    };
    MANAGEMENT_PATHS.into_iter().zip([livez, readyz, metrics]).map(item).collect()
}

fn server() -> Value {
    json!({
        "url": "http://{host}:{port}",
        "description": "The second port, which needs no credentials and is not to be exposed",
        "variables": {"host": {"default": "localhost"}, "port": {"default": "8081"}},
    })
}

fn text(description: &str, media_type: &str) -> Value {
    let content = json!({media_type: {"schema": {"type": "string"}}});
    with_headers(json!({"description": description, "content": content}), json!({}))
}
