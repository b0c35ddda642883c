//! How many connections a process has file descriptors for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The part of the limit that connections may be: each may hold a second descriptor, of the archive
/// that it sends or fetches, and the volume and the second port must not go without because
/// clients hold all of them.
const PART: u64 = 4;

/// Raises the process's limit as far as it may, and gives connections their part of it.
pub(super) fn connections_max(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files could not be raised");
            current
        }
    };
    match raised.and_then(|limit| usize::try_from(limit / PART).ok()) {
        Some(part) if part < wanted => {
            tracing::warn!(
                connections = part,
                "more connections wait, because this process may open few files; raise its limit \
                 (ulimit -n)"
            );
            part
        }
        _ => wanted,
    }
}
