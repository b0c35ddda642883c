//! What of a StoreNamespace never changes, and what of a Store, as the rules of their
//! CustomResourceDefinitions have it on a cluster. There the API server has the old object; here what
//! was seen of it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stowage_config::{ByteSize, Contract};
use stowage_crds::NamespaceContract;

use super::data_dir::DataDir;
use super::kept_keys::{self, Kept};
use super::plan::{NamespacePlan, Plan};
use super::read;
use crate::exit::Failure;
use crate::manifests::{Origin, Problems};

/// A StoreNamespace as it was taken up last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Seen {
    contract: NamespaceContract,
    /// The name by which it is served; earlier versions did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The greatest that there was, because it only grows.
    token_generation: u32,
}

impl Seen {
    /// What is to be known of it later.
    pub(crate) fn of(namespace: &NamespacePlan) -> Self {
        let NamespacePlan { contract, token_generation, .. } = *namespace;
        Self { contract, name: Some(namespace.subject.clone()), token_generation }
    }
}

/// A field, and why a cluster would refuse what is written there.
type Refused = (&'static str, String);

/// What a cluster would refuse of a StoreNamespace that was seen before.
fn refused(seen: &Seen, next: &NamespacePlan) -> Vec<Refused> {
    let mut refused = Vec::new();
    if next.contract != seen.contract {
        let before = Contract::from(seen.contract).as_str();
        refused.push(("spec.contract", cannot_change("contract", before)));
    }
    if let Some(before) = seen.name.as_ref().filter(|before| **before != next.subject) {
        refused.push(("spec.name", cannot_change("name", before)));
    }
    if next.token_generation < seen.token_generation {
        let message = format!(
            "tokenGeneration only grows: a smaller number would make revoked tokens good again; \
             write {} or more",
            seen.token_generation
        );
        refused.push(("spec.tokenGeneration", message));
    }
    refused
}

fn cannot_change(field: &str, before: &str) -> String {
    format!(
        "{field} cannot change: write {before} again, or take the resource out, and put it back \
         as another one once that has been taken up"
    )
}

/// The same of the volume of a Store.
fn shrinks(before: Option<&ByteSize>, next: Option<&ByteSize>) -> Option<Refused> {
    let (before, next) = (before?, next?);
    (next.bytes() < before.bytes()).then(|| {
        let message = format!(
            "a volume cannot shrink: write the old size ({before}) or more, or make a smaller \
             Store and copy the data into it"
        );
        ("spec.backend.volume.size", message)
    })
}

/// Looks at all Stores and StoreNamespaces of a plan that are kept, also at suspended Stores. Of a
/// Store without StoreNamespaces nothing is kept: what is known of it is the plan `before`.
///
/// # Errors
/// [`Failure::Input`] with everything that a cluster would refuse, [`Failure::Environment`] where
/// what is kept cannot be read.
pub(crate) fn check(next: &Plan, before: &Plan, data: &DataDir) -> Result<(), Failure> {
    let known = known(next, data)?;
    let holder = |namespace: &str| {
        known.iter().find(|(_, kept)| kept.namespaces.contains_key(namespace)).map(|it| it.0)
    };
    let nowhere = Origin { file: data.root().to_owned(), line: 0, fields: BTreeMap::new() };
    let mut problems = Vec::new();
    for store in &next.stores {
        let kept = known.get(&store.name);
        let size = kept.and_then(|kept| kept.volume_size.as_ref());
        let size = size.or_else(|| before.store(&store.name)?.volume_size.as_ref());
        let origin = next.origins.stores.get(&store.name).unwrap_or(&nowhere);
        let refusal = shrinks(size, store.volume_size.as_ref());
        problems.extend(refusal.map(|(field, said)| read::problem(origin, field, said)));
        for namespace in &store.namespaces {
            let refused = match kept.and_then(|kept| kept.namespaces.get(&namespace.name)) {
                Some(place) => place.seen.iter().flat_map(|it| refused(it, namespace)).collect(),
                None => {
                    let other = holder(&namespace.name);
                    let moved = |other: &String| cannot_change("storeRef", other);
                    Vec::from_iter(other.map(|it| ("spec.storeRef.name", moved(it))))
                }
            };
            let origin = next.origins.namespaces.get(&namespace.name).unwrap_or(&nowhere);
            let refused = refused.into_iter();
            problems.extend(refused.map(|(field, said)| read::problem(origin, field, said)));
        }
    }
    match Problems::new(problems) {
        Some(problems) => Err(Failure::Input(read::describe(&problems))),
        None => Ok(()),
    }
}

/// What is kept, by the Store; also of Stores that the plan does not have any more.
fn known(plan: &Plan, data: &DataDir) -> Result<BTreeMap<String, Kept>, Failure> {
    let mut known = BTreeMap::new();
    for store in plan.store_names() {
        let kept = kept_keys::kept(&data.signing_key(store))?;
        known.extend(kept.map(|kept| (store.to_owned(), kept)));
    }
    // What cannot be read of those is somebody else's, for all that is known.
    for store in data.stores_with_keys().unwrap_or_default() {
        if plan.store(&store).is_none()
            && let Ok(Some(kept)) = kept_keys::kept(&data.signing_key(&store))
        {
            known.insert(store, kept);
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use stowage_crds::NamespaceContract::{Artifacts, Jobs, Kv, RunStore};

    use super::*;
    use crate::up::examples;

    #[test]
    fn a_contract_and_a_name_stay_and_a_generation_only_grows() {
        let contract = "spec.contract";
        let generation = "spec.tokenGeneration";
        let table: &[(_, u32, _, u32, &[&str])] = &[
            (Kv, 0, Kv, 0, &[]),
            (Kv, 2, Kv, 2, &[]),
            (Kv, 2, Kv, 1_000_000_000, &[]),
            (Kv, 2, Kv, 1, &[generation]),
            (Jobs, 1_000_000_000, Jobs, 0, &[generation]),
            (Kv, 2, RunStore, 2, &[contract]),
            (Artifacts, 2, Jobs, 3, &[contract]),
            (Kv, 2, Artifacts, 1, &[contract, generation]),
        ];
        for &(contract, token_generation, next, next_generation, expected) in table {
            let next = NamespacePlan {
                contract: next,
                token_generation: next_generation,
                ..examples::namespace("cart")
            };
            let fields = |name: Option<&str>| {
                let seen = Seen { contract, name: name.map(str::to_owned), token_generation };
                refused(&seen, &next).into_iter().map(|(field, _)| field).collect::<Vec<_>>()
            };
            assert_eq!(fields(Some("cart")), expected, "{contract:?} {token_generation} {next:?}");
            assert_eq!(fields(None), expected, "of an earlier version");
            let other = fields(Some("basket"));
            assert!(other.contains(&"spec.name"), "{other:?}");
            assert_eq!(other.len(), expected.len() + 1, "{other:?}");
        }
    }

    #[test]
    fn a_volume_never_shrinks() {
        let table = [
            (None, Some("1Gi"), false),
            (Some("1Gi"), None, false),
            (Some("1Gi"), Some("1024Mi"), false),
            (Some("1Gi"), Some("2G"), false),
            (Some("1Gi"), Some("1G"), true),
        ];
        for (before, next, expected) in table {
            let size = |text: Option<&str>| text.map(|it| it.parse::<ByteSize>().unwrap());
            let refused = shrinks(size(before).as_ref(), size(next).as_ref());
            assert_eq!(refused.is_some(), expected, "{before:?} {next:?}: {refused:?}");
        }
    }

    #[test]
    fn a_store_without_namespaces_is_known_while_it_runs() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        let plan = |size: &str| {
            let mut plan = examples::suspended(&[("demo", &[])]);
            plan.stores[0].volume_size = size.parse().ok();
            plan
        };
        check(&plan("1Gi"), &Plan::default(), &data).unwrap();
        check(&plan("2Gi"), &plan("1Gi"), &data).unwrap();
        let refused = check(&plan("1Gi"), &plan("2Gi"), &data).unwrap_err();
        assert!(refused.to_string().contains("the old size (2Gi) or more"), "{refused}");
    }
}
