//! Waiting, but not for ever.

use std::future::Future;
use std::time::Duration;

/// How long a test waits for what is to happen at once.
const DEADLINE: Duration = Duration::from_secs(120);

/// Waits for a future, and fails with what was expected of it.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("expected within {DEADLINE:?}: {what}"),
    }
}
