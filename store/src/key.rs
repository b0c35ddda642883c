//! Keys: where a document or a namespace stands in the layout of the source systems.
//!
//! ```text
//! run-store.json                     the default document of the run store
//! run-stores/{name}.json             its other documents
//! kv/{namespace}.json                a namespace: {"version":"<n>","snapshot":{…}}
//! runtimes/{repo}/{branch}.json      a set of runtime configs
//! ```
//!
//! The same keys stand under a directory and under an object store's prefix. A key can only be
//! made here, from names that were checked, so none leads out of the tree.

use std::fmt;

use crate::{Name, NameKind};

/// The place of a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<str>);

/// The place of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceKey(Box<str>);

/// A folder of documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Box<str>);

const RUNTIMES: &str = "runtimes/";

/// The folder that namespaces stand in, and nothing else.
pub(crate) const NAMESPACES: &str = "kv/";

impl Key {
    /// The default document of the run store.
    #[must_use]
    pub fn default_run_store() -> Self {
        Self("run-store.json".into())
    }

    /// Another document of the run store.
    #[must_use]
    pub fn run_store(name: &Name) -> Self {
        Self(["run-stores/", &name.to_segment(), ".json"].concat().into())
    }

    /// The runtime configs of one branch of a repository.
    #[must_use]
    pub fn runtime_set(repository: &Name, branch: &Name) -> Self {
        Self(format!("{RUNTIMES}{}/{}.json", repository.to_segment(), branch.to_segment()).into())
    }

    /// Repository and branch, where this is the key of a set of runtime configs.
    #[must_use]
    pub fn as_runtime_set(&self) -> Option<(Name, Name)> {
        let (repository, branch) =
            self.0.strip_prefix(RUNTIMES)?.strip_suffix(".json")?.split_once('/')?;
        Some((
            Name::from_segment(NameKind::Repository, repository).ok()?,
            Name::from_segment(NameKind::Branch, branch).ok()?,
        ))
    }

    /// The relative path, its segments joined by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads back a path that a listing found; `None` where no constructor makes this key, so
    /// that what a person puts beside the documents is not taken for one.
    #[must_use]
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let key = Self(path.into());
        if key.as_runtime_set().is_some() || key == Self::default_run_store() {
            return Some(key);
        }
        let name = path.strip_prefix("run-stores/")?.strip_suffix(".json")?;
        Name::from_segment(NameKind::RunStore, name).ok().map(|_| key)
    }
}

impl NamespaceKey {
    /// A namespace that every caller with rights on it shares.
    #[must_use]
    pub fn shared(namespace: &Name) -> Self {
        Self([NAMESPACES, &namespace.to_segment(), ".json"].concat().into())
    }

    /// The relative path, its segments joined by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prefix {
    /// Every set of runtime configs.
    #[must_use]
    pub fn runtime_sets() -> Self {
        Self(RUNTIMES.into())
    }

    /// Every named document of the run store.
    #[must_use]
    pub fn run_stores() -> Self {
        Self("run-stores/".into())
    }

    /// The relative path, with a `/` at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NamespaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_set_is_found_again_by_its_key() {
        let repository = Name::parse(NameKind::Repository, "team/etl").unwrap();
        let branch = Name::parse(NameKind::Branch, "main").unwrap();
        let key = Key::runtime_set(&repository, &branch);
        assert_eq!(key.as_str(), "runtimes/team%2Fetl/main.json");
        assert_eq!(key.as_runtime_set(), Some((repository, branch)));
    }

    #[test]
    fn only_paths_that_a_constructor_makes_are_keys() {
        for path in ["run-store.json", "run-stores/a.json", "runtimes/r/b.json"] {
            assert_eq!(Key::from_path(path).map(|k| k.to_string()).as_deref(), Some(path));
        }
        for path in ["", "x", "run-stores/a.txt", "run-stores/../a.json", "runtimes/r/b/c.json"] {
            assert_eq!(Key::from_path(path), None, "{path}");
        }
    }
}
