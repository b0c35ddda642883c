//! `stowage-git-server`: serves bare Git repositories over HTTP until SIGTERM.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves bare Git repositories over HTTP, for everyone to read and to push to: for tests and
/// demonstrations only.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The directory of the repositories
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// A repository to make where it is not there, such as etl.git
    #[arg(long, value_name = "NAME")]
    repository: Vec<String>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    for name in &arguments.repository {
        stowage_git_server::create(&arguments.root.join(name))
            .with_context(|| format!("the repository {name} cannot be made"))?;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    axum::serve(listener, stowage_git_server::router(arguments.root))
        .with_graceful_shutdown(stopped)
        .await?;
    Ok(())
}
