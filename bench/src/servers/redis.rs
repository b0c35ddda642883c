//! Redis, which syncs its append-only file before it answers.

use anyhow::Result;

use super::{Places, Server, free_address, listening, text};

pub(crate) fn redis(places: &Places) -> Result<Server> {
    let directory = places.directory("redis")?;
    let address = free_address()?;
    let port = address.port().to_string();
    let arguments = [
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--dir",
        text(&directory)?,
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--save",
        "",
    ];
    let log = directory.join("log");
    Server::start(places.peer("redis-server", &arguments), &log, || listening(address))
}
