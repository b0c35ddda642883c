//! The server's configuration.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{BuildError, metadata};
use crate::store::names;
use crate::store::validate::ValidatedStore;

/// The key of the configuration, and the file's name in the pod.
pub(in crate::store) const KEY: &str = "sidecar.yaml";

pub(super) fn config_map(store: &ValidatedStore) -> Result<ConfigMap, BuildError> {
    // Every JSON text is YAML, and this one is written by the server's own types.
    let text = serde_json::to_string_pretty(&store.config)?;
    Ok(ConfigMap {
        metadata: metadata(store, names::config(&store.name)),
        data: Some([(KEY.to_owned(), text + "\n")].into()),
        ..ConfigMap::default()
    })
}
