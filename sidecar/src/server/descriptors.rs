//! How many connections a process has file descriptors for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the process's limit as far as it may, and gives connections one half of it: the volume
/// and the second port must not go without because clients hold all of it.
pub(super) fn connections_max(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files could not be raised");
            current
        }
    };
    match raised.and_then(|limit| usize::try_from(limit / 2).ok()) {
        Some(half) if half < wanted => {
            tracing::warn!(
                connections = half,
                "more connections wait, because this process may open few files; raise its limit \
                 (ulimit -n)"
            );
            half
        }
        _ => wanted,
    }
}
