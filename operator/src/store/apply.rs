//! Writes what differs, child by child.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stowage_crds::DeletionPolicy;

use super::build::Resources;
use super::names;
use super::validate::{ValidatedStore, Volume};
use crate::context::Context;
use crate::kubernetes::{ApplyError, Finding, Owner, ensure, remove};

/// What stands now.
pub(crate) struct Applied {
    /// The server's configuration.
    pub(crate) config_map: ConfigMap,
    /// The tokens that the operator made.
    pub(crate) server_tokens: Secret,
    /// The volume, where it is the operator's.
    pub(crate) claim: Option<PersistentVolumeClaim>,
    /// The pod's.
    pub(crate) stateful_set: StatefulSet,
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
    let child = Child { context, store, owner: Owner::Controls(store.owner.clone()) };
    let server_tokens = child.put(server_tokens).await?;
    child.put(publisher).await?;
    match admin {
        Some(admin) => drop(child.put(admin).await?),
        None => child.take_away::<Secret>(&names::admin(&store.name)).await?,
    }
    child.put(service_account).await?;
    let config_map = child.put(config_map).await?;
    let (claim, claim_refused) = put_claim(&child, claim).await?;
    child.put(headless).await?;
    child.put(service).await?;
    let stateful_set = child.put(stateful_set).await?;
    Ok(Applied { config_map, server_tokens, claim, stateful_set, claim_refused })
}

/// A claim that cannot be changed is not in the way of all the rest.
async fn put_claim(
    child: &Child<'_>,
    claim: Option<PersistentVolumeClaim>,
) -> Result<(Option<PersistentVolumeClaim>, Option<Finding>), ApplyError> {
    let (Some(claim), Volume::Own { deletion_policy, .. }) = (claim, &child.store.volume) else {
        return Ok((None, None));
    };
    let reference = child.store.owner.clone();
    let owner = match deletion_policy {
        DeletionPolicy::Retain => Owner::Keeps(reference),
        DeletionPolicy::Delete => Owner::Controls(reference),
    };
    let child = Child { owner, ..*child };
    match child.put(claim).await {
        Ok(claim) => Ok((Some(claim), None)),
        Err(error @ ApplyError::Refused { .. }) => {
            let live = child.api().get_opt(&child.store.claim_name()).await;
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

/// Puts children of one Store in place.
struct Child<'a> {
    context: &'a Context,
    store: &'a ValidatedStore,
    owner: Owner,
}

impl Child<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.context.client.clone(), &self.store.namespace)
    }

    async fn put<K>(&self, desired: K) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + k8s_openapi::Resource
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let applied = ensure(&self.api(), desired, &self.owner).await?;
        if applied.written {
            self.context.metrics.wrote(<K as k8s_openapi::Resource>::KIND);
        }
        Ok(applied.object)
    }

    async fn take_away<K>(&self, name: &str) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + k8s_openapi::Resource
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        if remove(&self.api::<K>(), name, &self.owner).await? {
            self.context.metrics.wrote(<K as k8s_openapi::Resource>::KIND);
        }
        Ok(())
    }
}
