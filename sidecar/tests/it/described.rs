//! Every answer of every test, held against the description at `/openapi.json`: its status, its
//! media type and its body are described there, the header fields that it always has are there, and those
//! that it has are described.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::raw::{Answer, Request};

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let text = stowage_sidecar::openapi::document();
    serde_json::from_str(&text).expect("the description is JSON")
});

/// Fails where an answer is not one that the description has.
pub(crate) fn verify(request: &Request, answer: &Answer) {
    let Some(item) = item(&request.target) else { return };
    let is_second_port = item.get("servers").is_some();
    if is_second_port && answer.status == 404 {
        // Asked for at the main port, which has no such path.
        return;
    }
    let method = request.method.to_lowercase();
    let said = format!("{} {}: {}", request.method, request.target, answer.status);
    let operation = match operations(item).find(|(described, _)| **described == method) {
        Some((_, operation)) => operation,
        None => {
            // Whether the method is known comes after whether the contract is served.
            assert!(
                matches!(answer.status, 405 | 404 | 400),
                "{said}: the method is not described"
            );
            if answer.status != 405 {
                return;
            }
            verify_allowed(item, answer, &said);
            // Every operation of the path says what the others' methods get.
            operations(item).next().expect("an operation").1
        }
    };
    let described = resolve(&operation["responses"][answer.status.to_string()]);
    assert!(described.is_object(), "{said} is not described: {}", answer.text());
    for (name, field) in described["headers"].as_object().into_iter().flatten() {
        let is_missing = answer.header(&name.to_lowercase()).is_none();
        let field = resolve(field);
        assert!(!(is_missing && field["required"] == true), "{said} without {name}");
    }
    let described_fields = fields(described);
    for (name, _) in &answer.headers {
        let name = name.to_lowercase();
        let is_one = FIELDS.contains(&name) && !described_fields.contains(&name);
        assert!(!is_one, "{said} with {name}, which is not described there");
    }
    // As to HEAD, and under 204 and 304; what else is without one is of no JSON type.
    if answer.body.is_empty() {
        return;
    }
    let media_type = answer.header("content-type").unwrap_or_default();
    let content = &described["content"][&media_type];
    assert!(content.is_object(), "{said}: {media_type:?} is not described");
    if !media_type.ends_with("json") {
        return;
    }
    let schema = json!({"allOf": [content["schema"]], "components": DESCRIPTION["components"]});
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let body = serde_json::from_slice(&answer.body);
    // A document may hold what this parser does not take, such as half a surrogate pair.
    let Ok(body) = body else { return };
    if let Err(error) = validator.validate(&body) {
        panic!("{said}: {error} at {}: {body}", error.instance_path());
    }
}

/// The fields that are described anywhere.
static FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let items = DESCRIPTION["paths"].as_object().into_iter().flatten();
    let operations = items.flat_map(|(_, item)| operations(item));
    let answers = operations.flat_map(|(_, it)| it["responses"].as_object().into_iter().flatten());
    answers.flat_map(|(_, answer)| fields(resolve(answer))).collect()
});

/// The fields of a described answer.
fn fields(answer: &Value) -> BTreeSet<String> {
    let fields = answer["headers"].as_object().into_iter().flatten();
    fields.map(|(name, _)| name.to_lowercase()).collect()
}

/// The methods of a path, and what each of them does.
fn operations(item: &'static Value) -> impl Iterator<Item = (&'static String, &'static Value)> {
    let members = item.as_object().into_iter().flatten();
    members.filter(|(_, member)| member.get("operationId").is_some())
}

/// Fails where `Allow` does not say the methods that are described.
fn verify_allowed(item: &'static Value, answer: &Answer, said: &str) {
    let described: BTreeSet<String> =
        operations(item).map(|(method, _)| method.to_uppercase()).collect();
    let allowed = answer.header("allow").unwrap_or_default();
    let allowed: BTreeSet<String> = allowed.split(',').map(|it| it.trim().to_owned()).collect();
    assert_eq!(allowed, described, "{said}: what Allow says, and what is described");
}

/// What is described for the path of a target. One that is no URI is refused before there is a request.
fn item(target: &str) -> Option<&'static Value> {
    target.parse::<http::Uri>().ok()?;
    let path = target.split('?').next()?;
    let paths = DESCRIPTION["paths"].as_object()?;
    // What is spelled out goes before what is named in braces.
    let matching = paths.iter().filter(|(template, _)| stands_for(template, path));
    matching.min_by_key(|(template, _)| template.matches('{').count()).map(|(_, item)| item)
}

fn stands_for(template: &str, path: &str) -> bool {
    let (wanted, found): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    let is_tail = template.ends_with("{filepath}");
    if found.len() < wanted.len() || (found.len() > wanted.len() && !is_tail) {
        return false;
    }
    let mut pairs = wanted.iter().zip(&found);
    pairs.all(|(wanted, found)| wanted == found || (wanted.starts_with('{') && !found.is_empty()))
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DESCRIPTION
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &'static Value) -> usize {
        let below = match value {
            Value::Array(items) => items.iter().map(walk).sum(),
            Value::Object(members) => members.values().map(walk).sum(),
            _ => 0,
        };
        if value["$ref"].is_string() {
            below + usize::from(resolve(value).is_object())
        } else {
            below
        }
    }
    assert!(walk(&DESCRIPTION) > 100, "the description refers to its components");
}

#[test]
fn an_answer_that_is_not_described_is_seen() {
    let answer = |status, body: &str| Answer {
        status,
        headers: [
            ("Content-Type", "application/json"),
            ("X-Request-Id", "1"),
            ("X-Storage-Backend", "local"),
            ("Cache-Control", "no-store"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec(),
        body: body.into(),
    };
    let health = Request::new("GET", "/health");
    let is_refused = |request: &Request, answer: Answer| {
        std::panic::catch_unwind(|| verify(request, &answer)).is_err()
    };
    let healthy = r#"{"status":"healthy","time":"2024-01-01T00:00:00Z"}"#;
    assert!(!is_refused(&health, answer(200, healthy)), "as it is");
    assert!(is_refused(&health, answer(418, healthy)), "a status that is not described");
    assert!(is_refused(&health, answer(200, r#"{"status":1}"#)), "a body of another shape");
    assert!(is_refused(&Request::new("PUT", "/health"), answer(200, healthy)), "a method");
    let head = Request::new("HEAD", "/health");
    assert!(!is_refused(&head, answer(200, "")), "HEAD");
    assert!(is_refused(&head, answer(200, healthy)), "a body to HEAD");
    let options = Request::new("OPTIONS", "/health");
    assert!(is_refused(&options, answer(200, "")), "OPTIONS is 204");
    assert!(is_refused(&options, answer(204, "")), "a preflight without Allow");
    let mut other = answer(200, healthy);
    other.headers.push(("ETag".into(), "\"1\"".into()));
    assert!(is_refused(&health, other), "a field that is described elsewhere alone");
    for (i, missing) in ["media type", "request id", "backend", "caching"].into_iter().enumerate() {
        let mut other = answer(200, healthy);
        other.headers.remove(i);
        assert!(is_refused(&health, other), "without its {missing}");
    }
}
