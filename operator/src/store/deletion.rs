//! What becomes of the volume of a Store that is deleted: the `deletionPolicy` that it has then
//! decides.
//!
//! An owner reference would settle it when the operator last looked, and the garbage collector
//! would go by that where the policy was changed since. So nobody owns a claim, and a Store that
//! takes its volume along waits for the operator with a finalizer. One that leaves its volume has
//! none: it can go while no operator runs.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Resource, ResourceExt};
use serde_json::json;
use stowage_crds::{Backend, DeletionPolicy, Store};

use super::build::STORE_UID;
use super::names;
use crate::context::Context;
use crate::kubernetes::{ApplyError, Children, FINALIZER, Failure, Owner, amend};

/// Whether the volume goes with the Store. A claim of the user's never does.
fn takes_volume(store: &Store) -> bool {
    let Backend::Volume(volume) = &store.spec.backend;
    store.spec.deletion_policy == DeletionPolicy::Delete && volume.existing_claim.is_none()
}

/// Whether a Store on its way out waits for the operator.
fn waits(store: &Store) -> bool {
    store.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Gives a Store its finalizer or takes it off, as its policy says; gives the Store as it is then.
/// `None` where something changed in between, which wakes the next reconcile.
///
/// # Errors
/// [`ApplyError::Refused`], [`ApplyError::Api`].
pub(super) async fn settle(
    context: &Context,
    store: &Store,
    claim: Option<&PersistentVolumeClaim>,
) -> Result<Option<Store>, ApplyError> {
    if !disown(context, store, claim).await? {
        return Ok(None);
    }
    match (waits(store), takes_volume(store)) {
        (false, true) => {
            let finalizers = [store.finalizers(), &[FINALIZER.to_owned()]].concat();
            amend(context, store, json!({"metadata": {"finalizers": finalizers}})).await
        }
        (true, false) => take_finalizer_off(context, store).await,
        (true, true) | (false, false) => Ok(Some(store.clone())),
    }
}

/// Does with the volume of a Store that is on its way out as its policy says, and lets it go.
///
/// # Errors
/// Those of the API server. The Store stays then, and so does what is left to do.
pub(super) async fn release(context: &Context, store: &Store) -> Result<(), Failure> {
    if !waits(store) {
        return Ok(());
    }
    let namespace = store.namespace().unwrap_or_default();
    let owner = Owner::Keeps(store.controller_owner_ref(&()).unwrap_or_default());
    let children = Children::new(context, &namespace, owner);
    let claim = names::claim(&store.name_any());
    let live = children.api::<PersistentVolumeClaim>().get_opt(&claim).await?;
    if takes_volume(store) && live.as_ref().is_some_and(|live| had(store, live)) {
        // Afterwards it is gone or, as long as a pod uses it, on its way: nothing turns that back.
        children.remove::<PersistentVolumeClaim>(&claim).await?;
    } else if !disown(context, store, live.as_ref()).await? {
        return Ok(());
    }
    if take_finalizer_off(context, store).await?.is_some() {
        let (store, policy) = (store.name_any(), store.spec.deletion_policy);
        tracing::info!(store, namespace, claim, ?policy, "a Store is deleted");
    }
    Ok(())
}

/// Whether this very Store had the claim. One of its name that is left from an earlier Store may be
/// in use by another one, for which this one never got it (`ClaimInUse`).
fn had(store: &Store, claim: &PersistentVolumeClaim) -> bool {
    claim.annotations().get(STORE_UID) == store.meta().uid.as_ref()
}

async fn take_finalizer_off(context: &Context, store: &Store) -> Result<Option<Store>, ApplyError> {
    let others: Vec<&String> =
        store.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    amend(context, store, json!({"metadata": {"finalizers": others}})).await
}

/// Takes the owner reference off that earlier builds of the operator gave the claim of a Store with `Delete`.
/// Gives whether there is none; false: the claim changed in between.
async fn disown(
    context: &Context,
    store: &Store,
    claim: Option<&PersistentVolumeClaim>,
) -> Result<bool, ApplyError> {
    let Some(claim) = claim else { return Ok(true) };
    let owners = claim.owner_references();
    let others: Vec<_> =
        owners.iter().filter(|owner| Some(&owner.uid) != store.meta().uid.as_ref()).collect();
    if others.len() == owners.len() {
        return Ok(true);
    }
    let amended = amend(context, claim, json!({"metadata": {"ownerReferences": others}})).await?;
    Ok(amended.is_some())
}
