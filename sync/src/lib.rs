//! Git sync: one branch of one repository becomes one set of configs, or stays what it was.
//!
//! Five steps, each a module: fetch the branch into a bare repository of its own, select files
//! from the tree, parse them, validate them against the source's schema, publish the set. A
//! failure in any step leaves the published set as it was.
//!
//! A repository is hostile until it is checked: there is never a work tree, hooks never run,
//! every size is bounded before something is read, and credentials stand in private files only.
//! A branch in which no file matches fails too, so that a wrong pattern never empties a set.

mod credentials;
mod diagnose;
mod failure;
mod fetch;
mod git;
mod http;
mod machine;
mod name;
mod parse;
mod reason;
mod report;
mod run;
mod schema;
mod secret;
mod select;
mod text;
mod tree;
mod validate;
mod workspace;

pub use http::{HttpPublisher, TargetRefused};
pub use machine::Machine;
pub use report::{ConfigFile, ConfigSet, PublishError, Published};
pub use run::sync_on;
pub use stowage_config::{FileError, InvalidFile, Outcome, SyncReport};

use async_trait::async_trait;
use stowage_config::SyncConfig;

/// Takes a whole set and serves it in one step.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Notes what is served, before the branch is fetched: where another sync publishes between
    /// this and [`Publisher::publish`], the latter is [`PublishError::Overtaken`], since what was
    /// fetched may be older. Nothing to do for a publisher that is the only one of its branch.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`] where that cannot be found out.
    async fn prepare(&self, _repo_id: &str, _branch: &str) -> Result<(), PublishError> {
        Ok(())
    }

    /// Replaces the set; readers see the old one or the new one.
    ///
    /// # Errors
    /// [`PublishError`] says whether the old set is certainly still served.
    async fn publish(&self, set: &ConfigSet) -> Result<Published, PublishError>;
}

/// Runs one sync with the programs and the temporary directory of the environment.
///
/// As [`sync_on`].
pub async fn sync(config: &SyncConfig, publisher: &dyn Publisher) -> SyncReport {
    sync_on(&Machine::from_env(), config, publisher).await
}
