//! What a candidate does about a Lease. Pure: what was seen, and when, comes in.
//!
//! The algorithm is that of client-go's `leaderelection`: whether a holder is gone is told by how
//! long *this* process has seen the record unchanged, never by the times in the record, since
//! clocks differ; and each update carries the resourceVersion that it is based on, so that of two
//! candidates one wins and the other gets a conflict.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

/// The spans of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// For how long the others believe a leader that is silent.
    pub lease: Duration,
    /// After how long without a renewal a leader stops; less than `lease`, so that there is a gap
    /// between two leaders and never an overlap.
    pub renew_deadline: Duration,
    /// How long between two tries.
    pub retry: Duration,
}

impl Default for Spans {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(5),
        }
    }
}

/// What was last seen of the Lease.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    version: String,
    holder: Option<String>,
    lease: Duration,
    /// When this version was first seen.
    since: Instant,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is free, or its holder is gone.
    Acquire,
    /// It is ours.
    Renew,
    /// Somebody else leads.
    Wait,
}

impl Sighting {
    /// Sees `lease` at `now`; `before` is what was seen the last time.
    pub(super) fn new(lease: &Lease, before: Option<&Self>, now: Instant) -> Self {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let spec = lease.spec.as_ref();
        Self {
            since: before.filter(|seen| seen.version == version).map_or(now, |seen| seen.since),
            holder: spec
                .and_then(|spec| spec.holder_identity.clone())
                .filter(|holder| !holder.is_empty()),
            lease: spec
                .and_then(|spec| spec.lease_duration_seconds)
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map_or(Spans::default().lease, Duration::from_secs),
            version,
        }
    }

    /// Who holds it, if anybody.
    pub(super) fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }

    /// What `candidate` does at `now`.
    pub(super) fn step(&self, candidate: &str, now: Instant) -> Step {
        match &self.holder {
            Some(holder) if holder == candidate => Step::Renew,
            Some(_) if now.duration_since(self.since) < self.lease => Step::Wait,
            _ => Step::Acquire,
        }
    }
}

/// The record of `candidate` as the holder, on the ground of `before`.
pub(super) fn held(before: Option<&LeaseSpec>, candidate: &str, spans: Spans) -> LeaseSpec {
    let now = MicroTime(Timestamp::now());
    let renewed = before.filter(|spec| spec.holder_identity.as_deref() == Some(candidate));
    let transitions = before.and_then(|spec| spec.lease_transitions);
    LeaseSpec {
        holder_identity: Some(candidate.to_owned()),
        lease_duration_seconds: Some(i32::try_from(spans.lease.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: renewed
            .and_then(|spec| spec.acquire_time.clone())
            .or_else(|| Some(now.clone())),
        renew_time: Some(now),
        lease_transitions: match (before, renewed) {
            (_, Some(_)) => transitions,
            (Some(_), None) => Some(transitions.unwrap_or(0).saturating_add(1)),
            (None, None) => Some(0),
        },
        preferred_holder: None,
        strategy: None,
    }
}

/// The record of nobody: the next candidate need not wait.
pub(super) fn vacated(before: &LeaseSpec) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..before.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(version: &str, holder: &str) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.resource_version = Some(version.to_owned());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            // Clocks differ: what stands here must not matter.
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        });
        lease
    }

    #[test]
    fn a_holder_is_gone_when_its_record_was_seen_unchanged_for_its_whole_span() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = Sighting::new(&lease("1", "a"), None, start);
        assert_eq!(first.step("b", start), Step::Wait, "an old time in the record says nothing");
        assert_eq!(first.step("a", start), Step::Renew);

        let same = Sighting::new(&lease("1", "a"), Some(&first), at(14));
        assert_eq!(same.step("b", at(14)), Step::Wait);
        assert_eq!(same.step("b", at(15)), Step::Acquire);

        let renewed = Sighting::new(&lease("2", "a"), Some(&same), at(14));
        assert_eq!(renewed.step("b", at(15)), Step::Wait, "it was renewed in between");
        let free = Sighting::new(&lease("3", ""), Some(&renewed), at(15));
        assert_eq!(free.step("b", at(15)), Step::Acquire, "it was given up");
        assert_eq!(free.holder(), None);
    }

    #[test]
    fn records_count_the_changes_of_holder() {
        let spans = Spans::default();
        let first = held(None, "a", spans);
        assert_eq!((first.lease_transitions, first.lease_duration_seconds), (Some(0), Some(15)));
        let renewed = held(Some(&first), "a", spans);
        assert_eq!(renewed.lease_transitions, Some(0));
        assert_eq!(renewed.acquire_time, first.acquire_time, "it is still the same term");
        let gone = vacated(&renewed);
        assert_eq!(gone.holder_identity.as_deref(), Some(""));
        assert_eq!(held(Some(&gone), "b", spans).lease_transitions, Some(1));
    }
}
