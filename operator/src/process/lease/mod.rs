//! Leader election: of several operators one acts.

mod record;

use std::time::Instant;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
pub use record::Spans;
use record::{Sighting, Step, held, vacated};
use tokio_util::sync::CancellationToken;

use crate::kubernetes::in_words;

/// A candidate for one Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    spans: Spans,
    seen: Option<Sighting>,
    renewed: Option<Instant>,
}

/// The leader leads no more, or may not.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// It has not been able to renew in time: somebody else may lead by now.
    #[error(
        "the Lease {lease} could not be renewed for {seconds} s, so another operator may lead: \
         this one stops"
    )]
    NotRenewed {
        /// The Lease.
        lease: String,
        /// How long.
        seconds: u64,
    },
    /// Another one has it.
    #[error("the Lease {lease} was taken by {holder}, so that one leads: this one stops")]
    Taken {
        /// The Lease.
        lease: String,
        /// Who has it now.
        holder: String,
    },
}

impl Candidate {
    /// A candidate named `identity`, which no other process may be, for the Lease `name`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, spans: Spans) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            spans,
            seen: None,
            renewed: None,
        }
    }

    /// Waits until this candidate leads; `false` where `shutdown` came first.
    pub async fn acquire(&mut self, shutdown: &CancellationToken) -> bool {
        loop {
            match self.attempt().await {
                Ok(true) => {
                    tracing::info!(lease = self.name, identity = self.identity, "leading");
                    return true;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = in_words(&error), lease = self.name, "no Lease yet")
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(self.spans.retry) => {}
            }
        }
    }

    /// Renews until `shutdown`.
    ///
    /// # Errors
    /// [`Lost`], in time for the leader to stop before another one may start.
    pub async fn hold(&mut self, shutdown: &CancellationToken) -> Result<(), Lost> {
        loop {
            let since = self.renewed.unwrap_or_else(Instant::now);
            let left = self.spans.renew_deadline.saturating_sub(since.elapsed());
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.spans.retry.min(left)) => {}
            }
            let left = self.spans.renew_deadline.saturating_sub(since.elapsed());
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(false)) if !self.leads() => return Err(self.taken()),
                // Renewed; or the record was edited at that moment, which the next look sorts out.
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => {
                    tracing::warn!(error = in_words(&error), lease = self.name, "not renewed")
                }
                Err(_) => {}
            }
            if since.elapsed() >= self.spans.renew_deadline {
                return Err(self.lost());
            }
        }
    }

    /// Gives the Lease up, so that the next one need not wait. What fails here costs the others
    /// one span and nothing else.
    pub async fn release(&mut self) {
        let Ok(Some(lease)) = self.api.get_opt(&self.name).await else { return };
        let ours = |spec: &&k8s_openapi::api::coordination::v1::LeaseSpec| {
            spec.holder_identity.as_ref() == Some(&self.identity)
        };
        let Some(spec) = lease.spec.as_ref().filter(ours).map(vacated) else { return };
        let lease = Lease { spec: Some(spec), ..lease };
        match self.api.replace(&self.name, &PostParams::default(), &lease).await {
            Ok(_) => tracing::info!(lease = self.name, "released"),
            Err(error) => {
                tracing::warn!(error = in_words(&error), lease = self.name, "not released")
            }
        }
    }

    fn leads(&self) -> bool {
        self.seen.as_ref().and_then(Sighting::holder) == Some(self.identity.as_str())
    }

    fn lost(&self) -> Lost {
        let seconds = self.spans.renew_deadline.as_secs();
        Lost::NotRenewed { lease: self.name.clone(), seconds }
    }

    fn taken(&self) -> Lost {
        let holder = self.seen.as_ref().and_then(Sighting::holder).unwrap_or("nobody").to_owned();
        Lost::Taken { lease: self.name.clone(), holder }
    }

    /// One look, and what follows from it; gives whether this candidate leads.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let started = Instant::now();
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(held(None, &self.identity, self.spans)),
            };
            let created = self.api.create(&PostParams::default(), &lease).await;
            return self.concluded(created, started);
        };
        let seen = Sighting::new(&lease, self.seen.as_ref(), started);
        let step = seen.step(&self.identity, started);
        if self.seen.as_ref().and_then(Sighting::holder) != seen.holder() && step == Step::Wait {
            tracing::info!(lease = self.name, holder = seen.holder(), "another operator leads");
        }
        self.seen = Some(seen);
        if step == Step::Wait {
            return Ok(false);
        }
        let spec = Some(held(lease.spec.as_ref(), &self.identity, self.spans));
        let lease = Lease { spec, ..lease };
        let replaced = self.api.replace(&self.name, &PostParams::default(), &lease).await;
        self.concluded(replaced, started)
    }

    /// A conflict says that another one was faster.
    fn concluded(
        &mut self,
        result: Result<Lease, kube::Error>,
        started: Instant,
    ) -> Result<bool, kube::Error> {
        match result {
            Ok(lease) => {
                self.seen = Some(Sighting::new(&lease, self.seen.as_ref(), started));
                // From before the request: the others count from when they see it.
                self.renewed = Some(started);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 409) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
