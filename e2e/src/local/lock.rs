//! Lets one command at a time bring a cluster up or take it down.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use super::name::ClusterName;

/// Held until it is dropped.
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Waits for whoever else has the cluster's lock, and says so.
    pub(super) fn take(name: &ClusterName) -> io::Result<Self> {
        let path = in_cache(&format!("cluster-{name}.lock"))?;
        let file = File::create(path)?;
        if file.try_lock().is_err() {
            println!("waiting for another command that works on the cluster {name}");
            file.lock()?;
        }
        Ok(Self(file))
    }
}

/// A file of the cache that the Makefile uses.
pub(super) fn in_cache(file: &str) -> io::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("STOWAGE_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("stowage")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/stowage")))
        .ok_or_else(|| io::Error::other("neither STOWAGE_CACHE nor HOME is set"))?;
    fs::create_dir_all(&cache)?;
    Ok(cache.join(file))
}
