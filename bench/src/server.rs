//! A `stowage-sidecar` of its own on a free port.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval};

use crate::load::TOKEN;

/// A running server; it is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts the binary on a directory and waits until it is ready.
    ///
    /// # Errors
    /// The server does not start, or is not ready within 30 s.
    pub(crate) async fn start(binary: &Path, scratch: &Path) -> Result<Self> {
        let tokens = scratch.join("tokens");
        std::fs::create_dir(&tokens)?;
        std::fs::write(tokens.join("bench"), TOKEN)?;
        let config = scratch.join("config.json");
        let ready = scratch.join("ready.json");
        let text = serde_json::json!({
            "store": "bench",
            "listen": "127.0.0.1:0",
            "managementListen": "127.0.0.1:0",
            "backend": {"volume": {"path": scratch.join("data")}},
            "auth": {"tokensDir": tokens},
        });
        std::fs::write(&config, text.to_string())?;
        let mut child = Command::new(binary)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .arg("--ready-file")
            .arg(&ready)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut tick = interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            ensure!(child.try_wait()?.is_none(), "the server ended before it was ready");
            ensure!(Instant::now() < deadline, "the server was not ready within 30 s");
            if let Some(address) = read_address(&ready) {
                return Ok(Self { child, address });
            }
        }
    }

    /// Where the contracts are served.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resident memory, as the kernel counts it.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let pid = self.child.id().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmRSS line")?.parse()?)
    }

    /// Ends the server.
    ///
    /// # Errors
    /// It cannot be ended.
    pub(crate) async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

fn read_address(ready: &Path) -> Option<SocketAddr> {
    let text = std::fs::read(ready).ok()?;
    let table: serde_json::Value = serde_json::from_slice(&text).ok()?;
    table.get("url")?.as_str()?.strip_prefix("http://")?.parse().ok()
}
