//! What is counted, as OpenMetrics. Labels are bounded: routes are templates, methods known ones.

mod engine;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use stowage_store::{BackendKind, Capacity, Stats};

use crate::telemetry::Tracer;

/// What every name begins with.
const PREFIX: &str = "stowage";

/// The metrics of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Family<RouteLabels, Histogram>,
    in_flight: Gauge,
    request_body: Counter,
    response_body: Counter,
    auth_failures: Family<AuthLabels, Counter>,
    held_off: Counter,
    connections: Arc<Gauge>,
    streams_stalled: Counter,
    watchers: Arc<Gauge>,
    documents_skipped: Counter,
    tracer: Option<Arc<Tracer>>,
    key_fetches: Family<FetchLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    method: &'static str,
    status_class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthLabels {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    outcome: &'static str,
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(store: &str, backend: BackendKind, tracer: Option<Arc<Tracer>>) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let requests = Family::default();
        let duration = Family::new_with_constructor(seconds as fn() -> Histogram);
        let (in_flight, connections) = (Gauge::default(), Arc::<Gauge>::default());
        let (request_body, response_body) = (Counter::default(), Counter::default());
        let watchers = Arc::<Gauge>::default();
        let streams_stalled = Counter::default();
        let auth_failures = Family::default();
        let held_off = Counter::default();
        let documents_skipped = Counter::default();
        let key_fetches = Family::default();

        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "From a request's head to its answer's head",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests that are being answered",
            in_flight.clone(),
        );
        registry.register("http_connections", "Open connections", (*connections).clone());
        registry.register(
            "http_streams_stalled",
            "Streams of HTTP/2 that were reset because their peer took nothing of them",
            streams_stalled.clone(),
        );
        registry.register(
            "watchers",
            "Streams of events, and answers that are held until something changes",
            (*watchers).clone(),
        );
        registry.register_with_unit(
            "http_request_body",
            "Declared lengths of request bodies",
            Unit::Bytes,
            request_body.clone(),
        );
        registry.register_with_unit(
            "http_response_body",
            "Lengths of response bodies",
            Unit::Bytes,
            response_body.clone(),
        );
        registry.register(
            "auth_failures",
            "Requests refused with 401 or 403",
            auth_failures.clone(),
        );
        registry.register(
            "auth_held_off",
            "Requests whose credentials were not looked at, because too many of their address were no good",
            held_off.clone(),
        );
        registry.register(
            "jobs_documents_skipped",
            "Documents that lists of the contract jobs left out because they do not parse or cannot be read",
            documents_skipped.clone(),
        );
        registry.register(
            "jwt_key_fetches",
            "Fetches of the keys that JWTs are checked with",
            key_fetches.clone(),
        );
        registry.register(
            "store",
            "The store that is served",
            Info::new([("store", store.to_owned()), ("backend", backend.as_str().to_owned())]),
        );
        registry.register(
            "build",
            "The program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            registry,
            requests,
            duration,
            in_flight,
            request_body,
            response_body,
            auth_failures,
            held_off,
            connections,
            streams_stalled,
            watchers,
            documents_skipped,
            tracer,
            key_fetches,
        }
    }

    /// Counts a request in, with the length that its head declares.
    pub(crate) fn request_started(&self, body_bytes: Option<u64>) {
        self.in_flight.inc();
        self.request_body.inc_by(body_bytes.unwrap_or(0));
    }

    /// Counts a request out.
    pub(crate) fn request_ended(
        &self,
        route: &'static str,
        method: &Method,
        status: u16,
        duration: Duration,
        bytes: u64,
    ) {
        self.in_flight.dec();
        self.response_body.inc_by(bytes);
        let method = known(method);
        if matches!(status, 401 | 403) {
            self.auth_failures.get_or_create(&AuthLabels { status }).inc();
        }
        let labels = RouteLabels { route, method, status_class: class(status) };
        self.duration.get_or_create(&labels).observe(duration.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
    }

    /// Counts documents that a list of jobs, runs, checkpoints or events left out.
    pub(crate) fn documents_skipped(&self, count: u64) {
        self.documents_skipped.inc_by(count);
    }

    /// Counts a request whose credentials were not looked at.
    pub(crate) fn held_off(&self) {
        self.held_off.inc();
    }

    /// Counts a fetch of the keys of JWTs.
    pub(crate) fn keys_fetched(&self, is_ok: bool) {
        let outcome = if is_ok { "fetched" } else { "failed" };
        self.key_fetches.get_or_create(&FetchLabels { outcome }).inc();
    }

    /// Counts an open connection until the guard is dropped.
    pub(crate) fn connection(&self) -> Counted {
        Counted::one_more(&self.connections)
    }

    /// Counts streams of HTTP/2 that were reset because their peer took nothing of them.
    pub(crate) fn streams_stalled(&self, count: usize) {
        self.streams_stalled.inc_by(count as u64);
    }

    /// Counts somebody who watches until the guard is dropped.
    pub(crate) fn watcher(&self) -> Counted {
        Counted::one_more(&self.watchers)
    }

    /// The OpenMetrics text, with what the store tells of itself.
    pub(crate) fn text(&self, engine: Option<&Stats>, capacity: Option<Capacity>) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode_registry(&mut text, &self.registry);
        if let Some(stats) = engine {
            let _ = engine::encode(&mut text, stats);
        }
        if let Some(capacity) = capacity {
            let _ = engine::encode_capacity(&mut text, capacity);
        }
        if let Some(tracer) = &self.tracer {
            let _ = encode_registry(&mut text, &spans(tracer));
        }
        let _ = encode_eof(&mut text);
        text
    }
}

