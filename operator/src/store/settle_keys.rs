//! Makes the Secret with the signing keys be as [`signing_keys`](super::signing_keys) decides.
//!
//! It is made by a plain create, and changed only where it is still what was looked at, so that two
//! operators at once, or one that is slow, never put one key in the place of another that has
//! signed already.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::{Api, Resource, ResourceExt};
use stowage_crds::Store;

use super::dereference::Dereferenced;
use super::signing_keys::{Decision, REQUEST, SigningKeys, Step, Why, decide};
use super::{names, signing_keys, tenants};
use crate::context::Context;
use crate::kubernetes::{
    ApplyError, COMPONENT_STORE, Children, Failure, Owner, Severity, amend, labels, refusal,
};

/// How often somebody else may have been faster.
const ATTEMPTS: usize = 3;

/// The keys as they stand.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) keys: SigningKeys,
    /// When the Secret was made: from then on the Store's StoreNamespaces have had tokens that
    /// are signed.
    pub(super) made_at: Timestamp,
}

/// # Errors
/// Those of the API server, and where the Secret belongs to somebody else.
pub(super) async fn settle(
    context: &Context,
    store: &Store,
    found: &Dereferenced,
) -> Result<Settled, Failure> {
    let namespace = store.namespace().unwrap_or_default();
    let name = names::signing_key(&store.name_any());
    let owner = Owner::Controls(store.controller_owner_ref(&()).unwrap_or_default());
    let children = Children::new(context, &namespace, owner.clone());
    let secrets: Api<Secret> = children.api();
    let request = store.annotations().get(REQUEST).map(String::as_str);
    let life = found.namespaces.iter().map(|tenant| tenant.spec.token_ttl.duration()).max();
    for _ in 0..ATTEMPTS {
        let live = secrets.get_opt(&name).await?;
        // A key that somebody else put there would be one that somebody else knows.
        if let Some(refusal) = live.as_ref().and_then(|live| refusal(live, &owner)) {
            return Err(refusal.into());
        }
        let now = Timestamp::now();
        let life = life.unwrap_or(Duration::ZERO);
        let is_shown = match live.as_ref().and_then(signing_keys::next_id) {
            Some(id) => is_shown(&children, &names::config(&store.name_any()), found, &id).await?,
            None => true,
        };
        let Decision { keys, step } = decide(live.as_ref(), request, life, is_shown, now)?;
        match (step, live) {
            (Step::Keep, Some(live)) => return Ok(Settled { keys, made_at: made_at(&live, now) }),
            (Step::Make(data, annotations), _) => {
                let metadata = ObjectMeta {
                    name: Some(name.clone()),
                    namespace: Some(namespace.clone()),
                    labels: Some(labels(COMPONENT_STORE, &store.name_any())),
                    annotations: Some(annotations),
                    ..ObjectMeta::default()
                };
                let type_ = Some("Opaque".to_owned());
                let secret = Secret { metadata, type_, data: Some(data), ..Secret::default() };
                // What is there then, is read.
                children.create(secret).await?;
            }
            (Step::Change(patch, why), Some(live)) => {
                if let Some(live) = amend(context, &live, patch).await? {
                    tell(context, store, why).await;
                    return Ok(Settled { keys, made_at: made_at(&live, now) });
                }
            }
            (Step::Keep | Step::Change(..), None) => {}
        }
    }
    Err(ApplyError::Leaving { kind: Secret::kind(&()).into_owned(), name }.into())
}

/// Whether the server's configuration has a key; where nobody has a token, none is missing.
async fn is_shown(
    children: &Children<'_>,
    config: &str,
    found: &Dereferenced,
    id: &str,
) -> Result<bool, Failure> {
    if found.namespaces.is_empty() && found.unreadable_namespaces.is_empty() {
        return Ok(true);
    }
    let config_map = children.api::<ConfigMap>().get_opt(config).await?;
    let known = config_map.as_ref().and_then(tenants::known_before);
    Ok(known.is_some_and(|known| known.keys.iter().any(|key| key.id == id)))
}

fn made_at(secret: &Secret, now: Timestamp) -> Timestamp {
    secret.creation_timestamp().map_or(now, |time| time.0)
}

async fn tell(context: &Context, store: &Store, why: Why) {
    let (severity, reason, note) = match why {
        Why::Noted => return,
        Why::Requested => (
            Severity::Normal,
            "SigningKeyMade",
            "Another key was made for the tokens of the StoreNamespaces. It signs them in two \
             minutes, when every server knows it.",
        ),
        Why::Rotated => (
            Severity::Normal,
            "SigningKeyRotated",
            "The tokens of the StoreNamespaces are signed by another key from now on; those that \
             the one before has signed are good until they expire.",
        ),
        Why::Unreadable => (
            Severity::Warning,
            "SigningKeyReplaced",
            "What stood in the Secret was no key, so another one was made; tokens of the \
             StoreNamespaces that the one before has signed are refused.",
        ),
    };
    context.tell(store, severity, reason, "Sign", note).await;
}
