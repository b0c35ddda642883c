//! Keys: where a document, a namespace or an archive stands in the layout of the source systems.
//!
//! ```text
//! run-store.json                     the default document of the run store
//! run-stores/{name}.json             its other documents
//! kv/{namespace}.json                a namespace: {"version":"<n>","snapshot":{…}}
//! kv/users/{subject}/{namespace}.json   the same, kept apart for one user
//! runtimes/{repo}/{branch}.json      a set of runtime configs
//! sites/{site}/artifacts/{build}.tar.gz   the archive of a build
//! sites/{site}/logs/{build}.json     the log of a build, a document
//! jobs/…                             the documents of an agent runtime, see [`jobs`]
//! ```
//!
//! The same keys stand under a directory and under an object store's prefix. A key can only be
//! made here, from names that were checked, so none leads out of the tree.

pub mod jobs;

use std::fmt;

use self::jobs::JobDocument;
use crate::{Name, NameKind, Subject};

/// The place of a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<str>);

/// The place of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceKey(Box<str>);

/// The place of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArchiveKey {
    // First, because keys are in the order of their paths.
    path: Box<str>,
    site: Name,
    build: Name,
}

/// A folder of documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Box<str>);

const RUNTIMES: &str = "runtimes/";

const RUN_STORE: &str = "run-store.json";

const RUN_STORES: &str = "run-stores/";

const SITES: &str = "sites/";

const ARTIFACTS: &str = "/artifacts/";

const LOGS: &str = "/logs/";

/// The folder that namespaces stand in, and nothing else.
pub(crate) const NAMESPACES: &str = "kv/";

/// The folder within it that namespaces of single users stand in.
const USERS: &str = "kv/users/";

/// Whether what stands at a path has a history: namespaces, documents of the run store and sets of
/// runtime configs have one, what belongs to jobs and sites is a history itself.
pub(crate) fn has_history(path: &str) -> bool {
    let has = |folder: &str| path.starts_with(folder);
    has(NAMESPACES) || has(RUN_STORES) || has(RUNTIMES) || path == RUN_STORE
}

impl Key {
    /// The default document of the run store.
    #[must_use]
    pub fn default_run_store() -> Self {
        Self(RUN_STORE.into())
    }

    /// Another document of the run store.
    #[must_use]
    pub fn run_store(name: &Name) -> Self {
        Self([RUN_STORES, &name.to_segment(), ".json"].concat().into())
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

    /// The log of one build of a site.
    #[must_use]
    pub fn build_log(site: &Name, build: &Name) -> Self {
        Self(format!("{SITES}{}{LOGS}{}.json", site.to_segment(), build.to_segment()).into())
    }

    /// Site and build, where this is the key of a build's log.
    #[must_use]
    pub fn as_build_log(&self) -> Option<(Name, Name)> {
        site_and_build(&self.0, LOGS, ".json")
    }

    /// What it names, where it is the key of a document of the jobs' tree.
    #[must_use]
    pub fn as_job_document(&self) -> Option<JobDocument<'_>> {
        JobDocument::at(&self.0)
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
        let is_set = key.as_runtime_set().is_some();
        let is_log = key.as_build_log().is_some();
        if is_set || is_log || key.as_job_document().is_some() || key == Self::default_run_store() {
            return Some(key);
        }
        let name = path.strip_prefix(RUN_STORES)?.strip_suffix(".json")?;
        Name::from_segment(NameKind::RunStore, name).ok().map(|_| key)
    }
}

impl NamespaceKey {
    /// A namespace that every caller with rights on it shares.
    #[must_use]
    pub fn shared(namespace: &Name) -> Self {
        Self([NAMESPACES, &namespace.to_segment(), ".json"].concat().into())
    }

    /// The path below the folder of all namespaces, without its suffix: `{namespace}`, or
    /// `users/{subject}/{namespace}`.
    #[must_use]
    pub fn place(&self) -> &str {
        let path = self.0.strip_prefix(NAMESPACES).unwrap_or(&self.0);
        path.strip_suffix(".json").unwrap_or(path)
    }

    /// A namespace that one user has for themself.
    #[must_use]
    pub fn of_user(subject: &Subject, namespace: &Name) -> Self {
        let (subject, namespace) = (subject.as_segment(), namespace.to_segment());
        Self([USERS, subject, "/", &namespace, ".json"].concat().into())
    }

    /// The relative path, its segments joined by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads back a path; `None` where no constructor makes this key.
    #[must_use]
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let place = path.strip_suffix(".json")?;
        let name = |segment| Name::from_segment(NameKind::Namespace, segment).ok();
        if let Some((subject, namespace)) =
            place.strip_prefix(USERS).and_then(|place| place.split_once('/'))
        {
            return Some(Self::of_user(&Subject::from_segment(subject)?, &name(namespace)?));
        }
        Some(Self::shared(&name(place.strip_prefix(NAMESPACES)?)?))
    }
}

