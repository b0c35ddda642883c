//! HEAD beside every GET: the same answers without their content (RFC 9110 §9.3.2), but for those to a range,
//! which is for GET alone (§14.2).

use serde_json::Value;

use super::shared::SharedAnswers;

/// The parameters that ask for a range, and its answers.
const RANGE_PARAMETERS: [&str; 2] = ["Range", "IfRange"];
const RANGE_STATUSES: [&str; 2] = ["206", "416"];

/// HEAD where this is GET.
pub(super) fn beside(get: &Value, shared: &mut SharedAnswers) -> Value {
    let text = |member: &str| get[member].as_str().unwrap_or_default();
    let mut head = get.clone();
    head["operationId"] = format!("{}Head", text("operationId")).into();
    head["summary"] = format!("{}: its header fields alone", text("summary")).into();
    if let Some(parameters) = head.get_mut("parameters").and_then(Value::as_array_mut) {
        let is_of_ranges = |parameter: &Value| {
            let name = parameter["$ref"].as_str().and_then(|place| place.rsplit('/').next());
            name.is_some_and(|name| RANGE_PARAMETERS.contains(&name))
        };
        parameters.retain(|parameter| !is_of_ranges(parameter));
    }
    if let Some(answers) = head["responses"].as_object_mut() {
        answers.retain(|status, _| !RANGE_STATUSES.contains(&status.as_str()));
        for answer in answers.values_mut() {
            shared.change(answer, "Head", |answer| {
                answer.remove("content");
            });
        }
    }
    head
}
