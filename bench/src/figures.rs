//! What one run comes to.

use crate::load::Measured;
use crate::usage::Usage;

/// The figures of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    /// Acknowledged operations.
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU time of the server for an operation.
    pub(crate) server_us: f64,
    /// CPU time of the load generator for an operation, where it was not the server itself.
    pub(crate) generator_us: f64,
    /// Bytes that the disk wrote for an operation.
    pub(crate) written: Option<f64>,
    /// Flushes of the disk for an operation.
    pub(crate) flushes: Option<f64>,
    /// Lost races for an operation.
    pub(crate) lost: f64,
}

/// One of the [`Figures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Throughput,
    P50,
    P99,
    ServerCpu,
    GeneratorCpu,
    Written,
    Flushes,
    Lost,
}

impl Figures {
    pub(crate) fn new(measured: &Measured<Usage>) -> Self {
        let used = measured.after.since(&measured.before);
        // A run without an operation is one of zero throughput, not of no figures.
        let done = measured.done.max(1) as f64;
        let at = |quantile| measured.latencies.value_at_quantile(quantile) as f64 / 1e6;
        Self {
            per_second: measured.done as f64 / measured.elapsed.as_secs_f64(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            server_us: used.server.as_secs_f64() * 1e6 / done,
            generator_us: used.generator.as_secs_f64() * 1e6 / done,
            written: used.disk.map(|disk| disk.written as f64 / done),
            flushes: used.disk.map(|disk| disk.flushes as f64 / done),
            lost: measured.lost as f64 / done,
        }
    }

    pub(crate) fn get(&self, figure: Figure) -> Option<f64> {
        Some(match figure {
            Figure::Throughput => self.per_second,
            Figure::P50 => self.p50_ms,
            Figure::P99 => self.p99_ms,
            Figure::ServerCpu => self.server_us,
            Figure::GeneratorCpu => self.generator_us,
            Figure::Written => return self.written,
            Figure::Flushes => return self.flushes,
            Figure::Lost => self.lost,
        })
    }
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values[low] + values[high]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
