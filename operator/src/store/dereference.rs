//! What a Store's reconcile looks at: everything that is read, in one place.

use k8s_openapi::api::core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource, ResourceExt};
use stowage_crds::{Backend, Store, StoreJwt, StoreNamespace};

use super::{claim_holder, diagnose, jwt_keys, names, user_tokens, validate};

/// What was found.
#[derive(Default)]
pub(crate) struct Dereferenced {
    /// The version of the Secret with the user's tokens, where there is one.
    pub(crate) tokens_secret: Option<String>,
    /// What the server would not take in it, in words; the tokens themselves go no further.
    pub(crate) tokens_fault: Option<String>,
    /// The version of the Secret with the keys of JWTs, where there is one.
    pub(crate) jwt_secret: Option<String>,
    /// What the server would not take in it, in words.
    pub(crate) jwt_fault: Option<String>,
    /// The claim with the data.
    pub(crate) claim: Option<PersistentVolumeClaim>,
    /// The Store that the claim is left to, where that is another one.
    pub(crate) claim_holder: Option<String>,
    /// The class that decides about the claim.
    pub(crate) class: Class,
    /// The tokens that were made.
    pub(crate) server_tokens: Option<Secret>,
    /// The StoreNamespaces that refer to the Store, by name.
    pub(crate) namespaces: Vec<StoreNamespace>,
    /// The names of those StoreNamespaces that do not parse; whose they are is not known.
    pub(crate) unreadable_namespaces: Vec<String>,
    /// The server's configuration as it is, where what those were granted stands in it.
    pub(crate) config_map: Option<ConfigMap>,
    /// The pod.
    pub(crate) pod: Option<Pod>,
    /// What was told of the pod, the claim and the StatefulSet, newest last, where something is
    /// not as it should be.
    pub(crate) events: Vec<Event>,
}

/// The StorageClass that decides about a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Class {
    /// None is named, or the operator may not read classes.
    #[default]
    Unknown,
    /// There is none of that name.
    Missing,
    /// It is there.
    Found {
        /// Its name.
        name: String,
        /// Whether volumes of it can grow.
        expands: bool,
    },
}

/// # Errors
/// The API server's.
pub(super) async fn dereference(
    client: &Client,
    store: &Store,
) -> Result<Dereferenced, kube::Error> {
    let namespace = store.namespace().unwrap_or_default();
    let name = store.name_any();
    let Backend::Volume(volume) = &store.spec.backend;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);

    let tokens_secret = match &store.spec.auth.tokens_secret_ref {
        Some(secret) => secrets.get_opt(&secret.name).await?,
        None => None,
    };
    let jwt = store.spec.auth.jwt.as_ref().and_then(StoreJwt::secret);
    let jwt_secret = match jwt {
        Some(wanted) => secrets.get_opt(wanted.name).await?,
        None => None,
    };
    let server_tokens = secrets.get_opt(&names::server_tokens(&name)).await?;
    let claim_name = volume.existing_claim.clone().unwrap_or_else(|| names::claim(&name));
    let claim = claims.get_opt(&claim_name).await?;
    let class_name = claim
        .as_ref()
        .and_then(|claim| claim.spec.as_ref()?.storage_class_name.clone())
        .or_else(|| volume.storage_class_name.clone());
    let (namespaces, unreadable_namespaces) = namespaces(client, store).await?;
    let config_map = if unreadable_namespaces.is_empty() {
        None
    } else {
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        config_maps.get_opt(&names::config(&name)).await?
    };
    let mut found = Dereferenced {
        tokens_fault: tokens_secret
            .as_ref()
            .and_then(|secret| user_tokens::fault(secret, server_tokens.as_ref())),
        jwt_fault: jwt
            .zip(jwt_secret.as_ref())
            .and_then(|(it, secret)| jwt_keys::fault(it, secret)),
        jwt_secret: jwt_secret.and_then(|secret| secret.metadata.resource_version),
        tokens_secret: tokens_secret.and_then(|secret| secret.metadata.resource_version),
        class: class(client, class_name).await?,
        server_tokens,
        claim_holder: None,
        pod: pods.get_opt(&names::pod(&name)).await?.filter(|pod| is_pod_of(pod, &name)),
        claim,
        namespaces,
        unreadable_namespaces,
        config_map,
        events: Vec::new(),
    };
    // With a pod of its own over a claim of its own there is nothing to settle any more.
    if found.claim.is_some() && (volume.existing_claim.is_some() || found.pod.is_none()) {
        found.claim_holder = claim_holder::find(store, &stores(client, &namespace).await?);
    }
    if !store.spec.suspend {
        found.events = events(client, &namespace, &name, &found).await?;
    }
    Ok(found)
}

