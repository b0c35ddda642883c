//! The control groups of one cluster: below them the kubelet makes its own, and with them all go.
//!
//! A node in the host's groups would leave `kubepods` behind. So a cluster has one directory of
//! its own in every hierarchy; its processes start there, and a control group namespace makes it
//! the root that they see.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Where control groups are mounted.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// Which of the kernel's two interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// One hierarchy for some controllers.
    V1,
    /// The unified hierarchy.
    V2,
}

/// A mounted hierarchy of control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    pub(crate) mount_point: PathBuf,
    /// Which directory of it is mounted there; `/` unless this is a container.
    root: String,
    /// The mount options that choose it, such as `cpu,cpuacct` or `name=systemd`.
    pub(crate) options: String,
    /// Its interface.
    pub(crate) version: Version,
}

/// The hierarchies in a `/proc/PID/mountinfo` (proc(5)).
pub(crate) fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    mountinfo.lines().filter_map(hierarchy).collect()
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let file_system: Vec<&str> = file_system.split(' ').collect();
    let (&root, &mount_point) = (mount.get(3)?, mount.get(4)?);
    let (&kind, &options) = (file_system.first()?, file_system.get(2)?);
    let version = match kind {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let options: Vec<&str> = match version {
        Version::V1 => {
            let chooses = |option: &&str| {
                !["rw", "ro", "clone_children", "xattr"].contains(option)
                    && !option.starts_with("release_agent=")
            };
            options.split(',').filter(chooses).collect()
        }
        Version::V2 => Vec::new(),
    };
    Some(Hierarchy {
        mount_point: PathBuf::from(mount_point),
        root: root.to_owned(),
        options: options.join(","),
        version,
    })
}

/// Where a process is in a hierarchy, by its `/proc/PID/cgroup` (cgroups(7)), as a directory.
fn directory_of(hierarchy: &Hierarchy, membership: &str) -> Option<PathBuf> {
    membership.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let belongs = match hierarchy.version {
            Version::V2 => controllers.is_empty(),
            Version::V1 => !controllers.is_empty() && same_set(controllers, &hierarchy.options),
        };
        let below = path.strip_prefix(hierarchy.root.trim_end_matches('/'))?;
        belongs.then(|| hierarchy.mount_point.join(below.trim_start_matches('/')))
    })
}

fn same_set(one: &str, other: &str) -> bool {
    let sorted = |list: &str| {
        let mut items: Vec<String> = list.split(',').map(str::to_owned).collect();
        items.sort_unstable();
        items
    };
    sorted(one) == sorted(other)
}

/// The directories of a cluster's groups: below those of this process, so that what limits it
/// limits the cluster. Version 2 forbids that, because a group with processes cannot hand its
/// controllers down; there they stand at the top.
pub(crate) fn directories(name: &str, mountinfo: &str, membership: &str) -> Vec<PathBuf> {
    let hierarchies = hierarchies(mountinfo);
    hierarchies
        .iter()
        .filter_map(|hierarchy| match hierarchy.version {
            Version::V2 if hierarchy.mount_point == Path::new(ROOT) => {
                Some(hierarchy.mount_point.clone())
            }
            _ => directory_of(hierarchy, membership),
        })
        .map(|parent| parent.join(name))
        .collect()
}

/// The directories of a cluster's groups for the calling process.
///
/// # Errors
/// Where `/proc` cannot be read.
pub(crate) fn own_directories(name: &str) -> io::Result<Vec<PathBuf>> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let membership = fs::read_to_string("/proc/self/cgroup")?;
    Ok(directories(name, &mountinfo, &membership))
}

/// Makes the groups.
pub(crate) fn create(directories: &[PathBuf]) -> io::Result<()> {
    for directory in directories {
        if let Some(parent) = directory.parent() {
            hand_down_controllers(parent)?;
        }
        fs::create_dir(directory).map_err(at(directory))?;
        // A new group of the cpuset controller takes no process until it has these.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (inherited, own) = (directory.join("..").join(file), directory.join(file));
            if own.exists() && fs::read_to_string(&own)?.trim().is_empty() {
                fs::write(own, fs::read_to_string(inherited)?.trim())?;
            }
        }
    }
    Ok(())
}

/// Says where an error happened.
fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error + use<'_> {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Lets the children of a group have all its controllers. In version 1, they have them anyway.
pub(crate) fn hand_down_controllers(group: &Path) -> io::Result<()> {
    let controllers = match fs::read_to_string(group.join("cgroup.controllers")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        controllers => controllers?,
    };
    for controller in controllers.split_whitespace() {
        let file = group.join("cgroup.subtree_control");
        fs::write(&file, format!("+{controller}")).map_err(at(&file))?;
    }
    Ok(())
}

/// Moves the calling process into the groups.
pub(crate) fn join(directories: &[PathBuf]) -> io::Result<()> {
    for directory in directories {
        fs::write(directory.join("cgroup.procs"), "0")?;
    }
    Ok(())
}

/// Removes the groups and all below them. The kernel lets go of a group some time after its last
/// process ended, so this is tried until `within` has passed.
pub(crate) fn remove(directories: &[PathBuf], within: Duration) -> io::Result<()> {
    let deadline = Instant::now() + within;
    for directory in directories {
        while let Err(error) = remove_tree(directory) {
            if Instant::now() > deadline {
                return Err(at(directory)(error));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory,clone_children
34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
";
    const UNIFIED: &str =
        "25 20 0:22 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const CONTAINER: &str =
        "33 30 0:29 /docker/f00 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";

    #[test]
    fn groups_are_made_below_ones_own() {
        let cases = [
            (
                "version 1 beside version 2",
                HYBRID,
                "4:memory:/limited/a\n2:cpuacct,cpu:/\n1:name=systemd:/user.slice\n0::/\n",
                vec![
                    "/sys/fs/cgroup/unified/it",
                    "/sys/fs/cgroup/cpu,cpuacct/it",
                    "/sys/fs/cgroup/memory/limited/a/it",
                    "/sys/fs/cgroup/systemd/user.slice/it",
                ],
            ),
            ("version 2", UNIFIED, "0::/user.slice/session-3.scope\n", vec!["/sys/fs/cgroup/it"]),
            (
                "in a container that shows a part of the hierarchy",
                CONTAINER,
                "4:memory:/docker/f00\n",
                vec!["/sys/fs/cgroup/memory/it"],
            ),
            ("a hierarchy that this process is not in", CONTAINER, "4:memory:/other\n", vec![]),
        ];
        for (what, mountinfo, membership, expected) in cases {
            let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(directories("it", mountinfo, membership), expected, "{what}");
        }
    }

    #[test]
    fn a_hierarchy_is_mounted_again_by_what_chooses_it() {
        let options: Vec<String> =
            hierarchies(HYBRID).into_iter().map(|hierarchy| hierarchy.options).collect();
        assert_eq!(options, ["", "cpu,cpuacct", "memory", "name=systemd"]);
    }
}
