//! Traces of requests, by the OpenTelemetry protocol.
//!
//! Spans are made by hand: there are one for each request and a few for what it waits for, and where no
//! collector is configured a request pays for one branch. `context` decides what is traced, `request`
//! and `store` make the spans, `export` takes them off the requests' hands: a queue with a bound, and a
//! task that sends what is in it. A span holds no token, no query, no body and no path: its route's
//! template, as the access log has it.

mod context;
mod environment;
mod export;
mod request;
mod store;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use stowage_config::Otlp;
use stowage_store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::context::Sampler;
pub(crate) use self::context::TraceId;
pub(crate) use self::environment::from_environment;
use self::export::{Counts, Exporter};
pub(crate) use self::request::{Ended, RequestTrace};
use self::store::Traced;

/// How many spans may wait to be sent; what comes beyond that is dropped.
const WAITING_MAX: usize = 4096;

/// How long the last spans may take on their way once the server has ended.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Makes spans and hands them on, without ever waiting.
#[derive(Debug)]
pub(crate) struct Tracer {
    sampler: Sampler,
    spans: mpsc::Sender<Span>,
    counts: Arc<Counts>,
}

impl Tracer {
    /// Hands a span on. Where too many wait, it is dropped.
    fn send(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.counts.dropped(1);
        }
    }

    /// How many spans arrived, and how many were dropped.
    pub(crate) fn sent_and_dropped(&self) -> (u64, u64) {
        self.counts.read()
    }
}

/// The task that sends spans.
#[derive(Debug)]
pub(crate) struct Sending {
    task: JoinHandle<()>,
    end: CancellationToken,
}

impl Sending {
    /// Sends what waits, for as long as that may take.
    pub(crate) async fn finish(self) {
        self.end.cancel();
        // The task ends by itself, and before that.
        if tokio::time::timeout(FLUSH_MAX, self.task).await.is_err() {
            tracing::warn!("the last traces did not reach the collector in time and are lost");
        }
    }
}

/// Starts to send to a collector, on behalf of the store of this name.
pub(crate) fn start(otlp: &Otlp, store: &str) -> (Arc<Tracer>, Sending) {
    let (spans, waiting) = mpsc::channel(WAITING_MAX);
    let counts = Arc::<Counts>::default();
    let exporter = Exporter::new(otlp, store, Arc::clone(&counts));
    let end = CancellationToken::new();
    let task = tokio::spawn(exporter.run(waiting, end.clone()));
    let tracer = Tracer { sampler: Sampler::new(otlp.sample_ratio), spans, counts };
    (Arc::new(tracer), Sending { task, end })
}

/// A store whose work is a part of the traces of those who wait for it.
pub(crate) fn traced(store: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(Traced::new(store))
}