fn is_pod_of(pod: &Pod, store: &str) -> bool {
    let selector = crate::kubernetes::selector(crate::kubernetes::COMPONENT_STORE, store);
    selector.iter().all(|(name, value)| pod.labels().get(name) == Some(value))
}

/// The Stores of a namespace that can be read.
async fn stores(client: &Client, namespace: &str) -> Result<Vec<Store>, kube::Error> {
    let api: Api<DeserializeGuard<Store>> = Api::namespaced(client.clone(), namespace);
    let stores = api.list(&ListParams::default()).await?.items;
    Ok(stores.into_iter().filter_map(|store| store.0.ok()).collect())
}

async fn class(client: &Client, name: Option<String>) -> Result<Class, kube::Error> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Class::Unknown) };
    let classes: Api<StorageClass> = Api::all(client.clone());
    match classes.get_opt(&name).await {
        Ok(None) => Ok(Class::Missing),
        Ok(Some(class)) => {
            Ok(Class::Found { name, expands: class.allow_volume_expansion == Some(true) })
        }
        // An installation may leave this right out.
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Class::Unknown),
        Err(error) => Err(error),
    }
}

async fn namespaces(
    client: &Client,
    store: &Store,
) -> Result<(Vec<StoreNamespace>, Vec<String>), kube::Error> {
    let namespace = store.namespace().unwrap_or_default();
    let api: Api<DeserializeGuard<StoreNamespace>> = Api::namespaced(client.clone(), &namespace);
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for DeserializeGuard(found) in api.list(&ListParams::default()).await? {
        match found {
            Ok(tenant) if tenant.metadata.deletion_timestamp.is_some() => {}
            Ok(tenant) if tenant.spec.store_ref.name == store.name_any() => readable.push(tenant),
            Ok(_) => {}
            Err(invalid) => unreadable.extend(invalid.metadata.name),
        }
    }
    Ok((readable, unreadable))
}

/// What was told of whatever keeps the Store from serving.
async fn events(
    client: &Client,
    namespace: &str,
    store: &str,
    found: &Dereferenced,
) -> Result<Vec<Event>, kube::Error> {
    let mut about: Vec<(&str, String, Option<String>)> = Vec::new();
    if let Some(claim) = found.claim.as_ref().filter(|claim| !validate::is_bound(claim)) {
        about.push(("PersistentVolumeClaim", claim.name_any(), claim.uid()));
    }
    match &found.pod {
        Some(pod) if !diagnose::is_ready(pod) => about.push(("Pod", pod.name_any(), pod.uid())),
        Some(_) => {}
        None => about.push(("StatefulSet", store.to_owned(), None)),
    }
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut events = Vec::new();
    for (kind, name, uid) in about {
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let mut list = api.list(&ListParams::default().fields(&fields)).await?.items;
        // Those of an earlier object of the same name say nothing of this one.
        list.retain(|event| uid.is_none() || event.involved_object.uid == uid);
        events.extend(list);
    }
    events.sort_by_key(time);
    Ok(events)
}

/// When something was told last: one of three fields says, by who wrote it.
pub(super) fn time(event: &Event) -> Option<k8s_openapi::jiff::Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    series
        .map(|time| time.0)
        .or(event.last_timestamp.as_ref().map(|time| time.0))
        .or(event.event_time.as_ref().map(|time| time.0))
        .or(event.meta().creation_timestamp.as_ref().map(|time| time.0))
}
