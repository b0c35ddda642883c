//! Every manifest under `examples/` is in order, each directory on its own.

#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

use std::path::{Path, PathBuf};

use kube::ResourceExt;
use stowage::manifests;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn directories() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(examples()).unwrap();
    let directories = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    // That one has programs, and tests of its own.
    directories.filter(|path| !path.ends_with("clients")).collect()
}

#[test]
fn every_example_is_in_order() {
    let directories = directories();
    assert!(!directories.is_empty(), "there is no example");
    for directory in directories {
        let name = directory.display().to_string();
        let read = manifests::load(&[directory]).unwrap_or_else(|p| panic!("{name}:\n{p}"));
        assert!(!read.stores.is_empty(), "{name} has no Store");
    }
}

/// The fenced blocks of a page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let path = examples().join("..").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    let opened = text.split(&fence).skip(1);
    opened.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_manifests_of_the_readme_are_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let manifests = blocks("README.md", "yaml");
    assert_eq!(manifests.len(), 3, "one block for each kind");
    std::fs::write(directory.path().join("all.yaml"), manifests.join("---\n")).unwrap();
    let paths = [directory.path().to_owned()];
    let read = manifests::load(&paths).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!((read.stores.len(), read.namespaces.len(), read.sources.len()), (1, 1, 1));
}

#[test]
fn the_configurations_of_the_docs_are_in_order_and_name_every_field() {
    let configurations = blocks("docs/configuration.md", "yaml");
    let [serve, sync] = &configurations[..] else { panic!("two blocks: serve and sync") };
    let serve: stowage_config::SidecarConfig = serde_saphyr::from_str(serve).unwrap();
    let sync: stowage_config::SyncConfig = serde_saphyr::from_str(sync).unwrap();
    let defaults: stowage_config::SidecarConfig =
        serde_json::from_str(r#"{"store":"demo","backend":{"volume":{"path":"/data"}}}"#).unwrap();
    assert_eq!(serve.listen, defaults.listen, "the page shows the defaults");
    assert_eq!(serve.limits.max_json_bytes, defaults.limits.max_json_bytes);
    assert_eq!(serve.shutdown_grace, defaults.shutdown_grace);
    assert_eq!(sync.limits, stowage_config::SyncLimits::default());

    let page = std::fs::read_to_string(examples().join("../docs/configuration.md")).unwrap();
    let mut names = Vec::new();
    for value in [serde_json::to_value(&serve).unwrap(), serde_json::to_value(&sync).unwrap()] {
        fields(&value, &mut names);
    }
    for name in names {
        let in_table = page.lines().any(|line| line.starts_with("| `") && line.contains(&name));
        assert!(in_table, "docs/configuration.md says nothing of {name}");
    }
}

/// The names of all members of an object and of the objects in it.
fn fields(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                names.push(name.clone());
                fields(value, names);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        _ => {}
    }
}

#[test]
fn the_quickstart_is_what_the_demo_expects() {
    let read = manifests::load(&[examples().join("quickstart")]).unwrap();
    let store = &read.stores[0];
    assert_eq!(store.name_any(), "demo");
    let tokens = read.secret(&store.resource, "demo-tokens").unwrap();
    assert_eq!(tokens.values.keys().collect::<Vec<_>>(), ["admin", "reader"]);
    let namespace = &read.namespaces[0];
    assert_eq!((namespace.served_name().as_str(), namespace.name_any().as_str()), ("cart", "cart"));
    let source = &read.sources[0].spec;
    assert_eq!(source.url, "file:///tmp/stowage-quickstart/etl.git");
    assert_eq!(source.branches[0].name, "main");
}
