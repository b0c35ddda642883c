//! One member of etcd, which syncs before it answers.

use anyhow::Result;

use super::{Places, Server, free_address, text};
use crate::load::http;

pub(crate) fn etcd(places: &Places) -> Result<Server> {
    let directory = places.directory("etcd")?;
    let (client, peer) = (free_address()?, free_address()?);
    let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
    let cluster = format!("default={peer_url}");
    let data = directory.join("data");
    let arguments = [
        "--data-dir",
        text(&data)?,
        "--log-level",
        "error",
        "--listen-client-urls",
        &client_url,
        "--advertise-client-urls",
        &client_url,
        "--listen-peer-urls",
        &peer_url,
        "--initial-advertise-peer-urls",
        &peer_url,
        "--initial-cluster",
        &cluster,
        // Room for what a long run writes: old revisions stay until they are compacted.
        "--quota-backend-bytes",
        "8589934592",
        "--auto-compaction-mode",
        "revision",
        "--auto-compaction-retention",
        "10000",
    ];
    let log = directory.join("log");
    Server::start(places.peer("etcd", &arguments), &log, || is_healthy(client).then_some(client))
}

/// Whether it has a leader: it listens before.
fn is_healthy(address: std::net::SocketAddr) -> bool {
    let request = b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    http::ask(address, request).is_ok_and(|status| status == 200)
}
