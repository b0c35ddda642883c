//! From a span of time to a cron schedule.
//!
//! Cron counts whole minutes and starts anew with each hour and each day, so only what divides
//! those comes at even distances.

use std::time::Duration;

const MINUTES: [u64; 11] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30];
const HOURS: [u64; 8] = [1, 2, 3, 4, 6, 8, 12, 24];

/// A schedule, and the span between two of its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    /// In cron's five fields, for the time zone UTC.
    pub cron: String,
    /// The distance of two syncs.
    pub period: Duration,
}

impl Schedule {
    /// The longest even period that is not longer than `interval`, and at least a minute. `seed`
    /// moves it within its period, so that many sources do not all come at the full minute.
    #[must_use]
    pub(super) fn every(interval: Duration, seed: u64) -> Self {
        let minutes = (interval.as_secs() / 60).max(1);
        let at_most = |periods: &[u64], most: u64| {
            periods.iter().copied().filter(|period| *period <= most).max()
        };
        if let Some(hours) = at_most(&HOURS, minutes / 60) {
            let (minute, hour) = (seed % 60, (seed / 60) % hours);
            let hour = match hours {
                1 => "*".to_owned(),
                24 => hour.to_string(),
                _ => format!("{hour}-23/{hours}"),
            };
            let cron = format!("{minute} {hour} * * *");
            return Self { cron, period: Duration::from_secs(hours * 3600) };
        }
        let minutes = at_most(&MINUTES, minutes).unwrap_or(1);
        let cron = match minutes {
            1 => "* * * * *".to_owned(),
            _ => format!("{}-59/{minutes} * * * *", seed % minutes),
        };
        Self { cron, period: Duration::from_secs(minutes * 60) }
    }

    /// How late a sync may still start; what is later is left to the next one.
    #[must_use]
    pub(super) fn starting_deadline(&self) -> Duration {
        (self.period / 2).clamp(Duration::from_secs(30), Duration::from_secs(300))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_rounded_down_to_what_divides_an_hour_or_a_day() {
        // Seconds, seed, schedule, minutes between two syncs.
        let table: &[(u64, u64, &str, u64)] = &[
            (10, 7, "* * * * *", 1),
            (59, 7, "* * * * *", 1),
            (60, 7, "* * * * *", 1),
            (119, 7, "* * * * *", 1),
            (120, 7, "1-59/2 * * * *", 2),
            (5 * 60, 7, "2-59/5 * * * *", 5),
            (5 * 60, 10, "0-59/5 * * * *", 5),
            (7 * 60, 7, "1-59/6 * * * *", 6),
            (9 * 60 + 59, 7, "1-59/6 * * * *", 6),
            (11 * 60, 7, "7-59/10 * * * *", 10),
            (29 * 60, 7, "7-59/20 * * * *", 20),
            (45 * 60, 37, "7-59/30 * * * *", 30),
            (60 * 60, 67, "7 * * * *", 60),
            (90 * 60, 67, "7 * * * *", 60),
            (2 * 3600, 67, "7 1-23/2 * * *", 120),
            (5 * 3600, 67, "7 1-23/4 * * *", 240),
            (7 * 3600, 367, "7 0-23/6 * * *", 360),
            (12 * 3600, 667, "7 11-23/12 * * *", 720),
            (23 * 3600, 667, "7 11-23/12 * * *", 720),
            (24 * 3600, 1387, "7 23 * * *", 1440),
        ];
        for (seconds, seed, cron, minutes) in table {
            let schedule = Schedule::every(Duration::from_secs(*seconds), *seed);
            assert_eq!(schedule.cron, *cron, "{seconds} s");
            assert_eq!(schedule.period, Duration::from_secs(minutes * 60), "{seconds} s");
        }
    }

    #[test]
    fn a_late_start_stays_within_the_period() {
        for (seconds, deadline) in [(60, 30), (120, 60), (600, 300), (86_400, 300)] {
            let schedule = Schedule::every(Duration::from_secs(seconds), 0);
            assert_eq!(schedule.starting_deadline(), Duration::from_secs(deadline), "{seconds} s");
        }
    }
}
