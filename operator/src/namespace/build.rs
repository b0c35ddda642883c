//! The Secret with the credentials: pure.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use stowage_crds::StoreNamespace;

use crate::kubernetes::{COMPONENT_NAMESPACE, binding, labels, shortened};
use crate::store::names;

/// What the Secret says of its owner.
pub(super) fn owner(tenant: &StoreNamespace) -> OwnerReference {
    tenant.controller_owner_ref(&()).unwrap_or_default()
}

/// The Secret's name: at most the 253 characters that an object's name may have.
pub(super) fn secret_name(tenant: &str) -> String {
    const END: &str = "-stowage";
    format!("{}{END}", shortened(tenant, 253 - END.len()))
}

/// In the form of the Service Binding specification.
pub(super) fn secret(tenant: &StoreNamespace, token: &str) -> Secret {
    let namespace = tenant.namespace().unwrap_or_default();
    let store = &tenant.spec.store_ref.name;
    let uri = names::namespace_url(tenant, &names::url(store, &namespace));
    let host = names::host(store, &namespace);
    Secret {
        metadata: ObjectMeta {
            name: Some(secret_name(&tenant.name_any())),
            namespace: Some(namespace),
            labels: Some(labels(COMPONENT_NAMESPACE, &tenant.name_any())),
            ..ObjectMeta::default()
        },
        type_: Some(binding::TYPE.to_owned()),
        data: Some(binding::data(&host, names::HTTP_PORT, &uri, token)),
        ..Secret::default()
    }
}
