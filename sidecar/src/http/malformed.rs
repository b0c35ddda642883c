//! What could not be read as a request at all: the problem that its sender gets.

use http::request::Parts;
use http::{StatusCode, Version};

use super::problem::Problem;

/// The most bytes of a request's head.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest target that the HTTP library takes, in bytes.
const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;
/// What HTTP/2 counts for a field beside its name and value (RFC 9113 §6.5.2).
const FIELD_BYTES: usize = 32;

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

/// 431 for a head that is over the limit. HTTP/1.1's is bounded while it is read; over HTTP/2 a client is told
/// the limit, and one that is a little over it gets an answer.
pub(crate) fn check(parts: &Parts) -> Result<(), Problem> {
    let is_over = parts.version == Version::HTTP_2 && bytes(parts) > HEAD_BYTES_MAX;
    if is_over { Err(head_too_large()) } else { Ok(()) }
}

fn bytes(parts: &Parts) -> usize {
    let fields = parts.headers.iter();
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum::<usize>()
        + target
}

fn head_too_large() -> Problem {
    Problem::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "head_too_large",
        format!(
            "the request's line and fields are more than {HEAD_BYTES_MAX} bytes, or more than 100 \
             fields; send fewer or shorter ones"
        ),
    )
    .with_member("limit", HEAD_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn only_a_head_of_http_2_that_is_over_the_limit_is_refused() {
        let table = [
            (Version::HTTP_2, "/", HEAD_BYTES_MAX - 1 - "x-a".len() - FIELD_BYTES, true),
            (Version::HTTP_2, "/", HEAD_BYTES_MAX - "x-a".len() - FIELD_BYTES, false),
            (Version::HTTP_2, "/aa", HEAD_BYTES_MAX - 3 - "x-a".len() - FIELD_BYTES, true),
            (Version::HTTP_2, "/aa?", HEAD_BYTES_MAX - 3 - "x-a".len() - FIELD_BYTES, false),
            (Version::HTTP_11, "/", HEAD_BYTES_MAX, true),
        ];
        for (version, target, length, is_taken) in table {
            let request = Request::get(target).version(version).header("x-a", "x".repeat(length));
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(check(&parts).is_ok(), is_taken, "{version:?} {target} {length}");
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
