//! How a StoreNamespace stands: pure.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use stowage_config::{Contract, Token};
use stowage_crds::{Store, StoreNamespace};

use crate::kubernetes::Finding;
use crate::store::names;

/// What was found.
pub(super) struct Found {
    /// The Store, where there is one; `Some(None)` is one that does not parse.
    pub(super) store: Option<Option<Store>>,
    /// The Secret with the tokens that the Store's controller made.
    pub(super) tokens: Option<Secret>,
}

/// How it stands, and the token to hand on, where there is one.
pub(super) struct Decision {
    pub(super) finding: Finding,
    pub(super) token: Option<String>,
}

pub(super) fn decide(tenant: &StoreNamespace, found: &Found) -> Decision {
    let name = &tenant.spec.store_ref.name;
    let without_token = |finding| Decision { finding, token: None };
    let Some(store) = &found.store else {
        return without_token(Finding::stalled(
            "StoreMissing",
            format!("There is no Store {name} in this namespace: make it, or name another one."),
        ));
    };
    let not_ready = |why: &str| {
        let message = format!("The Store {name} does not serve yet: {why}");
        Finding::reconciling("StoreNotReady", message)
    };
    let Some(store) = store else {
        return without_token(not_ready("its spec cannot be read."));
    };
    let contract: Contract = tenant.spec.contract.into();
    if !store.spec.served_contracts().contains(&contract) {
        let contract = contract.as_str();
        return without_token(Finding::stalled(
            "ContractNotServed",
            format!("The Store {name} does not serve {contract}: add it to its spec.contracts."),
        ));
    }
    let Some(token) = token(tenant, store, found.tokens.as_ref()) else {
        return without_token(not_ready("the token is about to be made."));
    };
    let ready = store
        .status
        .as_ref()
        .and_then(|status| status.conditions.iter().find(|condition| condition.type_ == "Ready"));
    let finding = match ready {
        Some(ready) if ready.status == "True" => {
            Finding::ready("Bound", "The credentials are there, and the store serves.")
        }
        Some(ready) => not_ready(&ready.message),
        None => not_ready("it is about to start."),
    };
    Decision { finding, token: Some(token) }
}

/// The token, where it is the Store's own controller that made it.
fn token(tenant: &StoreNamespace, store: &Store, tokens: Option<&Secret>) -> Option<String> {
    let secret = tokens?;
    let mut owners = secret.owner_references().iter();
    owners
        .find(|owner| owner.controller == Some(true) && Some(&owner.uid) == store.uid().as_ref())?;
    let document = secret.data.as_ref()?.get(&names::namespace_token(&tenant.name_any()))?;
    Token::parse(std::str::from_utf8(&document.0).ok()?).ok().map(|token| token.value)
}
