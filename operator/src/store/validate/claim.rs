//! A claim that is there already: whether it is this Store's to use, and what it decides.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Resource, ResourceExt};
use stowage_crds::{AccessMode, Backend, Store, VolumeBackend};

use super::Dereferenced;
use crate::kubernetes::{ApplyError, FIELD_MANAGER, Finding, INSTANCE, MANAGED_BY};
use crate::store::build::STORE_UID;

/// # Errors
/// The finding that says why the claim is not to be used, or not to be relied on. Nothing is
/// changed then, since a pod that ends could not come back, or not with its data.
pub(super) fn is_free(store: &Store, found: &Dereferenced) -> Result<(), Finding> {
    let Some(claim) = &found.claim else { return Ok(()) };
    in_use(claim, found).or_else(|| deleted(store, claim, found)).map_or(Ok(()), Err)
}

fn in_use(claim: &PersistentVolumeClaim, found: &Dereferenced) -> Option<Finding> {
    let holder = found.claim_holder.as_ref()?;
    let name = claim.name_any();
    Some(Finding::stalled(
        "ClaimInUse",
        format!(
            "The PersistentVolumeClaim {name} is in use by the Store {holder}, and two servers \
             must not write one volume: delete this Store, or that one if this one is to have its \
             data (with deletionPolicy: Retain, which leaves the volume)."
        ),
    ))
}

/// Deleted by hand while its pod serves, which keeps it for now. One that goes with an earlier Store
/// of this name is simply waited for.
fn deleted(store: &Store, claim: &PersistentVolumeClaim, found: &Dereferenced) -> Option<Finding> {
    claim.metadata.deletion_timestamp.as_ref()?;
    found.pod.as_ref().filter(|pod| pod.metadata.deletion_timestamp.is_none())?;
    let Backend::Volume(volume) = &store.spec.backend;
    let last = claim.annotations().get(STORE_UID);
    if volume.existing_claim.is_none() && last.is_some() && last != store.meta().uid.as_ref() {
        return None;
    }
    let name = claim.name_any();
    Some(Finding::stalled(
        "VolumeDeleted",
        format!(
            "Somebody deleted the PersistentVolumeClaim {name}. The store serves for as long as \
             its pod runs; when the pod ends, the volume goes, and its data with it. Copy the data \
             out now (docs/operations.md). Changes of this Store wait meanwhile."
        ),
    ))
}

/// What it means that a Store's claim could not be had, in place of the general advice to remove
/// what is in the way: a claim that lost its labels may hold the data. `None` for all else.
pub(in crate::store) fn taken(store: &Store, error: &ApplyError) -> Option<Finding> {
    let ApplyError::NameTaken { kind, name, owner } = error else { return None };
    if *kind != PersistentVolumeClaim::kind(&()) {
        return None;
    }
    let instance = store.name_any();
    Some(Finding::stalled(
        "NameTaken",
        format!(
            "The PersistentVolumeClaim {name} belongs to {owner}, or has lost its labels. If it \
             holds the data of this Store, give them back: `kubectl label --overwrite pvc {name} \
             {MANAGED_BY}={FIELD_MANAGER} {INSTANCE}={instance}`. If not, choose another name for \
             this Store."
        ),
    ))
}

/// What a claim is to say that may be there.
pub(super) struct Kept {
    /// Its class; `None`: the cluster's default.
    pub(super) storage_class: Option<String>,
    /// How it may be mounted.
    pub(super) access_mode: AccessMode,
    /// That it is not what the spec wants.
    pub(super) shortfall: Option<Finding>,
}

/// Class and access mode are settled when a claim is made. One that an earlier Store left stays
/// as it is, and is used.
pub(super) fn kept(backend: &VolumeBackend, live: Option<&PersistentVolumeClaim>) -> Kept {
    let wanted_mode = backend.access_modes.as_ref().and_then(|modes| modes.first().copied());
    let wanted_mode = wanted_mode.unwrap_or(AccessMode::ReadWriteOnce);
    let wanted_class = backend.storage_class_name.clone();
    let live_spec = live.and_then(|live| live.spec.as_ref());
    let live_class = live_spec.and_then(|spec| spec.storage_class_name.clone());
    let live_modes = live_spec.and_then(|spec| spec.access_modes.clone()).unwrap_or_default();
    let live_mode = [AccessMode::ReadWriteOnce, AccessMode::ReadWriteOncePod]
        .into_iter()
        .find(|mode| live_modes == [mode.as_str()]);
    let differs = |what: &str, live: &str, wanted: &str| {
        Finding::stalled(
            "VolumeDiffers",
            format!(
                "The volume that was there has the {what} {live} and not {wanted}, which cannot \
                 be changed. The store serves from it. Make the Store anew with {live} (with \
                 deletionPolicy: Retain, which leaves the volume), or one of another name and copy \
                 the data into it."
            ),
        )
    };
    let shortfall = match (&wanted_class, &live_class, live_mode) {
        (Some(wanted), Some(live), _) if wanted != live => {
            Some(differs("StorageClass", live, wanted))
        }
        (_, _, Some(live)) if live != wanted_mode => {
            Some(differs("access mode", live.as_str(), wanted_mode.as_str()))
        }
        _ => None,
    };
    Kept {
        storage_class: match (wanted_class, live_class) {
            (Some(_), Some(live)) => Some(live),
            (wanted, _) => wanted,
        },
        access_mode: live_mode.unwrap_or(wanted_mode),
        shortfall,
    }
}
