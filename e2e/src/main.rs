//! `stowage-cluster`: a Kubernetes for tests, from the command line.

use std::env;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use stowage_e2e::ControlPlane;
use stowage_e2e::local::{self, ClusterName};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "A real Kubernetes for tests, from package registries alone")]
struct Arguments {
    /// The name of the local cluster; several may run side by side
    #[arg(long, global = true, env = "STOWAGE_CLUSTER")]
    name: Option<ClusterName>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an API server and etcd until standard input ends or a signal comes
    ///
    /// Prints one line of JSON on standard output once it is ready: {"kubeconfig": "…"}.
    ControlPlane,
    #[command(flatten)]
    Cluster(ClusterCommand),
    #[command(flatten)]
    Internal(Internal),
}

#[derive(Subcommand)]
enum ClusterCommand {
    /// Bring up a node that runs pods, in the background
    Up,
    /// End the node and remove everything of it
    Down,
    /// Work inside of the cluster, with KUBECONFIG set and kubectl and helm in PATH
    Shell {
        /// The command to run; without one, an interactive shell
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Run one program inside of the cluster, as a runner for cargo
    Run {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Work with the images that pods may use
    Images {
        #[command(subcommand)]
        command: Images,
    },
}

/// The processes that keep a local cluster.
#[derive(Subcommand)]
enum Internal {
    #[command(hide = true)]
    Janitor { label: String, tools: PathBuf },
    #[command(hide = true)]
    Enter { label: String, tools: PathBuf },
    #[command(hide = true)]
    Node { label: String, tools: PathBuf },
}

#[derive(Subcommand)]
enum Images {
    /// Import archives, as `docker save` or `buildah push` write them
    Import {
        /// The archives
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Give an image that is there another name as well
    Tag {
        /// Its name, such as `stowage.dev/stowage-sync:0.1.0`
        image: String,
        /// The other name
        other: String,
    },
}

/// Which cluster is meant.
enum Target {
    /// One of ours.
    Local(ClusterName),
    /// The user's.
    Kubeconfig(String),
}

impl Target {
    /// A name says which. Without one, `KUBECONFIG` does, and without that it is `default`.
    fn choose(name: Option<ClusterName>) -> Result<Self> {
        match (name, env::var("KUBECONFIG").ok().filter(|path| !path.is_empty())) {
            (Some(name), _) => Ok(Self::Local(name)),
            (None, Some(path)) => Ok(Self::Kubeconfig(path)),
            (None, None) => Ok(Self::Local("default".parse()?)),
        }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::ControlPlane => control_plane(),
        Command::Internal(command) => internal(command),
        Command::Cluster(command) => match Target::choose(arguments.name)? {
            Target::Local(name) => on_local(&name, command),
            Target::Kubeconfig(path) => on_kubeconfig(&path, command),
        },
    }
}

fn internal(command: Internal) -> Result<()> {
    match command {
        Internal::Janitor { label, tools } => Ok(local::janitor(&label, &tools)?),
        Internal::Enter { label, tools } => match local::enter(&label, &tools)? {},
        Internal::Node { label, tools } => match local::node(&label, &tools)? {},
    }
}

fn on_local(name: &ClusterName, command: ClusterCommand) -> Result<()> {
    match command {
        ClusterCommand::Up => local::up(name)?,
        ClusterCommand::Down => local::down(name)?,
        ClusterCommand::Shell { command } => match local::run_inside(name, &or_shell(command))? {},
        ClusterCommand::Run { command } => match local::run_inside(name, &command)? {},
        ClusterCommand::Images { command: Images::Import { archives } } => {
            local::import_images(name, &archives)?;
        }
        ClusterCommand::Images { command: Images::Tag { image, other } } => {
            local::tag_image(name, &image, &other)?;
        }
    }
    Ok(())
}

fn on_kubeconfig(path: &str, command: ClusterCommand) -> Result<()> {
    match command {
        ClusterCommand::Up => println!(
            "using the cluster that KUBECONFIG names ({path}); STOWAGE_CLUSTER=default would bring \
             up a local one"
        ),
        ClusterCommand::Down => {
            println!("the cluster that KUBECONFIG names ({path}) is not ours and stays");
        }
        ClusterCommand::Shell { command } => become_program(&or_shell(command))?,
        ClusterCommand::Run { command } => become_program(&command)?,
        ClusterCommand::Images { .. } => bail!(
            "images get into the cluster that KUBECONFIG names ({path}) by its registry: push them \
             there and set IMAGE_REPOSITORY"
        ),
    }
    Ok(())
}

fn or_shell(command: Vec<String>) -> Vec<String> {
    if command.is_empty() {
        return vec![env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned())];
    }
    command
}

fn become_program(command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("say what to run")?;
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {program}"))
}

fn control_plane() -> Result<()> {
    let started = ControlPlane::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Only now: whoever reads the line may signal at once.
        let line = serde_json::json!({ "kubeconfig": started.kubeconfig() });
        writeln!(std::io::stdout(), "{line}").context("cannot print where the kubeconfig is")?;
        // A thread, because a blocking read cannot be given up when a signal comes first.
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
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
