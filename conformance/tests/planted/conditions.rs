//! Conditions, evaluated as RFC 9110 §13.2.2 says, and wrongly where a defect is planted.

use std::time::{Duration, SystemTime};

use super::defect::Defect;

/// What stands at a path.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) body: Vec<u8>,
    pub(crate) version: u64,
    pub(crate) modified: SystemTime,
}

/// A request's head.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// One character a byte.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn lines(&self, name: &str) -> Vec<&str> {
        let lines = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.lines(name).first().copied()
    }

    fn date(&self, name: &str) -> Option<SystemTime> {
        httpdate::parse_http_date(self.one(name)?).ok()
    }
}

/// How a request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Go,
    NotModified,
    Failed,
    Malformed,
    Broken,
}

/// The tag of what stands there.
pub(crate) fn tag(stored: &Stored, defect: Option<Defect>) -> String {
    match defect {
        Some(Defect::TagStays) => "\"Stays\"".into(),
        Some(Defect::LengthTag) => format!("\"L{}\"", stored.body.len()),
        Some(Defect::HashTag) => {
            let hash = stored
                .body
                .iter()
                .fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            format!("\"H{hash}\"")
        }
        _ => format!("\"V{}\"", stored.version),
    }
}

/// Whole seconds, as a field can say them.
pub(crate) fn modified(stored: &Stored) -> SystemTime {
    let since = stored.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// The order of RFC 9110 §13.2.2.
pub(crate) fn evaluate(head: &Head, stored: Option<&Stored>, defect: Option<Defect>) -> Verdict {
    if defect == Some(Defect::NoneMatchFirst) {
        let first = none_match(head, stored, defect);
        return if first == Verdict::Go { matches(head, stored, defect) } else { first };
    }
    match matches(head, stored, defect) {
        Verdict::Go => none_match(head, stored, defect),
        verdict => verdict,
    }
}

fn matches(head: &Head, stored: Option<&Stored>, defect: Option<Defect>) -> Verdict {
    let lines = head.lines("if-match");
    let ignored = defect == Some(Defect::IgnoresIfMatch)
        || (defect == Some(Defect::DeletesAnyway) && head.method == "DELETE");
    if lines.is_empty() || ignored {
        let since = head.date("if-unmodified-since");
        let late = matches!((since, stored), (Some(since), Some(stored))
            if lines.is_empty() && modified(stored) > since);
        return if late { Verdict::Failed } else { Verdict::Go };
    }
    match list(&lines, defect) {
        List::Star if stored.is_some() || defect == Some(Defect::StarOnNothing) => Verdict::Go,
        List::Star => Verdict::Failed,
        List::Malformed => match defect {
            Some(Defect::MalformedPasses) => Verdict::Go,
            Some(Defect::MalformedFails) => Verdict::Broken,
            _ => Verdict::Malformed,
        },
        List::Tags(tags) => {
            let weakly = defect == Some(Defect::WeakIfMatch);
            let Some(stored) = stored else { return Verdict::Failed };
            if tags.iter().any(|given| same(given, stored, weakly, defect)) {
                Verdict::Go
            } else {
                Verdict::Failed
            }
        }
    }
}

fn none_match(head: &Head, stored: Option<&Stored>, defect: Option<Defect>) -> Verdict {
    let reading = matches!(head.method.as_str(), "GET" | "HEAD");
    let stop = if reading { Verdict::NotModified } else { Verdict::Failed };
    let lines = head.lines("if-none-match");
    if lines.is_empty() || defect == Some(Defect::DateBesideTag) && reading {
        let unmodified = matches!((head.date("if-modified-since"), stored),
            (Some(since), Some(stored)) if modified(stored) <= since);
        let counts = reading || defect == Some(Defect::SinceStopsWrites);
        if unmodified && counts {
            return stop;
        }
        if lines.is_empty() {
            return Verdict::Go;
        }
    }
    match list(&lines, defect) {
        List::Star if !reading && defect == Some(Defect::IgnoresCreate) => Verdict::Go,
        List::Star if stored.is_some() => stop,
        List::Star => Verdict::Go,
        List::Malformed => Verdict::Malformed,
        List::Tags(tags) => {
            let weakly = defect != Some(Defect::StrongNoneMatch);
            match stored {
                Some(stored) if tags.iter().any(|given| same(given, stored, weakly, defect)) => {
                    stop
                }
                _ => Verdict::Go,
            }
        }
    }
}

fn same(given: &(bool, String), stored: &Stored, weakly: bool, defect: Option<Defect>) -> bool {
    let own = tag(stored, defect);
    let own = own.trim_matches('"');
    let (weak, inner) = given;
    let alike = if defect == Some(Defect::CaseFolding) {
        inner.eq_ignore_ascii_case(own)
    } else {
        inner == own
    };
    alike && (weakly || !weak)
}

/// Whether `If-Range` lets the range stand.
pub(crate) fn range_stands(head: &Head, stored: &Stored, defect: Option<Defect>) -> bool {
    let Some(value) = head.one("if-range") else { return true };
    if defect == Some(Defect::IgnoresIfRange) {
        return true;
    }
    let given = match defect {
        Some(Defect::WeakIfRange) => value.trim_start_matches("W/"),
        _ => value,
    };
    given == tag(stored, defect)
        || httpdate::parse_http_date(value).is_ok_and(|date| date == modified(stored))
}

enum List {
    Star,
    /// Whether it is weak, and what stands between the quotes.
    Tags(Vec<(bool, String)>),
    Malformed,
}

fn list(lines: &[&str], defect: Option<Defect>) -> List {
    let value = match defect {
        Some(Defect::FirstLineOnly) => lines.first().copied().unwrap_or_default().to_owned(),
        _ => lines.join(","),
    };
    if value.trim() == "*" {
        return List::Star;
    }
    if defect == Some(Defect::NaiveCommas) {
        let cut = |part: &str| {
            let part = part.trim();
            (part.starts_with("W/"), part.trim_start_matches("W/").trim_matches('"').to_owned())
        };
        return List::Tags(value.split(',').map(cut).collect());
    }
    tags(&value, defect == Some(Defect::BackslashEscapes)).map_or(List::Malformed, List::Tags)
}

fn tags(value: &str, escapes: bool) -> Option<Vec<(bool, String)>> {
    let mut tags = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(tags);
        }
        let weak = rest.starts_with("W/");
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = escapes && c == '\\' && !escaped;
            ends
        })?;
        let (inner, after) = quoted.split_at(end);
        if inner.contains(|c: char| c <= ' ' || c == '\u{7f}') {
            return None;
        }
        tags.push((weak, inner.to_owned()));
        rest = after[1..].trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}
