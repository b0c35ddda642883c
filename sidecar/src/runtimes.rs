//! Sets of runtime configs: replaced as one, read by file.

use stowage_store::{EntityTag, Name, Result, Store};
use stowage_sync::ConfigFile;

/// What replacing a set did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Whether the content differs from what stood there.
    pub changed: bool,
    /// The set's tag.
    pub tag: EntityTag,
}

/// Replaces the set of a branch in one step.
///
/// # Errors
/// As [`Store::update`].
pub async fn replace(
    store: &dyn Store,
    repository: &Name,
    branch: &Name,
    revision: &str,
    files: Vec<ConfigFile>,
) -> Result<Replaced> {
    let _ = (store, repository, branch, revision, files);
    unreachable!("written next")
}
