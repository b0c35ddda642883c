//! What every reconcile has at hand.

use kube::Client;

use crate::kubernetes::{Backoff, Events};
use crate::options::Options;
use crate::process::Metrics;

/// Shared by all controllers of a process.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What whoever runs the operator decided.
    pub options: Options,
    /// Tells people what happened, by Events.
    pub events: Events,
    /// How long an object that keeps failing waits.
    pub backoff: Backoff,
    /// Counts and durations.
    pub metrics: Metrics,
}

impl Context {
    /// The context of one process.
    #[must_use]
    pub fn new(client: Client, options: Options) -> Self {
        Self {
            events: Events::new(client.clone()),
            backoff: Backoff::default(),
            metrics: Metrics::default(),
            client,
            options,
        }
    }
}
