//! Changed tokens and configuration, in the pod at once.
//!
//! The kubelet looks at mounted Secrets and ConfigMaps about once a minute, and whenever the pod
//! itself changes. So the pod is given a word that changes with them.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::context::Context;
use crate::kubernetes::{FIELD_MANAGER, short_digest};

/// A digest of everything that is mounted and may change while the pod runs.
const FILES_DIGEST: &str = "stowage.dev/files-digest";

/// The digest of a configuration and of the versions of Secrets, not of what they hold.
pub(super) fn digest(
    config_map: &ConfigMap,
    server_tokens: &Secret,
    versions_of_users: [Option<&str>; 2],
) -> String {
    let text = json!([config_map.data, server_tokens.resource_version(), versions_of_users]);
    short_digest(&text.to_string())
}

/// # Errors
/// The API server's. A pod that is gone or another one by now is none.
pub(super) async fn refresh(context: &Context, pod: &Pod, digest: &str) -> Result<(), kube::Error> {
    if pod.annotations().get(FILES_DIGEST).map(String::as_str) == Some(digest)
        || pod.metadata.deletion_timestamp.is_some()
    {
        return Ok(());
    }
    let api: Api<Pod> =
        Api::namespaced(context.client.clone(), &pod.namespace().unwrap_or_default());
    // With its uid, a pod of the same name that came meanwhile is not touched.
    let patch = json!({"metadata": {"uid": pod.uid(), "annotations": {FILES_DIGEST: digest}}});
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_metadata(&pod.name_any(), &parameters, &Patch::Merge(patch)).await {
        Ok(_) => {
            context.wrote::<Pod>();
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
