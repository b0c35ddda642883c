//! What could not be read as a request at all: the problem that its sender gets.

use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};

use super::problem::Problem;

/// The most bytes of a request's head.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest target that the HTTP library takes, in bytes.
const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;
/// The most fields of a head.
const FIELDS_MAX: usize = 100;
/// What HTTP/1.1 has of a field beside its name and value, and of a head's other lines beside method and target.
const FIELD_BYTES: usize = ": \r\n".len();
const LINE_BYTES: usize = "  HTTP/1.1\r\n\r\n".len();
/// What HTTP/2 counts for a field beside its name and value (RFC 9113 §6.5.2).
const H2_FIELD_BYTES: usize = 32;

/// The problem of what the HTTP library refuses with a status, for a reason.
pub(crate) fn problem(status: StatusCode, reason: &str) -> Problem {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => head_too_large(),
        StatusCode::URI_TOO_LONG => Problem::new(
            status,
            "target_too_long",
            format!("the path and its query are longer than {TARGET_BYTES_MAX} bytes"),
        )
        .with_member("limit", TARGET_BYTES_MAX),
        _ => Problem::bad_request(
            "malformed_request",
            format!("this cannot be read as a request of HTTP/1.1 (RFC 9112): {reason}"),
        ),
    }
}

/// 431 for a head that is over the limits, as far as it has come through those of the HTTP library.
pub(crate) fn check(parts: &Parts) -> Result<(), Problem> {
    let is_over = parts.headers.len() > FIELDS_MAX || bytes(parts) > HEAD_BYTES_MAX;
    if is_over { Err(head_too_large()) } else { Ok(()) }
}

/// The size of a head: over HTTP/1.1 as it is on the wire, but for white space.
fn bytes(parts: &Parts) -> usize {
    let is_h2 = parts.version == Version::HTTP_2;
    let (field, line) = if is_h2 { (H2_FIELD_BYTES, 0) } else { (FIELD_BYTES, LINE_BYTES) };
    let fields =
        parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + field);
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    fields.sum::<usize>() + parts.method.as_str().len() + target + line
}

fn head_too_large() -> Problem {
    Problem::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "head_too_large",
        format!(
            "the request's line and fields are more than {HEAD_BYTES_MAX} bytes, or more than {FIELDS_MAX} \
             fields; send fewer or shorter ones"
        ),
    )
    .with_header(CONNECTION, HeaderValue::from_static("close"))
    .with_member("limit", HEAD_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_head_over_a_limit_is_refused() {
        let one = HEAD_BYTES_MAX - "x-a".len();
        let (h1, h2) = (one - FIELD_BYTES - LINE_BYTES, one - H2_FIELD_BYTES);
        let table = [
            (Version::HTTP_2, "/", h2 - "GET/".len(), true),
            (Version::HTTP_2, "/", h2 - "GET/".len() + 1, false),
            (Version::HTTP_2, "/aa", h2 - "GET/".len(), false),
            (Version::HTTP_11, "/", h1 - "GET/".len(), true),
            (Version::HTTP_11, "/", h1 - "GET/".len() + 1, false),
            (Version::HTTP_11, "/aa?b", h1 - "GET/".len(), false),
        ];
        for (version, target, length, is_taken) in table {
            let request = Request::get(target).version(version).header("x-a", "x".repeat(length));
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(check(&parts).is_ok(), is_taken, "{version:?} {target} {length}");
        }
        for (count, is_taken) in [(FIELDS_MAX, true), (FIELDS_MAX + 1, false)] {
            let fields = (0..count).fold(Request::get("/"), |it, _| it.header("x-a", "1"));
            let (parts, ()) = fields.body(()).unwrap().into_parts();
            assert_eq!(check(&parts).is_ok(), is_taken, "{count} fields");
        }
    }

    #[test]
    fn each_status_has_its_problem() {
        for status in [400, 414, 431] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(problem(status, "a reason").status(), status);
        }
    }
}
