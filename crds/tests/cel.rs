//! Every CEL rule of every kind, both ways, without a cluster; and that none is left out.
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/resources.rs"]
mod resources;
#[path = "support/schemas.rs"]
mod schemas;

use std::collections::BTreeSet;

use cases::{Case, cases};
use kube::core::cel::{CompiledSchema, Validator, analyze_rule, compile_schema};
use kube::core::cel::{ScopeContext, WarningKind};
use resources::base;
use schemas::{kinds, schema_of};
use serde_json::Value;
use stowage_crds::{RuntimeConfigSource, Store, StoreNamespace, definitions};

/// Checks a resource on the definition's schema and, where it is one of the types at all, with
/// the method that the derive gives; both must agree.
fn messages(kind: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
    fn typed<K>(
        new: &Value,
        old: Option<&Value>,
        create: fn(&K) -> Result<(), kube::core::cel::ValidationErrors>,
        update: fn(&K, &K) -> Result<(), kube::core::cel::ValidationErrors>,
    ) -> Option<bool>
    where
        K: serde::de::DeserializeOwned,
    {
        let new: K = serde_json::from_value(new.clone()).ok()?;
        Some(match old {
            None => create(&new).is_ok(),
            Some(old) => update(&new, &serde_json::from_value(old.clone()).ok()?).is_ok(),
        })
    }
    let found = Validator::new().validate(&schema_of(kind), new, old);
    let agrees = match kind {
        "Store" => typed(new, old, Store::validate_cel, Store::validate_cel_update),
        "StoreNamespace" => {
            typed(new, old, StoreNamespace::validate_cel, StoreNamespace::validate_cel_update)
        }
        _ => typed(
            new,
            old,
            RuntimeConfigSource::validate_cel,
            RuntimeConfigSource::validate_cel_update,
        ),
    };
    if let Some(accepted) = agrees {
        assert_eq!(accepted, found.is_ok(), "validate_cel and the definition disagree on {new}");
    }
    found.err().into_iter().flatten().map(|error| error.message).collect()
}

#[test]
fn every_rule_takes_what_is_right_and_refuses_what_is_wrong() {
    for case in cases() {
        let Case { kind, at, message, .. } = &case;
        for value in &case.accepted {
            let found = messages(kind, &case.resource(value), None);
            assert_eq!(found, Vec::<String>::new(), "{kind} {at} = {value}: expected no message");
        }
        for value in &case.refused {
            let found = messages(kind, &case.resource(value), None);
            assert!(
                found.contains(message),
                "{kind} {at} = {value}: expected {message}: {found:?}"
            );
        }
        for (old, new) in &case.accepted_changes {
            let found = messages(kind, &case.resource(new), Some(&case.resource(old)));
            assert_eq!(found, Vec::<String>::new(), "{kind} {at}: {old} to {new}");
        }
        for (old, new) in &case.refused_changes {
            let found = messages(kind, &case.resource(new), Some(&case.resource(old)));
            assert!(found.contains(message), "{kind} {at}: {old} to {new}: got {found:?}");
        }
    }
}

#[test]
fn every_rule_has_a_case_in_each_direction() {
    for case in cases() {
        let accepts = case.accepted.len() + case.accepted_changes.len();
        let refuses = case.refused.len() + case.refused_changes.len();
        assert!(accepts > 0 && refuses > 0, "{} {}: {}", case.kind, case.at, case.message);
    }
}

/// Kind, place and message of every rule of a definition.
fn generated() -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for kind in kinds() {
        schemas::walk(&schema_of(kind), &mut |place, node| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let message = rule["message"].as_str().unwrap_or_default();
                found.insert((kind.to_owned(), place.to_owned(), message.to_owned()));
            }
        });
    }
    found
}

#[test]
fn no_rule_of_the_definitions_lacks_a_case() {
    let tested: BTreeSet<_> = cases()
        .into_iter()
        .map(|case| (case.kind.to_owned(), case.place(), case.message))
        .collect();
    let generated = generated();
    let untested: Vec<_> = generated.difference(&tested).collect();
    let unknown: Vec<_> = tested.difference(&generated).collect();
    assert!(untested.is_empty(), "rules without a case: {untested:#?}");
    assert!(unknown.is_empty(), "cases without a rule: {unknown:#?}");
}

#[test]
fn an_example_with_nothing_left_out_is_accepted() {
    for kind in kinds() {
        assert_eq!(messages(kind, &base(kind), None), Vec::<String>::new(), "{kind}");
    }
}

/// An API server refuses a definition whose rules might cost too much; what makes them cheap is
/// that everything they look at is bounded.
#[test]
fn every_rule_is_within_the_cost_that_an_api_server_allows() {
    fn check(place: &str, node: &Value, compiled: &CompiledSchema) {
        for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let text = rule["rule"].as_str().unwrap_or_default();
            let warnings: Vec<_> = analyze_rule(text, compiled, ScopeContext::CrdValidation)
                .into_iter()
                // The analysis knows no variable of a macro such as `all`.
                .filter(|warning| warning.kind == WarningKind::CostExceeded)
                .collect();
            assert!(warnings.is_empty(), "{place}: {warnings:?}");
        }
    }
    for definition in definitions() {
        let kind = &definition.spec.names.kind;
        schemas::walk(&schema_of(kind), &mut |place, node| {
            check(&format!("{kind} {place}"), node, &compile_schema(node));
            let ruled = node.get("x-kubernetes-validations").is_some();
            let unbounded = match node["type"].as_str() {
                Some("string") => node.get("maxLength").is_none() && node.get("enum").is_none(),
                Some("array") => node.get("maxItems").is_none(),
                _ => false,
            };
            assert!(!(ruled && unbounded), "{kind} {place}: bound what the rule looks at");
        });
    }
}
