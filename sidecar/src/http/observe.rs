//! What stands around every request: what each answer carries, the access log, the metrics.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::app::App;
use super::audit::{self, Audit};
use super::caller::Caller;
use super::coding::Coding;
use super::cors::Origin;
use super::drained::Drained;
use super::framing;
use super::malformed;
use super::peer::Peer;
use super::request_id::{self, X_REQUEST_ID};
use super::router;
use crate::auth::Identity;
use crate::telemetry::{Ended, RequestTrace};

/// What logs and metrics say of a path that is no route.
const UNMATCHED: &str = "unmatched";
/// What logs say of the method where none could be read.
const NO_METHOD: &[u8] = b"-";

const X_STORAGE_BACKEND: HeaderName = HeaderName::from_static("x-storage-backend");
const X_STOWAGE_VERSION: HeaderName = HeaderName::from_static("x-stowage-version");

/// Answers one request of the main port.
pub(crate) async fn answer(
    app: Arc<App>,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let start = Instant::now();
    let (parts, body) = request.into_parts();
    let settings = Arc::clone(&app.settings.borrow());
    let id = request_id::of(&parts.headers);
    let origin = Origin::of(&parts.method, &parts.headers, &settings.origins);
    let audit = Audit::of(&parts.method);
    let route = router::route(parts.uri.path());
    let frame = malformed::check(&parts).and_then(|()| framing::check(&parts));
    let version = parts.version;
    let coding = Coding::accepted(&parts.headers);
    let mut line = AccessLine {
        app: Arc::clone(&app),
        start,
        method: parts.method.clone(),
        route: route.map_or(UNMATCHED, |route| route.template),
        id: id.clone(),
        identity: Identity::Unverified,
        trace: app.tracer.as_ref().map(|tracer| RequestTrace::begin(tracer, &parts)),
        audit: audit.clone(),
        outcome: None,
    };
    app.metrics.request_started(body.size_hint().exact());
    // Newer keys may have to be fetched for it, and the client may leave meanwhile.
    let matters = frame.is_ok() && route.is_some_and(|route| !route.is_open());
    let caller = Caller::identified(&app, settings, &parts.headers, audit, peer, matters).await;
    line.identity = caller.identity.clone();
    let (body, left) = Drained::wrap(body, &parts.headers);
    let mut response = match (frame, &line.trace) {
        // What is meant by it is uncertain, so nothing more of it is looked at.
        (Err(problem), _) => problem.into_response(),
        // Apart, so that a request which is not traced does not carry the room for it.
        (Ok(()), Some(trace)) if trace.is_sampled() => {
            let work = router::dispatch(Arc::clone(&app), route, caller, parts, body);
            Box::pin(Arc::clone(trace).around(work)).await
        }
        (Ok(()), _) => router::dispatch(Arc::clone(&app), route, caller, parts, body).await,
    };
    if let Some(coding) = coding {
        response = coding.apply(response, &app.coders);
    }

    let ends = app.shutdown.is_cancelled() || left.ends_connection(response.body());
    let headers = response.headers_mut();
    origin.decorate(headers);
    decorate(&app, id, headers);
    repeat_version(headers);
    end_connection(version, ends, headers);
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    line.audit.answered(response.status(), response.headers());
    line.outcome = Some(Outcome { status: response.status(), bytes });
    Ok(response)
}

/// Answers what could not be read as a request of the main port, with the status that the HTTP library refuses
/// it with and its reason. Nothing is known of it, not even its id.
pub(crate) fn refuse_malformed(app: &Arc<App>, status: StatusCode, reason: &str) -> Response {
    let mut response = malformed::problem(status, reason).into_response();
    let id = request_id::of(&HeaderMap::new());
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    app.metrics.request_started(None);
    drop(AccessLine {
        app: Arc::clone(app),
        start: Instant::now(),
        method: Method::from_bytes(NO_METHOD).unwrap_or_default(),
        route: UNMATCHED,
        id: id.clone(),
        identity: Identity::Unverified,
        trace: None,
        audit: Audit::none(),
        outcome: Some(Outcome { status, bytes }),
    });
    decorate(app, id, response.headers_mut());
    response
}

/// What every answer carries.
pub(super) fn decorate(app: &App, id: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(X_STORAGE_BACKEND, HeaderValue::from_static(app.store.kind().as_str()));
    headers.insert(X_REQUEST_ID, id);
}

/// Says the tag's text outside the tag, for proxies that weaken or drop it.
fn repeat_version(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()) else { return };
    if let Ok(version) = HeaderValue::from_str(tag.trim_matches('"')) {
        headers.insert(X_STOWAGE_VERSION, version);
    }
}

/// Says that a connection ends behind the answer: the client is to come back on another one while the server
/// ends, and where what is left of the body cannot be told from the next request. HTTP/2 has no such field (RFC
/// 9113 §8.2.2); its connections are told by GOAWAY.
pub(super) fn end_connection(version: Version, ends: bool, headers: &mut HeaderMap) {
    if version >= Version::HTTP_2 {
        headers.remove(CONNECTION);
    } else if ends {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// To the microsecond: more digits are noise.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

struct Outcome {
    status: StatusCode,
    bytes: u64,
}

/// Writes the access log's line and the audit's when it is dropped, so that a request whose client
/// left is written down too. It holds no token, no query and no body.
struct AccessLine {
    app: Arc<App>,
    start: Instant,
    method: Method,
    /// The route's template: a raw path may be anything.
    route: &'static str,
    id: HeaderValue,
    identity: Identity,
    trace: Option<Arc<RequestTrace>>,
    audit: Audit,
    outcome: Option<Outcome>,
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let duration = self.start.elapsed();
        // 499: the client left before the answer, as proxies write it.
        let status = self.outcome.as_ref().map_or(499, |outcome| outcome.status.as_u16());
        let bytes = self.outcome.as_ref().map_or(0, |outcome| outcome.bytes);
        self.app.metrics.request_ended(self.route, &self.method, status, duration, bytes);
        if let Some(trace) = &self.trace {
            let status = self.outcome.as_ref().map(|outcome| outcome.status);
            let route = (self.route != UNMATCHED).then_some(self.route);
            trace.end(&Ended { route, status, request_id: &self.id });
        }
        let trace_id = self.trace.as_ref().and_then(|trace| trace.id());
        tracing::info!(
            target: "stowage::access",
            method = %self.method,
            route = self.route,
            status,
            duration_ms = milliseconds(duration),
            bytes,
            request_id = self.id.to_str().unwrap_or_default(),
            token = self.identity.name(),
            trace_id = trace_id.map(tracing::field::display),
            "request"
        );
        if let Some(known) = self.audit.taken() {
            let who = self.identity.name();
            audit::write(who, self.route, &known, &self.method, status, &self.id);
        }
    }
}
