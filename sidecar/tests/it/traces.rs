//! Traces, as a collector of the OpenTelemetry protocol gets them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::harness::{ADMIN, eventually};
use super::open_metrics::Exposition;
use super::process::{Place, Process};
use super::raw::{get, patch, put};
use super::tls;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// What a collector got.
#[derive(Default)]
struct Got {
    messages: Vec<(String, HeaderMap, ExportTraceServiceRequest)>,
}

/// A collector that takes everything.
#[derive(Clone)]
struct Collector {
    address: SocketAddr,
    got: Arc<Mutex<Got>>,
}

impl Collector {
    async fn start() -> Self {
        Self::start_behind(None).await
    }

    /// One behind TLS, and its certificate.
    async fn start_tls() -> (Self, String) {
        let (certificate, acceptor) = tls::localhost(&["h2", "http/1.1"]);
        (Self::start_behind(Some(acceptor)).await, certificate)
    }

    async fn start_behind(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let collector = Self { address, got: Arc::default() };
        let taking = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (taking, acceptor) = (taking.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => taking.serve(stream).await,
                        // Who does not trust it breaks off.
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                taking.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        collector
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = service_fn(move |request| {
            let taking = self.clone();
            async move { Ok::<_, Infallible>(taking.take(request).await) }
        });
        let builder = Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    }

    async fn take(
        &self,
        request: Request<Incoming>,
    ) -> Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>> {
        let (parts, body) = request.into_parts();
        let mut bytes = body.collect().await.expect("a message").to_bytes();
        let is_grpc = parts.headers["content-type"] == "application/grpc";
        if is_grpc {
            let frame = bytes.split_to(5);
            assert_eq!(frame[0], 0, "not compressed");
            let length = u32::from_be_bytes(frame[1..].try_into().expect("four bytes"));
            assert_eq!(length as usize, bytes.len(), "one message");
        }
        let message = ExportTraceServiceRequest::decode(bytes).expect("a message of OTLP");
        let path = parts.uri.path().to_owned();
        let kind = parts.headers["content-type"].clone();
        self.got.lock().expect("no panic").messages.push((path, parts.headers, message));
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().expect("a value"));
        let answer = Full::new(Bytes::from_static(&[0; 5]));
        if is_grpc {
            let body = answer.with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync();
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", kind);
            return response;
        }
        Response::new(Full::new(Bytes::new()).boxed_unsync())
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().expect("no panic");
        let resources = got.messages.iter().flat_map(|(_, _, message)| &message.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Waits for a span of this name.
    async fn span(&self, name: &str) -> Span {
        let find = async || self.spans().into_iter().find(|span| span.name == name);
        eventually(&format!("the span {name} arrives"), find).await
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The attribute of this name, as a text.
fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|it| it.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("an attribute is a text or a number, not {other:?}"),
    }
}

async fn traced(collector: SocketAddr, more: &str) -> (Place, Process) {
    let place = Place::new();
    let tracing = format!("tracing: {{otlp: {{endpoint: \"http://{collector}\"{more}}}}}");
    place.configure("127.0.0.1:0", "127.0.0.1:0", &tracing);
    let process = place.start().await;
    (place, process)
}

fn admin(request: super::raw::Request) -> super::raw::Request {
    request.header("Authorization", &format!("Bearer {ADMIN}"))
}

#[tokio::test]
async fn a_collector_behind_tls_is_checked_by_its_certificate() {
    for protocol in ["http/protobuf", "grpc"] {
        let (collector, certificate) = Collector::start_tls().await;
        let place = Place::new();
        let (ca, port) = (place.path("ca.crt"), collector.address.port());
        // Another one's: the collector is not to be trusted.
        std::fs::write(&ca, tls::localhost(&[]).0).expect("a file");
        let tracing = format!(
            "tracing: {{otlp: {{endpoint: \"https://localhost:{port}\", protocol: {protocol}, \
             caFile: {}}}}}",
            ca.display()
        );
        place.configure("127.0.0.1:0", "127.0.0.1:0", &tracing);
        let server = place.start().await;
        admin(put("/run-stores/before", "1")).send(server.address).await;
        eventually("the log says why", async || {
            let log = server.log();
            (log.contains("does not take traces") && log.contains("certificate")).then_some(())
        })
        .await;
        assert!(collector.spans().is_empty(), "{protocol}: nothing was sent to a stranger");
        std::fs::write(&ca, &certificate).expect("a file");
        admin(get("/run-stores/after")).send(server.address).await;
        collector.span("GET /run-stores/{name}").await;
        assert!(collector.spans().iter().all(|span| !span.name.starts_with("PUT")), "{protocol}");
        let (status, log) = server.terminate().await;
        assert!(status.success() && log.contains("takes traces again"), "{protocol}: {log}");
    }
}

#[tokio::test]
async fn a_collector_gets_the_spans_of_requests_and_nothing_secret() {
    let collector = Collector::start().await;
    let place = Place::new();
    std::fs::write(place.path("headers"), "Authorization: Bearer for-the-collector\n")
        .expect("a file");
    let tracing = format!(
        "tracing: {{otlp: {{endpoint: \"http://{}\", serviceName: store-of-tests, headersFile: {}}}}}",
        collector.address,
        place.path("headers").display()
    );
    place.configure("127.0.0.1:0", "127.0.0.1:0", &tracing);
    let server = place.start().await;

    let write = admin(put("/run-stores/sesame", r#"{"open":"hunter2"}"#))
        .header("traceparent", &format!("00-{TRACE}-{PARENT}-01"))
        .header("tracestate", "vendor=1")
        .header("X-Request-Id", "request-1");
    assert_eq!(write.send(server.address).await.status, 200);
    let operations = r#"[{"op":"set","key":"k","value":1}]"#;
    let kv = admin(patch("/api/storage?ns=sesame&x=hunter2", "0", operations));
    assert_eq!(kv.send(server.address).await.status, 201);
    assert_eq!(admin(get("/nowhere/sesame")).send(server.address).await.status, 404);
    assert_eq!(get("/run-stores/sesame").send(server.address).await.status, 401);
    // The end sends what waits.
    let (status, log) = server.terminate().await;
    assert!(status.success(), "{log}");

    let span = collector.span("PUT /run-stores/{name}").await;
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!((span.trace_state.as_str(), span.kind), ("vendor=1", 2));
    assert!(span.end_time_unix_nano > span.start_time_unix_nano, "{span:?}");
    let address = server_address(&span);
    let expected = [
        ("http.request.method", "PUT"),
        ("http.route", "/run-stores/{name}"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("stowage.request_id", "request-1"),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(&span.attributes, name).as_deref(), Some(value), "{name}: {span:?}");
    }
    assert_eq!(address.as_deref(), Some("test"), "the Host that was asked for");
    let child = collector.span("store.put").await;
    assert_eq!((hex(&child.trace_id), &child.parent_span_id), (TRACE.into(), &span.span_id));
    assert_eq!(child.kind, 1, "internal");
    assert!(child.start_time_unix_nano >= span.start_time_unix_nano, "{child:?} of {span:?}");

    let patched = collector.span("PATCH /api/storage").await;
    assert_eq!(patched.parent_span_id, Vec::<u8>::new(), "nobody asked for it: {patched:?}");
    assert_ne!(hex(&patched.trace_id), TRACE);
    let child = collector.span("store.patch").await;
    assert_eq!((&child.trace_id, &child.parent_span_id), (&patched.trace_id, &patched.span_id));
    let unknown = collector.span("GET").await;
    assert_eq!(attribute(&unknown.attributes, "http.route"), None, "{unknown:?}");
    assert_eq!(attribute(&unknown.attributes, "http.response.status_code").as_deref(), Some("404"));
    let refused = collector.span("GET /run-stores/{name}").await;
    assert_eq!(attribute(&refused.attributes, "http.response.status_code").as_deref(), Some("401"));

    let got = collector.got.lock().expect("no panic");
    for (path, headers, message) in &got.messages {
        assert_eq!(path, "/v1/traces");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["authorization"], "Bearer for-the-collector");
        let resource = message.resource_spans[0].resource.as_ref().expect("a resource");
        let of = |name| attribute(&resource.attributes, name);
        assert_eq!(of("service.name").as_deref(), Some("store-of-tests"));
        assert_eq!(of("stowage.store").as_deref(), Some("test"));
        let all = format!("{message:?}");
        for secret in [ADMIN, "hunter2", "sesame", "for-the-collector"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
    }
    drop(got);
    assert!(!log.contains("for-the-collector"), "{log}");
    let line = log.lines().find(|line| line.contains("request-1")).expect("the access log");
    assert!(line.contains(TRACE), "the log names the trace: {line}");
}

fn server_address(span: &Span) -> Option<String> {
    attribute(&span.attributes, "server.address")
}

#[tokio::test]
async fn grpc_is_spoken_where_the_environment_says_so() {
    let collector = Collector::start().await;
    let place = Place::new();
    let mut serve = place.serve();
    serve
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("OTEL_SERVICE_NAME", "by-environment");
    let server = place.start_by(serve).await;
    assert_eq!(get("/health").send(server.address).await.status, 200);
    collector.span("GET /health").await;
    let sent = async || {
        let text = get("/metrics").send(server.management).await.text();
        let metrics = Exposition::parse(&text).expect("OpenMetrics");
        metrics.value("stowage_spans_sent_total", &[]).filter(|sent| *sent >= 1.0)
    };
    eventually("it is counted as taken", sent).await;
    let got = collector.got.lock().expect("no panic");
    let (path, _, message) = &got.messages[0];
    assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert!(format!("{message:?}").contains("by-environment"), "{message:?}");
}

#[tokio::test]
async fn what_the_client_does_not_want_traced_is_not() {
    let collector = Collector::start().await;
    let (_place, server) = traced(collector.address, ", sampleRatio: 0").await;
    let context = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
    for parent in [None, Some("00")] {
        let mut request = get("/health").header("X-Request-Id", "unsampled");
        if let Some(flags) = parent {
            request = request.header("traceparent", &context(flags));
        }
        assert_eq!(request.send(server.address).await.status, 200);
    }
    let wanted = get("/openapi").header("traceparent", &context("01"));
    wanted.send(server.address).await;
    let (status, log) = server.terminate().await;
    assert!(status.success(), "{log}");
    collector.span("GET").await;
    assert_eq!(collector.spans().len(), 1, "{:?}", collector.spans());
    let lines: Vec<_> = log.lines().filter(|line| line.contains("unsampled")).collect();
    let named: Vec<_> = lines.iter().map(|line| line.contains("trace_id")).collect();
    assert_eq!(named, [false, true], "the client's own id is logged: {lines:?}");
}

/// One that refuses, and one that takes a connection and never answers.
#[tokio::test]
async fn a_dead_collector_slows_no_request_and_is_told_of_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    // Of an address of its own: no other test is given the port once it is free.
    let closed = TcpListener::bind("127.0.0.74:0").await.expect("a free port");
    let closed_address = closed.local_addr().expect("its address");
    drop(closed);
    let silent_address = silent.local_addr().expect("its address");
    for (address, is_told) in [(closed_address, true), (silent_address, false)] {
        let (_place, server) = traced(address, "").await;
        let began = Instant::now();
        // More than may wait.
        let mut connection = super::raw::Connection::open(server.address).await;
        for _ in 0..6_000 {
            connection.send(&get("/health").bytes()).await;
            assert_eq!(connection.answer(false).await.expect("an answer").status, 200);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(60), "6,000 requests took {took:?}");
        let dropped = async || {
            let text = get("/metrics").send(server.management).await.text();
            let metrics = Exposition::parse(&text).expect("OpenMetrics");
            metrics.value("stowage_spans_dropped_total", &[]).filter(|dropped| *dropped > 0.0)
        };
        eventually("spans are dropped", dropped).await;
        let began = Instant::now();
        let (status, log) = server.terminate().await;
        assert!(status.success(), "{log}");
        assert!(began.elapsed() < Duration::from_secs(10), "the end waits for nobody");
        let told = log.lines().filter(|line| line.contains("does not take traces")).count();
        assert!(told == 1 || !is_told && told == 0, "{told} times");
    }
}
