//! What wakes the controller.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Config;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Controller, watcher};
use stowage_crds::{RuntimeConfigSource, Store};
use tokio_util::sync::CancellationToken;

use super::names::SOURCE;
use super::reconcile::reconcile;
use crate::context::Context;
use crate::kubernetes::{
    COMPONENT_SYNC, MANAGED, guarded, in_scope, metadata_in_scope, retry, run_to_end,
};

type Guarded = DeserializeGuard<RuntimeConfigSource>;
type Sources = reflector::Store<Guarded>;

/// Runs the controller until `shutdown`, in one namespace or in all of them; a reconcile under way
/// is finished first.
///
/// Of children and pods that it made, of Secrets and of ConfigMaps it watches the metadata only.
pub async fn run(context: Arc<Context>, namespace: Option<String>, shutdown: CancellationToken) {
    let (client, namespace) = (context.client.clone(), namespace.as_deref());
    let ours = watcher::Config::default()
        .labels(&format!("{MANAGED},app.kubernetes.io/component={COMPONENT_SYNC}"));
    let any = watcher::Config::default();
    let controller = Controller::new(in_scope::<Guarded>(&client, namespace), any.clone());
    let sources = controller.store();
    let stores = sources.clone();
    let secrets = sources.clone();
    let schemas = sources.clone();
    let (objects, end) = (sources, shutdown.clone());
    let workers = controller
        .with_config(Config::default().concurrency(context.options.concurrency))
        .owns(in_scope::<CronJob>(&client, namespace), ours.clone())
        .owns(in_scope::<ConfigMap>(&client, namespace), ours.clone())
        // Jobs of a CronJob are owned by that, and pods by their Job: an annotation leads here.
        .watches(metadata_in_scope::<Job>(&client, namespace), ours.clone(), |job| {
            annotated_source(&job)
        })
        .watches(metadata_in_scope::<Pod>(&client, namespace), ours.clone(), |pod| {
            annotated_source(&pod)
        })
        .watches(
            in_scope::<DeserializeGuard<Store>>(&client, namespace),
            any.clone(),
            move |store| {
                referring(&stores, &store, |source, name| {
                    source.spec.branches.iter().any(|branch| branch.store_ref.name == name)
                })
            },
        )
        .watches(metadata_in_scope::<Secret>(&client, namespace), any.clone(), move |secret| {
            referring(&secrets, &secret, |source, name| {
                source.spec.auth.as_ref().is_some_and(|auth| auth.secret_ref.name == name)
            })
        })
        .watches(
            metadata_in_scope::<ConfigMap>(&client, namespace),
            any.clone(),
            move |config_map| {
                referring(&schemas, &config_map, |source, name| {
                    let schema = source.spec.schema.as_ref();
                    schema
                        .and_then(|schema| schema.config_map_ref.as_ref())
                        .is_some_and(|reference| reference.name == name)
                })
            },
        )
        .graceful_shutdown_on(shutdown.cancelled_owned());
    let outcomes =
        workers.run(|source, context| guarded(source, context, reconcile), retry, context);
    run_to_end("RuntimeConfigSource", outcomes, objects, end).await;
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
