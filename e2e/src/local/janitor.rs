//! The process outside of a cluster's namespaces that starts it, waits for its end and removes
//! what is left then; and the two steps on the way to the node. All three are hidden commands of
//! the binary.

use std::convert::Infallible;
use std::env;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::LocalError;
use super::instance::{Instance, Role};
use super::lock;
use super::process_id::ProcessId;
use crate::node;

/// What `up` writes to the janitor once the cluster may outlive it.
pub(super) const KEEP: &str = "keep";

/// Runs a cluster to its end and sweeps up after it. Standard input is a pipe from `up`: where it
/// ends without [`KEEP`], `up` has died or was interrupted, and the cluster ends too.
///
/// # Errors
/// Where the cluster cannot be started or something of it cannot be removed.
pub fn janitor(label: &str, tools: &Path) -> Result<(), LocalError> {
    // Out of the terminal's session, so that closing it or Ctrl-C does not end the cluster.
    let _ = rustix::process::setsid();
    let instance = Instance::labelled(label);
    let result = keep(&instance, tools);
    let removed = instance.remove().map_err(LocalError::Sweep);
    // The `up` that was interrupted or killed held one.
    let unlocked = lock::sweep().map_err(LocalError::Sweep);
    result.and(removed).and(unlocked)
}

fn keep(instance: &Instance, tools: &Path) -> Result<(), LocalError> {
    instance.take_role(Role::Janitor).map_err(LocalError::State)?;
    instance.create_control_groups().map_err(LocalError::ControlGroups)?;
    let own = env::current_exe().map_err(LocalError::State)?;
    let mut cluster = Command::new(own)
        .arg("enter")
        .arg(instance.label())
        .arg(tools)
        .spawn()
        .map_err(LocalError::Start)?;
    let started = i32::try_from(cluster.id()).ok().and_then(ProcessId::of);
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(io::stdin()).read_line(&mut line);
        if read.is_err() || line.trim_end() != KEEP {
            // Its death takes process 1 of the namespace along, and that all others.
            started.inspect(|&process| process.kill());
        }
    });
    cluster.wait().map(drop).map_err(LocalError::Start)
}

/// Moves into the cluster's control groups and becomes `unshare`, which runs the node in
/// namespaces of its own and ends it when it is killed itself.
///
/// # Errors
/// Where that cannot be done; otherwise it does not return.
pub fn enter(label: &str, tools: &Path) -> Result<Infallible, LocalError> {
    let groups = Instance::labelled(label).control_groups().map_err(LocalError::ControlGroups)?;
    crate::cgroups::join(&groups).map_err(LocalError::ControlGroups)?;
    let own = env::current_exe().map_err(LocalError::State)?;
    let error = Command::new("unshare")
        .args(["--net", "--mount", "--ipc", "--cgroup", "--pid", "--fork", "--kill-child"])
        .arg(own)
        .arg("node")
        .arg(label)
        .arg(tools)
        .exec();
    Err(LocalError::Start(error))
}

/// Runs the node as process 1 of its namespaces, until it ends.
///
/// # Errors
/// Always, at last: why it ended.
pub fn node(label: &str, tools: &Path) -> Result<Infallible, LocalError> {
    // While /proc is still the host's, so that the process ids are too.
    Instance::labelled(label).take_role(Role::Node).map_err(LocalError::State)?;
    Ok(node::run(tools)?)
}
