//! Manifests to start from, and what is said of them.

use std::fs;
use std::path::PathBuf;

use stowage::manifests::{self, Manifests, Problems};
use tempfile::TempDir;

pub(crate) const STORE: &str = "\
apiVersion: stowage.dev/v1alpha1
kind: Store
metadata: {name: demo}
spec:
  backend: {volume: {size: 1Gi}}
";

pub(crate) const SOURCE: &str = "\
---
apiVersion: stowage.dev/v1alpha1
kind: RuntimeConfigSource
metadata: {name: etl}
spec:
  repoId: etl
  url: https://git.example/etl.git
  branches: [{name: main, storeRef: {name: demo}}]
";

pub(crate) const NAMESPACE: &str = "\
---
apiVersion: stowage.dev/v1alpha1
kind: StoreNamespace
metadata: {name: cart}
spec:
  storeRef: {name: demo}
  contract: kv
";

pub(crate) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

pub(crate) fn load(directory: &TempDir) -> Result<Manifests, Problems> {
    manifests::load(&[directory.path().to_owned()])
}

/// The problems as they are printed, with paths from the directory.
pub(crate) fn problems_of(directory: &TempDir, paths: &[PathBuf]) -> Vec<String> {
    let prefix = format!("{}/", directory.path().display());
    let found = manifests::load(paths).err();
    found.iter().flatten().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

/// Checks that exactly these problems are reported: each begins with the first text and holds
/// the second.
pub(crate) fn expect(name: &str, text: &str, expected: &[(&str, &str)]) {
    let directory = directory(&[("a.yaml", text)]);
    let found = problems_of(&directory, &[directory.path().to_owned()]);
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, (place, message))| {
            found.starts_with(&format!("a.yaml:{place}")) && found.contains(message)
        });
    assert!(fits, "{name}: expected {expected:#?}\nfound {found:#?}");
}
