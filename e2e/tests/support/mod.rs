//! What the tests of this package share.

use std::fs;
use std::time::{Duration, Instant};

/// Waits until `condition` gives a value.
///
/// # Panics
/// After `within`, saying what was waited for.
pub(crate) fn wait_for<T>(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {} s", within.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The command lines, by process id, that mention `text`.
pub(crate) fn processes_naming(text: &str) -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").expect("/proc can be listed");
    let mut found: Vec<(i32, String)> = entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            // A process that has ended meanwhile is not there.
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(text).then_some((pid, line))
        })
        .collect();
    found.sort_unstable();
    found
}
