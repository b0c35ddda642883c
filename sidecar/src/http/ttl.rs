//! How long a key of a namespace lives: seconds, or `30s`, `15m`, `24h`.

use std::time::Duration;

/// The longest, in seconds: ten years of 365 days.
pub(crate) const SECONDS_MAX: u64 = 10 * 365 * 24 * 3_600;

/// What is said of any other.
pub(super) const WRONG: &str = "ttl must be a whole number of seconds from 1 on, or \"30s\", \"15m\", \"24h\", up to ten years";

/// Reads the compact JSON text of one; `None` where it is none.
pub(super) fn parse(json: &str) -> Option<Duration> {
    let text: String;
    let (number, unit) = match json.strip_prefix('"') {
        None => (json, 1),
        Some(_) => {
            // Escapes are spelling, as in every string of JSON.
            text = serde_json::from_str(json).ok()?;
            let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let seconds = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                _ => return None,
            };
            (number, seconds)
        }
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_number.then(|| number.parse::<u64>().ok()).flatten()?.checked_mul(unit)?;
    (1..=SECONDS_MAX).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_minutes_and_hours_are_read_and_nothing_else() {
        let table = [
            ("1", Some(1)),
            ("30", Some(30)),
            ("\"30s\"", Some(30)),
            ("\"15m\"", Some(900)),
            ("\"24h\"", Some(86_400)),
            ("\"87600h\"", Some(315_360_000)),
            (r#""\u0033s""#, Some(3)),
            (r#""30\u0073""#, Some(30)),
            (r#""3\u0000s""#, None),
            (r#""\ud83ds""#, None),
            ("315360000", Some(315_360_000)),
            ("315360001", None),
            ("\"87601h\"", None),
            ("99999999999999999999999999", None),
            ("\"18446744073709551615h\"", None),
            ("0", None),
            ("\"0s\"", None),
            ("-1", None),
            ("1.0", None),
            ("1e3", None),
            ("\"30\"", None),
            ("\"s\"", None),
            ("\"\"", None),
            ("\"7d\"", None),
            ("\"30ms\"", None),
            ("\"30S\"", None),
            ("\" 30s\"", None),
            ("\"+30s\"", None),
            ("\"1h30m\"", None),
            ("\"3\u{e9}\"", None),
            ("null", None),
            ("true", None),
            ("[30]", None),
            ("{}", None),
        ];
        for (json, expected) in table {
            assert_eq!(parse(json), expected.map(Duration::from_secs), "{json}");
        }
    }
}
