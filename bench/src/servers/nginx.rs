//! nginx with files of 1 KB, at its best: open files are kept open, and nothing is logged.

use std::thread::available_parallelism;

use anyhow::Result;

use super::{Places, Server, free_address, listening, text};
use crate::load::payload::Document;

/// Serves `/{0..files}.json` with a worker for each core.
pub(crate) fn nginx(places: &Places, files: usize) -> Result<Server> {
    let directory = places.directory("nginx")?;
    let root = places.directory("nginx/files")?;
    for file in 0..files {
        std::fs::write(root.join(format!("{file}.json")), Document::new().next())?;
    }
    let address = free_address()?;
    let workers = available_parallelism()?;
    // Its workers give up root, and could not read the scratch directory.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};"))
        .join(" ");
    let settings = format!(
        "daemon off; pid nginx.pid; error_log error.log; worker_processes {workers}; {user}
         events {{ worker_connections 1024; }}
         http {{
           access_log off; sendfile on; tcp_nodelay on; {temporary}
           keepalive_requests 1000000000; keepalive_timeout 600s;
           open_file_cache max=1000 inactive=600s; open_file_cache_valid 600s;
           types {{ }} default_type application/json;
           server {{ listen {address}; root {:?}; }}
         }}",
        text(&root)?
    );
    let config = directory.join("nginx.conf");
    std::fs::write(&config, settings)?;
    let log = directory.join("log");
    let error_log = directory.join("error.log");
    let arguments = ["-p", text(&directory)?, "-c", text(&config)?, "-e", text(&error_log)?];
    Server::start(places.peer("nginx", &arguments), &log, || listening(address))
}
