//! What the name of an event's file says of it.

use serde::Serialize;

/// An event as the list without contents shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventMeta<'a> {
    /// Milliseconds since 1970.
    pub(crate) timestamp: u64,
    pub(crate) step_number: u64,
    pub(crate) r#type: &'a str,
}

impl<'a> EventMeta<'a> {
    /// Reads what stands between `event-` and `.json`; `None` where the runtime itself would read
    /// no numbers there. A type may hold any character, dashes too.
    pub(crate) fn parse(id: &'a str) -> Option<Self> {
        let mut parts = id.splitn(3, '-');
        let mut number = || {
            let digits = parts.next().filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse().ok()
        };
        let (timestamp, step_number) = (number()?, number()?);
        Some(Self { timestamp, step_number, r#type: parts.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_three_parts_or_nothing() {
        let meta =
            |timestamp, step_number, r#type| Some(EventMeta { timestamp, step_number, r#type });
        let table = [
            ("1700000000000-12-startRun", meta(1_700_000_000_000, 12, "startRun")),
            ("007-0-a-b.c d", meta(7, 0, "a-b.c d")),
            ("1-2-", meta(1, 2, "")),
            ("18446744073709551615-1-é", meta(u64::MAX, 1, "é")),
            ("18446744073709551616-1-a", None),
            ("1-2", None),
            ("", None),
            ("--a", None),
            ("1.5-2-a", None),
            ("x-2-a", None),
            ("-1-2-a", None),
        ];
        for (id, expected) in table {
            assert_eq!(EventMeta::parse(id), expected, "{id:?}");
        }
    }
}
