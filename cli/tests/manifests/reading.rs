//! What is in order, and how it is read.

use std::fs;

use kube::ResourceExt;
use stowage::manifests::{self, ObjectName};

use crate::support::{NAMESPACE, STORE, directory, expect, load};

#[test]
fn what_is_in_order_is_read_in_order() {
    let directory = directory(&[
        ("b.yml", &STORE.replace("demo", "second")),
        ("a.yaml", &format!("# a comment\n---\n{STORE}---\n{}", STORE.replace("demo", "next"))),
        (
            "c.json",
            &serde_json::to_string_pretty(&serde_json::json!({
                "apiVersion": "stowage.dev/v1alpha1", "kind": "Store",
                "metadata": {"name": "third", "namespace": "team"},
                "spec": {"backend": {"volume": {"size": 1024}}, "auth": null},
                "status": {"url": "http://demo"},
            }))
            .unwrap(),
        ),
        (".hidden.yaml", "not: a resource"),
        ("notes.txt", "not a manifest"),
    ]);
    fs::create_dir(directory.path().join("d.yaml")).unwrap();
    let read = load(&directory).unwrap();
    let found: Vec<_> = read
        .stores
        .iter()
        .map(|store| {
            let file = store.origin.file.file_name().unwrap().to_str().unwrap();
            (store.name_any(), store.namespace().unwrap(), file, store.origin.line)
        })
        .collect();
    let row = |name: &str, namespace: &str, file, line| {
        (name.to_owned(), namespace.to_owned(), file, line)
    };
    let expected = [
        row("demo", "default", "a.yaml", 3),
        row("next", "default", "a.yaml", 9),
        row("second", "default", "b.yml", 1),
        row("third", "team", "c.json", 1),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_resource_knows_where_its_fields_stand() {
    let text = format!("{STORE}{NAMESPACE}").replace("cart}", "cart, labels: {a.b/c: x}}");
    let directory = directory(&[("a.yaml", &text)]);
    let read = load(&directory).unwrap();
    let (store, namespace) = (&read.stores[0].origin, &read.namespaces[0].origin);
    let table = [
        (store, "spec.backend.volume.size", (5, 22)),
        (store, "spec.backend.volume.journalSize", (5, 13)),
        (store, "spec.suspend", (4, 1)),
        (store, "status.url", (1, 1)),
        (namespace, "metadata.labels[a.b/c]", (9, 33)),
        (namespace, "spec.storeRef.name", (11, 14)),
        (namespace, "", (7, 1)),
    ];
    for (origin, field, expected) in table {
        assert_eq!(origin.place(field), expected, "{field}");
    }
}

#[test]
fn paths_are_read_in_their_order_and_each_file_once() {
    let directory = directory(&[("a.yaml", STORE), ("b", &STORE.replace("demo", "b"))]);
    let a = directory.path().join("a.yaml");
    let read =
        manifests::load(&[directory.path().join("b"), directory.path().to_owned(), a]).unwrap();
    let names: Vec<String> = read.stores.iter().map(|store| store.name_any()).collect();
    assert_eq!(names, ["b", "demo"]);
}

#[test]
fn a_list_is_read_as_its_items() {
    let directory = directory(&[(
        "a.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: stowage.dev/v1alpha1\n  kind: Store\n  \
         metadata: {name: demo, uid: x, creationTimestamp: null}\n  \
         spec: {backend: {volume: {size: 1Gi}}}\n",
    )]);
    let read = load(&directory).unwrap();
    assert_eq!((read.stores.len(), read.stores[0].origin.line), (1, 4));
}

#[test]
fn a_merge_is_one_problem_and_not_also_what_it_would_have_brought() {
    let name = "metadata: {name: demo}";
    let store = STORE.replace(name, &format!("{name}\n<<: {{status: {{}}}}"));
    let expected = [("4:1", "merge keys (<<) are not read: write the fields out")];
    expect("beside all fields", &format!("{store}{NAMESPACE}"), &expected);
    let store = STORE.replace("backend:", "<<:");
    let expected = [("5:3", "merge keys (<<) are not read: write the fields out")];
    expect("in the place of one", &format!("{store}{NAMESPACE}"), &expected);
}

#[test]
fn secrets_and_config_maps_are_decoded() {
    let directory = directory(&[(
        "a.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\n\
         data: {a: c2VjcmV0LWE=, b: AP8=}\nstringData: {a: wins, c: |\n  text\n  }\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: team}\n\
         data: {k: v}\nimmutable: true\n",
    )]);
    let text = fs::read_to_string(directory.path().join("a.yaml")).unwrap();
    fs::write(
        directory.path().join("a.yaml"),
        text.replace("{a: wins, c: |\n  text\n  }", "{a: wins, c: \"text\\n\"}"),
    )
    .unwrap();
    let read = load(&directory).unwrap();
    let name = |namespace: &str, name: &str| ObjectName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let secret = &read.secrets[&name("default", "s")];
    let values: Vec<_> = secret.values.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
    assert_eq!(values, [("a", &b"wins"[..]), ("b", &[0, 255]), ("c", b"text\n")]);
    assert_eq!(read.config_maps[&name("team", "c")].data["k"], "v");
    assert!(!format!("{read:?}").contains("wins"), "a Secret's value is printed");
}
