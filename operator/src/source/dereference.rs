//! Reads what a source refers to and what belongs to it. Needs the API server; writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource, ResourceExt};
use stowage_crds::{Contract, RuntimeConfigSource, Store};

use super::diagnose::container;
use super::names::{digest, source_selector};
use super::reference::{References, SchemaState, SecretState, StoreState};
use super::report::{is_finished, is_made_for};
use crate::kubernetes::Child;

/// Everything that a reconcile decides on.
///
/// # Errors
/// The API server's.
pub(super) async fn dereference(
    client: &Client,
    source: &RuntimeConfigSource,
) -> kube::Result<References> {
    let namespace = source.namespace().unwrap_or_default();
    let belongs = ListParams::default().labels(&source_selector(&source.name_any()));
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let mut jobs = jobs.list(&belongs).await?.items;
    jobs.retain(|job| is_made_for(job, source.meta().uid.as_deref()));
    let pods = pods.list(&belongs).await?.items;
    Ok(References {
        stores: stores(client, &namespace, source).await?,
        secret: secret(client, &namespace, source).await?,
        schema: schema(client, &namespace, source).await?,
        events: events(client, &namespace, &jobs, &pods).await?,
        cron_jobs: names::<CronJob>(client, &namespace, &belongs).await?,
        config_maps: names::<ConfigMap>(client, &namespace, &belongs).await?,
        jobs,
        pods,
    })
}

async fn stores(
    client: &Client,
    namespace: &str,
    source: &RuntimeConfigSource,
) -> kube::Result<BTreeMap<String, StoreState>> {
    // One that does not parse is a Store of which nothing can be told, and no reason to fail.
    let api: Api<DeserializeGuard<Store>> = Api::namespaced(client.clone(), namespace);
    let wanted: BTreeSet<&str> =
        source.spec.branches.iter().map(|branch| branch.store_ref.name.as_str()).collect();
    let mut states = BTreeMap::new();
    for name in wanted {
        let state = match api.get_opt(name).await? {
            None => StoreState::Missing,
            Some(DeserializeGuard(Err(_))) => {
                StoreState::NotReady { message: "it cannot be read".to_owned() }
            }
            Some(DeserializeGuard(Ok(store))) => store_state(&store),
        };
        states.insert(name.to_owned(), state);
    }
    Ok(states)
}

fn store_state(store: &Store) -> StoreState {
    if store.meta().deletion_timestamp.is_some() {
        return StoreState::Missing;
    }
    if !store.spec.served_contracts().contains(&Contract::Runtimes) {
        return StoreState::WithoutRuntimes;
    }
    let conditions = store.status.as_ref().map(|status| status.conditions.as_slice());
    let ready = conditions.unwrap_or_default().iter().find(|condition| condition.type_ == "Ready");
    match ready {
        Some(ready) if ready.status == "True" => {
            StoreState::Ready { uid: store.uid().unwrap_or_default() }
        }
        Some(ready) => {
            StoreState::NotReady { message: ready.message.trim_end_matches('.').to_owned() }
        }
        None => StoreState::NotReady { message: String::new() },
    }
}

async fn secret(
    client: &Client,
    namespace: &str,
    source: &RuntimeConfigSource,
) -> kube::Result<SecretState> {
    let Some(auth) = &source.spec.auth else { return Ok(SecretState::None) };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = api.get_metadata_opt(&auth.secret_ref.name).await?;
    Ok(found.map_or(SecretState::Missing, |secret| SecretState::Present {
        version: secret.resource_version().unwrap_or_default(),
    }))
}

async fn schema(
    client: &Client,
    namespace: &str,
    source: &RuntimeConfigSource,
) -> kube::Result<SchemaState> {
    let schema = source.spec.schema.as_ref();
    let Some(reference) = schema.and_then(|schema| schema.config_map_ref.as_ref()) else {
        return Ok(SchemaState::None);
    };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(&reference.name).await?;
    let value = found.and_then(|map| map.data?.remove(&reference.key));
    Ok(value.map_or(SchemaState::Missing, |value| SchemaState::Present {
        digest: digest(&[&value], 16),
    }))
}

/// Why a Job has no pod, or its pod no container: only then is it worth a question.
async fn events(
    client: &Client,
    namespace: &str,
    jobs: &[Job],
    pods: &[Pod],
) -> kube::Result<Vec<Event>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for job in jobs.iter().filter(|job| !is_finished(job)) {
        let Some(uid) = job.uid() else { continue };
        let pod =
            pods.iter().find(|pod| pod.owner_references().iter().any(|owner| owner.uid == uid));
        let subject = match pod {
            None => uid,
            Some(pod) if is_pending(pod) => pod.uid().unwrap_or_default(),
            Some(_) => continue,
        };
        let about = ListParams::default().fields(&format!("involvedObject.uid={subject}"));
        found.extend(api.list(&about).await?.items);
    }
    Ok(found)
}

fn is_pending(pod: &Pod) -> bool {
    let state = container(pod).and_then(|status| status.state.as_ref());
    state.is_none_or(|state| state.running.is_none() && state.terminated.is_none())
}

async fn names<K: Child>(
    client: &Client,
    namespace: &str,
    belongs: &ListParams,
) -> kube::Result<Vec<String>> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    Ok(api.list_metadata(belongs).await?.items.iter().map(ResourceExt::name_any).collect())
}
