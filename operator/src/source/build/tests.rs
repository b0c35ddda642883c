//! The children as they reach the API server, in a file that a reviewer reads.

use std::path::Path;

use serde_json::{Value, json};
use stowage_crds::RuntimeConfigSource;

use super::*;
use crate::options::Scope;
use crate::source::reference::{References, SchemaState, SecretState, StoreState};
use crate::source::validate::validate;

fn options() -> Options {
    Options {
        scope: Scope::Cluster,
        sidecar_image: "stowage.test/stowage-sidecar:1".into(),
        sync_image: "stowage.test/stowage-sync:1".into(),
        image_pull_policy: "IfNotPresent".into(),
        image_pull_secrets: vec!["registry".into()],
        allow_insecure_git_urls: false,
        concurrency: 4,
    }
}

fn source(spec: Value) -> RuntimeConfigSource {
    serde_json::from_value(json!({
        "apiVersion": "stowage.dev/v1alpha1", "kind": "RuntimeConfigSource",
        "metadata": {
            "name": "etl", "namespace": "shop", "uid": "6f1f6f0c-0d4c-4c53-b8a6-1f6c5a0d8a11",
            "labels": {"team": "data"},
        },
        "spec": spec,
    }))
    .unwrap()
}

fn references() -> References {
    let ready = StoreState::Ready { uid: "0c1e4bd0-8c8e-4a53-9a55-8f6f5fd20a77".into() };
    References {
        stores: [("demo".to_owned(), ready)].into(),
        secret: SecretState::Present { version: "7".into() },
        schema: SchemaState::Present { digest: "0123456789abcdef".into() },
        ..References::default()
    }
}

fn rendered(spec: Value) -> Vec<Value> {
    let source = validate(&source(spec), &references(), false);
    let mut objects = Vec::new();
    for branch in &source.branches {
        let Resources { config_map, cron_job, job } = build(&source, branch, &options()).unwrap();
        objects.extend([json!(config_map), json!(cron_job), json!(job)]);
    }
    objects
}

/// A source that says nothing it need not, and one that says everything.
#[test]
fn children_are_as_they_were() {
    let small = json!({
        "repoId": "etl", "url": "https://git.example/data/etl.git",
        "branches": [{"name": "main", "storeRef": {"name": "demo"}}],
    });
    let full = json!({
        "repoId": "etl", "url": "git@git.example:data/etl.git",
        "branches": [
            {"name": "release/1.2", "environment": "production", "storeRef": {"name": "demo"}},
        ],
        "include": ["configs/*.yaml"],
        "schema": {"configMapRef": {"name": "schemas", "key": "runtime.yaml"}, "pointer": "/runtime"},
        "interval": "15m", "timeout": "5m", "auth": {"secretRef": {"name": "git"}},
        "limits": {"maxTotalBytes": "8Mi", "maxRepositoryBytes": "1Gi"},
    });
    let mut text = String::new();
    for object in [rendered(small), rendered(full)].concat() {
        text += "---\n";
        text += &serde_saphyr::to_string(&object).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/source.yaml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "the children differ from {}: look at the difference after UPDATE_GOLDEN=1",
        path.display()
    );
}

#[test]
fn what_can_only_fail_rests_and_what_is_waited_for_does_not() {
    let spec = json!({
        "repoId": "etl", "url": "https://git.example/data/etl.git",
        "branches": [{"name": "main", "storeRef": {"name": "demo"}}],
    });
    let missing = StoreState::Missing;
    let starting = StoreState::NotReady { message: String::new() };
    let ready = references().stores["demo"].clone();
    for (store, suspended, rests, has_job) in [
        (missing, false, true, false),
        (starting, false, false, false),
        (ready.clone(), false, false, true),
        (ready, true, true, true),
    ] {
        let mut spec = spec.clone();
        spec["suspend"] = json!(suspended);
        let case = format!("{store:?}, suspended: {suspended}");
        let references = References { stores: [("demo".into(), store)].into(), ..references() };
        let source = validate(&source(spec), &references, false);
        let children = build(&source, &source.branches[0], &options()).unwrap();
        assert_eq!(children.cron_job.spec.unwrap().suspend, Some(rests), "{case}");
        assert_eq!(children.job.is_some(), has_job, "{case}");
    }
}
