//! How a StoreNamespace stands, and which token it is to have: pure.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use stowage_config::Contract;
use stowage_crds::render::{NoRandomness, SigningKey, WantedToken, namespace_grant};
use stowage_crds::{Store, StoreNamespace};

use crate::kubernetes::{Finding, is_controlled_by};
use crate::store::{names, signing_keys, tenants};

/// What was found.
pub(super) struct Found {
    /// The Store, where there is one; `Some(None)` is one that does not parse.
    pub(super) store: Option<Option<Store>>,
    /// The Secret with the keys that the Store's controller made.
    pub(super) signing_key: Option<Secret>,
    /// The Secret with the tokens that the Store's controller made.
    pub(super) server_tokens: Option<Secret>,
    /// The Secret with the credentials, as it is.
    pub(super) binding: Option<Secret>,
}

/// How it stands, and the token that it is to have, where there can be one.
pub(super) struct Decision {
    pub(super) finding: Finding,
    pub(super) token: Option<Handed>,
}

/// The token that goes into the Secret.
#[derive(PartialEq, Eq)]
pub(super) struct Handed {
    pub(super) value: String,
    /// When it is over, and when another is to take its place; a static one of an earlier version
    /// says neither.
    pub(super) times: Option<(Timestamp, Timestamp)>,
}

/// # Errors
/// [`NoRandomness`] where a token is to be issued.
pub(super) fn decide(
    tenant: &StoreNamespace,
    found: &Found,
    now: Timestamp,
) -> Result<Decision, NoRandomness> {
    let name = &tenant.spec.store_ref.name;
    let without_token = |finding| Ok(Decision { finding, token: None });
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
    let Some(key) = signing_key(store, found) else {
        return without_token(not_ready("the key that signs the token is about to be made."));
    };
    let token = token(tenant, store, found, &key, now)?;
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
    Ok(Decision { finding, token: Some(token) })
}

/// The key, where it is the Store's own controller that made it.
fn signing_key(store: &Store, found: &Found) -> Option<SigningKey> {
    let secret = found.signing_key.as_ref().filter(|secret| is_controlled_by(*secret, store))?;
    signing_keys::read_current(secret)
}

/// The token that is there, where it is as it should be; else a new one.
///
/// # Errors
/// [`NoRandomness`].
fn token(
    tenant: &StoreNamespace,
    store: &Store,
    found: &Found,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Handed, NoRandomness> {
    if let Some(value) = static_token(tenant, store, found) {
        return Ok(Handed { value, times: None });
    }
    let wanted = WantedToken {
        audience: store.uid().unwrap_or_default(),
        subject: names::namespace_subject(tenant),
        grant: namespace_grant(tenant, tenant.uid().unwrap_or_default()),
        life: tenant.spec.token_ttl.duration(),
    };
    let there = found.binding.as_ref().filter(|binding| is_controlled_by(*binding, tenant));
    let there = there.and_then(|binding| binding.data.as_ref()?.get("token"));
    let there = there.and_then(|token| std::str::from_utf8(&token.0).ok());
    let issued = wanted.keep_or_issue(there, key, seconds(now))?;
    let times = (time(issued.expires_at), time(issued.renew_at));
    Ok(Handed { value: issued.value, times: Some(times) })
}

/// The static token of an earlier version, while the server that runs may be of that version too.
fn static_token(tenant: &StoreNamespace, store: &Store, found: &Found) -> Option<String> {
    let knows = store.status.as_ref().is_some_and(|status| status.signing_key.is_some());
    let tokens = found.server_tokens.as_ref().filter(|_| !knows)?;
    tenants::static_token_of(tenant, tokens).filter(|_| is_controlled_by(tokens, store))
}

fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or_default()
}

fn time(seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
