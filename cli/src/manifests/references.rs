//! What no resource shows on its own: references, and what several of them share.

use std::collections::BTreeMap;

use stowage_crds::{Contract, RuntimeConfigSource};

use super::collection::{Collection, Found};
use super::kind::Kind;
use super::problem::Problem;
use super::resources::ObjectName;
use super::{credentials, source_schema};

/// Every problem between resources.
pub(super) fn check(all: &Collection) -> Vec<Problem> {
    let mut problems = credentials::tokens(all);
    problems.extend(credentials::jwt_keys(all));
    problems.extend(credentials::of_collectors(all));
    for namespace in &all.namespaces {
        let spec = &namespace.resource.spec;
        let store = &spec.store_ref.name;
        if let Some(message) = store_problem(all, &namespace.name, store, spec.contract.into()) {
            problems.push(namespace.document.problem_at("spec.storeRef.name", message));
        }
    }
    for source in &all.sources {
        problems.extend(branches(all, source));
        problems.extend(globs(source));
        problems.extend(credentials::of_source(all, source));
        problems.extend(source_schema::check(all, source));
    }
    problems.extend(published_twice(all));
    problems
}

fn store_problem(
    all: &Collection,
    from: &ObjectName,
    store: &str,
    contract: Contract,
) -> Option<String> {
    let wanted = ObjectName { namespace: from.namespace.clone(), name: store.to_owned() };
    let Some(found) = all.stores.iter().find(|store| store.name == wanted) else {
        return (!all.declares(Kind::Store, &wanted)).then(|| all.missing(Kind::Store, &wanted));
    };
    let serves = found.resource.spec.served_contracts().contains(&contract);
    (!serves).then(|| {
        format!(
            "the Store {store} does not serve the contract {contract}: add {contract} to its \
             spec.contracts, at {place}",
            contract = contract.as_str(),
            place = found.document.place()
        )
    })
}

fn branches(all: &Collection, source: &Found<RuntimeConfigSource>) -> Vec<Problem> {
    let branches = source.resource.spec.branches.iter().enumerate();
    branches
        .filter_map(|(index, branch)| {
            let store = &branch.store_ref.name;
            let message = store_problem(all, &source.name, store, Contract::Runtimes)?;
            let field = format!("spec.branches[{index}].storeRef.name");
            Some(source.document.problem_at(&field, message))
        })
        .collect()
}

fn globs(source: &Found<RuntimeConfigSource>) -> Vec<Problem> {
    let globs = source.resource.spec.include.iter().enumerate();
    globs
        .filter_map(|(index, glob)| {
            let error = globset::GlobBuilder::new(glob).literal_separator(true).build().err()?;
            let message =
                format!("it is not a glob ({}): write one such as **/*.yaml", error.kind());
            Some(source.document.problem_at(&format!("spec.include[{index}]"), message))
        })
        .collect()
}

/// Two sources that publish one branch of one repository into one Store would overwrite each
/// other for ever.
fn published_twice(all: &Collection) -> Vec<Problem> {
    let mut publishers: BTreeMap<_, &Found<RuntimeConfigSource>> = BTreeMap::new();
    let mut problems = Vec::new();
    for source in &all.sources {
        let spec = &source.resource.spec;
        for (index, branch) in spec.branches.iter().enumerate() {
            let set = (&source.name.namespace, &branch.store_ref.name, &spec.repo_id, &branch.name);
            let Some(first) = publishers.insert(set, source) else { continue };
            let message = format!(
                "the branch {} of the repository {} goes into the Store {} already, by the source \
                 {} at {}: change repoId, or take one of them out",
                branch.name,
                spec.repo_id,
                branch.store_ref.name,
                first.name.name,
                first.document.place()
            );
            let field = format!("spec.branches[{index}].name");
            problems.push(source.document.problem_at(&field, message));
        }
    }
    problems
}
