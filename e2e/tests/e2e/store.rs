//! `kubectl apply` of a Store, and what `kubectl` then shows.

use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::stores;

#[test]
fn a_store_becomes_ready_and_kubectl_shows_what_a_person_looks_for() {
    let _cluster = release::shared();
    let namespace = Namespace::create("store");
    stores::demo(&namespace);

    let store = namespace.get("store/demo");
    let url = format!("http://demo.{}.svc:8080", namespace.name);
    assert_eq!(store["status"]["url"], url);
    assert_eq!(store["status"]["observedGeneration"], store["metadata"]["generation"]);

    let table = namespace.kubectl(&["get", "stores"]);
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    for expected in ["NAME", "READY", "STATUS", "BACKEND", "URL", "AGE"] {
        assert!(columns.contains(&expected), "no column {expected} in:\n{table}");
    }
    let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(row.len(), columns.len(), "a column is empty in:\n{table}");
    let shown = |column: &str| row[columns.iter().position(|name| *name == column).unwrap()];
    assert_eq!(shown("NAME"), "demo", "{table}");
    assert_eq!(shown("READY"), "True", "{table}");
    assert_eq!(shown("BACKEND"), "volume", "{table}");
    assert_eq!(shown("URL"), url, "{table}");

    // The category, and the short name.
    for what in ["stowage", "st"] {
        let listed = namespace.kubectl(&["get", what, "--output=name"]);
        assert_eq!(listed.trim(), "store.stowage.dev/demo", "kubectl get {what}");
    }
}