impl ArchiveKey {
    /// The archive of one build of a site.
    #[must_use]
    pub fn new(site: &Name, build: &Name) -> Self {
        let path = format!("{}/{}.tar.gz", Self::directory(site), build.to_segment()).into();
        Self { path, site: site.clone(), build: build.clone() }
    }

    /// The site.
    #[must_use]
    pub fn site(&self) -> &Name {
        &self.site
    }

    /// The build.
    #[must_use]
    pub fn build(&self) -> &Name {
        &self.build
    }

    /// The relative path, its segments joined by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The directory that the archives of a site stand in.
    #[must_use]
    pub fn directory(site: &Name) -> String {
        format!("{SITES}{}/artifacts", site.to_segment())
    }

    /// Reads back a path that a listing found; `None` where no constructor makes this key.
    #[must_use]
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let (site, build) = site_and_build(path, ARTIFACTS, ".tar.gz")?;
        Some(Self { path: path.into(), site, build })
    }
}

/// The names in a path `sites/{site}{folder}{build}{suffix}`.
fn site_and_build(path: &str, folder: &str, suffix: &str) -> Option<(Name, Name)> {
    let (site, file) = path.strip_prefix(SITES)?.split_once(folder)?;
    let build = file.strip_suffix(suffix)?;
    Some((
        Name::from_segment(NameKind::Site, site).ok()?,
        Name::from_segment(NameKind::Build, build).ok()?,
    ))
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
        Self(RUN_STORES.into())
    }

    /// Every log of a site's builds.
    #[must_use]
    pub fn build_logs(site: &Name) -> Self {
        Self(format!("{SITES}{}{LOGS}", site.to_segment()).into())
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

impl fmt::Display for ArchiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
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
    fn a_build_has_a_log_and_an_archive() {
        let site = Name::parse(NameKind::Site, "shop").unwrap();
        let build = Name::parse(NameKind::Build, "2024-05-01T10:00:00").unwrap();
        let log = Key::build_log(&site, &build);
        assert_eq!(log.as_str(), "sites/shop/logs/2024-05-01T10:00:00.json");
        assert!(log.as_str().starts_with(Prefix::build_logs(&site).as_str()));
        assert_eq!(log.as_build_log(), Some((site.clone(), build.clone())));
        let archive = ArchiveKey::new(&site, &build);
        assert_eq!(archive.as_str(), "sites/shop/artifacts/2024-05-01T10:00:00.tar.gz");
        assert_eq!((archive.site(), archive.build()), (&site, &build));
    }

    #[test]
    fn only_paths_that_a_constructor_makes_are_keys() {
        let documents =
            ["run-store.json", "run-stores/a.json", "runtimes/r/b.json", "sites/s/logs/b.json"];
        for path in documents {
            assert_eq!(ArchiveKey::from_path(path), None, "{path}");
            assert_eq!(Key::from_path(path).map(|k| k.to_string()).as_deref(), Some(path));
        }
        for path in ["sites/s/artifacts/b.tar.gz", "sites/a.b/artifacts/1.tar.gz.tar.gz"] {
            assert_eq!(ArchiveKey::from_path(path).map(|k| k.to_string()).as_deref(), Some(path));
            assert_eq!(Key::from_path(path), None, "{path}");
        }
        let odd =
            ["sites/s/artifacts/b.json", "sites/s/t/artifacts/b.tar.gz", "sites/s/logs/../b.json"];
        for path in odd {
            assert_eq!((Key::from_path(path), ArchiveKey::from_path(path)), (None, None), "{path}");
        }
        let namespaces =
            ["kv/cart.json", "kv/users.json", "kv/users/u%7C1/cart.json", "kv/users/u/users.json"];
        for path in namespaces {
            assert_eq!(
                NamespaceKey::from_path(path).as_ref().map(NamespaceKey::as_str),
                Some(path)
            );
            assert_eq!(Key::from_path(path), None, "{path}");
        }
        let odd = [
            "kv/users/cart.json",
            "kv/users//cart.json",
            "kv/users/../cart.json",
            "kv/u/cart.json",
            "kv/users/u|1/cart.json",
            "kv/users/u/a/b.json",
            "kv/users/u/cart",
            "kv/a/b.json",
        ];
        for path in odd {
            assert_eq!(NamespaceKey::from_path(path), None, "{path}");
        }
        for path in ["", "x", "run-stores/a.txt", "run-stores/../a.json", "runtimes/r/b/c.json"] {
            assert_eq!(Key::from_path(path), None, "{path}");
        }
    }
}
