//! The reference of all fields, as a page for people: made from the definitions, so that it says
//! what an API server enforces.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};

use serde_json::Value;
use stowage_config::byte_size::BYTE_SIZE_PATTERN;
use stowage_config::interval::INTERVAL_PATTERN;

use crate::definitions;

/// A field of the API server's own type, which Kubernetes documents.
const KUBERNETES_OWN: &str = "spec.affinity";

/// The page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "<!-- Written by `make crds`; do not edit. -->\n# The resources\n\n\
         Group `stowage.dev`, version `v1alpha1`: the first two lines of each are \
         `apiVersion: stowage.dev/v1alpha1` and `kind:`, one of the headings below. `stowage` refuses \
         an unknown field, and what a rule does not allow; each rule stands beside its field in the \
         words in which it is told.\n\n\
         `[]` after a name is a list, and the row is about each item. `required` is meant for \
         whoever writes the object around it. A *size* is a number of bytes, or one with `Ki`, `Mi`, \
         `Gi`, `Ti`, `Pi`, `k`, `M`, `G`, `T` or `P`. A *span* of time is `30s`, `5m`, `1h30m` or \
         `500ms`.\n",
    );
    for definition in definitions() {
        kind(&mut page, &definition);
    }
    page
}

fn kind(page: &mut String, definition: &CustomResourceDefinition) {
    let names = &definition.spec.names;
    let short = names.short_names.iter().flatten().map(|name| format!(" (`{name}`)"));
    let _ = write!(page, "\n## {}{}\n", names.kind, short.collect::<String>());
    let schemas = definition.spec.versions.iter().filter_map(|version| version.schema.as_ref());
    for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_ref()) {
        let _ = writeln!(page, "{}\n", text(schema.description.as_deref().unwrap_or_default()));
        let rules = rules(schema);
        if !rules.is_empty() {
            let _ = writeln!(page, "Rules: {rules}\n");
        }
        page.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
        let spec = schema.properties.as_ref().and_then(|fields| fields.get("spec"));
        if let Some(spec) = spec {
            fields(page, "spec", spec);
        }
    }
}

/// A row for each field, depth first in the order of the names.
fn fields(page: &mut String, path: &str, schema: &JSONSchemaProps) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, field) in schema.properties.iter().flatten() {
        let (path, item) = match &field.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) => (format!("{path}.{name}[]"), &**item),
            _ => (format!("{path}.{name}"), field),
        };
        let default = match &field.default {
            Some(default) => format!("`{}`", plain(&default.0)),
            None if required.contains(name) => "required".to_owned(),
            None => String::new(),
        };
        let mut meaning = text(field.description.as_deref().unwrap_or_default());
        for rules in
            [rules(field), if std::ptr::eq(item, field) { String::new() } else { rules(item) }]
        {
            if !rules.is_empty() {
                let _ = write!(meaning, " *Rules: {rules}*");
            }
        }
        let _ = writeln!(page, "| `{path}` | {} | {default} | {meaning} |", kind_of(field, item));
        if path != KUBERNETES_OWN {
            fields(page, &path, item);
        }
    }
}

/// The type of an item, with the bounds that an API server checks.
fn kind_of(field: &JSONSchemaProps, item: &JSONSchemaProps) -> String {
    let name = match &item.enum_ {
        Some(values) => {
            let values = values.iter().map(|value| format!("`{}`", plain(&value.0)));
            values.collect::<Vec<_>>().join(", ")
        }
        None if item.pattern.as_deref() == Some(BYTE_SIZE_PATTERN) => "size".to_owned(),
        None if item.x_kubernetes_int_or_string == Some(true) => "number or string".to_owned(),
        None if item.pattern.as_deref() == Some(INTERVAL_PATTERN) => "span".to_owned(),
        None => item.type_.clone().unwrap_or_else(|| "any".to_owned()),
    };
    // The bounds of a size's or a span's text say nothing that its rules do not.
    let length = matches!(&*name, "string").then_some((item.min_length, item.max_length));
    let bounds = [
        range(item.minimum.map(|least| least as i64), item.maximum.map(|most| most as i64), ""),
        length.and_then(|(least, most)| range(least, most, " characters")),
        range(field.min_items, field.max_items, " items"),
    ];
    let parts = std::iter::once(name).chain(bounds.into_iter().flatten());
    parts.collect::<Vec<_>>().join("; ")
}

fn range(least: Option<i64>, most: Option<i64>, of: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{of}")),
        (Some(least), None) => Some(format!("{least} or more{of}")),
        (None, Some(most)) => Some(format!("at most {most}{of}")),
        (None, None) => None,
    }
}

/// A value as a person writes it: a text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn rules(schema: &JSONSchemaProps) -> String {
    let rules = schema.x_kubernetes_validations.iter().flatten();
    rules.filter_map(|rule| rule.message.as_deref()).map(text).collect::<Vec<_>>().join("; ")
}

/// On one line, with nothing outside of code that Markdown reads as its own.
fn text(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let escape = |part: &str| {
        let marks = |c: char| matches!(c, '*' | '_' | '~' | '<');
        part.chars()
            .flat_map(|c| marks(c).then_some('\\').into_iter().chain([c]))
            .collect::<String>()
    };
    let parts = line.split('`').enumerate();
    let parts = parts.map(|(n, part)| if n % 2 == 0 { escape(part) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_markdown_would_read_as_its_own_is_escaped_outside_of_code() {
        assert_eq!(
            text("a glob\n  such as **/*.yaml, or `*` | x"),
            r"a glob such as \*\*/\*.yaml, or `*` \| x"
        );
    }

    #[test]
    fn bounds_are_told_as_people_say_them() {
        let table = [
            (Some(1), Some(63), Some("1 to 63 items")),
            (Some(1), None, Some("1 or more items")),
            (None, Some(9), Some("at most 9 items")),
            (None, None, None),
        ];
        for (least, most, expected) in table {
            assert_eq!(range(least, most, " items").as_deref(), expected);
        }
    }
}
