//! What a configuration says of a backend, as the engine takes it.

use std::time::Duration;

use stowage_config::VolumeBackend;
use stowage_store::VolumeOptions;
use tokio::runtime::Handle;

/// For so long a thread of the runtime may stand still: that is no more than a large request takes.
const LONE_SYNC_MAX: Duration = Duration::from_micros(500);

/// How the engine is to use the machine: half of the memory for what is read again, half for what
/// is not in the tree yet. Where the runtime has several threads, one of them may wait for a short
/// sync.
#[must_use]
pub fn volume_options(volume: &VolumeBackend) -> VolumeOptions {
    let half = volume.memory.bytes() / 2;
    let workers = Handle::try_current().map_or(0, |runtime| runtime.metrics().num_workers());
    VolumeOptions {
        lone_sync_max: if workers > 1 { LONE_SYNC_MAX } else { Duration::ZERO },
        cache_bytes: half,
        dirty_bytes: half,
        journal_bytes: volume.journal_size.bytes(),
        ..VolumeOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_configuration_are_those_of_the_engine() {
        let defaults = VolumeBackend::new("/data".into());
        assert_eq!(volume_options(&defaults), VolumeOptions::default());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_of_several_threads_may_wait_for_a_sync() {
        let options = volume_options(&VolumeBackend::new("/data".into()));
        assert_eq!(options.lone_sync_max, LONE_SYNC_MAX);
    }
}
