//! What a running cluster leaves outside of its namespaces: one small directory with the process
//! ids of those who keep it, and one control group in each hierarchy. Both bear its name and a
//! random part, so that sweeping a dead cluster never meets a new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lock;
use super::name::ClusterName;
use super::process_id::ProcessId;
use crate::cgroups;

/// Where the directories are. Like all of `/run`, it does not outlive the machine's next start.
pub(super) const PARENT: &str = "/run/stowage-cluster";
/// How long the kernel may take to let go of a control group whose processes have ended.
const RELEASED_WITHIN: Duration = Duration::from_secs(20);

/// Who keeps a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// The command that is bringing it up.
    Up,
    /// The process outside of the namespaces that cleans up.
    Janitor,
    /// Process 1 of the node.
    Node,
}

impl Role {
    const ALL: [Self; 3] = [Self::Up, Self::Janitor, Self::Node];

    fn file(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Janitor => "janitor",
            Self::Node => "node",
        }
    }
}

/// One start of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    /// `NAME.RANDOM`.
    label: String,
}

impl Instance {
    /// A new start of a cluster, kept by the calling process.
    pub(crate) fn create(name: &ClusterName) -> io::Result<Self> {
        let random = getrandom::u32().map_err(io::Error::other)?;
        let instance = Self { label: format!("{name}.{random:08x}") };
        // Whole from the beginning: to others, a directory without a living keeper is a dead one.
        let unfinished = Path::new(PARENT).join(format!(".{}", instance.label));
        fs::create_dir_all(&unfinished)?;
        write_own_id(&unfinished, Role::Up)?;
        fs::rename(&unfinished, instance.directory())?;
        Ok(instance)
    }

    /// The instance with this label.
    pub(crate) fn labelled(label: &str) -> Self {
        Self { label: label.to_owned() }
    }

    /// All instances, dead ones too.
    pub(crate) fn all() -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(PARENT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let labels = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let finished = labels.filter(|label| !label.starts_with('.'));
        Ok(finished.map(|label| Self { label }).collect())
    }

    /// The living instances of a cluster. There is one at most, but for moments.
    pub(crate) fn of(name: &ClusterName) -> io::Result<Vec<Self>> {
        let prefix = format!("{name}.");
        let mut instances = Self::all()?;
        instances.retain(|instance| {
            instance.label.starts_with(&prefix) && !instance.keepers().is_empty()
        });
        Ok(instances)
    }

    /// Its name and its random part.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Its directory.
    pub(crate) fn directory(&self) -> PathBuf {
        Path::new(PARENT).join(&self.label)
    }

    /// What its janitor and its node say; it goes with the rest.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory().join("log")
    }

    /// Its control groups, below those of the process that brought it up.
    pub(crate) fn control_groups(&self) -> io::Result<Vec<PathBuf>> {
        let listed = fs::read_to_string(self.directory().join("cgroups"))?;
        Ok(listed.lines().map(PathBuf::from).collect())
    }

    /// Makes its control groups, and says first where they are, for whoever sweeps.
    pub(crate) fn create_control_groups(&self) -> io::Result<()> {
        let directories = cgroups::own_directories(&format!("stowage-{}", self.label))?;
        let listed: Vec<String> =
            directories.iter().map(|directory| directory.display().to_string()).collect();
        fs::write(self.directory().join("cgroups"), listed.join("\n"))?;
        cgroups::create(&directories)
    }

    /// Says that the calling process keeps this cluster in a role.
    pub(crate) fn take_role(&self, role: Role) -> io::Result<()> {
        write_own_id(&self.directory(), role)
    }

    /// The process in a role, where it is alive.
    pub(crate) fn holder(&self, role: Role) -> Option<ProcessId> {
        let text = fs::read_to_string(self.directory().join(role.file())).ok()?;
        text.parse().ok().filter(|id: &ProcessId| id.is_alive())
    }

    fn keepers(&self) -> Vec<ProcessId> {
        Role::ALL.into_iter().filter_map(|role| self.holder(role)).collect()
    }

    /// Removes what is left of it. Others may be doing the same.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match self.control_groups() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            directories => cgroups::remove(&directories?, RELEASED_WITHIN)?,
        }
        match fs::remove_dir_all(self.directory()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Fails while there are other clusters.
        let _ = fs::remove_dir(PARENT);
        Ok(())
    }
}

/// Removes what is left of every cluster that nobody keeps any more, and of commands that were
/// killed.
pub(crate) fn sweep() -> io::Result<()> {
    lock::sweep()?;
    for instance in Instance::all()? {
        if instance.keepers().is_empty() {
            instance.remove()?;
        }
    }
    Ok(())
}

fn write_own_id(directory: &Path, role: Role) -> io::Result<()> {
    let own =
        ProcessId::own().ok_or_else(|| io::Error::other("/proc does not show this process"))?;
    let unfinished = directory.join(format!(".{}", role.file()));
    fs::write(&unfinished, own.to_string())?;
    fs::rename(unfinished, directory.join(role.file()))
}
