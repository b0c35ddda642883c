//! Waiting for a condition, with a deadline.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// On a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(45);
const EVERY: Duration = Duration::from_millis(50);

/// Asks again and again until the answer is as expected.
///
/// # Panics
/// After the deadline, with what was expected and what was found last.
pub(crate) async fn eventually<T: Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> T,
    expected: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ask().await;
        if expected(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "expected that {what}; found last: {found:#?}");
        tokio::time::sleep(EVERY).await;
    }
}

/// Asks until there is an answer.
///
/// # Panics
/// After the deadline.
pub(crate) async fn eventually_some<T: Debug>(
    what: &str,
    ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    eventually(what, ask, Option::is_some).await.unwrap()
}
