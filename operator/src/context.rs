//! What every reconcile has at hand.

use k8s_openapi::api::events::v1::Event;
use kube::{Client, Resource};

use crate::kubernetes::{Backoff, Events, Severity};
use crate::options::Options;
use crate::process::Metrics;

/// Shared by all controllers of a process.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What whoever runs the operator decided.
    pub options: Options,
    events: Events,
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

    /// Tells people what happened to `object`, by an Event (see [`Events::publish`]).
    pub async fn tell<K>(
        &self,
        object: &K,
        severity: Severity,
        reason: &str,
        action: &str,
        note: &str,
    ) where
        K: Resource<DynamicType = ()>,
    {
        if self.events.publish(object, severity, reason, action, note).await {
            self.wrote::<Event>();
        }
    }

    /// Counts a write to an object of a kind. Everything that the controllers write is counted
    /// where it is written.
    pub(crate) fn wrote<K>(&self)
    where
        K: Resource<DynamicType = ()>,
    {
        self.metrics.wrote(&K::kind(&()));
    }
}
