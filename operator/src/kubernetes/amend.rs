//! Changes to a part of an object that others write to as well.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::apply::api_error;
use super::{ApplyError, Child, FIELD_MANAGER};
use crate::context::Context;

/// Changes `read` by a merge patch (RFC 7396), and only that very version of it; gives the object
/// as it is then. `None` where somebody changed or removed it in between: where it is watched, that
/// wakes the next reconcile, which decides again.
///
/// # Errors
/// [`ApplyError::Refused`], [`ApplyError::Api`].
pub async fn amend<K: Child>(
    context: &Context,
    read: &K,
    mut patch: Value,
) -> Result<Option<K>, ApplyError> {
    let (name, namespace) = (read.name_any(), read.namespace().unwrap_or_default());
    patch["metadata"]["uid"] = json!(read.uid());
    patch["metadata"]["resourceVersion"] = json!(read.resource_version());
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch(&name, &parameters, &Patch::Merge(patch)).await {
        Ok(object) => {
            context.wrote::<K>();
            Ok(Some(object))
        }
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(None),
        Err(source) => Err(api_error::<K>(&name, source)),
    }
}
