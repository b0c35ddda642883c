//! Whom the pod runs as: somebody without any right.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::store::validate::ValidatedStore;

pub(super) fn service_account(store: &ValidatedStore) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(store, store.name.clone()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
