//! Writes what differs, child by child.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};

use super::build::Resources;
use super::names;
use super::validate::ValidatedStore;
use crate::context::Context;
use crate::kubernetes::{ApplyError, Children, Finding, Owner};

/// What stands now.
pub(crate) struct Applied {
    /// The server's configuration.
    pub(crate) config_map: ConfigMap,
    /// The tokens that the operator made.
    pub(crate) server_tokens: Secret,
    /// The volume, where it is the operator's.
    pub(crate) claim: Option<PersistentVolumeClaim>,
    /// The pod's; or why that is left as it is.
    pub(crate) stateful_set: Result<StatefulSet, Finding>,
    /// Why the claim is not what it should be, though it is there.
    pub(crate) claim_refused: Option<Finding>,
}

/// Brings every child up to date; those that the pod needs come before it.
///
/// # Errors
/// The first child that cannot be.
pub(super) async fn apply(
    context: &Context,
    store: &ValidatedStore,
    resources: Resources,
) -> Result<Applied, ApplyError> {
    // Named one by one, so that a child that nobody applies does not compile.
    let Resources {
        server_tokens,
        publisher,
        admin,
        service_account,
        config_map,
        claim,
        headless,
        service,
        stateful_set,
    } = resources;
    let children = Children::new(context, &store.namespace, Owner::Controls(store.owner.clone()));
    let server_tokens = children.ensure(server_tokens).await?;
    children.ensure(publisher).await?;
    match admin {
        Some(admin) => drop(children.ensure(admin).await?),
        None => children.remove::<Secret>(&names::admin(&store.name)).await?,
    }
    children.ensure(service_account).await?;
    let config_map = children.ensure(config_map).await?;
    let (claim, claim_refused) = put_claim(&children, store, claim).await?;
    children.ensure(headless).await?;
    children.ensure(service).await?;
    // A new pod could not start, so what would replace the one that runs waits.
    let stateful_set = match &store.pod_waits {
        None => Ok(children.ensure(stateful_set).await?),
        Some(why) => Err(why.clone()),
    };
    Ok(Applied { config_map, server_tokens, claim, stateful_set, claim_refused })
}

/// A claim that cannot be changed is not in the way of all the rest.
async fn put_claim(
    children: &Children<'_>,
    store: &ValidatedStore,
    claim: Option<PersistentVolumeClaim>,
) -> Result<(Option<PersistentVolumeClaim>, Option<Finding>), ApplyError> {
    let Some(claim) = claim else { return Ok((None, None)) };
    let children = children.of(Owner::Keeps(store.owner.clone()));
    match children.ensure(claim).await {
        Ok(claim) => Ok((Some(claim), None)),
        Err(error @ ApplyError::Refused { .. }) => {
            let live = children.api().get_opt(&store.claim_name()).await;
            match live {
                Ok(Some(live)) => Ok((Some(live), Some(refusal(&error)))),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

fn refusal(error: &ApplyError) -> Finding {
    let advice = "Where the StorageClass does not let volumes grow, write the old size back. The \
                  store goes on serving";
    Finding::stalled(
        "VolumeGrowthRefused",
        format!("The volume stays as it is: {error}. {advice}."),
    )
}
