//! The controller of Stores.
//!
//! A reconcile reads everything that matters (`dereference`), decides what is to be (`validate`,
//! `build`), writes what differs (`apply`, `files`), and says how it stands (`status`, `diagnose`).

mod apply;
mod build;
mod claim_holder;
mod deletion;
mod dereference;
mod diagnose;
mod files;
mod foreign_tokens;
mod jwt_keys;
pub mod names;
mod settle_keys;
pub(crate) mod signing_keys;
mod status;
pub(crate) mod tenants;
mod tokens;
mod user_tokens;
mod validate;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{ObjectRef, Store as Cache};
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt};
use stowage_crds::{Backend, Store, StoreJwt, StoreNamespace, StoreStatus};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::kubernetes::{
    ApplyError, Failure, Finding, INSTANCE, guarded, in_scope, latest, managed, metadata_in_scope,
    retry, run_to_end, write_status,
};
use dereference::Dereferenced;
use diagnose::Evidence;
use tenants::Tenants;
use tokens::{Tokens, random_token};

type Guarded = DeserializeGuard<Store>;

/// Reconciles the Stores of one namespace, or of all, until `shutdown`; what is under way then is
/// finished.
pub async fn run(context: Arc<Context>, namespace: Option<String>, shutdown: CancellationToken) {
    let client = context.client.clone();
    let scope = namespace.as_deref();
    let stores: Api<Guarded> = in_scope(&client, scope);
    let controller = Controller::new(stores, watcher::Config::default());
    let (by_secret, by_claim) = (controller.store(), controller.store());
    let (objects, end) = (controller.store(), shutdown.clone());
    let outcomes = controller
        .with_config(Config::default().concurrency(context.options.concurrency))
        .owns(in_scope::<StatefulSet>(&client, scope), managed())
        .owns(in_scope::<Service>(&client, scope), managed())
        .owns(in_scope::<ConfigMap>(&client, scope), managed())
        .owns(in_scope::<Secret>(&client, scope), managed())
        .owns(in_scope::<ServiceAccount>(&client, scope), managed())
        .watches(metadata_in_scope::<Pod>(&client, scope), managed(), |pod| of_label(&pod))
        // All of them: a Secret or a claim of the user's has no label of ours.
        .watches(
            metadata_in_scope::<Secret>(&client, scope),
            watcher::Config::default(),
            move |secret| referring(&by_secret, &secret, uses_secret),
        )
        .watches(
            metadata_in_scope::<PersistentVolumeClaim>(&client, scope),
            watcher::Config::default(),
            move |claim| referring(&by_claim, &claim, uses_claim),
        )
        .watches(
            in_scope::<DeserializeGuard<StoreNamespace>>(&client, scope),
            watcher::Config::default(),
            |tenant| of_tenant(&tenant),
        )
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(|store, context| guarded(store, context, reconcile), retry, context);
    run_to_end("Store", outcomes, objects, end).await;
}

