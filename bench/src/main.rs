//! `stowage-bench DIR`: measures the release binaries in DIR and prints one table.
//!
//! Every figure of a write stands beside a bare 1 KB append with `fdatasync` on the same file
//! system in the same run, so that it can be read as a ratio: absolute times move with the
//! machine.

mod load;
mod peer;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{Figures, Work};
use crate::server::Server;

/// How long each row is measured.
const ROW: Duration = Duration::from_secs(5);
/// How many clients each row has.
const CLIENTS: [usize; 2] = [1, 64];

#[tokio::main]
async fn main() -> Result<()> {
    let binaries: PathBuf = std::env::args_os()
        .nth(1)
        .context("say where the release binaries are: stowage-bench target/release")?
        .into();
    let scratch = tempfile::tempdir_in(".").context("cannot make a scratch directory here")?;
    let bare = peer::append_fdatasync(scratch.path(), ROW)?;
    let server = Server::start(&binaries.join("stowage-sidecar"), scratch.path()).await?;
    let memory_at_rest_kib = server.resident_kib()?;

    println!(
        "{:<42} {:>9} {:>9} {:>9} {:>8}",
        "1 KB documents", "p50 ms", "p99 ms", "ops/s", "x bare"
    );
    print_row("bare append + fdatasync", 1, &bare, &bare);
    for clients in CLIENTS {
        let put = load::run(server.address(), Work::Put, clients, ROW).await?;
        print_row("durable PUT, a document a client", clients, &put, &bare);
    }
    for clients in CLIENTS {
        let get = load::run(server.address(), Work::Get, clients, ROW).await?;
        print_row("GET", clients, &get, &bare);
    }
    println!();
    println!("sidecar, resident at rest   {:>8.1} MiB", memory_at_rest_kib as f64 / 1024.0);
    println!("sidecar, resident after     {:>8.1} MiB", server.resident_kib()? as f64 / 1024.0);
    for name in ["stowage-sidecar", "stowage"] {
        println!("{name:<27} {:>8.1} MiB on disk", size_mib(&binaries.join(name))?);
    }
    server.stop().await
}

fn print_row(what: &str, clients: usize, figures: &Figures, bare: &Figures) {
    let label = format!("{what}, {clients} client{}", if clients == 1 { "" } else { "s" });
    println!(
        "{label:<42} {:>9.3} {:>9.3} {:>9.0} {:>8.2}",
        figures.p50.as_secs_f64() * 1e3,
        figures.p99.as_secs_f64() * 1e3,
        figures.per_second,
        figures.per_second / bare.per_second,
    );
}

fn size_mib(path: &Path) -> Result<f64> {
    let bytes = std::fs::metadata(path).with_context(|| format!("no {}", path.display()))?.len();
    Ok(bytes as f64 / f64::from(1 << 20))
}
