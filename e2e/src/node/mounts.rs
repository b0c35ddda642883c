//! What the node sees of the file system. It runs in a mount namespace of its own, so that nothing
//! of this is seen outside, and all of it goes with the namespace.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use super::layout::{CNI, LOGS, PKI, RUN, STATE, VOLUMES};
use crate::cgroups::{self, Hierarchy, Version};

/// What the kubelet insists on.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("kernel/keys/root_maxbytes", "25000000\n"),
    ("kernel/keys/root_maxkeys", "1000000\n"),
    ("kernel/panic", "10\n"),
    ("kernel/panic_on_oops", "1\n"),
    ("vm/overcommit_memory", "1\n"),
    ("vm/panic_on_oom", "0\n"),
];

/// A step of the set-up that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {source}")]
pub struct MountError {
    action: String,
    source: io::Error,
}

/// Says what was being done when an operation failed.
fn doing<T, E: Into<io::Error>>(
    result: Result<T, E>,
    action: impl FnOnce() -> String,
) -> Result<T, MountError> {
    result.map_err(|error| MountError { action: action(), source: error.into() })
}

/// Makes the node's view: a `/proc` of its process namespace, control groups below its own, and
/// tmpfs wherever its programs write.
pub(super) fn set_up() -> Result<(), MountError> {
    doing(mount("proc", "/proc", "proc", MountFlags::empty(), None), || "mount /proc".to_owned())?;
    let mounted = doing(fs::read_to_string("/proc/self/mountinfo"), || "read mounts".to_owned())?;
    remount_cgroups(&cgroups::hierarchies(&mounted))?;

    tmpfs(Path::new(RUN))?;
    tmpfs(Path::new("/var/log"))?;
    for directory in [STATE, LOGS, PKI, VOLUMES, CNI, "/run/lock"] {
        doing(fs::create_dir_all(directory), || format!("make {directory}"))?;
    }
    cover_kernel_settings()?;
    cover_var_lib()
}

fn tmpfs(path: &Path) -> Result<(), MountError> {
    let options = Some(c"mode=0755");
    doing(mount("tmpfs", path, "tmpfs", MountFlags::empty(), options), || {
        format!("mount a tmpfs at {}", path.display())
    })
}

/// The kubelet writes settings that belong to no namespace, and the host would keep them. Files
/// that already say what it wants stand in for them; settings that a kernel lacks are left out.
fn cover_kernel_settings() -> Result<(), MountError> {
    let directory = Path::new(STATE).join("sysctl");
    doing(fs::create_dir_all(&directory), || "make a directory for settings".to_owned())?;
    for (setting, value) in KERNEL_SETTINGS {
        let covered = Path::new("/proc/sys").join(setting);
        if !covered.exists() {
            continue;
        }
        let file = directory.join(setting.replace('/', "."));
        doing(fs::write(&file, value), || format!("write {}", file.display()))?;
        doing(mount_bind(&file, &covered), || format!("cover {}", covered.display()))?;
    }
    Ok(())
}

/// containerd's network library keeps its results in `/var/lib/cni`, which nothing moves. The
/// directory may not exist, and making it would leave it on the host; so an overlay takes what is
/// written anywhere in `/var/lib`.
fn cover_var_lib() -> Result<(), MountError> {
    let [upper, work] = ["upper", "work"].map(|part| format!("{STATE}/var-lib/{part}"));
    for directory in [&upper, &work] {
        doing(fs::create_dir_all(directory), || format!("make {directory}"))?;
    }
    let options = format!("lowerdir=/var/lib,upperdir={upper},workdir={work}");
    let options = doing(std::ffi::CString::new(options).map_err(io::Error::other), || {
        "write the options of an overlay".to_owned()
    })?;
    doing(
        mount("overlay", "/var/lib", "overlay", MountFlags::empty(), Some(options.as_c_str())),
        || "mount an overlay at /var/lib".to_owned(),
    )
}

/// Replaces the host's control groups by what the node's control group namespace shows. The old
/// mounts have to go: runc takes the first that it finds.
fn remount_cgroups(hierarchies: &[Hierarchy]) -> Result<(), MountError> {
    let root = Path::new(cgroups::ROOT);
    for hierarchy in hierarchies.iter().rev() {
        let path = &hierarchy.mount_point;
        doing(unmount(path, UnmountFlags::DETACH), || format!("unmount {}", path.display()))?;
    }
    if hierarchies.iter().any(|hierarchy| hierarchy.mount_point != root) {
        tmpfs(root)?;
    }
    for hierarchy in hierarchies {
        let path = &hierarchy.mount_point;
        let action = || format!("mount control groups at {}", path.display());
        doing(fs::create_dir_all(path), action)?;
        let options = std::ffi::CString::new(hierarchy.options.as_str()).map_err(io::Error::other);
        let options = doing(options, action)?;
        let kind = match hierarchy.version {
            Version::V1 => "cgroup",
            Version::V2 => "cgroup2",
        };
        let data = (!hierarchy.options.is_empty()).then_some(options.as_c_str());
        doing(mount(kind, path, kind, MountFlags::empty(), data), action)?;
        if hierarchy.version == Version::V2 && path == root {
            doing(delegate(path), || "hand controllers to the node's control groups".to_owned())?;
        }
    }
    Ok(())
}

/// In version 2, a group that hands controllers to its children may hold no processes itself.
fn delegate(root: &Path) -> io::Result<()> {
    let own = root.join("init");
    fs::create_dir_all(&own)?;
    for process in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
        fs::write(own.join("cgroup.procs"), process)?;
    }
    cgroups::hand_down_controllers(root)
}
