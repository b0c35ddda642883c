//! The volume. A claim of its own and not one of the StatefulSet's templates, which cannot change:
//! so it can grow.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use kube::api::ObjectMeta;

use super::metadata;
use crate::store::validate::{ValidatedStore, Volume};

/// Says which Store had the claim last. Nobody owns it, and a Store of the same name is told from
/// the one that it goes with by nothing else.
pub(in crate::store) const STORE_UID: &str = "stowage.dev/store-uid";

pub(super) fn claim(store: &ValidatedStore) -> Option<PersistentVolumeClaim> {
    let Volume::Own { size, storage_class, access_mode } = &store.volume else { return None };
    let annotations = [(STORE_UID.to_owned(), store.owner.uid.clone())].into();
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            annotations: Some(annotations),
            ..metadata(store, store.claim_name())
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![access_mode.as_str().to_owned()]),
            storage_class_name: storage_class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size.clone())].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    })
}
