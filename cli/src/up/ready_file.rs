//! The file that says where everything is served, for scripts and tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use stowage_config::Contract;

use super::private_file;
use crate::exit::{Failure, io_failure};

/// The whole file. Holds no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ReadyFile {
    /// The Stores that are served, by name; suspended ones are left out.
    pub(crate) stores: BTreeMap<String, ReadyStore>,
    /// The StoreNamespaces of those, by name.
    pub(crate) namespaces: BTreeMap<String, ReadyNamespace>,
}

/// Where a Store is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ReadyStore {
    pub(crate) url: String,
    pub(crate) management: String,
    pub(crate) contracts: Vec<Contract>,
}

/// Where a StoreNamespace is served, and the directory with its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ReadyNamespace {
    pub(crate) store: String,
    pub(crate) contract: Contract,
    pub(crate) uri: String,
    pub(crate) binding: PathBuf,
}

/// The file while this process runs: not there until published, removed however it ends, short
/// of a kill.
#[derive(Debug)]
pub(crate) struct Published {
    path: Option<PathBuf>,
    content: Option<ReadyFile>,
}

impl Published {
    /// Removes what a killed process left. Without a path, nothing is ever written.
    ///
    /// # Errors
    /// [`Failure::Environment`] where the system refuses.
    pub(crate) fn new(path: Option<PathBuf>) -> Result<Self, Failure> {
        if let Some(path) = &path {
            private_file::remove(path)
                .map_err(|e| io_failure("remove the old ready file", path, &e))?;
            // Found now, not when everything is up and a script waits.
            if !private_file::directory_of(path).is_dir() {
                return Err(Failure::Environment(format!(
                    "cannot write the ready file {}: its directory does not exist; make it first",
                    path.display()
                )));
            }
        }
        Ok(Self { path, content: None })
    }

    /// Writes the file in one step, where it differs from what is there.
    ///
    /// # Errors
    /// [`Failure::Environment`] where the system refuses.
    pub(crate) fn publish(&mut self, content: ReadyFile) -> Result<(), Failure> {
        if let Some(path) = &self.path
            && self.content.as_ref() != Some(&content)
        {
            let mut text = serde_json::to_vec_pretty(&content)
                .map_err(|e| Failure::Environment(format!("cannot encode the ready file: {e}")))?;
            text.push(b'\n');
            private_file::write_readable(path, &text)
                .map_err(|e| io_failure("write the ready file", path, &e))?;
            self.content = Some(content);
        }
        Ok(())
    }

    /// Removes the file, so that no reader takes an ending process for a ready one.
    pub(crate) fn withdraw(&mut self) {
        if let (Some(path), Some(_)) = (&self.path, self.content.take())
            && let Err(error) = private_file::remove(path)
        {
            tracing::warn!(%error, "the ready file cannot be removed");
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_written_as_documented() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("ready.json");
        let store = ReadyStore {
            url: "http://127.0.0.1:8080".to_owned(),
            management: "http://127.0.0.1:8081".to_owned(),
            contracts: vec![Contract::RunStore, Contract::Kv],
        };
        let table = ReadyFile {
            stores: BTreeMap::from([("demo".to_owned(), store)]),
            namespaces: BTreeMap::new(),
        };
        std::fs::write(&path, "of a killed process").unwrap();
        let mut published = Published::new(Some(path.clone())).unwrap();
        assert!(!path.exists(), "what is stale is removed first");
        published.publish(table).unwrap();
        let read: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let expected = serde_json::json!({
            "stores": {"demo": {
                "url": "http://127.0.0.1:8080",
                "management": "http://127.0.0.1:8081",
                "contracts": ["runStore", "kv"],
            }},
            "namespaces": {},
        });
        assert_eq!(read, expected);
        drop(published);
        assert!(!path.exists(), "removed at the end");
    }
}
