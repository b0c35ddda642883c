//! What the headers say about a body.

use http::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::problem::Problem;

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

/// Accepts an archive of any type, as it is, but not in a form: stored as it comes, it would be one that nobody can
/// unpack.
///
/// # Errors
/// 415 for `multipart/*`; as [`require_as_it_is`].
pub(crate) fn require_archive(headers: &HeaderMap) -> Result<(), Problem> {
    let is_form = |value: &HeaderValue| {
        let start = value.as_bytes().trim_ascii_start().get(..10);
        start.is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
    };
    if headers.get_all(CONTENT_TYPE).iter().any(is_form) {
        return Err(Problem::form());
    }
    require_as_it_is(headers)
}

fn is_json(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else { return false };
    subtype == "json" || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

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
}
