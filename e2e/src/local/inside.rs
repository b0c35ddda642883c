//! Running programs inside of a cluster's namespaces.

use std::convert::Infallible;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, io};

use super::LocalError;
use super::instance::{Instance, Role};
use super::name::ClusterName;
use super::process_id::ProcessId;
use crate::node::layout::{CACHES, CONTAINERD_SOCKET, KUBECONFIG};
use crate::tools::ToolSet;

/// The node of a cluster that runs.
pub(super) fn node_of(name: &ClusterName) -> Result<ProcessId, LocalError> {
    let instances = Instance::of(name).map_err(LocalError::State)?;
    let mut nodes = instances.iter().filter_map(|instance| instance.holder(Role::Node));
    nodes.next().ok_or_else(|| LocalError::NotRunning(name.clone()))
}

/// A command that runs in the namespaces of a node: the files are those of the host, except where
/// the node mounted its own.
pub(super) fn command(node: ProcessId, tools: &Path, program: &[String]) -> io::Result<Command> {
    let path = env::join_paths(
        std::iter::once(tools.to_owned())
            .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )
    .map_err(io::Error::other)?;
    let mut command = Command::new("nsenter");
    command
        .args(["--net", "--mount", "--ipc", "--pid", "--target", &node.number().to_string(), "--"])
        // Entering a mount namespace moves to its root.
        .arg("env")
        .arg("--chdir")
        .arg(env::current_dir()?)
        // The program is a child of nsenter's and would outlive it.
        .args(["setpriv", "--pdeathsig", "KILL", "--"])
        .args(program)
        .env("PATH", path)
        .env("KUBECONFIG", KUBECONFIG)
        // What is known of this cluster goes with it; none of it is left in the caller's home.
        .envs(CACHES)
        // Inside, there is only the cluster that KUBECONFIG names.
        .env_remove("STOWAGE_CLUSTER");
    Ok(command)
}

/// Becomes a program inside of the cluster, with `KUBECONFIG` set and `kubectl` and `helm` in
/// `PATH`. Its exit status is that of this process.
///
/// # Errors
/// Where the cluster does not run or the program cannot be started; otherwise it does not return.
pub fn run_inside(name: &ClusterName, program: &[String]) -> Result<Infallible, LocalError> {
    let node = node_of(name)?;
    let tools = ToolSet::Node.directory()?;
    let failed = |source| LocalError::Inside {
        program: program.first().cloned().unwrap_or_default(),
        source,
    };
    let error = command(node, &tools, program).map_err(failed)?.exec();
    Err(failed(error))
}

/// Imports image archives, as `docker save`, `buildah push` or an OCI layout's `tar` write them,
/// so that pods may use them without a registry.
///
/// # Errors
/// Where the cluster does not run, or an archive cannot be read or is none.
pub fn import_images(name: &ClusterName, archives: &[impl AsRef<Path>]) -> Result<(), LocalError> {
    let node = node_of(name)?;
    let tools = ToolSet::Node.directory()?;
    let import = images(&["import", "-"]);
    for archive in archives {
        let image = archive.as_ref().display().to_string();
        let failed = |error: io::Error| LocalError::Import {
            image: image.clone(),
            reason: error.to_string(),
        };
        // By standard input, because the path may be one that the node sees otherwise.
        let archive = File::open(archive).map_err(failed)?;
        let result = command(node, &tools, &import)
            .map_err(failed)?
            .stdin(archive)
            .output()
            .map_err(failed)?;
        if !result.status.success() {
            let reason = String::from_utf8_lossy(&result.stderr).trim_end().to_owned();
            return Err(LocalError::Import { image, reason });
        }
        print!("{}", String::from_utf8_lossy(&result.stdout));
    }
    Ok(())
}

/// Gives an image that is there another name as well.
///
/// # Errors
/// Where the cluster does not run or has no such image.
pub fn tag_image(name: &ClusterName, image: &str, other: &str) -> Result<(), LocalError> {
    let node = node_of(name)?;
    let tools = ToolSet::Node.directory()?;
    let failed = |reason: String| LocalError::Tag { image: image.to_owned(), reason };
    let result = command(node, &tools, &images(&["tag", "--force", image, other]))
        .and_then(|mut command| command.stdin(Stdio::null()).output())
        .map_err(|error| failed(error.to_string()))?;
    if !result.status.success() {
        return Err(failed(String::from_utf8_lossy(&result.stderr).trim_end().to_owned()));
    }
    Ok(())
}

/// A command line on the images that pods may use.
fn images(arguments: &[&str]) -> Vec<String> {
    let ctr = ["ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io", "images"];
    ctr.iter().chain(arguments).map(|&word| word.to_owned()).collect()
}
