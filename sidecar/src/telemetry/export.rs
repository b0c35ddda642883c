//! Sending spans to a collector: many in one message, and never on a request's time.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>: HTTP with protobuf, or gRPC. What a collector does not
//! take is dropped: traces are no records, and memory has a bound.

mod connect;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use stowage_config::{Otlp, OtlpProtocol};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::connect::Connections;
use super::request::text;

/// The most spans of a message.
const BATCH_MAX: usize = 512;
/// How long spans are collected into one message.
const EVERY: Duration = Duration::from_secs(1);
/// How long a collector may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How many spans arrived, and how many were dropped.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    pub(super) fn dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

/// Sends what is in the queue.
pub(super) struct Exporter {
    connections: Connections,
    protocol: OtlpProtocol,
    url: String,
    headers_file: Option<PathBuf>,
    resource: Resource,
    counts: Arc<Counts>,
    /// Whether the last message did not arrive, which is said once.
    is_failing: bool,
}

impl Exporter {
    pub(super) fn new(otlp: &Otlp, store: &str, counts: Arc<Counts>) -> Self {
        let path = match otlp.protocol {
            OtlpProtocol::Http => "/v1/traces",
            OtlpProtocol::Grpc => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        };
        let attributes = vec![
            text("service.name", &otlp.service_name),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("stowage.store", store),
        ];
        Self {
            connections: Connections::new(otlp),
            protocol: otlp.protocol,
            url: format!("{}{path}", otlp.endpoint.as_str()),
            headers_file: otlp.headers_file.clone(),
            resource: Resource { attributes, ..Resource::default() },
            counts,
            is_failing: false,
        }
    }

    /// Sends until it is told to end, and then what is left.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Span>, end: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            // Without senders there is an end as well, whoever dropped them.
            let is_ending = end.is_cancelled() || waiting.is_closed();
            if is_ending {
                waiting.close();
            }
            let collect = async {
                while batch.len() < BATCH_MAX {
                    let room = BATCH_MAX - batch.len();
                    if waiting.recv_many(&mut batch, room).await == 0 {
                        break;
                    }
                }
            };
            if is_ending {
                collect.await;
            } else {
                tokio::select! {
                    () = collect => {}
                    () = sleep(EVERY) => {}
                    () = end.cancelled() => {}
                }
            }
            if !batch.is_empty() {
                self.deliver(std::mem::take(&mut batch)).await;
            } else if is_ending {
                return;
            }
        }
    }

    /// Sends one message, and tells where that begins to fail, or to work again.
    async fn deliver(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let sent = timeout(ANSWER_MAX, self.send(spans)).await;
        match sent.unwrap_or_else(|_| Err("it did not answer in time".to_owned())) {
            Ok(()) => {
                self.counts.sent.fetch_add(count, Ordering::Relaxed);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(reason) => {
                self.counts.dropped(count);
                self.connections.forget();
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(
                        reason,
                        endpoint = self.url,
                        "the collector does not take traces; they are dropped until it does, and \
                         requests are served as ever"
                    );
                }
            }
        }
    }

    async fn send(&mut self, spans: Vec<Span>) -> Result<(), String> {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
        let resource = Some(self.resource.clone());
        let resource_spans = ResourceSpans { resource, scope_spans, ..ResourceSpans::default() };
        let message = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };
        let mut request = Request::new(Full::new(self.body(&message)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.parse().map_err(|_| "its endpoint is no URL")?;
        *request.headers_mut() = self.headers().await?;
        let client = self.connections.client().await?;
        let answer = client.request(request).await.map_err(|e| chain(&e))?;
        let (parts, body) = answer.into_parts();
        if !parts.status.is_success() {
            return Err(format!("it answered {}", parts.status));
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|e| format!("its answer broke off: {e}"))?;
        match self.protocol {
            OtlpProtocol::Http => Ok(()),
            // An answer without a message has its status in the head.
            OtlpProtocol::Grpc => {
                match body.trailers().unwrap_or(&parts.headers).get("grpc-status") {
                    Some(status) if status == "0" => Ok(()),
                    Some(status) => Err(format!("it answered with the gRPC status {status:?}")),
                    None => Err("it does not speak gRPC".to_owned()),
                }
            }
        }
    }

    /// The message; under gRPC with its frame: not compressed, and its length.
    fn body(&self, message: &ExportTraceServiceRequest) -> Bytes {
        let encoded = message.encode_to_vec();
        match self.protocol {
            OtlpProtocol::Http => encoded.into(),
            OtlpProtocol::Grpc => {
                let mut framed = BytesMut::with_capacity(encoded.len() + 5);
                framed.put_u8(0);
                framed.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
                framed.extend_from_slice(&encoded);
                framed.freeze()
            }
        }
    }

    async fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = match &self.headers_file {
            None => HeaderMap::new(),
            Some(file) => {
                let text = tokio::fs::read_to_string(file).await;
                fields(&text.map_err(|e| format!("its headersFile cannot be read: {e}"))?)?
            }
        };
        match self.protocol {
            OtlpProtocol::Http => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
            }
            OtlpProtocol::Grpc => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert(TE, HeaderValue::from_static("trailers"));
            }
        }
        Ok(headers)
    }
}

/// The header fields of a file, one a line. An error names the line and nothing of it.
fn fields(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (index, line) in lines {
        let field = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        let (name, value) = field
            .ok_or_else(|| format!("line {} of its headersFile is no name: value", index + 1))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// An error with its causes: the first alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_once_nobody_is_left_who_could_send() {
        let otlp = Otlp::new("http://127.0.0.1:1".parse().unwrap());
        let (spans, waiting) = mpsc::channel(1);
        let counts = Arc::<Counts>::default();
        let exporter = Exporter::new(&otlp, "store", Arc::clone(&counts));
        spans.try_send(Span::default()).unwrap();
        drop(spans);
        let run = exporter.run(waiting, CancellationToken::new());
        timeout(std::time::Duration::from_secs(30), run).await.expect("it ends");
        assert_eq!(counts.read(), (0, 1), "what was left was tried");
    }

    #[test]
    fn fields_are_read_and_never_repeated_in_an_error() {
        let read = fields("Authorization: Bearer secret\n\n X-Scope : a \n").unwrap();
        let value = |name| read.get(name).map(HeaderValue::as_bytes);
        assert_eq!(value("authorization"), Some(&b"Bearer secret"[..]));
        assert_eq!(value("x-scope"), Some(&b"a"[..]));
        assert!(!format!("{read:?}").contains("secret"), "{read:?}");
        for wrong in ["secret", "a: b\nsecret", "b c: secret", "a: secret\u{1}"] {
            let error = fields(wrong).expect_err(wrong);
            assert!(error.contains("line ") && !error.contains("secret"), "{error}");
        }
    }
}
