//! What the headers say about a body, and what the client prefers to get back.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::Problem;

/// `Prefer` (RFC 7240).
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// `Preference-Applied` (RFC 7240 §3).
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// What [`PREFERENCE_APPLIED`] says where [`prefers_minimal`].
pub(crate) const RETURN_MINIMAL: HeaderValue = HeaderValue::from_static("return=minimal");

/// No answer is held for longer.
const WAIT_SECONDS_MAX: u64 = 60;

/// Accepts `application/json`, `application/*+json`, or no type at all.
///
/// # Errors
/// 415 for another type or a content coding, 400 for a part of a body (RFC 9110 §14.5).
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.get_all(CONTENT_TYPE).iter().all(is_json) {
        return Err(Problem::not_json());
    }
    require_as_it_is(headers)
}

/// Accepts a body of any type that is neither encoded nor a part.
///
/// # Errors
/// 415 for a content coding, 400 for a part of a body (RFC 9110 §14.5).
pub(crate) fn require_as_it_is(headers: &HeaderMap) -> Result<(), Problem> {
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(identity) {
        return Err(Problem::encoded());
    }
    if headers.contains_key(CONTENT_RANGE) {
        return Err(Problem::bad_request(
            "invalid_header",
            "a part of a body cannot be written: send all of it, without Content-Range",
        ));
    }
    Ok(())
}

fn is_json(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else { return false };
    subtype == "json" || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty())
}

/// Whether the client wants no body back: `Prefer: return=minimal`.
pub(crate) fn prefers_minimal(headers: &HeaderMap) -> bool {
    preferences(headers, "return").any(|value| value.eq_ignore_ascii_case("minimal"))
}

/// The values of one of the preferences that a client names (RFC 7240 §2), in their order.
fn preferences<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(move |preference| {
        let (found, value) = preference.split(';').next()?.split_once('=')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// For how long the client prefers to wait for an answer: `Prefer: wait=<seconds>` (RFC 7240
/// §4.3), no longer than [`WAIT_SECONDS_MAX`]. Of several the first counts (§2); what cannot be
/// understood is passed over, as every preference may be.
pub(crate) fn prefers_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let value = preferences(headers, "wait").next()?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too long for any type is larger, too.
    let seconds = is_number.then(|| value.parse().unwrap_or(u64::MAX).min(WAIT_SECONDS_MAX))?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn json_is_known_by_its_type() {
        let table = [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("application/+json", false),
            ("text/json", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonx", false),
            ("", false),
        ];
        for (value, accepted) in table {
            let got = require_json(&headers(CONTENT_TYPE, value));
            assert_eq!(got.is_ok(), accepted, "{value:?}");
        }
        assert!(require_json(&HeaderMap::new()).is_ok(), "no type at all");
        assert!(require_json(&headers(CONTENT_ENCODING, "gzip")).is_err());
        assert!(require_json(&headers(CONTENT_ENCODING, "identity")).is_ok());
        assert!(require_json(&headers(CONTENT_RANGE, "bytes 0-1/2")).is_err());
    }

    #[test]
    fn waiting_is_asked_for_as_rfc_7240_says() {
        let table = [
            ("wait=10", Some(10)),
            ("Wait = \"5\"", Some(5)),
            ("return=minimal, wait=7; x=y", Some(7)),
            ("wait=7, wait=9", Some(7)),
            ("wait=61", Some(60)),
            ("wait=99999999999999999999999", Some(60)),
            ("wait=0", None),
            ("wait=-1", None),
            ("wait=+1", None),
            ("wait=1.5", None),
            ("wait", None),
            ("respond-async", None),
        ];
        for (value, expected) in table {
            let got = prefers_to_wait(&headers(PREFER, value));
            assert_eq!(got, expected.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn minimal_answers_are_asked_for_as_rfc_7240_says() {
        let table = [
            ("return=minimal", true),
            ("Return=\"Minimal\"", true),
            ("wait=5, return=minimal; foo=bar", true),
            ("return=representation", false),
            ("minimal", false),
        ];
        for (value, expected) in table {
            assert_eq!(prefers_minimal(&headers(PREFER, value)), expected, "{value:?}");
        }
    }
}
