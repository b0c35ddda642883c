//! OPTIONS at every path of the main port: which methods it takes, and what a browser asks before a page of
//! another origin may use one of them. It needs no credentials.

use serde_json::{Map, Value, json};

use super::operation::{answer_ref, header_ref};
use super::shared::SharedAnswers;

/// OPTIONS beside the other operations of a path.
pub(super) fn beside(item: &Map<String, Value>, shared: &mut SharedAnswers) -> Value {
    let first = item.values().next().unwrap_or(&Value::Null);
    let mut parameters = first["parameters"].as_array().cloned().unwrap_or_default();
    parameters.retain(|parameter| parameter["in"] == "path");
    let asked = ["Origin", "RequestedMethod", "RequestedHeaders"];
    let parameter = |name| json!({"$ref": format!("#/components/parameters/{name}")});
    parameters.extend(asked.map(parameter));

    let mut answers =
        json!({"204": answer_ref("Preflight"), "405": first["responses"]["405"].clone()});
    for status in ["400", "404", "414", "431"] {
        if first["responses"].get(status).is_some() {
            answers[status] = answer_ref(&format!("Problem{status}"));
            shared.change(&mut answers[status], "Preflight", |answer| {
                if let Some(headers) = answer.get_mut("headers").and_then(Value::as_object_mut) {
                    headers.extend(fields());
                }
            });
        }
    }
    let id = first["operationId"].as_str().unwrap_or_default();
    json!({
        "operationId": format!("{id}Preflight"),
        "tags": first["tags"],
        "summary": "Which methods the path takes, and which of them a page of another origin may use",
        "parameters": parameters,
        "responses": answers,
        "security": [],
    })
}

/// What the answer to a preflight has, where the Store allows the origin.
pub(super) fn fields() -> Map<String, Value> {
    let fields = [
        ("Access-Control-Allow-Headers", "AllowedHeaders"),
        ("Access-Control-Allow-Methods", "AllowedMethods"),
        ("Access-Control-Max-Age", "MaxAge"),
    ];
    fields.into_iter().map(|(name, field)| (name.to_owned(), header_ref(field))).collect()
}
