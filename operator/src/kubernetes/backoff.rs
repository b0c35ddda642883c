//! How long an object that keeps failing waits: twice as long each time, one by one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Counts the failures in a row of each object, by kind, namespace and name.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// The object failed once more: how long to wait before the next try. Between a half and the
    /// whole of the span, so that objects that failed together do not come back together.
    pub fn failed(&self, object: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.to_owned()).or_insert(0);
        let span = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count = count.saturating_add(1);
        span.mul_f64(0.5 + 0.5 * random_fraction())
    }

    /// The object is well, or gone.
    pub fn succeeded(&self, object: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

fn random_fraction() -> f64 {
    // Without randomness the whole span is waited, which is as correct.
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_longer_up_to_a_limit_and_success_starts_over() {
        let backoff = Backoff::default();
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let wait = backoff.failed("Store/shop/demo");
            let whole = Duration::from_secs(seconds);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} is not within {whole:?}");
        }
        assert!(backoff.failed("Store/shop/other") <= FIRST, "objects wait for themselves only");
        backoff.succeeded("Store/shop/demo");
        assert!(backoff.failed("Store/shop/demo") <= FIRST);
    }
}
