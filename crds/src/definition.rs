//! The CustomResourceDefinitions, as an API server takes them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::{RuntimeConfigSource, Store, StoreNamespace};

/// The definitions of all kinds, in the order in which their files are listed.
#[must_use]
pub fn definitions() -> [CustomResourceDefinition; 3] {
    [definition::<Store>(), definition::<StoreNamespace>(), definition::<RuntimeConfigSource>()]
}

/// The definition of one kind.
///
/// Differs in two ways from what the derive gives, both in favour of the person who writes a
/// resource. Nothing is `nullable`: an API server then drops a `null`, as if the field were left
/// out, and no rule ever sees one. And "exactly one of" is a CEL rule with a sentence instead of
/// a `oneOf`, whose message names neither the field nor the choice.
#[must_use]
pub fn definition<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut definition = K::crd();
    for version in &mut definition.spec.versions {
        if let Some(schema) =
            version.schema.as_mut().and_then(|validation| validation.open_api_v3_schema.as_mut())
        {
            simplify(schema);
        }
    }
    definition
}

fn simplify(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    if schema.properties.is_some() {
        schema.one_of = None;
    }
    for child in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        simplify(child);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        simplify(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        simplify(values);
    }
}

/// A definition as YAML, with the header that says how it is made.
///
/// # Errors
/// The serialiser's, which a definition does not cause.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let body = serde_saphyr::to_string(definition)?;
    Ok(format!("# Written by `make crds`; do not edit.\n---\n{body}"))
}

/// A definition as a template of the Helm chart: installed and upgraded with it, kept when it is
/// uninstalled, since deleting a definition deletes every resource of its kind.
///
/// Helm leaves alone what stands in a chart's `crds/` once it is installed; an old definition
/// then strips the fields that it does not know.
///
/// # Errors
/// The serialiser's, which a definition does not cause.
pub fn chart_template(
    definition: &CustomResourceDefinition,
) -> Result<String, serde_saphyr::ser::Error> {
    let mut kept = definition.clone();
    kept.metadata
        .annotations
        .get_or_insert_default()
        .insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    kept.metadata
        .labels
        .get_or_insert_default()
        .insert("app.kubernetes.io/part-of".to_owned(), "stowage".to_owned());
    let body = escape(&serde_saphyr::to_string(&kept)?);
    Ok(format!(
        "{{{{- /* Written by `make crds`; do not edit. */}}}}\n\
         {{{{- if .Values.crds.install }}}}\n{body}{{{{- end }}}}\n"
    ))
}

/// Text that a template gives back as it is: only `{{` begins an action.
fn escape(text: &str) -> String {
    text.replace("{{", r#"{{ "{{" }}"#)
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn braces_of_a_description_are_no_action() {
        assert_eq!(escape("a {{ b }} {c}"), r#"a {{ "{{" }} b }} {c}"#);
    }
}
