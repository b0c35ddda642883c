//! Installing, upgrading, uninstalling and installing again; no node runs the operator here.

use std::fs;
use std::io::Write as _;

use serde_json::{Value, json};
use stowage_e2e::ControlPlane;
use tempfile::NamedTempFile;

use crate::helm::{chart, copy_of_chart, repository};
use crate::release::Cluster;

const FIELD: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn store(name: &str) -> NamedTempFile {
    let store = json!({
        "apiVersion": "stowage.dev/v1alpha1",
        "kind": "Store",
        "metadata": {"name": name},
        "spec": {
            "backend": {"volume": {"size": "1Gi"}},
            "cors": {"allowedOrigins": ["https://app.example"]},
        },
    });
    file(&store.to_string())
}

/// The Store's definition as an older version had it: without `cors`.
fn old_definition() -> Value {
    let [store, ..] = stowage_crds::definitions();
    let mut old = serde_json::to_value(store).unwrap();
    let fields = old.pointer_mut(FIELD).unwrap().as_object_mut().unwrap();
    assert!(fields.remove("cors").is_some(), "a Store has `cors`");
    old
}

fn apply(cluster: &Cluster, file: &NamedTempFile) -> String {
    cluster.kubectl(&["apply", "-f", file.path().to_str().unwrap()])
}

fn apply_fails(cluster: &Cluster, file: &NamedTempFile) -> String {
    cluster.kubectl_fails(&["apply", "-f", file.path().to_str().unwrap()])
}

#[test]
fn definitions_are_upgraded_with_the_chart_and_outlive_it() {
    let plane = ControlPlane::start().unwrap();
    let cluster = Cluster::new(&plane);

    // A release of an older version, whose Stores have no `cors`.
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("stowage");
    copy_of_chart(&old);
    let mut definition = old_definition();
    definition["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    fs::write(old.join("templates/crds/stores.stowage.dev.yaml"), definition.to_string()).unwrap();
    cluster.deploy("install", "stowage", &old, &[]);
    cluster.wait_for_kinds();
    let said = apply_fails(&cluster, &store("demo"));
    assert!(said.contains("unknown field \"spec.cors\""), "{said}");

    cluster.deploy("upgrade", "stowage", &chart(), &["--reset-then-reuse-values"]);
    let served = cluster.get(&["crd", "stores.stowage.dev"]);
    assert!(served.pointer(FIELD).unwrap()["cors"].is_object(), "the upgrade left the old one");
    apply_until_taken(&cluster, &store("demo"));

    // What is deleted is the operator, not what people made.
    let before = cluster.get(&["store", "demo"]);
    cluster.helm(&["uninstall", "stowage", "--namespace=stowage"]);
    for definition in stowage_crds::definitions() {
        cluster.kubectl(&["get", "crd", &definition.metadata.name.unwrap()]);
    }
    let after = cluster.get(&["store", "demo"]);
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["spec"], before["spec"]);
    let left = cluster.get(&["all,serviceaccounts,roles,rolebindings", "-n", "stowage"]);
    let left: Vec<&str> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(left, [""; 0], "left by helm uninstall");
    let gone = cluster.kubectl_fails(&["get", "clusterrole", "stowage:stowage"]);
    assert!(gone.contains("NotFound"), "{gone}");

    // The same release takes them up again without a word; another one has to say so.
    cluster.deploy("install", "stowage", &chart(), &[]);
    cluster.helm(&["uninstall", "stowage", "--namespace=stowage"]);
    let said = cluster.refused_install("storage", &[]);
    assert!(said.contains("invalid ownership metadata"), "{said}");
    cluster.deploy("install", "storage", &chart(), &["--take-ownership"]);
    assert_eq!(cluster.get(&["store", "demo"])["metadata"]["uid"], before["metadata"]["uid"]);
    let adopted = cluster.get(&["crd", "stores.stowage.dev"]);
    assert_eq!(adopted["metadata"]["annotations"]["meta.helm.sh/release-name"], "storage");
}

/// As from `kubectl apply -f crds/yaml` of an older version.
#[test]
fn old_definitions_applied_by_hand_are_replaced() {
    let plane = ControlPlane::start().unwrap();
    let cluster = Cluster::new(&plane);
    cluster.kubectl(&["apply", "--server-side", "-f", repository("crds/yaml").to_str().unwrap()]);
    let old = file(&old_definition().to_string());
    let path = old.path().to_str().unwrap();
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", path]);
    let said = cluster.refused_install("stowage", &[]);
    assert!(said.contains("invalid ownership metadata"), "{said}");
    cluster.deploy("install", "stowage", &chart(), &["--take-ownership"]);
    apply_until_taken(&cluster, &store("demo"));
}

/// The API server serves a changed definition a moment after it has stored it.
fn apply_until_taken(cluster: &Cluster, store: &NamedTempFile) {
    let path = store.path().to_str().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !cluster.succeeds(&["apply", "--dry-run=server", "-f", path]) {
        if std::time::Instant::now() > deadline {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    apply(cluster, store);
}

/// Helm tells what to do next, and what it tells is right.
#[test]
fn the_notes_can_be_pasted() {
    let plane = ControlPlane::start().unwrap();
    let cluster = Cluster::new(&plane);
    cluster.kubectl(&["create", "namespace", "team-a"]);
    let notes = cluster.deploy("install", "stowage", &chart(), &["--set=watchNamespaces={team-a}"]);
    cluster.wait_for_kinds();
    for expected in [
        "kubectl --namespace stowage rollout status deployment/stowage",
        "helm --namespace stowage test stowage",
        "kubectl --namespace team-a create secret generic demo-tokens",
        "--take-ownership",
    ] {
        assert!(notes.contains(expected), "`{expected}` is not in:\n{notes}");
    }
    let pasted = notes.split("<<'YAML'\n").nth(1).unwrap().split("  YAML\n").next().unwrap();
    let store = file(pasted);
    let path = store.path().to_str().unwrap();
    cluster.kubectl(&["apply", "--namespace=team-a", "-f", path]);
    assert_eq!(cluster.get(&["store", "demo", "-n", "team-a"])["kind"], "Store");
}
