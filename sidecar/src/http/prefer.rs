//! `Prefer` (RFC 7240): what the client prefers to get back.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::field::{members, word};

/// `Prefer`.
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// `Preference-Applied` (RFC 7240 §3).
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// What [`PREFERENCE_APPLIED`] says where [`minimal`].
pub(crate) const RETURN_MINIMAL: HeaderValue = HeaderValue::from_static("return=minimal");

/// No answer is held for longer.
const WAIT_SECONDS_MAX: u64 = 60;

/// Whether the client wants no body back: `Prefer: return=minimal`.
pub(crate) fn minimal(headers: &HeaderMap) -> bool {
    preference(headers, "return").is_some_and(|value| value.eq_ignore_ascii_case("minimal"))
}

/// For how long the client prefers to wait for an answer: `Prefer: wait=<seconds>` (RFC 7240
/// §4.3), no longer than [`WAIT_SECONDS_MAX`]. What cannot be understood is passed over, as every
/// preference may be.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let value = preference(headers, "wait")?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too long for any type is larger, too.
    let seconds = is_number.then(|| value.parse().unwrap_or(u64::MAX).min(WAIT_SECONDS_MAX))?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// The value of a preference. Where it is named more than once the first alone counts (§2), also
/// where that has no value, or none that can be understood.
fn preference<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
    lines.find_map(|line| {
        members(line, ',').find_map(|member| {
            // What follows are parameters of it.
            let preference = members(member, ';').next()?;
            let (found, value) = preference.split_once('=').unwrap_or((preference, ""));
            found.trim().eq_ignore_ascii_case(name).then(|| word(value.trim()).unwrap_or_default())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(PREFER, HeaderValue::from_str(value).unwrap());
        headers
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
            ("wait=, wait=9", None),
            ("wait=x, wait=9", None),
            ("wait, wait=9", None),
            ("foo=\"a, wait=5\", wait=7", Some(7)),
            ("foo; bar=\"; \\\", wait=5\", wait=7", Some(7)),
            ("wait=\"1\\0\"", Some(10)),
            ("wait=\"10", None),
            ("respond-async", None),
        ];
        for (value, expected) in table {
            let got = wait(&headers(value));
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
            ("return=representation, return=minimal", false),
            ("return=minimal, return=representation", true),
            ("return, return=minimal", false),
            ("return=\"\", return=minimal", false),
            ("foo=\"a, return=minimal\"", false),
            ("foo=\"a, return=representation\", return=minimal", true),
            ("foo; bar=\"return=minimal\"; return=minimal", false),
            ("return=\"mini\\mal\"", true),
            ("minimal", false),
        ];
        for (value, expected) in table {
            assert_eq!(minimal(&headers(value)), expected, "{value:?}");
        }
        let mut lines = headers("return=representation");
        lines.append(PREFER, HeaderValue::from_static("return=minimal"));
        assert!(!minimal(&lines), "the first of several lines counts");
    }
}
