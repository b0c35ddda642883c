//! What is counted, as OpenMetrics. Labels are bounded: routes are templates, methods known ones.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use stowage_store::BackendKind;

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
    connections: Arc<Gauge>,
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
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthLabels {
    status: u16,
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(store: &str, backend: BackendKind) -> Self {
        let mut registry = Registry::with_prefix("stowage");
        let requests = Family::default();
        let duration = Family::new_with_constructor(seconds as fn() -> Histogram);
        let (in_flight, connections) = (Gauge::default(), Arc::<Gauge>::default());
        let (request_body, response_body) = (Counter::default(), Counter::default());
        let auth_failures = Family::default();

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
            connections,
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
        let labels = RouteLabels { route, method };
        self.duration.get_or_create(&labels).observe(duration.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
    }

    /// Counts an open connection until the guard is dropped.
    pub(crate) fn connection(&self) -> ConnectionGuard {
        self.connections.inc();
        ConnectionGuard(Arc::clone(&self.connections))
    }

    /// The OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Counts a connection out when it is dropped.
pub(crate) struct ConnectionGuard(Arc<Gauge>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// From half a millisecond to sixteen seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

/// A client may send any word as a method; a label for each would have no end.
fn known(method: &Method) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_metric() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/http.md");
        let page = std::fs::read_to_string(page).unwrap();
        let metrics = Metrics::new("demo", BackendKind::Local);
        // What has labels is there from its first request on.
        metrics.request_started(None);
        metrics.request_ended("/", &Method::GET, 401, Duration::ZERO, 0);
        let text = metrics.text();
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(names.len() > 8, "{text}");
        for line in names {
            // As it is scraped: a counter and an info have their suffix.
            let (name, suffix) = match line.split_once(' ').unwrap() {
                (name, "counter") => (name, "_total"),
                (name, "info") => (name, "_info"),
                (name, _) => (name, ""),
            };
            assert!(
                page.contains(&format!("| `{name}{suffix}` |")),
                "docs/http.md lacks {name}{suffix}"
            );
        }
    }
}
