//! When a branch is synced next.

use std::time::Duration;

/// A tenth of the interval, up or down, so that many sources do not fetch at the same instant.
const JITTER_PARTS: u32 = 10;

/// The wait until the next sync. `random` is any number; equal numbers give equal waits.
pub(crate) fn next_wait(interval: Duration, random: u32) -> Duration {
    let spread = interval / JITTER_PARTS * 2;
    let share = f64::from(random) / f64::from(u32::MAX);
    interval - interval / JITTER_PARTS + spread.mul_f64(share)
}

/// A number for [`next_wait`]. Without the system's random numbers, the waits have no jitter.
pub(crate) fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_lie_within_a_tenth_of_the_interval() {
        let interval = Duration::from_secs(60);
        let table = [
            (0, Duration::from_secs(54)),
            (u32::MAX / 2, Duration::from_secs(60)),
            (u32::MAX, Duration::from_secs(66)),
        ];
        for (random, expected) in table {
            let wait = next_wait(interval, random);
            assert!(wait.abs_diff(expected) < Duration::from_millis(1), "{random}: {wait:?}");
        }
    }
}
