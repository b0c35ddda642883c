//! The children of a Store: pure, one kind a file.

mod claim;
mod config_map;
mod pod_template;
mod secrets;
mod service_account;
mod services;
mod stateful_set;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount,
};
use kube::api::ObjectMeta;

use super::tokens::Tokens;
use super::validate::ValidatedStore;
use crate::kubernetes::{COMPONENT_STORE, labels};

pub(super) use claim::STORE_UID;
pub(super) use config_map::KEY as CONFIG_KEY;
pub(super) use pod_template::CONTAINER;

/// Everything that a Store is made of.
pub(crate) struct Resources {
    /// The tokens that the operator made, as the server reads them.
    pub(crate) server_tokens: Secret,
    /// The token of Git syncs.
    pub(crate) publisher: Secret,
    /// A token that may do everything, where the user names none.
    pub(crate) admin: Option<Secret>,
    /// Whom the pod runs as.
    pub(crate) service_account: ServiceAccount,
    /// The server's configuration.
    pub(crate) config_map: ConfigMap,
    /// The volume; `None` where it is a claim of the user's.
    pub(crate) claim: Option<PersistentVolumeClaim>,
    /// Names the pod.
    pub(crate) headless: Service,
    /// Where applications reach it.
    pub(crate) service: Service,
    /// The pod.
    pub(crate) stateful_set: StatefulSet,
}

/// Why a Store cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The configuration cannot be written as YAML.
    #[error("the server's configuration cannot be written: {0}")]
    Config(#[from] serde_json::Error),
}

/// # Errors
/// [`BuildError`], which valid resources do not cause.
pub(crate) fn build(store: &ValidatedStore, tokens: &Tokens) -> Result<Resources, BuildError> {
    Ok(Resources {
        server_tokens: secrets::server_tokens(store, tokens),
        publisher: secrets::publisher(store, tokens),
        admin: secrets::admin(store, tokens),
        service_account: service_account::service_account(store),
        config_map: config_map::config_map(store)?,
        claim: claim::claim(store),
        headless: services::headless(store),
        service: services::service(store),
        stateful_set: stateful_set::stateful_set(store)?,
    })
}

/// The metadata of a child.
fn metadata(store: &ValidatedStore, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(store.namespace.clone()),
        labels: Some(labels(COMPONENT_STORE, &store.name)),
        ..ObjectMeta::default()
    }
}

fn text_map<const N: usize>(entries: [(&str, &str); N]) -> BTreeMap<String, String> {
    entries.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

#[cfg(test)]
mod tests;
