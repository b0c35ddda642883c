//! `stowage-sidecar` on a volume, with its defaults.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::{Places, Server, text};
use crate::load::stowage::TOKEN;

/// Starts it on `{directory}/data`; the directory may have been served before.
///
/// # Errors
/// It does not start, or is not ready within a minute.
pub(crate) fn sidecar(places: &Places, directory: &Path) -> Result<Server> {
    let tokens = directory.join("tokens");
    let (config, ready) = (directory.join("config.json"), directory.join("ready.json"));
    std::fs::create_dir_all(&tokens)?;
    std::fs::write(tokens.join("bench"), TOKEN)?;
    // A killed server leaves it.
    if ready.exists() {
        std::fs::remove_file(&ready)?;
    }
    let settings = serde_json::json!({
        "store": "bench",
        "listen": "127.0.0.1:0",
        "managementListen": "127.0.0.1:0",
        "backend": {"volume": {"path": directory.join("data")}},
        "auth": {"tokensDir": tokens},
    });
    std::fs::write(&config, settings.to_string())?;
    Server::start(
        &places.binaries.join("stowage-sidecar"),
        &["serve", "--config", text(&config)?, "--ready-file", text(&ready)?],
        &directory.join("log"),
        || address(&ready),
    )
}

fn address(ready: &Path) -> Option<SocketAddr> {
    let table: serde_json::Value = serde_json::from_slice(&std::fs::read(ready).ok()?).ok()?;
    table.get("url")?.as_str()?.strip_prefix("http://")?.parse().ok()
}
