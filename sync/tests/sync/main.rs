//! Whole syncs against real Git: every outcome that a person can run into.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

#[path = "../support/mod.rs"]
mod support;

mod content;
mod git_http;
mod hostile;
mod http_fetch;
mod life;
mod publish;
mod schema;

use std::path::Path;

use stowage_config::SyncConfig;
use support::Repository;

/// A configuration for a repository of this machine.
fn file_config(repository: &Repository) -> SyncConfig {
    support::config(&file_url(repository.path()), "main")
}

fn file_url(path: &Path) -> String {
    format!("file://{}", path.to_str().unwrap())
}
