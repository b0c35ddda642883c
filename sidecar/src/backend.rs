//! What a configuration says of a backend, as the engine takes it.

use std::path::PathBuf;
use std::time::Duration;

use stowage_config::{Backend, SidecarConfig, VolumeBackend};
use stowage_store::VolumeOptions;
use tokio::runtime::Handle;

/// For so long a thread of the runtime may stand still: that is no more than a large request takes.
const LONE_SYNC_MAX: Duration = Duration::from_micros(500);

/// What is kept of changes for those who watch takes no more than that, in bytes.
const WATCH_BYTES_MAX: u64 = 32 << 20;

/// The directory, and how the engine is to use the machine: half of the memory for what is read again, half for what
/// is not in the tree yet, and beside it a quarter of that for those who watch. Where the runtime has several threads, one of them may wait for a short
/// sync.
#[must_use]
pub fn volume_options(config: &SidecarConfig) -> (PathBuf, VolumeOptions) {
    let Backend::Volume(volume) = &config.backend;
    (volume.path.clone(), options(volume, config.history))
}

fn options(volume: &VolumeBackend, history: u32) -> VolumeOptions {
    let half = volume.memory.bytes() / 2;
    let workers = Handle::try_current().map_or(0, |runtime| runtime.metrics().num_workers());
    VolumeOptions {
        lone_sync_max: if workers > 1 { LONE_SYNC_MAX } else { Duration::ZERO },
        cache_bytes: half,
        dirty_bytes: half,
        watch_bytes: (half / 2).min(WATCH_BYTES_MAX),
        journal_bytes: volume.journal_size.bytes(),
        history: history as usize,
        ..VolumeOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_configuration_are_those_of_the_engine() {
        let defaults = VolumeBackend::new("/data".into());
        assert_eq!(options(&defaults, 0), VolumeOptions::default());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_of_several_threads_may_wait_for_a_sync() {
        let options = options(&VolumeBackend::new("/data".into()), 3);
        assert_eq!(options.history, 3);
        assert_eq!(options.lone_sync_max, LONE_SYNC_MAX);
    }
}
