//! The structure of a resource: each fault as a field and a sentence that repeats no value, for
//! it may be a secret in the wrong place.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use serde_json::Value;
use stowage_config::byte_size::BYTE_SIZE_PATTERN;
use stowage_config::interval::INTERVAL_PATTERN;

use super::schema::{KindSchema, NAMESPACE_PATTERN, OBJECT_NAME_PATTERN};
use super::suggest::did_you_mean;
use super::yaml::Step;

/// Everything that is wrong with the structure of a resource.
pub(super) fn faults(schema: &KindSchema, resource: &Value) -> Vec<(Vec<Step>, String)> {
    let mut faults: Vec<(Vec<Step>, String)> = Vec::new();
    for error in schema.validator.iter_errors(resource) {
        let path = steps(error.instance_path());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for name in unexpected {
                    let message = unknown_field(name, schema.part(&path));
                    faults.push((child(&path, name), message));
                }
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let message = "it is missing, and nothing works without it".to_owned();
                faults.push((child(&path, name), message));
            }
            kind => {
                // A text that is too short for its pattern would be told so twice.
                if !faults.iter().any(|(known, _)| *known == path) {
                    let message = sentence(kind, error.instance());
                    faults.push((path, message));
                }
            }
        }
    }
    faults
}

fn steps(location: &Location) -> Vec<Step> {
    location
        .iter()
        .map(|segment| match segment {
            LocationSegment::Property(name) => Step::Key(name.into_owned()),
            LocationSegment::Index(index) => Step::Index(index),
        })
        .collect()
}

fn child(path: &[Step], name: &str) -> Vec<Step> {
    let mut path = path.to_vec();
    path.push(Step::Key(name.to_owned()));
    path
}

fn unknown_field(name: &str, schema: &Value) -> String {
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| &**name).collect();
    let advice = did_you_mean(name, known.iter().copied())
        .unwrap_or_else(|| format!("this version knows {} here", known.join(", ")));
    format!("there is no such field: {advice}")
}

fn sentence(kind: &ValidationErrorKind, value: &Value) -> String {
    match kind {
        ValidationErrorKind::Type { kind } => wrong_type(kind, value),
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let near = did_you_mean(value.as_str().unwrap_or_default(), options.iter().copied());
            let near = near.map(|near| format!(" ({near})")).unwrap_or_default();
            format!("it is none of {}: write one of them{near}", options.join(", "))
        }
        ValidationErrorKind::Pattern { pattern } => match pattern.as_str() {
            BYTE_SIZE_PATTERN => {
                "it is not a size: write a number of bytes, or one with Ki, Mi, Gi, Ti, Pi, k, M, G, \
                 T or P, such as 10Gi"
            }
            INTERVAL_PATTERN => "it is not a span of time: write 30s, 5m, 1h30m or 500ms",
            OBJECT_NAME_PATTERN | NAMESPACE_PATTERN => {
                "it is not a name: write lower-case letters, digits and -, with a letter or digit \
                 at both ends"
            }
            _ => "it does not have the form that is expected here",
        }
        .to_owned(),
        ValidationErrorKind::MinLength { limit: 1 } => {
            "it is empty: write something, or leave the field out".to_owned()
        }
        ValidationErrorKind::MinLength { limit } => {
            format!("it is too short: write at least {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!("it is too long: write at most {limit} characters")
        }
        ValidationErrorKind::MinItems { limit } => {
            format!("it has too few items: write at least {limit}")
        }
        ValidationErrorKind::MaxItems { limit } => {
            format!("it has too many items: write at most {limit}")
        }
        ValidationErrorKind::Minimum { limit } => {
            format!("it is too small: write at least {}", whole(limit))
        }
        ValidationErrorKind::Maximum { limit } => {
            format!("it is too large: write at most {}", whole(limit))
        }
        other => format!("it breaks the definition's {}", other.keyword()),
    }
}

/// Limits of a definition are floating point.
fn whole(limit: &Value) -> String {
    limit.as_f64().map_or_else(|| limit.to_string(), |limit| format!("{limit:.0}"))
}

fn wrong_type(expected: &TypeKind, value: &Value) -> String {
    let expected = match expected {
        TypeKind::Single(expected) => noun(expected.as_str()).to_owned(),
        TypeKind::Multiple(types) => {
            let nouns: Vec<&str> = types.iter().map(|expected| noun(expected.as_str())).collect();
            nouns.join(" or ")
        }
    };
    let (found, quotable) = match value {
        Value::Null => ("nothing", false),
        Value::Bool(_) => ("true or false", true),
        Value::Number(_) => ("a number", true),
        Value::String(_) => ("a text", false),
        Value::Array(_) => ("a list", false),
        Value::Object(_) => ("a mapping", false),
    };
    let advice = if quotable && expected == "a text" { ": put it in quotes" } else { "" };
    format!("here stands {found}, and {expected} is expected{advice}")
}

fn noun(json_type: &str) -> &str {
    match json_type {
        "string" => "a text",
        "object" => "a mapping",
        "array" => "a list",
        "boolean" => "true or false",
        "integer" => "a whole number",
        other => other,
    }
}
