//! What a configuration says of a backend, as the engine takes it.

use stowage_config::VolumeBackend;
use stowage_store::VolumeOptions;

/// How the engine is to use the machine: half of the memory for what is read again, half for what
/// is not in the tree yet.
#[must_use]
pub fn volume_options(volume: &VolumeBackend) -> VolumeOptions {
    let half = volume.memory.bytes() / 2;
    VolumeOptions {
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
}
