//! `Accept` (RFC 9110 §12.5.1): what a client would rather have.

use http::HeaderMap;
use http::header::ACCEPT;

use super::field::members;

/// What is answered to who names nothing else.
const JSON: &str = "application/json";

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListFormat {
    /// `application/json`: one array.
    Array,
    /// `application/x-ndjson`: an entry a line.
    Lines,
}

/// The format that the client asks for: lines where it names them, and would not rather have JSON.
pub(crate) fn list_format(headers: &HeaderMap) -> ListFormat {
    if wants(headers, "application/x-ndjson") { ListFormat::Lines } else { ListFormat::Array }
}

/// Whether the client asks for a stream of events: names it, and would not rather have JSON.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCEPT) && wants(headers, "text/event-stream")
}

/// Whether a type is named, not only meant by a range, and weighs no less than JSON.
fn wants(headers: &HeaderMap, wanted: &str) -> bool {
    match weight(headers, wanted) {
        Some((Precision::Type, weight)) => weight > 0 && weight >= weight_of(headers, JSON),
        _ => false,
    }
}

fn weight_of(headers: &HeaderMap, media_type: &str) -> u16 {
    weight(headers, media_type).map_or(0, |(_, weight)| weight)
}

/// How precisely a range means a type; of several the most precise counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    /// `*/*`
    Anything,
    /// `type/*`
    Subtypes,
    /// `type/subtype`
    Type,
}

/// The weight that the most precise range gives to a type; the highest where several are as precise.
fn weight(headers: &HeaderMap, media_type: &str) -> Option<(Precision, u16)> {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(|line| members(line, ',')).map(weighted);
    ranges.filter_map(|(range, weight)| Some((precision(range, media_type)?, weight))).max()
}

fn precision(range: &str, media_type: &str) -> Option<Precision> {
    if range.eq_ignore_ascii_case(media_type) {
        return Some(Precision::Type);
    }
    if range == "*/*" {
        return Some(Precision::Anything);
    }
    let (kind, _) = media_type.split_once('/')?;
    let named = range.strip_suffix("/*")?;
    named.eq_ignore_ascii_case(kind).then_some(Precision::Subtypes)
}

/// A member of `Accept` or its like: what it names, and its weight in thousandths (RFC 9110
/// §12.4.2). A weight that is no number is no wish.
pub(super) fn weighted(member: &str) -> (&str, u16) {
    let mut parts = members(member, ';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| {
        let (parameter, value) = part.split_once('=')?;
        parameter.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
    (name, (weight.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn lines_are_for_who_asks_for_them() {
        use ListFormat::{Array, Lines};
        let table = [
            ("application/x-ndjson", Lines),
            ("Application/X-NDJSON; charset=utf-8", Lines),
            ("application/x-ndjson, application/json", Lines),
            ("application/json;q=0.5, application/x-ndjson", Lines),
            ("application/json, application/x-ndjson;q=0.5", Array),
            ("application/x-ndjson;q=0", Array),
            ("application/json", Array),
            ("*/*", Array),
            ("text/html, */*;q=0.8", Array),
            ("*/*, application/x-ndjson;q=0.1", Array),
            ("application/*, application/x-ndjson;q=0.1", Array),
            ("application/x-ndjson;q=0.5, application/*;q=0.1", Lines),
            ("application/*, application/json;q=0.1, application/x-ndjson;q=0.5", Lines),
            ("", Array),
        ];
        for (value, expected) in table {
            assert_eq!(list_format(&headers(value)), expected, "{value:?}");
        }
        assert_eq!(list_format(&HeaderMap::new()), Array);
    }

    #[test]
    fn events_are_for_who_asks_for_them() {
        let table = [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("text/event-stream, application/json", true),
            ("application/json;q=0.5, text/event-stream;q=0.6", true),
            ("application/json, text/event-stream;q=0.9", false),
            ("text/event-stream;q=0", false),
            ("text/event-stream; q=0.0", false),
            ("text/*", false),
            ("*/*", false),
            ("application/json", false),
            ("*/*, text/event-stream;q=0.1", false),
            ("text/event-stream;q=0.1, application/*", false),
            ("*/*;q=0.1, text/event-stream;q=0.2", true),
            ("*/*, application/json;q=0.1, text/event-stream;q=0.5", true),
            ("*/*, application/*;q=0.1, text/event-stream;q=0.5", true),
            ("Application/*;q=0.9, */*;q=0.1, text/event-stream;q=0.5", false),
            ("text/*, text/event-stream;q=0.5", true),
            ("*/*, text/event-stream", true),
            ("text/html;note=\"a, text/event-stream\"", false),
        ];
        for (value, expected) in table {
            assert_eq!(wants_events(&headers(value)), expected, "{value:?}");
        }
        assert!(!wants_events(&HeaderMap::new()));
    }
}
