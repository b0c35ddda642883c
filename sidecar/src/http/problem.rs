//! Every answer that is not a success: `application/problem+json` (RFC 9457).
//!
//! What the client is told is decided here; what an operator must know is logged here, once.

use std::io::ErrorKind;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use stowage_store::{EntityTag, StoreError};

use crate::auth::Refusal;

/// An answer that says what is wrong and what to do.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    /// A short string that programs can tell apart.
    error: &'static str,
    /// A sentence for a person.
    detail: String,
    headers: HeaderMap,
    /// Members beyond those of RFC 9457.
    members: Map<String, Value>,
}

impl Problem {
    /// A problem of any status.
    pub(crate) fn new(status: StatusCode, error: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let (headers, members) = (HeaderMap::new(), Map::new());
        Self(Box::new(Parts { status, error, detail, headers, members }))
    }

    /// 400.
    pub(crate) fn bad_request(error: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, detail)
    }

    /// 401, with the challenge that RFC 9110 §15.5.2 requires.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 401 for credentials that were sent and are no good (RFC 6750 §3.1).
    fn invalid_token(detail: impl Into<String>) -> Self {
        Self::unauthorized(detail).with_header(
            WWW_AUTHENTICATE,
            HeaderValue::from_static(r#"Bearer error="invalid_token""#),
        )
    }

    /// 404.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 404 for a path that is no route.
    pub(crate) fn no_such_path() -> Self {
        Self::not_found("there is no such path here")
    }

    /// 405; the router adds `Allow`.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not take this method; Allow says which it takes",
        )
    }

    /// 412 with the current tag; `None` where nothing stands there.
    pub(crate) fn precondition_failed(current: Option<&EntityTag>) -> Self {
        let detail = match current {
            Some(_) => {
                "the state is not the one that the request demands; read it again and decide anew"
            }
            None => "the request demands a state, and nothing stands there",
        };
        let problem = Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail);
        match current {
            Some(tag) => problem.with_tag(tag).with_member("etag", tag.to_string()),
            None => problem,
        }
    }

    /// 413. The connection ends with it: the rest of the body is not worth waiting for.
    pub(crate) fn payload_too_large(limit_bytes: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            format!("the body is larger than the limit of {limit_bytes} bytes"),
        )
        .with_header(CONNECTION, HeaderValue::from_static("close"))
        .with_member("limit", limit_bytes)
    }

    /// 415 for a media type that is not JSON.
    pub(crate) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be JSON: send Content-Type: application/json, or none",
        )
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
    }

    /// 415 for an archive in a form.
    pub(crate) fn form() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "an archive is stored as it comes: send the archive itself as the body, not a form that holds it",
        )
        .with_header(ACCEPT, HeaderValue::from_static("application/gzip, application/octet-stream"))
    }

    /// 415 for a content coding (RFC 9110 §15.5.16).
    pub(crate) fn encoded() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_encoding",
            "the body is taken as it is: send it uncompressed, or as a file, without Content-Encoding",
        )
        .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
    }

    /// 428.
    pub(crate) fn precondition_required(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail)
    }

    /// 429 (RFC 6585 §4): nothing was applied.
    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "more requests than these credentials may send in a second; nothing was applied: send \
             it again after the seconds that Retry-After says",
        )
        .with_header(RETRY_AFTER, whole_seconds(wait).into())
    }

    /// 429 to somebody who fetches as many archives as one may.
    pub(crate) fn too_many_downloads(most: u32) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_downloads",
            format!(
                "these credentials have {most} downloads open, as many as they may have; take one to \
                 its end, or end one"
            ),
        )
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 429 to somebody who watches as much as one may.
    pub(crate) fn too_many_watches(most: u32) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_watches",
            format!(
                "these credentials have {most} streams and held answers open, as many as they may \
                 have; close one, or share one among readers"
            ),
        )
        .with_header(RETRY_AFTER, HeaderValue::from_static("10"))
    }

    /// 503: nothing was applied, and a second may help.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 500 to a write of which it is unknown whether it was applied. Not 503: that says it was
    /// not, and with `Retry-After` a client may send it again unseen.
    pub(crate) fn indeterminate() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "indeterminate",
            "it is unknown whether the write was applied; read the current state before writing \
             again",
        )
    }

    /// 500 for what is stored and cannot be read as what it should be.
    pub(crate) fn damaged() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "damaged",
            "what is stored here is damaged; it is neither served nor overwritten",
        )
    }

    /// 500 without a word about why: the log has it.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this is a fault of the server, and whether a write was applied is unknown; its log has why, \
             under the id that X-Request-Id says",
        )
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds the tag of the current representation.
    pub(crate) fn with_tag(self, tag: &EntityTag) -> Self {
        match HeaderValue::try_from(tag.to_string()) {
            Ok(value) => self.with_header(ETAG, value),
            Err(_) => self,
        }
    }

    /// Adds a member to the body.
    pub(crate) fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The sentence.
    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }
}