/// The Store that a pod belongs to.
fn of_label(object: &impl ResourceExt) -> Option<ObjectRef<Guarded>> {
    let name = object.labels().get(INSTANCE)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// The Store that a StoreNamespace belongs to.
fn of_tenant(tenant: &DeserializeGuard<StoreNamespace>) -> Option<ObjectRef<Guarded>> {
    let tenant = tenant.0.as_ref().ok()?;
    Some(ObjectRef::new(&tenant.spec.store_ref.name).within(&tenant.namespace()?))
}

/// The Stores that use an object in the same namespace.
fn referring<K: ResourceExt>(
    stores: &Cache<Guarded>,
    object: &K,
    uses: fn(&Store, &str) -> bool,
) -> Vec<ObjectRef<Guarded>> {
    let (name, namespace) = (object.name_any(), object.namespace());
    let stores = stores.state();
    let in_namespace = stores.iter().filter(|store| store.namespace() == namespace);
    in_namespace
        .filter(|store| store.0.as_ref().is_ok_and(|store| uses(store, &name)))
        .map(|store| ObjectRef::from_obj(&**store))
        .collect()
}

fn uses_secret(store: &Store, name: &str) -> bool {
    let auth = &store.spec.auth;
    let tokens = auth.tokens_secret_ref.as_ref().map(|secret| secret.name.as_str());
    let keys = auth.jwt.as_ref().and_then(StoreJwt::secret).map(|secret| secret.name);
    tokens == Some(name) || keys == Some(name)
}

fn uses_claim(store: &Store, name: &str) -> bool {
    let Backend::Volume(volume) = &store.spec.backend;
    match &volume.existing_claim {
        Some(claim) => claim == name,
        None => names::claim(&store.name_any()) == name,
    }
}

async fn reconcile(store: Arc<Store>, context: &Context) -> Result<Action, Failure> {
    let Some(store) = latest(&context.client, &*store).await? else {
        return Ok(Action::await_change());
    };
    if store.metadata.deletion_timestamp.is_some() {
        return match deletion::release(context, &store).await {
            Ok(()) => Ok(Action::await_change()),
            Err(Failure::Apply(error)) => {
                tell(&store, &blocked(&store, refused(error)?), context).await
            }
            Err(failure) => Err(failure),
        };
    }
    let found = dereference::dereference(&context.client, &store).await?;
    let settled = deletion::settle(context, &store, found.claim.as_ref()).await;
    let (store, outcome) = match settled {
        Ok(None) => return Ok(Action::await_change()),
        Ok(Some(settled)) => {
            let outcome = converge(&settled, &found, context).await?;
            (settled, outcome)
        }
        Err(error) => {
            let outcome = blocked(&store, refused(error)?);
            (store, outcome)
        }
    };
    tell(&store, &outcome, context).await
}

/// How a Store stands after a reconcile.
struct Outcome {
    status: StoreStatus,
    finding: Finding,
    /// When it has to be looked at again whatever happens.
    look_again: Option<Timestamp>,
}

/// Writes the status where it differs, then says what changed.
async fn tell(
    store: &Store,
    Outcome { status, finding, look_again }: &Outcome,
    context: &Context,
) -> Result<Action, Failure> {
    let before = store.status.clone().unwrap_or_default();
    if *status != before && write_status::<Store>(context, store, status).await? {
        finding.announce(context, store, &before.conditions).await;
    }
    Ok(finding.action_by(*look_again))
}

fn blocked(store: &Store, finding: Finding) -> Outcome {
    Outcome { status: status::blocked(store, &finding), finding, look_again: None }
}

/// What it means that something could not be written.
///
/// # Errors
/// What is to be tried again with nothing changed.
fn refused(error: ApplyError) -> Result<Finding, Failure> {
    Finding::of_apply_error(&error).ok_or(Failure::Apply(error))
}

/// Makes the children what they should be, and says how the Store stands then.
async fn converge(
    store: &Store,
    found: &Dereferenced,
    context: &Context,
) -> Result<Outcome, Failure> {
    let validated = match validate::validate(store, found, &context.options) {
        Ok(validated) => validated,
        Err(finding) => return Ok(blocked(store, finding)),
    };
    let settled = match settle_keys::settle(context, store, found).await {
        Ok(settled) => settled,
        Err(Failure::Apply(error)) => return Ok(blocked(store, refused(error)?)),
        Err(failure) => return Err(failure),
    };
    let tenants = Tenants::new(store, found, &settled, Timestamp::now());
    let look_again = tenants.changes_at;
    let validated = validated.with(tenants);
    let tokens = Tokens::mint(
        found.server_tokens.as_ref(),
        &validated.tokens,
        &validated.kept_tokens,
        random_token,
    )
    .map_err(Failure::Random)?;
    let mut resources = match build::build(&validated, &tokens) {
        Ok(resources) => resources,
        Err(error) => {
            return Ok(blocked(store, Finding::stalled("InvalidSpec", error.to_string())));
        }
    };
    // A Secret that somebody deletes right now, to have new tokens, must not come back with the
    // old ones.
    resources.server_tokens.metadata.uid =
        found.server_tokens.as_ref().and_then(|secret| secret.metadata.uid.clone());
    let mut applied = match apply::apply(context, &validated, resources).await {
        Ok(applied) => applied,
        Err(error) => {
            let finding = match validate::claim_taken(store, &error) {
                Some(finding) => finding,
                None => refused(error)?,
            };
            return Ok(blocked(store, finding));
        }
    };
    let live = applied.server_tokens;
    applied.server_tokens = match foreign_tokens::take_out(context, store, &tokens, live).await {
        Ok(amended) => amended,
        Err(error) => return Ok(blocked(store, refused(error)?)),
    };
    let stateful_set = match &applied.stateful_set {
        Ok(stateful_set) => stateful_set,
        Err(why) => return Ok(blocked(store, why.clone())),
    };
    if let Some(pod) = &found.pod {
        let users = [found.tokens_secret.as_deref(), found.jwt_secret.as_deref()];
        let digest = files::digest(&applied.config_map, &applied.server_tokens, users);
        files::refresh(context, pod, &digest).await?;
    }
    let claim = applied.claim.as_ref().or(found.claim.as_ref());
    let evidence = Evidence { pod: found.pod.as_ref(), claim, events: &found.events };
    let shortfall = validated.shortfall.as_ref().or(applied.claim_refused.as_ref());
    let finding = status::finding(&validated, stateful_set, shortfall, &evidence);
    let key = settled.keys.current.id();
    let status = status::applied(store, &validated, &finding, stateful_set, claim, key);
    Ok(Outcome { status, finding, look_again })
}
