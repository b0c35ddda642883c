//! Names in a request's target: taken from the raw path and query, percent-decoded exactly once.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;
use stowage_store::{Name, NameKind};

use super::problem::Problem;

/// A segment of the raw path, from 0; empty where there is none. Routes decide on the raw path
/// too, so a `%2F` never separates.
pub(crate) fn segment(uri: &Uri, index: usize) -> &str {
    uri.path().split('/').nth(index + 1).unwrap_or_default()
}

/// What follows the first `count` segments of the raw path.
pub(crate) fn segments_after(uri: &Uri, count: usize) -> &str {
    uri.path().splitn(count + 2, '/').nth(count + 1).unwrap_or_default()
}

/// The name that a raw segment stands for.
///
/// # Errors
/// 400 that says the kind of name, never its value.
pub(crate) fn name(kind: NameKind, raw: &str) -> Result<Name, Problem> {
    let decoded = decode(raw).ok_or_else(|| bad_escape(&kind.to_string()))?;
    Name::parse(kind, &decoded).map_err(|e| Problem::bad_request("invalid_name", e.to_string()))
}

/// The value of a query parameter, decoded; `None` where it is not there.
///
/// # Errors
/// 400 where it stands there twice or does not decode.
pub(crate) fn query(uri: &Uri, parameter: &str) -> Result<Option<String>, Problem> {
    query_of(uri, parameter, || not_utf8("invalid_query", parameter))
}

/// The same, of what is named by more than its parameter.
///
/// # Errors
/// As [`query`]; `bad_escape` where it does not decode.
pub(crate) fn query_of(
    uri: &Uri,
    parameter: &str,
    bad_escape: impl FnOnce() -> Problem,
) -> Result<Option<String>, Problem> {
    let mut found = None;
    for pair in uri.query().unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(name).is_none_or(|name| name != parameter) {
            continue;
        }
        if found.is_some() {
            return Err(Problem::bad_request(
                "invalid_query",
                format!("the query parameter {parameter} stands there more than once"),
            ));
        }
        found = Some(decode(value).map(Cow::into_owned));
    }
    found.map(|value| value.ok_or_else(bad_escape)).transpose()
}

/// The value of a query parameter that is a whole number.
///
/// # Errors
/// 400 where it is none; as [`query`].
pub(crate) fn number(uri: &Uri, parameter: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = query(uri, parameter)? else { return Ok(None) };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let detail = format!("{parameter} is a whole number");
        return Err(Problem::bad_request("invalid_query", detail));
    }
    // More than anything there can be is as good as the most.
    Ok(Some(text.parse().unwrap_or(u64::MAX)))
}

/// How many entries of a list a page is to have; `None` for all.
///
/// # Errors
/// 400 where it is less than one; as [`number`].
pub(crate) fn limit(uri: &Uri) -> Result<Option<usize>, Problem> {
    match number(uri, "limit")? {
        Some(0) => Err(Problem::bad_request("invalid_query", "limit is a whole number from 1 on")),
        limit => Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))),
    }
}

/// 400 for a `continue` that no list gave.
pub(crate) fn bad_continue() -> Problem {
    let detail = "continue is no token of this list: send one as it was answered, or none";
    Problem::bad_request("invalid_query", detail)
}

/// 400 for a name that cannot be decoded.
pub(crate) fn bad_escape(what: &str) -> Problem {
    not_utf8("invalid_name", what)
}

/// 400 for a value that cannot be decoded.
pub(crate) fn not_utf8(error: &'static str, what: &str) -> Problem {
    Problem::bad_request(
        error,
        format!("the {what} is not percent-encoded UTF-8: two hexadecimal digits follow each %"),
    )
}

/// Decodes once. `None` for a `%` without two hexadecimal digits and for what is not UTF-8. A `+`
/// is a plus sign. What a name may hold is the name's own rule.
pub(crate) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(raw.into());
    }
    let digits = |escape: &str| escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !raw.split('%').skip(1).all(digits) {
        return None;
    }
    percent_decode_str(raw).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_exactly_once() {
        let table = [
            ("cart", Some("cart")),
            ("a%2Fb", Some("a/b")),
            ("a%2fb", Some("a/b")),
            ("a%252Fb", Some("a%2Fb")),
            ("a+b", Some("a+b")),
            ("%C3%A9", Some("é")),
            ("", Some("")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("a%+1", None),
            ("%00", Some("\0")),
            ("%FF", None),
            ("%C3", None),
        ];
        for (raw, expected) in table {
            assert_eq!(decode(raw).as_deref(), expected, "{raw:?}");
        }
    }

    #[test]
    fn segments_are_those_of_the_raw_path() {
        let uri: Uri = "/runtimes/team%2Fetl/feature%2Fx/a/b%2Fc.yaml?x=/".parse().unwrap();
        assert_eq!(segment(&uri, 0), "runtimes");
        assert_eq!(segment(&uri, 1), "team%2Fetl");
        assert_eq!(segment(&uri, 2), "feature%2Fx");
        assert_eq!(segments_after(&uri, 3), "a/b%2Fc.yaml");
        assert_eq!(segment(&uri, 9), "");
        assert_eq!(segments_after(&uri, 9), "");
    }

    #[test]
    fn query_parameters_are_single_and_decoded() {
        let uri = |query: &str| format!("/api/storage?{query}").parse::<Uri>().unwrap();
        let table = [
            ("ns=a", Ok(Some("a"))),
            ("x=1&ns=a%2Fb&y", Ok(Some("a/b"))),
            ("n%73=a", Ok(Some("a"))),
            ("ns", Ok(Some(""))),
            ("x=1", Ok(None)),
            ("ns=a&ns=a", Err(())),
            ("ns=%FF", Err(())),
            ("ns=%zz", Err(())),
        ];
        for (text, expected) in table {
            let got = query(&uri(text), "ns");
            let got = got.as_ref().map(Option::as_deref).map_err(|_| ());
            assert_eq!(got, expected, "{text:?}");
        }
    }
}
