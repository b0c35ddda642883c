//! What the tests share.

pub(crate) mod audit;
pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod kubectl;
pub(crate) mod namespace;
pub(crate) mod node;
pub(crate) mod pages;
pub(crate) mod release;
pub(crate) mod ssh;
pub(crate) mod stores;

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine that is expected within seconds.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// Asks until the answer is `Ok`.
///
/// # Panics
/// After `within`, with what was waited for and the last answer.
pub(crate) fn eventually<T, E: Display>(
    what: &str,
    within: Duration,
    mut ask: impl FnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        let reason = match ask() {
            Ok(value) => return value,
            Err(reason) => reason,
        };
        assert!(
            Instant::now() < deadline,
            "{what}: not within {} s; at last: {reason}",
            within.as_secs()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A path of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Where the images are.
pub(crate) fn image_repository() -> String {
    std::env::var("IMAGE_REPOSITORY").unwrap_or_else(|_| "stowage.dev".to_owned())
}

/// Ends a thread that looks at this, also where the test fails.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
