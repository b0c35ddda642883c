//! Bringing a cluster up and taking it down.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::LocalError;
use super::inside::{command, node_of};
use super::instance::{Instance, Role, sweep};
use super::janitor::KEEP;
use super::lock::Lock;
use super::name::ClusterName;
use crate::node::layout::READY;
use crate::tools::ToolSet;

/// How long a killed cluster may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(40);

/// Brings a cluster up and returns when it takes pods; it runs on. Where it runs already, this only
/// says so.
///
/// # Errors
/// Where it does not come up, after its log was shown; nothing is left of it then.
pub fn up(name: &ClusterName) -> Result<(), LocalError> {
    require_root()?;
    let tools = ToolSet::Node.directory()?;
    let _lock = Lock::take(name).map_err(LocalError::State)?;
    sweep().map_err(LocalError::Sweep)?;
    if is_there(name)? {
        return check_health(name);
    }

    println!("bringing up the cluster {name}");
    let instance = Instance::create(name).map_err(LocalError::State)?;
    let result = bring_up(name, &instance, &tools);
    if result.is_err() {
        end(name, &instance)?;
    }
    result
}

/// Whether a cluster runs. Nobody brings it up now, so one that is not ready is about to end.
fn is_there(name: &ClusterName) -> Result<bool, LocalError> {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let instances = Instance::of(name).map_err(LocalError::State)?;
        if instances.is_empty() || instances.iter().any(is_ready) {
            return Ok(!instances.is_empty());
        }
        if Instant::now() > deadline {
            return Err(LocalError::NotHealthy(name.clone()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn bring_up(name: &ClusterName, instance: &Instance, tools: &Path) -> Result<(), LocalError> {
    let path = instance.log();
    let log = File::create(&path).map_err(LocalError::State)?;
    let mut janitor = Command::new(env::current_exe().map_err(LocalError::State)?)
        .arg("janitor")
        .arg(instance.label())
        .arg(tools)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().map_err(LocalError::State)?)
        .stderr(log)
        .spawn()
        .map_err(LocalError::Start)?;
    let follow = File::open(path).map_err(LocalError::State)?;
    if !follow_until_ready(instance, &mut janitor, follow).map_err(LocalError::State)? {
        return Err(LocalError::DidNotComeUp(name.clone()));
    }
    let mut pipe =
        janitor.stdin.take().ok_or(LocalError::Start(io::ErrorKind::BrokenPipe.into()))?;
    writeln!(pipe, "{KEEP}").map_err(LocalError::Start)?;
    println!("the cluster {name} is up: look around with `make cluster-shell`");
    Ok(())
}

/// Copies the cluster's log to standard output until it is ready or has ended, and tells which.
fn follow_until_ready(instance: &Instance, janitor: &mut Child, mut log: File) -> io::Result<bool> {
    loop {
        // Asked before the log is read, so that its last lines are shown.
        let ended = janitor.try_wait()?.is_some();
        let ready = is_ready(instance);
        let mut lines = Vec::new();
        log.read_to_end(&mut lines)?;
        io::stdout().write_all(&lines)?;
        if ready || ended {
            return Ok(ready);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn is_ready(instance: &Instance) -> bool {
    let Some(node) = instance.holder(Role::Node) else { return false };
    let inside = PathBuf::from(format!("/proc/{}/root", node.number()));
    inside.join(READY.trim_start_matches('/')).exists()
}

fn check_health(name: &ClusterName) -> Result<(), LocalError> {
    let unhealthy = |_| LocalError::NotHealthy(name.clone());
    let tools = ToolSet::Node.directory()?;
    let ask = ["kubectl", "get", "--raw=/readyz", "--request-timeout=10s"].map(str::to_owned);
    let answer = command(node_of(name)?, &tools, &ask)
        .and_then(|mut command| command.stdin(Stdio::null()).output())
        .map_err(unhealthy)?;
    if !answer.status.success() {
        return Err(LocalError::NotHealthy(name.clone()));
    }
    println!("the cluster {name} is up already");
    Ok(())
}

/// Ends a cluster and waits until nothing is left of it. Where there is none, this only sweeps.
///
/// # Errors
/// Where it does not end or something of it cannot be removed.
pub fn down(name: &ClusterName) -> Result<(), LocalError> {
    require_root()?;
    let _lock = Lock::take(name).map_err(LocalError::State)?;
    let instances = Instance::of(name).map_err(LocalError::State)?;
    for instance in &instances {
        end(name, instance)?;
    }
    sweep().map_err(LocalError::Sweep)?;
    let said = if instances.is_empty() { "does not run" } else { "is down" };
    println!("the cluster {name} {said}");
    Ok(())
}

/// Kills the node, waits for its janitor, and removes what the janitor did not.
fn end(name: &ClusterName, instance: &Instance) -> Result<(), LocalError> {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let node = instance.holder(Role::Node);
        // Again and again, because a janitor may only be about to start it.
        if let Some(node) = node {
            node.kill();
        }
        if node.is_none() && instance.holder(Role::Janitor).is_none() {
            break;
        }
        if Instant::now() > deadline {
            return Err(LocalError::StillThere(name.clone()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    instance.remove().map_err(LocalError::Sweep)
}

fn require_root() -> Result<(), LocalError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LocalError::NotRoot) }
}
