//! `stowage-sidecar` on a volume, with its defaults but for the access log.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::{Places, Server, command};
use crate::load::stowage::TOKEN;

/// Whether each request is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessLog {
    /// As its peers are measured.
    Off,
    /// As it is by default, to a file.
    On,
}

/// How many versions of each document and each namespace are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    /// As it is by default.
    None,
    /// Ten.
    Ten,
}

/// Starts it on `{directory}/data`; the directory may have been served before.
///
/// # Errors
/// It does not start, or is not ready within a minute.
pub(crate) fn sidecar(
    places: &Places,
    directory: &Path,
    access_log: AccessLog,
    history: History,
) -> Result<Server> {
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
        "history": match history {
            History::None => 0,
            History::Ten => 10,
        },
    });
    std::fs::write(&config, settings.to_string())?;
    let mut command = command(&places.binaries.join("stowage-sidecar"));
    command.arg("serve").arg("--config").arg(&config).arg("--ready-file").arg(&ready);
    command.env(
        "RUST_LOG",
        match access_log {
            AccessLog::Off => "warn",
            AccessLog::On => "info",
        },
    );
    Server::start(command, &directory.join("log"), || address(&ready))
}

fn address(ready: &Path) -> Option<SocketAddr> {
    let table: serde_json::Value = serde_json::from_slice(&std::fs::read(ready).ok()?).ok()?;
    table.get("url")?.as_str()?.strip_prefix("http://")?.parse().ok()
}
