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
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
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
