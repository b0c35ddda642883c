//! The span of a request, and those of what it waits for. Names and attributes are those of the
//! semantic conventions for HTTP servers, 1.23 and later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode, Version};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::context::{Context, SpanId};
use super::{TraceId, Tracer};

/// The most spans of one request beside its own: a list may read thousands of documents.
const CHILDREN_MAX: usize = 32;

/// The longest host that is told, in bytes: no name is longer (RFC 1035 §2.3.4) with its port, and spans wait
/// in memory.
const HOST_BYTES_MAX: usize = 260;

/// The sampled flag of a span (OTLP, `SpanFlags`).
const SAMPLED: u32 = 1;

tokio::task_local! {
    /// The trace of the request that this task answers; there where it is sampled.
    static CURRENT: Arc<RequestTrace>;
}

/// A request on its way through the server.
#[derive(Debug)]
pub(crate) struct RequestTrace {
    tracer: Arc<Tracer>,
    context: Context,
    span: SpanId,
    began: Began,
    method: Method,
    version: Version,
    authority: Option<Authority>,
    children: AtomicUsize,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    /// The template of its route, where it has one.
    pub(crate) route: Option<&'static str>,
    /// The answer's status; `None` where the client left before.
    pub(crate) status: Option<StatusCode>,
    /// Its id, as the log has it.
    pub(crate) request_id: &'a HeaderValue,
}

impl RequestTrace {
    /// The trace of a request that comes in now.
    pub(crate) fn begin(tracer: &Arc<Tracer>, parts: &Parts) -> Arc<Self> {
        let context = tracer.sampler.context(&parts.headers);
        let host = || parts.headers.get(HOST).and_then(|host| host.as_bytes().try_into().ok());
        let authority = context.is_sampled.then(|| parts.uri.authority().cloned().or_else(host));
        let authority =
            authority.flatten().filter(|it: &Authority| it.as_str().len() <= HOST_BYTES_MAX);
        Arc::new(Self {
            tracer: Arc::clone(tracer),
            context,
            span: tracer.sampler.span_id(),
            began: Began::now(),
            method: parts.method.clone(),
            version: parts.version,
            authority,
            children: AtomicUsize::new(0),
        })
    }

    /// Whether it is handed to the collector.
    pub(crate) fn is_sampled(&self) -> bool {
        self.context.is_sampled
    }

    /// The id that somebody may look for: of what is traced, here or by the client.
    pub(crate) fn id(&self) -> Option<TraceId> {
        let is_known = self.context.is_sampled || self.context.parent.is_some();
        is_known.then_some(self.context.trace)
    }

    /// Does some work of the request, so that what the store does for it is a part of the trace.
    pub(crate) async fn around<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Hands the request's own span on, where it is sampled.
    pub(crate) fn end(&self, ended: &Ended<'_>) {
        if !self.context.is_sampled {
            return;
        }
        let method = known(&self.method);
        let name = ended.route.map_or_else(|| method.into(), |route| format!("{method} {route}"));
        let mut span = self.span(SpanKind::Server, name, self.span, self.began);
        span.parent_span_id = self.context.parent.map_or_else(Vec::new, SpanId::bytes);
        let mut attributes = vec![
            text("http.request.method", method),
            text("url.scheme", "http"),
            text("network.protocol.version", version(self.version)),
            text("stowage.request_id", ended.request_id.to_str().unwrap_or_default()),
        ];
        attributes.extend(ended.route.map(|route| text("http.route", route)));
        if let Some(authority) = &self.authority {
            attributes.push(text("server.address", authority.host()));
            let port = authority.port_u16();
            attributes.extend(port.map(|port| number("server.port", i64::from(port))));
        }
        match ended.status {
            Some(status) => {
                let code = i64::from(status.as_u16());
                attributes.push(number("http.response.status_code", code));
                if status.is_server_error() {
                    attributes.push(text("error.type", status.as_str()));
                    span.status = Some(failed());
                }
            }
            None => attributes.push(text("error.type", "client_left")),
        }
        span.attributes = attributes;
        self.tracer.send(span);
    }

    /// A span of this trace that ends now.
    fn span(&self, kind: SpanKind, name: String, id: SpanId, began: Began) -> Span {
        Span {
            trace_id: self.context.trace.bytes(),
            span_id: id.bytes(),
            trace_state: self.context.state.clone(),
            parent_span_id: self.span.bytes(),
            flags: SAMPLED,
            name,
            kind: kind as i32,
            start_time_unix_nano: began.at,
            end_time_unix_nano: began.at.saturating_add(nanoseconds(began.clock.elapsed())),
            ..Span::default()
        }
    }
}

/// When something began: the time of day, and a clock that is never set.
#[derive(Debug, Clone, Copy)]
struct Began {
    at: u64,
    clock: Instant,
}

impl Began {
    fn now() -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanoseconds);
        Self { at, clock: Instant::now() }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A step of the request that this task answers. Its span ends when this is dropped, so that a step
/// which is given up is seen too.
#[derive(Debug)]
pub(super) struct Step {
    trace: Arc<RequestTrace>,
    name: &'static str,
    id: SpanId,
    began: Began,
    /// What went wrong, in a word.
    error: Option<&'static str>,
}

impl Step {
    /// A step that begins now; `None` where nobody traces it.
    pub(super) fn begin(name: &'static str) -> Option<Self> {
        let trace = CURRENT.try_with(Arc::clone).ok()?;
        if trace.children.fetch_add(1, Ordering::Relaxed) >= CHILDREN_MAX {
            return None;
        }
        let id = trace.tracer.sampler.span_id();
        Some(Self { trace, name, id, began: Began::now(), error: None })
    }

    /// Says that it went wrong.
    pub(super) fn fails(&mut self, error: &'static str) {
        self.error = Some(error);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let Self { trace, name, id, began, error } = self;
        let mut span = trace.span(SpanKind::Internal, (*name).to_owned(), *id, *began);
        if let Some(error) = error {
            span.attributes.push(text("error.type", error));
            span.status = Some(failed());
        }
        trace.tracer.send(span);
    }
}

fn failed() -> Status {
    Status { message: String::new(), code: SpanStatus::Error as i32 }
}

/// A client may send any word as a method.
fn known(method: &Method) -> &'static str {
    match crate::http::known_method(method) {
        "other" => "_OTHER",
        known => known,
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// An attribute that is a text.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}
