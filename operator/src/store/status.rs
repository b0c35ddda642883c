//! What the status says: pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use stowage_crds::{BackendStatus, Store, StoreStatus};

use super::diagnose::{Evidence, diagnose};
use super::names;
use super::validate::ValidatedStore;
use crate::kubernetes::Finding;

/// How a Store whose children are all in place stands.
pub(super) fn finding(
    store: &ValidatedStore,
    stateful_set: &StatefulSet,
    shortfall: Option<&Finding>,
    evidence: &Evidence<'_>,
) -> Finding {
    if store.suspended {
        return Finding::resting(
            "Suspended",
            "The store does not serve, and its data is kept: set spec.suspend to false to start it \
             again.",
        );
    }
    if let Some(shortfall) = shortfall {
        return shortfall.clone();
    }
    match rollout(stateful_set) {
        Rollout::Done => Finding::ready(
            "Serving",
            format!("The store serves at {}.", names::url(&store.name, &store.namespace)),
        ),
        Rollout::OldPodServes => {
            Finding::reconciling("Updating", "The pod is about to be replaced by a new one.")
        }
        Rollout::NotReady => diagnose(evidence),
    }
}

enum Rollout {
    /// A pod of the newest template is ready.
    Done,
    /// A pod of an older template is ready.
    OldPodServes,
    /// No pod is ready.
    NotReady,
}

fn rollout(stateful_set: &StatefulSet) -> Rollout {
    let Some(status) = &stateful_set.status else { return Rollout::NotReady };
    if status.ready_replicas.unwrap_or_default() < 1 {
        return Rollout::NotReady;
    }
    let seen = status.observed_generation >= stateful_set.metadata.generation;
    let updated = status.updated_replicas.unwrap_or_default() >= 1;
    if seen && updated { Rollout::Done } else { Rollout::OldPodServes }
}

/// The status of a Store whose children are in place.
pub(super) fn applied(
    store: &Store,
    validated: &ValidatedStore,
    finding: &Finding,
    stateful_set: &StatefulSet,
    claim: Option<&PersistentVolumeClaim>,
    signing_key: &str,
) -> StoreStatus {
    let pods = stateful_set.status.as_ref();
    let before = store.status.as_ref().and_then(|status| status.signing_key.clone());
    let knows = matches!(rollout(stateful_set), Rollout::Done);
    StoreStatus {
        signing_key: if knows { Some(signing_key.to_owned()) } else { before },
        url: Some(names::url(&validated.name, &validated.namespace)),
        replicas: Some(pods.map_or(0, |pods| pods.replicas)),
        ready_replicas: Some(pods.and_then(|pods| pods.ready_replicas).unwrap_or_default()),
        contracts: Some(validated.config.contracts.clone()),
        backend: Some(BackendStatus {
            kind: "volume".to_owned(),
            capacity: claim.and_then(capacity),
        }),
        ..blocked(store, finding)
    }
}

/// The status of a Store whose children are left as they are: what it said of them still holds.
pub(super) fn blocked(store: &Store, finding: &Finding) -> StoreStatus {
    let before = store.status.clone().unwrap_or_default();
    StoreStatus {
        observed_generation: store.metadata.generation,
        conditions: finding.conditions(&before.conditions, store.metadata.generation),
        ..before
    }
}

fn capacity(claim: &PersistentVolumeClaim) -> Option<String> {
    let capacity = claim.status.as_ref()?.capacity.as_ref()?;
    capacity.get("storage").map(|quantity| quantity.0.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(generation: i64, status: Value) -> StatefulSet {
        let metadata = json!({"name": "demo", "generation": generation});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    #[test]
    fn a_rollout_is_done_when_the_new_pod_is_ready() {
        let of = |set: &StatefulSet| match rollout(set) {
            Rollout::Done => "done",
            Rollout::OldPodServes => "old",
            Rollout::NotReady => "not ready",
        };
        let ready = json!({
            "replicas": 1, "observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 1,
        });
        let mut old = ready.clone();
        old["updatedReplicas"] = json!(0);
        let mut starting = ready.clone();
        starting["readyReplicas"] = json!(0);
        let table = [
            (2, ready.clone(), "done"),
            (3, ready, "old"),
            (2, old, "old"),
            (2, starting, "not ready"),
            (2, Value::Null, "not ready"),
        ];
        for (generation, status, expected) in table {
            assert_eq!(of(&set(generation, status.clone())), expected, "{generation} {status}");
        }
    }
}
