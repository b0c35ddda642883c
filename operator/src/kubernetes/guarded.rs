//! The frame around each reconcile: objects that do not parse, durations, failures, back-off.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use stowage_crds::render::NoRandomness;

use super::{ApplyError, Conditions, FIELD_MANAGER, FINALIZER, in_words, write_status};
use crate::context::Context;
use crate::process::Outcome;

/// Why a reconcile is tried again. What somebody has to change is no failure: it is a condition.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A child.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The API server.
    #[error("the API server: {}", in_words(.0))]
    Api(#[from] kube::Error),
    /// The system gave no randomness for a key, or for a token that is signed.
    #[error("nothing can be signed: {0}")]
    Signing(#[from] NoRandomness),
    /// The system gave no randomness for a token.
    #[error("no token can be made: {0}")]
    Random(getrandom::Error),
}

/// Runs `reconcile` for an object that parses. One that does not (an API server that took it under
/// older rules) gets a condition that says so, once, and does not stop the others.
///
/// # Errors
/// [`Failure`], which [`retry`] turns into a wait.
pub async fn guarded<K, R>(
    object: Arc<DeserializeGuard<K>>,
    context: Arc<Context>,
    reconcile: R,
) -> Result<Action, Failure>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    R: AsyncFnOnce(Arc<K>, &Context) -> Result<Action, Failure>,
{
    let started = Instant::now();
    let key = key::<K>(&object);
    let (outcome, result) = match &object.0 {
        Ok(parsed) => {
            let result = reconcile(Arc::new(parsed.clone()), &context).await;
            (if result.is_ok() { Outcome::Succeeded } else { Outcome::Failed }, result)
        }
        Err(invalid) => {
            tracing::warn!(object = key, error = invalid.error, "the object does not parse");
            (Outcome::Invalid, report_invalid::<K>(&object, &invalid.error, &context).await)
        }
    };
    context.metrics.reconciled(&K::kind(&()), outcome, started.elapsed());
    if result.is_ok() {
        context.backoff.succeeded(&key);
    }
    result
}

/// What to do after a failure: log it, and wait, longer each time.
pub fn retry<K>(
    object: Arc<DeserializeGuard<K>>,
    failure: &Failure,
    context: Arc<Context>,
) -> Action
where
    K: Resource<DynamicType = ()>,
{
    let key = key::<K>(&object);
    let wait = context.backoff.failed(&key);
    tracing::warn!(object = key, error = %failure, retry_ms = wait.as_millis(), "a reconcile failed");
    Action::requeue(wait)
}

async fn report_invalid<K>(
    object: &DeserializeGuard<K>,
    error: &str,
    context: &Context,
) -> Result<Action, Failure>
where
    K: Resource<DynamicType = ()>,
{
    let resource = kube::api::ApiResource::erase::<K>(&());
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let live = api.get_opt(&object.name_any()).await?;
    let Some(live) = live else { return Ok(Action::await_change()) };
    if live.metadata.deletion_timestamp.is_some() {
        return let_go::<K>(&api, &live, context).await;
    }
    let before: Vec<Condition> = live
        .data
        .pointer("/status/conditions")
        .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
        .unwrap_or_default();
    let generation = object.meta().generation;
    let mut conditions = Conditions::new(&before, generation, Time(Timestamp::now()));
    conditions.stalled("InvalidSpec", &format!("The resource cannot be read: {error}"));
    let conditions = conditions.finish();
    if conditions != before {
        let status = json!({"observedGeneration": generation, "conditions": conditions});
        write_status::<K>(context, &live, &status).await?;
    }
    Ok(Action::await_change())
}

/// Nobody can say what becomes of the volume of a Store that does not parse, so it stays.
async fn let_go<K>(
    api: &Api<DynamicObject>,
    live: &DynamicObject,
    context: &Context,
) -> Result<Action, Failure>
where
    K: Resource<DynamicType = ()>,
{
    let others: Vec<&String> =
        live.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    if others.len() == live.finalizers().len() {
        return Ok(Action::await_change());
    }
    let patch = json!({"metadata": {
        "uid": live.uid(), "resourceVersion": live.resource_version(), "finalizers": others,
    }});
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(&live.name_any(), &parameters, &Patch::Merge(patch)).await?;
    context.wrote::<K>();
    tracing::warn!(
        object = live.name_any(),
        namespace = live.namespace(),
        "a resource that does not parse is deleted; a volume of it is kept, whatever its \
         deletionPolicy"
    );
    Ok(Action::await_change())
}

fn key<K: Resource<DynamicType = ()>>(object: &DeserializeGuard<K>) -> String {
    format!("{}/{}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}
