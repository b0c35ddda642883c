//! A whole node: the programs of a Kubernetes cluster in one process namespace, whose process 1
//! this is.
//!
//! It expects new network, mount, process and control group namespaces around it, which the
//! cluster's janitor makes. It says each step on standard output, with the seconds since the start.

mod archive;
mod base;
mod components;
mod dns;
pub(crate) mod layout;
mod mounts;
mod network;
mod settings;
mod supervisor;

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub use archive::{ArchiveError, BUSYBOX, write_busybox_as};
pub use layout::{AUDIT_LOG, CONTAINERD_SOCKET};
pub use mounts::MountError;

use crate::command::{CommandError, output};
use crate::pki::PkiError;
use layout::{DNS_ADDRESS, KUBECONFIG, NODE_NAME, READY};
use supervisor::Supervisor;

/// How long any step may take on a busy machine.
const STEP: Duration = Duration::from_secs(120);

/// Why a node did not come up, or ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The mounts.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A program that was run to its end.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Keys and certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The images.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file.
    #[error("cannot write the node's files: {0}")]
    Write(#[source] io::Error),
    /// A program did not start.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Its name.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program ended, which none should.
    #[error("{program} ended ({status}), and the cluster with it\n{log}")]
    Ended {
        /// Its name.
        program: &'static str,
        /// How.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A condition that did not come true.
    #[error("{what}: not within {seconds} s ({reason})")]
    Waited {
        /// What was waited for.
        what: &'static str,
        /// How long.
        seconds: u64,
        /// What was found last.
        reason: String,
    },
    /// Processes could not be waited for.
    #[error("cannot watch the node's programs: {0}")]
    Watch(#[source] io::Error),
}

/// Brings the node up and keeps it until one of its programs ends.
///
/// # Errors
/// Always, at last: the reason for which it ended.
pub fn run(tools: &Path) -> Result<Infallible, NodeError> {
    let started = Instant::now();
    let say = |step: &str| {
        // Whoever reads may be gone.
        let _ = writeln!(io::stdout(), "{:6.1} s  {step}", started.elapsed().as_secs_f32());
    };

    mounts::set_up()?;
    network::set_up()?;
    settings::write_identities()?;
    settings::write().map_err(NodeError::Write)?;
    let mut programs = Supervisor::new(tools).map_err(NodeError::Write)?;
    programs.start(&components::foundation())?;
    say("started the API server and containerd");

    let images = settings::file("images.tar");
    archive::write(images.as_ref())?;
    programs.wait_until("containerd answers", STEP, |programs| {
        output(programs.command("ctr").args(["-a", CONTAINERD_SOCKET, "version"])).map(drop)
    })?;
    let import = ["-a", CONTAINERD_SOCKET, "-n", "k8s.io", "images", "import", &images];
    output(programs.command("ctr").args(import))?;
    let kubectl = |programs: &Supervisor, arguments: &[&str]| {
        let mut command: Command = programs.command("kubectl");
        output(command.arg("--kubeconfig").arg(KUBECONFIG).args(arguments))
    };
    programs.wait_until("the API server is ready", STEP, |programs| {
        kubectl(programs, &["get", "--raw=/readyz"]).map(drop)
    })?;
    say("the API server is ready");

    let base = settings::file("base.json");
    fs::write(&base, base::objects().to_string()).map_err(NodeError::Write)?;
    kubectl(&programs, &["apply", "--server-side", "-f", &base])?;
    programs.start(&components::rest())?;
    say("started the kubelet and what it works with");

    programs.wait_until("cluster DNS answers", STEP, |_| match dns::answers(DNS_ADDRESS) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("no address for {}", dns::NAME)),
        Err(error) => Err(error.to_string()),
    })?;
    say("cluster DNS answers");
    programs.wait_until("the node is Ready", STEP, |programs| {
        let path = format!("--output=jsonpath={}", READY_CONDITION);
        let ready = kubectl(programs, &["get", "node", NODE_NAME, &path])
            .map_err(|error| error.to_string())?;
        // Every pod needs its namespace's service account, which the controllers make.
        kubectl(programs, &["get", "serviceaccount", "default"])
            .map_err(|error| error.to_string())?;
        if ready == "True" { Ok(()) } else { Err(format!("the condition is {ready:?}")) }
    })?;
    say(&format!("the node is Ready; volumes are of the class {}", base::STORAGE_CLASS));
    fs::write(READY, "").map_err(NodeError::Write)?;
    Err(programs.watch())
}

const READY_CONDITION: &str = "{.status.conditions[?(@.type==\"Ready\")].status}";
