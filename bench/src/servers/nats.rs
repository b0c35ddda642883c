//! NATS with JetStream, which syncs each message before it acknowledges it.

use anyhow::Result;

use super::{Places, Server, free_address, listening, text};

pub(crate) fn nats(places: &Places) -> Result<Server> {
    let directory = places.directory("nats")?;
    let address = free_address()?;
    let config = directory.join("nats.conf");
    let data = directory.join("data");
    let settings = format!(
        "listen: \"{address}\"\njetstream {{ store_dir: {:?}, sync_interval: always }}\n",
        text(&data)?
    );
    std::fs::write(&config, settings)?;
    let log = directory.join("log");
    let arguments = ["--config", text(&config)?];
    Server::start(places.peer("nats-server", &arguments), &log, || listening(address))
}
