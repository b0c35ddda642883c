//! The head with which hyper refuses by itself, told from all that is answered here.

use http::StatusCode;

/// The most bytes of one: a status, a length, a date, and perhaps what becomes of the connection.
const BYTES_MAX: usize = 192;

/// The statuses that hyper gives by itself.
const STATUSES: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::URI_TOO_LONG,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// One that stands at the end of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BareHead {
    /// Where it begins.
    pub(super) start: usize,
    pub(super) status: StatusCode,
}

impl BareHead {
    /// That which `bytes` end with; `None` where they end with anything else.
    pub(super) fn at_end_of(bytes: &[u8]) -> Option<Self> {
        let head = bytes.strip_suffix(b"\r\n\r\n")?;
        let window = head.len().saturating_sub(BYTES_MAX);
        let begin = head[window..].windows(7).rposition(|it| it == b"HTTP/1.")?;
        let start = window + begin;
        let head = std::str::from_utf8(&head[start..]).ok()?;
        let mut lines = head.split("\r\n");
        let status = status(lines.next()?)?;
        let mut is_empty = false;
        for line in lines {
            match line.split_once(": ")? {
                ("content-length", "0") => is_empty = true,
                ("date" | "connection", _) => {}
                _ => return None,
            }
        }
        is_empty.then_some(Self { start, status })
    }
}

fn status(line: &str) -> Option<StatusCode> {
    let line = line.strip_prefix("HTTP/1.")?;
    let line = line.strip_prefix("1 ").or_else(|| line.strip_prefix("0 "))?;
    STATUSES.into_iter().find(|status| line == status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_refusal_is_one() {
        let bare = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\
                    date: Sun, 22 Nov 2026 20:08:39 GMT\r\n\r\n";
        let own = bare.replace("date", "x-request-id: 1\r\ndate");
        let long = format!("HTTP/1.1 404 Not Found\r\nx: {}\r\n\r\n", "x".repeat(300));
        let table = [
            (bare.to_owned(), Some((0, 400))),
            (bare.replace("1.1", "1.0"), Some((0, 400))),
            (bare.replace("400 Bad Request", "414 URI Too Long"), Some((0, 414))),
            (
                bare.replace("400 Bad Request", "431 Request Header Fields Too Large"),
                Some((0, 431)),
            ),
            (bare.replace("date", "connection: close\r\ndate"), Some((0, 400))),
            (format!("0\r\n\r\n{bare}"), Some((5, 400))),
            (format!("{}{bare}", "x".repeat(1000)), Some((1000, 400))),
            (format!("{bare}{bare}"), Some((bare.len(), 400))),
            (format!("{bare} "), None),
            (bare[1..].to_owned(), None),
            (own, None),
            (bare.replace("1.1", "1.2"), None),
            (bare.replace("400 Bad Request", "404 Not Found"), None),
            (bare.replace("Bad Request", "bad request"), None),
            (bare.replace(": 0", ": 10"), None),
            (bare.replace("content-length: 0\r\n", ""), None),
            (long, None),
            ("\r\n\r\n".to_owned(), None),
            (String::new(), None),
        ];
        for (bytes, expected) in table {
            let expected = expected.map(|(start, status)| BareHead {
                start,
                status: StatusCode::from_u16(status).unwrap(),
            });
            assert_eq!(BareHead::at_end_of(bytes.as_bytes()), expected, "{bytes:?}");
        }
        assert_eq!(BareHead::at_end_of(b"HTTP/1.1 400 \xff\r\n\r\n"), None);
    }
}
