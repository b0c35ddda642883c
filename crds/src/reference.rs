//! The reference of all fields, as a page for people: made from the definitions, so that it says
//! what an API server enforces.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};

use crate::definitions;

/// The page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "<!-- Written by `make crds`; do not edit. -->\n# The resources\n\n\
         Group `stowage.dev`, version `v1alpha1`. `stowage` refuses an unknown field, and what a rule \
         does not allow; each rule stands beside its field in the words in which it is told.\n",
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
            Some(default) => format!("`{}`", default.0),
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
        let _ = writeln!(page, "| `{path}` | {} | {default} | {meaning} |", kind_of(item));
        fields(page, &path, item);
    }
}

fn kind_of(schema: &JSONSchemaProps) -> String {
    if let Some(values) = &schema.enum_ {
        let values = values.iter().filter_map(|value| value.0.as_str());
        return values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    if schema.x_kubernetes_int_or_string == Some(true) {
        return "size".to_owned();
    }
    schema.type_.clone().unwrap_or_else(|| "any".to_owned())
}

fn rules(schema: &JSONSchemaProps) -> String {
    let rules = schema.x_kubernetes_validations.iter().flatten();
    rules.filter_map(|rule| rule.message.as_deref()).map(text).collect::<Vec<_>>().join("; ")
}

/// On one line, with nothing that ends a cell of a table.
fn text(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