/// Counts one less when it is dropped.
pub(crate) struct Counted(Gauge);

impl Counted {
    fn one_more(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What became of the spans that were made.
fn spans(tracer: &Tracer) -> Registry {
    let (sent, dropped) = tracer.sent_and_dropped();
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("spans_sent", "Spans that the collector took", ConstCounter::new(sent));
    registry.register(
        "spans_dropped",
        "Spans that were dropped because the collector did not take them",
        ConstCounter::new(dropped),
    );
    registry
}

/// From half a millisecond to sixteen seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

/// A method's name, or `other`: a client may send any word, and a label for each would have no end.
pub(crate) fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// A histogram for each status would have many series for little.
fn class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use stowage_store::{Key, Preconditions, Store, VolumeOptions, VolumeStore};

    use super::*;

    /// A store that has written and is traced, so that every metric is there.
    async fn text() -> String {
        let endpoint = "http://127.0.0.1:9".parse().unwrap();
        let (tracer, _) = crate::telemetry::start(&stowage_config::Otlp::new(endpoint), "demo");
        let directory = tempfile::tempdir().unwrap();
        let store = VolumeStore::open(directory.path(), &VolumeOptions::default()).unwrap();
        let key = Key::default_run_store();
        store.put(&key, "1".into(), Preconditions::none()).await.unwrap();
        let metrics = Metrics::new("demo", BackendKind::Local, Some(tracer));
        // What has labels is there from its first request on.
        metrics.request_started(None);
        metrics.keys_fetched(true);
        metrics.request_ended("/", &Method::GET, 401, Duration::ZERO, 0);
        metrics.text(store.stats().as_ref(), store.capacity().await.unwrap())
    }

    #[tokio::test]
    async fn the_page_names_every_metric() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/http.md");
        let page = std::fs::read_to_string(page).unwrap();
        let text = text().await;
        let mut names = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            // As it is scraped: a counter and an info have their suffix.
            let (name, suffix) = match line.split_once(' ').unwrap() {
                (name, "counter") => (name, "_total"),
                (name, "info") => (name, "_info"),
                (name, _) => (name, ""),
            };
            names.push(format!("{name}{suffix}"));
        }
        assert!(names.len() > 20, "{text}");
        for name in &names {
            assert!(page.contains(&format!("| `{name}` |")), "docs/http.md lacks {name}");
        }
        for named in page.lines().filter_map(|line| line.strip_prefix("| `stowage_")) {
            let name = format!("stowage_{}", named.split('`').next().unwrap());
            assert!(names.contains(&name), "docs/http.md has {name}, which is none");
        }
    }

    #[tokio::test]
    async fn what_operators_are_told_to_watch_is_there() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let page = std::fs::read_to_string(page).unwrap();
        let text = text().await;
        let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let named: Vec<_> =
            page.split(word).filter(|it| it.starts_with("stowage_") && it.len() > 8).collect();
        assert!(named.len() > 5, "docs/operations.md names few metrics: {named:?}");
        for name in named {
            let is_there = text.lines().any(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            });
            assert!(is_there, "docs/operations.md names {name}, which is none");
        }
    }

    #[test]
    fn every_status_has_a_class() {
        let table = [(100, "1xx"), (200, "2xx"), (304, "3xx"), (499, "4xx"), (500, "5xx")];
        for (status, expected) in table {
            assert_eq!(class(status), expected, "{status}");
        }
    }
}
