//! What of a StoreNamespace never changes, as the rules of its CustomResourceDefinition have it on a
//! cluster. There the API server has the old object; here what was seen of it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stowage_config::Contract;
use stowage_crds::NamespaceContract;

use super::data_dir::DataDir;
use super::kept_keys;
use super::plan::{NamespacePlan, Plan};
use super::read;
use crate::exit::Failure;
use crate::manifests::{Origin, Problems};

/// A StoreNamespace as it was taken up last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Seen {
    contract: NamespaceContract,
    /// The greatest that there was, because it only grows.
    token_generation: u32,
}

impl Seen {
    /// What is to be known of it later.
    pub(crate) fn of(namespace: &NamespacePlan) -> Self {
        let NamespacePlan { contract, token_generation, .. } = *namespace;
        Self { contract, token_generation }
    }
}

/// What a cluster would refuse of a StoreNamespace that was seen before: the field, and a sentence.
fn refused(seen: Seen, next: &NamespacePlan) -> Vec<(&'static str, String)> {
    let mut refused = Vec::new();
    if next.contract != seen.contract {
        let message = format!(
            "contract cannot change: write {} again, or take the resource out, and put it back as \
             another one once that has been taken up",
            Contract::from(seen.contract).as_str()
        );
        refused.push(("spec.contract", message));
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

/// Looks at all StoreNamespaces of a plan that are kept, also at those of suspended Stores.
///
/// # Errors
/// [`Failure::Input`] with everything that a cluster would refuse, [`Failure::Environment`] where
/// what is kept cannot be read.
pub(crate) fn check(plan: &Plan, data: &DataDir) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for store in &plan.stores {
        let seen: BTreeMap<String, Seen> = kept_keys::seen(&data.signing_key(&store.name))?;
        for namespace in &store.namespaces {
            let Some(seen) = seen.get(&namespace.name) else { continue };
            let nowhere = Origin { file: data.root().to_owned(), line: 0 };
            let origin = plan.origins.get(&namespace.name).unwrap_or(&nowhere);
            let refused = refused(*seen, namespace).into_iter();
            problems.extend(refused.map(|(field, said)| read::problem(origin, field, said)));
        }
    }
    match Problems::new(problems) {
        Some(problems) => Err(Failure::Input(read::describe(&problems))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use stowage_crds::NamespaceContract::{Artifacts, Jobs, Kv, RunStore};

    use super::*;
    use crate::up::examples;

    #[test]
    fn a_contract_stays_and_a_generation_only_grows() {
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
            let refused = refused(Seen { contract, token_generation }, &next);
            let fields: Vec<_> = refused.iter().map(|(field, _)| *field).collect();
            assert_eq!(fields, expected, "{contract:?} {token_generation} {next:?}");
        }
    }
}
