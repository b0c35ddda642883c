//! What a message's head says of its frame, where the HTTP library lets pass what two readers could
//! understand differently. RFC 9112 §3.2 and §6; in doubt a request is refused and its connection ends.

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Version};

use super::problem::Problem;

/// What is wrong with the frame of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    NoHost,
    ManyHosts,
    BadHost,
    UnknownCoding,
}

impl Fault {
    fn detail(self) -> &'static str {
        match self {
            Self::NoHost => "HTTP/1.1 requires the field Host; send one",
            Self::ManyHosts => "the field Host stands there more than once; send one",
            Self::BadHost => "the field Host is not a host, or a host and a port",
            Self::UnknownCoding => "Transfer-Encoding may be chunked, once, and nothing else",
        }
    }
}

/// 400 for a request that another reader could understand differently. Nothing of it is done.
pub(crate) fn check(parts: &Parts) -> Result<(), Problem> {
    let fault = host(parts.version, &parts.headers).or_else(|| coding(&parts.headers));
    fault.map_or(Ok(()), |fault| {
        let problem = Problem::bad_request("bad_frame", fault.detail());
        Err(problem.with_header(CONNECTION, HeaderValue::from_static("close")))
    })
}

/// RFC 9112 §3.2: exactly one, and a valid one. HTTP/2 has `:authority` for it, and HTTP/1.0 none.
fn host(version: Version, headers: &HeaderMap) -> Option<Fault> {
    let mut lines = headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (None, _) => (version == Version::HTTP_11).then_some(Fault::NoHost),
        (Some(_), Some(_)) => Some(Fault::ManyHosts),
        (Some(host), None) => (!is_host(host.as_bytes())).then_some(Fault::BadHost),
    }
}

/// An empty one is what a client sends whose target has no authority.
fn is_host(host: &[u8]) -> bool {
    host.is_empty() || Authority::try_from(host).is_ok() && !host.contains(&b'@')
}

/// RFC 9112 §6.1. The library has refused lengths that differ already; where there is a length beside
/// chunks, it goes by the chunks and ends the connection.
fn coding(headers: &HeaderMap) -> Option<Fault> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    (!is_chunked || codings.next().is_some()).then_some(Fault::UnknownCoding)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_frame_is_refused_that_could_be_understood_in_two_ways() {
        type Row = (Version, &'static [(&'static str, &'static str)], Option<Fault>);
        let table: &[Row] = &[
            (Version::HTTP_11, &[("host", "a")], None),
            (Version::HTTP_11, &[("host", "a:80")], None),
            (Version::HTTP_11, &[("host", "[::1]:80")], None),
            (Version::HTTP_11, &[("host", "")], None),
            (Version::HTTP_11, &[], Some(Fault::NoHost)),
            (Version::HTTP_10, &[], None),
            (Version::HTTP_2, &[], None),
            (Version::HTTP_11, &[("host", "a"), ("host", "a")], Some(Fault::ManyHosts)),
            (Version::HTTP_2, &[("host", "a"), ("host", "b")], Some(Fault::ManyHosts)),
            (Version::HTTP_11, &[("host", "a b")], Some(Fault::BadHost)),
            (Version::HTTP_11, &[("host", "a/b")], Some(Fault::BadHost)),
            (Version::HTTP_11, &[("host", "user@a")], Some(Fault::BadHost)),
            (Version::HTTP_11, &[("host", "a"), ("content-length", "1")], None),
            (Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "Chunked")], None),
            (
                Version::HTTP_11,
                &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
                Some(Fault::UnknownCoding),
            ),
            (
                Version::HTTP_11,
                &[
                    ("host", "a"),
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                Some(Fault::UnknownCoding),
            ),
        ];
        for (version, fields, expected) in table {
            let mut request = Request::builder().version(*version);
            for (name, value) in *fields {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let got = host(parts.version, &parts.headers).or_else(|| coding(&parts.headers));
            assert_eq!(got, *expected, "{version:?} {fields:?}");
            assert_eq!(check(&parts).is_err(), expected.is_some());
        }
    }
}
