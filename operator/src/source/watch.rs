//! What wakes the controller.

use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::controller::Config;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use stowage_crds::{RuntimeConfigSource, Store};
use tokio_util::sync::CancellationToken;

use super::names::SOURCE;
use super::reconcile::reconcile;
use crate::context::Context;
use crate::kubernetes::{COMPONENT_SYNC, MANAGED, guarded, retry};

type Guarded = DeserializeGuard<RuntimeConfigSource>;
type Sources = reflector::Store<Guarded>;

/// Runs the controller until `shutdown`, in one namespace or in all of them; a reconcile under way
/// is finished first.
///
/// Of children and pods that it made, of Secrets and of ConfigMaps it watches the metadata only.
pub async fn run(context: Arc<Context>, namespace: Option<String>, shutdown: CancellationToken) {
    let scope = Scope { client: context.client.clone(), namespace };
    let ours = watcher::Config::default()
        .labels(&format!("{MANAGED},app.kubernetes.io/component={COMPONENT_SYNC}"));
    let any = watcher::Config::default();
    let controller = Controller::new(scope.api::<Guarded>(), any.clone());
    let sources = controller.store();
    let stores = sources.clone();
    let secrets = sources.clone();
    let schemas = sources;
    let workers = controller
        .with_config(Config::default().concurrency(context.options.concurrency))
        .owns(scope.api::<CronJob>(), ours.clone())
        .owns(scope.api::<ConfigMap>(), ours.clone())
        // Jobs of a CronJob are owned by that, and pods by their Job: an annotation leads here.
        .watches(scope.api::<PartialObjectMeta<Job>>(), ours.clone(), |job| annotated_source(&job))
        .watches(scope.api::<PartialObjectMeta<Pod>>(), ours.clone(), |pod| annotated_source(&pod))
        .watches(scope.api::<DeserializeGuard<Store>>(), any.clone(), move |store| {
            referring(&stores, &store, |source, name| {
                source.spec.branches.iter().any(|branch| branch.store_ref.name == name)
            })
        })
        .watches(scope.api::<PartialObjectMeta<Secret>>(), any.clone(), move |secret| {
            referring(&secrets, &secret, |source, name| {
                source.spec.auth.as_ref().is_some_and(|auth| auth.secret_ref.name == name)
            })
        })
        .watches(scope.api::<PartialObjectMeta<ConfigMap>>(), any.clone(), move |config_map| {
            referring(&schemas, &config_map, |source, name| {
                let schema = source.spec.schema.as_ref();
                schema
                    .and_then(|schema| schema.config_map_ref.as_ref())
                    .is_some_and(|reference| reference.name == name)
            })
        })
        .graceful_shutdown_on(shutdown.cancelled_owned());
    workers
        .run(|source, context| guarded(source, context, reconcile), retry, context)
        // What failed is logged where it is tried again.
        .for_each(|_| std::future::ready(()))
        .await;
}

struct Scope {
    client: Client,
    namespace: Option<String>,
}

impl Scope {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}

fn annotated_source<K: ResourceExt>(object: &K) -> Option<ObjectRef<Guarded>> {
    let name = object.annotations().get(SOURCE)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// The sources of the object's namespace that refer to it by its name.
fn referring<K: ResourceExt>(
    sources: &Sources,
    object: &K,
    refers: impl Fn(&RuntimeConfigSource, &str) -> bool,
) -> Vec<ObjectRef<Guarded>> {
    let (namespace, name) = (object.namespace(), object.name_any());
    let refers = |source: &Arc<Guarded>| match &source.0 {
        Ok(source) => source.namespace() == namespace && refers(source, &name),
        Err(_) => false,
    };
    let found = sources.state().into_iter().filter(refers);
    found.map(|source| ObjectRef::from_obj(&*source)).collect()
}
