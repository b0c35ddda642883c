//! `stowage-cluster`: a Kubernetes for tests, from the command line.

use std::io::{Read, Write};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use stowage_e2e::ControlPlane;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "A real Kubernetes for tests, from package registries alone")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an API server and etcd until standard input ends or a signal comes
    ///
    /// Prints one line of JSON on standard output once it is ready: {"kubeconfig": "…"}.
    ControlPlane,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::ControlPlane => control_plane(),
    }
}

fn control_plane() -> Result<()> {
    let started = ControlPlane::start()?;
    let line = serde_json::json!({ "kubeconfig": started.kubeconfig() });
    writeln!(std::io::stdout(), "{line}").context("cannot print where the kubeconfig is")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // A thread, because a blocking read cannot be given up when a signal comes first.
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().by_ref(), &mut std::io::sink());
            let _ = ended.send(());
        });
        tokio::select! {
            _ = end => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}
