//! How many connections a process has file descriptors for.

use std::num::NonZeroU32;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stowage_config::Limits;

/// The part of the limit that connections may be, where nobody has said how many: each may hold a second
/// descriptor, of the archive that it sends or fetches, and the volume and the second port must not
/// go without because clients hold all of them.
const PART: u64 = 4;

/// The same where somebody has said it, who knows what the connections are for.
const PART_WANTED: u64 = 2;

/// Raises the process's limit as far as it may, and gives connections their part of it.
pub(super) fn connections_max(wanted: Option<NonZeroU32>) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files could not be raised");
            current
        }
    };
    let (wanted, held) = share(wanted, raised);
    if held < wanted {
        tracing::warn!(
            connections = held,
            "more connections wait, because this process may open few files; raise its limit \
             (ulimit -n), or say limits.maxConnections"
        );
    }
    usize::try_from(held).unwrap_or(usize::MAX)
}

/// The most archives that are fetched at once. Each takes a descriptor and a piece of 64 KiB, of h2c as many on
/// one connection as it has streams, whether the client takes any of it or not.
const DOWNLOADS_MAX: u32 = 1_024;

/// How many archives may be fetched at once, of the files that the process may open.
pub(crate) fn downloads_max() -> u32 {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    u32::try_from(files / PART).map_or(DOWNLOADS_MAX, |most| most.clamp(1, DOWNLOADS_MAX))
}

/// How many connections are wanted, and how many are held under a limit of open files.
fn share(wanted: Option<NonZeroU32>, files: Option<u64>) -> (u64, u64) {
    let (wanted, part) = match wanted {
        Some(wanted) => (wanted.get(), PART_WANTED),
        None => (Limits::CONNECTIONS, PART),
    };
    let wanted = u64::from(wanted);
    (wanted, files.map_or(wanted, |files| wanted.min(files / part).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        let table = [
            (None, None, 20_000),
            (None, Some(1 << 20), 20_000),
            (None, Some(20_000), 5_000),
            (Some(10_000), Some(20_000), 10_000),
            (Some(10_000), Some(1_024), 512),
            (Some(8), Some(1_024), 8),
            (Some(8), Some(0), 1),
        ];
        for (wanted, files, held) in table {
            let got = share(wanted.and_then(NonZeroU32::new), files);
            assert_eq!(got.1, held, "{wanted:?} of {files:?}");
        }
    }
}
