//! The controller of StoreNamespaces: signs their tokens with the key that their Store's controller
//! made, puts them into a Secret that applications mount, and renews them before they expire.

mod build;
mod decide;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{ObjectRef, Store as Cache};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt};
use stowage_crds::{Binding, Store, StoreNamespace, StoreNamespaceStatus};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::kubernetes::{
    Children, Failure, Finding, INSTANCE, Owner, current, guarded, in_scope, managed,
    metadata_in_scope, retry, run_to_end, write_status,
};
use crate::store::names;
use decide::{Decision, Found, decide};

type Guarded = DeserializeGuard<StoreNamespace>;

/// Reconciles the StoreNamespaces of one namespace, or of all, until `shutdown`; what is under way
/// then is finished.
pub async fn run(context: Arc<Context>, namespace: Option<String>, shutdown: CancellationToken) {
    let client = context.client.clone();
    let scope = namespace.as_deref();
    let controller =
        Controller::new(in_scope::<Guarded>(&client, scope), watcher::Config::default());
    let (by_store, by_secret) = (controller.store(), controller.store());
    let (objects, end) = (controller.store(), shutdown.clone());
    let outcomes = controller
        .with_config(Config::default().concurrency(context.options.concurrency))
        .owns(in_scope::<Secret>(&client, scope), managed())
        // The Secret with the signing key is known by its label: the Store's name.
        .watches(metadata_in_scope::<Secret>(&client, scope), managed(), move |secret| {
            let store = secret.labels().get(INSTANCE).cloned().unwrap_or_default();
            referring(&by_secret, &store, secret.namespace().as_deref())
        })
        .watches(
            metadata_in_scope::<Store>(&client, scope),
            watcher::Config::default(),
            move |store| referring(&by_store, &store.name_any(), store.namespace().as_deref()),
        )
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(|tenant, context| guarded(tenant, context, reconcile), retry, context);
    run_to_end("StoreNamespace", outcomes, objects, end).await;
}

/// The StoreNamespaces that refer to a Store.
fn referring(
    tenants: &Cache<Guarded>,
    store: &str,
    namespace: Option<&str>,
) -> Vec<ObjectRef<Guarded>> {
    let tenants = tenants.state();
    let in_namespace = tenants.iter().filter(|tenant| tenant.namespace().as_deref() == namespace);
    in_namespace
        .filter(|tenant| tenant.0.as_ref().is_ok_and(|t| t.spec.store_ref.name == store))
        .map(|tenant| ObjectRef::from_obj(&**tenant))
        .collect()
}

async fn reconcile(tenant: Arc<StoreNamespace>, context: &Context) -> Result<Action, Failure> {
    let Some(tenant) = current(&context.client, &*tenant).await? else {
        return Ok(Action::await_change());
    };
    let Outcome { finding, bound } = converge(&tenant, context).await?;
    let before = tenant.status.clone().unwrap_or_default();
    let generation = tenant.metadata.generation;
    let status = StoreNamespaceStatus {
        observed_generation: generation,
        conditions: finding.conditions(&before.conditions, generation),
        token_expires_at: match &bound {
            Some(bound) => bound.times.map(|(expires_at, _)| Time(expires_at)),
            None => before.token_expires_at.clone(),
        },
        binding: match &bound {
            Some(bound) => Some(Binding { name: bound.secret.clone() }),
            None => before.binding.clone(),
        },
    };
    if status != before && write_status::<StoreNamespace>(context, &tenant, &status).await? {
        finding.announce(context, &tenant, &before.conditions).await;
    }
    let renew_at = bound.and_then(|bound| bound.times).map(|(_, renew_at)| renew_at);
    Ok(finding.action_by(renew_at))
}

/// How a StoreNamespace stands, and what it has where its Secret is as it should be.
struct Outcome {
    finding: Finding,
    bound: Option<Bound>,
}

struct Bound {
    secret: String,
    /// When the token is over, and when another is to take its place.
    times: Option<(Timestamp, Timestamp)>,
}

/// Makes the Secret what it should be.
async fn converge(tenant: &StoreNamespace, context: &Context) -> Result<Outcome, Failure> {
    let found = dereference(&context.client, tenant).await?;
    let Decision { finding, token } = decide(tenant, &found, Timestamp::now())?;
    let Some(token) = token else { return Ok(Outcome { finding, bound: None }) };
    let secret = build::secret(tenant, &token.value);
    let name = secret.name_any();
    let owner = Owner::Controls(build::owner(tenant));
    let namespace = tenant.namespace().unwrap_or_default();
    match Children::new(context, &namespace, owner).ensure(secret).await {
        Ok(_) => {
            let bound = Bound { secret: name, times: token.times };
            Ok(Outcome { finding, bound: Some(bound) })
        }
        Err(error) => match Finding::of_apply_error(&error) {
            Some(finding) => Ok(Outcome { finding, bound: None }),
            None => Err(error.into()),
        },
    }
}

async fn dereference(client: &Client, tenant: &StoreNamespace) -> Result<Found, kube::Error> {
    let namespace = tenant.namespace().unwrap_or_default();
    let store = &tenant.spec.store_ref.name;
    let stores: Api<DeserializeGuard<Store>> = Api::namespaced(client.clone(), &namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    Ok(Found {
        store: stores.get_opt(store).await?.map(|store| store.0.ok()),
        signing_key: secrets.get_opt(&names::signing_key(store)).await?,
        server_tokens: secrets.get_opt(&names::server_tokens(store)).await?,
        binding: secrets.get_opt(&build::secret_name(&tenant.name_any())).await?,
    })
}
