//! Git sync: one branch of one repository becomes one set of configs, or stays what it was.
//!
//! Five steps, each a module: fetch the branch into a bare repository of its own, select files
//! from the tree, parse them, validate them against the source's schema, publish the set. A
//! failure in any step leaves the published set as it was.

mod report;

pub use report::{ConfigFile, ConfigSet, FileError, InvalidFile, Outcome, Published, SyncReport};

use async_trait::async_trait;
use stowage_config::SyncConfig;

/// Takes a whole set and serves it in one step.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Replaces the set; readers see the old one or the new one.
    ///
    /// # Errors
    /// A sentence for a person, without secrets; the old set is then still served.
    async fn publish(&self, set: &ConfigSet) -> Result<Published, String>;
}

/// Runs one sync. Never fails as a call: what went wrong is in the report.
pub async fn sync(config: &SyncConfig, publisher: &dyn Publisher) -> SyncReport {
    let _ = (config, publisher);
    unreachable!("written next")
}
