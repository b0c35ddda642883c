//! Which of several Stores that keep their data in one claim may have it: pure.
//!
//! Two servers must never write one volume. The server's lock sees to that on one node, by ending
//! the second of them, over and over; and which one is the second, a restart decides.

use kube::ResourceExt;
use stowage_crds::{Backend, Store};

use super::names;

/// The name of the Store that was there before `store` and keeps its data in the same claim;
/// `None` where the claim is left to `store`.
#[must_use]
pub(super) fn find(store: &Store, all: &[Store]) -> Option<String> {
    let rivals = all.iter().filter(|other| {
        other.uid() != store.uid()
            && other.metadata.deletion_timestamp.is_none()
            && claim(other) == claim(store)
    });
    rivals
        .filter(|other| age(other) < age(store))
        .min_by_key(|other| age(other))
        .map(Store::name_any)
}

fn claim(store: &Store) -> String {
    let Backend::Volume(volume) = &store.spec.backend;
    volume.existing_claim.clone().unwrap_or_else(|| names::claim(&store.name_any()))
}

/// Orders by age; of two that were made within one second, by name.
fn age(store: &Store) -> (Option<k8s_openapi::jiff::Timestamp>, String) {
    (store.creation_timestamp().map(|time| time.0), store.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store(name: &str, second: u32, claim: Option<&str>, leaving: bool) -> Store {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        let volume = match claim {
            Some(claim) => json!({"existingClaim": claim}),
            None => json!({"size": "1Gi"}),
        };
        let mut metadata = json!({
            "name": name, "namespace": "shop", "uid": name, "creationTimestamp": time,
        });
        if leaving {
            metadata["deletionTimestamp"] = json!(time);
        }
        serde_json::from_value(
            json!({"metadata": metadata, "spec": {"backend": {"volume": volume}}}),
        )
        .unwrap()
    }

    #[test]
    fn the_one_that_was_there_first_has_it() {
        let own = store("a", 1, None, false);
        let table = [
            (store("b", 2, Some("a-data"), false), None, Some("a"), "the claim of another Store"),
            (store("b", 0, Some("a-data"), false), Some("b"), None, "one that came before it"),
            (store("0", 1, Some("a-data"), false), Some("0"), None, "within the same second"),
            (store("b", 0, Some("a-data"), true), None, None, "one that is on its way out"),
            (store("b", 0, Some("other"), false), None, None, "another claim"),
            (store("b", 0, None, false), None, None, "a claim of its own"),
        ];
        for (other, holder_for_own, holder_for_other, case) in table {
            let all = [own.clone(), other.clone()];
            assert_eq!(find(&own, &all).as_deref(), holder_for_own, "{case}");
            if other.metadata.deletion_timestamp.is_none() {
                assert_eq!(find(&other, &all).as_deref(), holder_for_other, "{case}");
            }
        }
    }
}
