//! The node's own processes: the tests run in its process namespace.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

/// A process of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(i32);

impl Process {
    /// Those of a pod, by its UID, that run this program.
    pub(crate) fn of_pod(uid: &str, program: &str) -> Vec<Self> {
        let group = format!("pod{uid}");
        let entries = fs::read_dir("/proc").unwrap();
        let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let matches = |id: &i32| {
            // A process that ended meanwhile is not there.
            let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}"));
            let runs = |line: String| {
                line.split('\0').next().is_some_and(|name| name.ends_with(&format!("/{program}")))
            };
            read("cgroup").is_ok_and(|groups| groups.contains(&group))
                && read("cmdline").is_ok_and(runs)
        };
        ids.filter(matches).map(Self).collect()
    }

    /// Its root directory (proc(5)): what it sees, its volumes included.
    pub(crate) fn root(self) -> PathBuf {
        format!("/proc/{}/root", self.0).into()
    }

    /// SIGKILL.
    pub(crate) fn kill(self) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_raw(self.0).unwrap(), Signal::KILL);
    }

    /// Resident memory in KiB (proc(5), `VmRSS`).
    pub(crate) fn resident_kib(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}
