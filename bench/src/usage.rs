//! What a server used of the machine, as the kernel counts it.

use std::fs::read_to_string;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// Counters of one instant; the difference of two is a run's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time of the server's processes, all their threads.
    pub(crate) server: Duration,
    /// The same of this process.
    pub(crate) generator: Duration,
    /// `None` where the file system is on no disk of its own.
    pub(crate) disk: Option<DiskUsage>,
}

/// What a disk did, whoever asked for it.
///
/// The kernel's count for a process (`write_bytes` in `/proc/PID/io`) is of no use here: where the
/// page cache holds large folios, each change of a few bytes counts as the whole folio, 2 MiB of a
/// preallocated file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DiskUsage {
    /// Bytes written.
    pub(crate) written: u64,
    /// Flushes of its cache.
    pub(crate) flushes: u64,
}

impl Usage {
    /// What was used since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            generator: self.generator.saturating_sub(before.generator),
            disk: self.disk.zip(before.disk).map(|(now, then)| DiskUsage {
                written: now.written.saturating_sub(then.written),
                flushes: now.flushes.saturating_sub(then.flushes),
            }),
        }
    }
}

/// Reads the counters of a process and all below it.
///
/// # Errors
/// The process is gone.
pub(crate) fn usage(pid: u32, disk: Option<&Path>) -> Result<Usage> {
    let generator = cpu("self")?;
    let mut sum = Usage { generator, disk: disk.and_then(disk_usage), ..Usage::default() };
    for pid in family(pid)? {
        sum.server += cpu(&pid.to_string())?;
    }
    Ok(sum)
}

/// Resident memory of a process, in bytes.
///
/// # Errors
/// The process is gone.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    Ok(field(&read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:")? << 10)
}

/// The most memory that a process had resident, in bytes, since it began or [`forget_peak`].
///
/// # Errors
/// The process is gone.
pub(crate) fn peak_bytes(pid: u32) -> Result<u64> {
    Ok(field(&read_to_string(format!("/proc/{pid}/status"))?, "VmHWM:")? << 10)
}

/// Begins to measure [`peak_bytes`] anew; proc_pid_clear_refs(5).
///
/// # Errors
/// The process is gone.
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

fn field(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next());
    Ok(number.with_context(|| format!("no {name} line"))?.parse()?)
}

/// proc_pid_stat(5): fields 14 and 15, in ticks.
fn cpu(pid: &str) -> Result<Duration> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name may hold anything; it ends at the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').context("no process")?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || times.next().context("a short line in /proc/PID/stat");
    let ticks = next()?.parse::<u64>()? + next()?.parse::<u64>()?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

fn family(pid: u32) -> Result<Vec<u32>> {
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let children = read_to_string(thread?.path().join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        at += 1;
    }
    Ok(family)
}

/// The counters of the disk that a path is on, where it is on one.
pub(crate) fn disk_of(path: &Path) -> Option<PathBuf> {
    let device = std::fs::metadata(path).ok()?.st_dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let entry = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    // Only whole disks count their flushes.
    let disk = if entry.join("partition").exists() { entry.parent()? } else { &entry };
    Some(disk.join("stat"))
}

/// Documentation/admin-guide/iostats.rst of the kernel: fields 7, in sectors of 512 bytes, and 16.
fn disk_usage(disk: &Path) -> Option<DiskUsage> {
    let text = read_to_string(disk).ok()?;
    let field = |number: usize| text.split_whitespace().nth(number - 1)?.parse::<u64>().ok();
    Some(DiskUsage { written: field(7)? * 512, flushes: field(16)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_counted() {
        let pid = std::process::id();
        let before = usage(pid, None).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let mut used = Usage::default();
        while used.server.min(used.generator) < Duration::from_millis(20) {
            assert!(std::time::Instant::now() < deadline, "no CPU time was counted: {used:?}");
            used = usage(pid, None).unwrap().since(&before);
        }
        assert!(resident_bytes(pid).unwrap() > 1 << 20, "a process of less than 1 MiB");
    }
}
