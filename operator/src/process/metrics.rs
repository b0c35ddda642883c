//! What the operator measures, in OpenMetrics.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// There is nothing left to do.
    Succeeded,
    /// It is tried again.
    Failed,
    /// The object does not parse: somebody has to change it.
    Invalid,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReconcile {
    kind: String,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSync {
    reason: String,
}

type Durations = Family<OfKind, Histogram, fn() -> Histogram>;

/// From 2 ms up, to half a minute.
fn duration_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.002, 2.0, 14))
}

/// Counts and durations of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    leading: Gauge,
    reconciles: Family<OfReconcile, Counter>,
    durations: Durations,
    syncs: Family<OfSync, Counter>,
    writes: Family<OfKind, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("stowage_operator");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", version);
        let leading = Gauge::default();
        registry.register(
            "leading",
            "1 where this process acts, 0 where it stands by",
            leading.clone(),
        );
        let reconciles = Family::default();
        registry.register("reconciles", "Reconciles by kind and outcome", reconciles.clone());
        let durations: Durations = Family::new_with_constructor(duration_histogram);
        registry.register_with_unit(
            "reconcile_duration",
            "How long reconciles take",
            Unit::Seconds,
            durations.clone(),
        );
        let syncs = Family::default();
        registry.register("syncs", "Finished Git syncs by reason", syncs.clone());
        let writes = Family::default();
        registry.register(
            "writes",
            "Writes to the API server, by the kind of the object; but for Leases",
            writes.clone(),
        );
        Self { registry, leading, reconciles, durations, syncs, writes }
    }
}

impl Metrics {
    /// This process acts from now on.
    pub fn leads(&self) {
        self.leading.set(1);
    }

    /// A reconcile of `kind` ended.
    pub fn reconciled(&self, kind: &str, outcome: Outcome, took: Duration) {
        let kind = kind.to_owned();
        self.durations.get_or_create(&OfKind { kind: kind.clone() }).observe(took.as_secs_f64());
        self.reconciles.get_or_create(&OfReconcile { kind, outcome }).inc();
    }

    /// A Git sync ended; `reason` is the word of its report.
    pub fn synced(&self, reason: &str) {
        self.syncs.get_or_create(&OfSync { reason: reason.to_owned() }).inc();
    }

    /// An object of `kind` was written or removed, or its status was.
    pub fn wrote(&self, kind: &str) {
        self.writes.get_or_create(&OfKind { kind: kind.to_owned() }).inc();
    }

    /// All of it as OpenMetrics text.
    ///
    /// # Errors
    /// The formatter's, which a string does not cause.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