/// Rounded up, and never none: a client that comes back too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The body, its members in the order of RFC 9457 §3.1.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    error: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { status, error, detail, headers, members } = *self.0;
        let document = Document {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &detail,
            error,
            members: &members,
        };
        // A map with text for keys always encodes.
        let mut response =
            Response::new(Body::from(serde_json::to_vec(&document).unwrap_or_default()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // A cache may keep a 404, 405, 410 or 414 by itself (RFC 9111 §4.2.2), and 428 and 429 must not be kept (RFC
        // 6585): what is written next is to be visible.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthenticated => {
                Self::unauthorized("this needs a valid token: send Authorization: Bearer <token>")
            }
            Refusal::Invalid(None) => Self::invalid_token("the token is not one of this store's"),
            Refusal::Invalid(Some(reason)) => Self::invalid_token(reason.to_string()),
            Refusal::Unverified => Self::unavailable(
                "the keys that this token is checked with cannot be fetched right now; try again",
            ),
            Refusal::HeldOff(wait) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_refusals",
                "too many credentials from this address were no good, so these were not looked at; \
                 nothing was applied: send them again after the seconds that Retry-After says",
            )
            .with_header(RETRY_AFTER, whole_seconds(wait).into()),
            Refusal::Forbidden => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "the token is valid, but its rights do not reach this",
            ),
        }
    }
}

impl From<StoreError> for Problem {
    /// The one place where the store's errors become statuses.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::PreconditionFailed { current } => {
                Self::precondition_failed(current.as_ref())
            }
            StoreError::QuotaExceeded { quota, limit, needed } => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "quota_exceeded",
                format!(
                    "the namespace may hold {limit} {quota}, and this would make it {needed}; \
                     delete keys, or have the quota raised"
                ),
            ),
            StoreError::OutOfSpace => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "out_of_space",
                "the volume is full; reads and deletes still work",
            ),
            StoreError::Corrupt { .. } => {
                tracing::error!(%error, "what is stored is damaged; restore it from a backup");
                Self::damaged()
            }
            StoreError::Unavailable { .. } => {
                tracing::warn!(%error, "a request was refused");
                Self::unavailable("the store takes no more work right now; try again")
            }
            StoreError::Indeterminate { .. } => {
                tracing::error!(%error, "a write was cut short");
                Self::indeterminate()
            }
            StoreError::Io(error) if error.kind() == ErrorKind::FileTooLarge => {
                Self::payload_too_large(stowage_store::DOCUMENT_BYTES_MAX)
            }
            StoreError::Io(_) => {
                tracing::error!(%error, "the store's medium refused");
                Self::unavailable("the store cannot reach its medium right now; try again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use stowage_store::Quota;

    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        for (ms, expected) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (2500, 3)] {
            assert_eq!(whole_seconds(Duration::from_millis(ms)), expected, "{ms} ms");
        }
    }

    #[test]
    fn a_document_that_is_too_long_for_the_store_is_told_how_long_it_may_be() {
        let problem = Problem::from(StoreError::Io(ErrorKind::FileTooLarge.into()));
        let most = stowage_store::DOCUMENT_BYTES_MAX.to_string();
        assert!(problem.detail().contains(&most), "{}", problem.detail());
    }

    #[tokio::test]
    async fn every_store_error_has_a_status_and_leaks_nothing() {
        let io = || std::io::Error::other("/data/run-store.json: secret");
        let table = [
            (StoreError::PreconditionFailed { current: None }, 412, "precondition_failed"),
            (
                StoreError::QuotaExceeded { quota: Quota::Bytes, limit: 1, needed: 2 },
                507,
                "quota_exceeded",
            ),
            (StoreError::OutOfSpace, 507, "out_of_space"),
            (
                StoreError::Corrupt { key: "kv/secret.json".into(), reason: "secret".into() },
                500,
                "damaged",
            ),
            (StoreError::Unavailable { reason: "secret".into() }, 503, "unavailable"),
            (StoreError::Indeterminate { reason: "secret".into() }, 500, "indeterminate"),
            (StoreError::Io(io()), 503, "unavailable"),
            (StoreError::Io(ErrorKind::FileTooLarge.into()), 413, "payload_too_large"),
        ];
        for (error, status, word) in table {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status(), status, "{word}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503, "{word}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"], word);
            assert_eq!(body["status"], status);
            assert!(body["type"].is_string() && body["title"].is_string(), "{body}");
            assert!(!body.to_string().contains("secret"), "{body}");
        }
    }
}
