//! Answers that carry a representation with its tag.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use stowage_store::{EntityTag, Preconditions, Verdict};

use super::problem::Problem;

/// Proxies must ask before they reuse a document, and must not re-encode it: that would make its
/// strong tag a lie.
const DOCUMENT_CACHING: HeaderValue = HeaderValue::from_static("no-cache, no-transform");
/// The Git commit of a set of runtime configs.
pub(crate) const X_STOWAGE_REVISION: HeaderName = HeaderName::from_static("x-stowage-revision");

/// A JSON document with its tag.
pub(crate) fn json(status: StatusCode, tag: &EntityTag, body: impl Into<Body>) -> Response {
    let mut response = tagged(status, tag, body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body that says which representation now stands there.
pub(crate) fn empty(status: StatusCode, tag: &EntityTag) -> Response {
    tagged(status, tag, Body::empty())
}

/// Decides a GET by its conditions: the document, 304, or 412.
///
/// # Errors
/// 412 where `If-Match` does not hold.
pub(crate) fn conditional(
    preconditions: &Preconditions,
    tag: &EntityTag,
    body: impl FnOnce() -> Bytes,
) -> Result<Response, Problem> {
    match unchanged(preconditions, tag)? {
        Some(answer) => Ok(answer),
        None => Ok(json(StatusCode::OK, tag, body())),
    }
}

/// Decides a GET by its conditions before there is a document: 304, or `None` to go on.
///
/// # Errors
/// 412 where `If-Match` does not hold.
pub(crate) fn unchanged(
    preconditions: &Preconditions,
    tag: &EntityTag,
) -> Result<Option<Response>, Problem> {
    match preconditions.evaluate(Some(tag)) {
        Verdict::Holds => Ok(None),
        Verdict::NoneMatchFailed => Ok(Some(empty(StatusCode::NOT_MODIFIED, tag))),
        Verdict::MatchFailed => Err(Problem::precondition_failed(Some(tag))),
    }
}

/// Adds a header whose value comes from what is stored; one that is not a header value is left
/// out.
pub(crate) fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Any answer that carries a representation's tag.
pub(crate) fn tagged(status: StatusCode, tag: &EntityTag, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // What is about to stand there, so that the map does not grow step by step.
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CACHE_CONTROL, DOCUMENT_CACHING);
    if let Some(tag) = quoted(tag) {
        headers.insert(ETAG, tag);
    }
    *response.headers_mut() = headers;
    response
}

/// An answer whose bytes nobody knows yet, and so without a tag.
pub(crate) fn untagged(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CACHE_CONTROL, DOCUMENT_CACHING);
    response
}

fn quoted(tag: &EntityTag) -> Option<HeaderValue> {
    let text = [b"\"", tag.opaque().as_bytes(), b"\""].concat();
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}
