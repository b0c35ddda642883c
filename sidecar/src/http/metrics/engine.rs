//! What the storage engine tells, as metrics. It is asked when they are read, so it needs to know
//! nothing of them, and no write pays for more than a count.

use std::fmt::{self, Write};

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use stowage_store::stats::{Histogram, Usage};
use stowage_store::{Capacity, Stats};

const NANOSECONDS: f64 = 1e-9;

/// Writes the engine's metrics.
pub(super) fn encode(text: &mut impl Write, stats: &Stats) -> fmt::Result {
    let mut all = Metrics::new();
    all.histogram(
        "commit_records",
        "Records that one commit wrote and synced",
        None,
        (&stats.commits, 1.0),
    );
    all.histogram(
        "journal_sync_duration",
        "How long a sync of the journal took",
        Some(Unit::Seconds),
        (&stats.syncs, NANOSECONDS),
    );
    all.histogram(
        "checkpoint_duration",
        "How long a round took that brought the tree up to date",
        Some(Unit::Seconds),
        (&stats.checkpoints, NANOSECONDS),
    );
    all.registry.register_with_unit(
        "checkpoint_age",
        "Time since the last checkpoint for which there was room",
        Unit::Seconds,
        ConstGauge::new(stats.since_checkpoint.as_secs_f64()),
    );
    all.registry.register(
        "out_of_space",
        "Writes and uploads that were refused because the volume is full",
        ConstCounter::new(stats.refused_for_room),
    );
    all.registry.register(
        "history_evictions",
        "Times that versions of a document, a namespace or a set went, or were not kept, because the volume is full",
        ConstCounter::new(stats.history_evictions),
    );
    all.gauge("commit_queue_records", "Writes that wait for the journal", stats.queued);
    all.usage(["journal", "journal_limit"], "room of the journal on the volume", stats.journal);
    all.gauge("journal_segments", "Segments of the journal", stats.segments);
    all.usage(["dirty", "dirty_limit"], "memory for what is not in the tree yet", stats.dirty);
    all.gauge(
        "dirty_entries",
        "Documents and namespaces with changes that are not in the tree yet",
        stats.dirty_entries,
    );
    all.usage(["cache", "cache_limit"], "memory for what is read again", stats.cache);
    all.gauge(
        "cache_entries",
        "Documents and namespaces that are held to be read again",
        stats.cache_entries,
    );
    encode_registry(text, &all.registry)
}

/// Writes how full the volume is.
pub(super) fn encode_capacity(text: &mut impl Write, capacity: Capacity) -> fmt::Result {
    let mut all = Metrics::new();
    all.bytes("volume_size", "The size of the volume", capacity.bytes);
    all.bytes(
        "volume_available",
        "What of the volume may still be written",
        capacity.available_bytes,
    );
    encode_registry(text, &all.registry)
}

struct Metrics {
    registry: Registry,
}

impl Metrics {
    fn new() -> Self {
        Self { registry: Registry::with_prefix(super::PREFIX) }
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.registry.register(name, help, ConstGauge::new(value));
    }

    fn bytes(&mut self, name: &str, help: &str, value: u64) {
        self.registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(value));
    }

    fn usage(&mut self, [used, limit]: [&str; 2], what: &str, usage: Usage) {
        self.bytes(used, &format!("In use: {what}"), usage.bytes);
        self.bytes(limit, &format!("The bound: {what}"), usage.limit_bytes);
    }

    /// A histogram whose values are so many of the unit each.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        (values, scale): (&Histogram, f64),
    ) {
        let metric = ConstHistogram { values: values.clone(), scale };
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric),
            None => self.registry.register(name, help, metric),
        }
    }
}

/// A histogram that was counted elsewhere.
#[derive(Debug)]
struct ConstHistogram {
    values: Histogram,
    /// What one of its values is in the metric's unit.
    scale: f64,
}

impl EncodeMetric for ConstHistogram {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let Histogram { buckets, above, sum } = &self.values;
        let last = (f64::INFINITY, *above);
        let bounded = buckets.iter().map(|(bound, count)| (*bound as f64 * self.scale, *count));
        let buckets: Vec<_> = bounded.chain([last]).collect();
        let sum = *sum as f64 * self.scale;
        encoder.encode_histogram::<NoLabelSet>(sum, self.values.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
