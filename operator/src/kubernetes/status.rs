//! An object as it is now, and its status, which is written for that very version of it.

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::json;

use super::{Child, FIELD_MANAGER};
use crate::context::Context;

/// An object as it is now; `None` where it is gone, on its way out, or another one of its name.
///
/// A watch tells of an object's own new status a moment late. Deciding by the old one would write
/// the same once more, and tell it once more.
///
/// # Errors
/// The API server's.
pub async fn current<K: Child>(client: &Client, seen: &K) -> Result<Option<K>, kube::Error> {
    let live = latest(client, seen).await?;
    Ok(live.filter(|live| live.meta().deletion_timestamp.is_none()))
}

/// As [`current`], also where it is on its way out.
///
/// # Errors
/// The API server's.
pub async fn latest<K: Child>(client: &Client, seen: &K) -> Result<Option<K>, kube::Error> {
    let api: Api<K> = Api::namespaced(client.clone(), &seen.namespace().unwrap_or_default());
    let live = api.get_opt(&seen.name_any()).await?;
    Ok(live.filter(|live| live.meta().uid == seen.meta().uid))
}

/// Writes the whole status of `read`; says whether it was written. What `status` does not say is
/// taken out of the object's.
///
/// Tied to the version that was read. Where somebody changed the object in between, or removed it,
/// nothing is written and nothing is to be told: that change wakes the next reconcile, which takes
/// all of it into account.
///
/// # Errors
/// The API server's.
pub async fn write_status<K>(
    context: &Context,
    read: &impl ResourceExt,
    status: &impl Serialize,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    let namespace = read.namespace().unwrap_or_default();
    // Of no type, because an object whose spec does not parse gets a status too.
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"resourceVersion": read.resource_version()},
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(&read.name_any(), &parameters, &Patch::Apply(&patch)).await {
        Ok(_) => {
            context.wrote::<K>();
            Ok(true)
        }
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
