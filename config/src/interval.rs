//! Spans of time, in the notation of Go's durations, which Kubernetes resources use.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time: `30s`, `5m`, `1h30m`, `500ms`.
///
/// Keeps the spelling that it was read from.
#[derive(Debug, Clone)]
pub struct Interval {
    duration: Duration,
    spelling: String,
}

/// The text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a span of time: write 30s, 5m, 1h30m or 500ms")]
pub struct InvalidInterval(String);

/// Accepted by the API server before anything else looks at the value; not more digits than a
/// CEL `duration()` holds.
pub const INTERVAL_PATTERN: &str = r"^([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$";

impl Interval {
    /// A span of whole seconds, spelled with the largest unit that divides it.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        let spelling = match seconds {
            0 => "0s".to_owned(),
            _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
            _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
            _ => format!("{seconds}s"),
        };
        Self { duration: Duration::from_secs(seconds), spelling }
    }

    /// The span.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl PartialEq for Interval {
    fn eq(&self, other: &Self) -> bool {
        self.duration == other.duration
    }
}

impl Eq for Interval {}

impl FromStr for Interval {
    type Err = InvalidInterval;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .map(|duration| Self { duration, spelling: text.to_owned() })
            .ok_or_else(|| InvalidInterval(text.chars().take(64).collect()))
    }
}

/// Units in falling order, each at most once.
fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut smallest_yet = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms = match rest.get(..letters)? {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        if unit_ms >= smallest_yet {
            return None;
        }
        smallest_yet = unit_ms;
        total = total.checked_add(Duration::from_millis(number.checked_mul(unit_ms)?))?;
        rest = rest.get(letters..)?;
    }
    (smallest_yet != u64::MAX).then_some(total)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelling)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.spelling)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": INTERVAL_PATTERN,
            "minLength": 2,
            "maxLength": 24,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_writes_them() {
        let table: &[(&str, Option<u64>)] = &[
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1m0s", Some(60_000)),
            ("500ms", Some(500)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5d", None),
            ("30s1m", None),
            ("-5s", None),
            ("1.5h", None),
            ("99999999999999999h", None),
        ];
        for (text, expected) in table {
            let got = text.parse::<Interval>().ok().map(|i| i.duration());
            assert_eq!(got, expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn whole_seconds_are_spelled_as_people_write_them() {
        for (seconds, spelling) in [(0, "0s"), (20, "20s"), (60, "1m"), (90, "90s"), (7200, "2h")] {
            let interval = Interval::from_secs(seconds);
            assert_eq!(interval.to_string(), spelling);
            assert_eq!(spelling.parse(), Ok(interval));
        }
    }
}
