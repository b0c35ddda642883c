//! From a source and what it refers to, to what its children are made from. Pure.

use std::path::PathBuf;

use kube::{Resource, ResourceExt};
use stowage_config::{ByteSize, RepositoryUrl, SyncConfig};
use stowage_crds::render::{SyncPlaces, sync};
use stowage_crds::{Branch, ConfigMapKeyReference, RuntimeConfigSource};

use super::names::{SYNC_REQUESTED_AT, child_name, digest};
use super::problem::Problem;
use super::reference::{References, SchemaState, SecretState, StoreState};
use super::schedule::Schedule;

/// Where a sync's pod finds its files.
pub(super) mod places {
    /// The directory of the configuration.
    pub(in crate::source) const CONFIGURATION: &str = "/etc/stowage/config";
    /// The configuration in it, and in its ConfigMap. JSON, which is YAML.
    pub(in crate::source) const CONFIGURATION_KEY: &str = "sync.yaml";
    /// The directory of the store's token.
    pub(in crate::source) const TOKEN: &str = "/etc/stowage/publisher";
    /// The key of the token in its Secret.
    pub(in crate::source) const TOKEN_KEY: &str = "token";
    /// The directory of the Git credentials.
    pub(in crate::source) const CREDENTIALS: &str = "/etc/stowage/git";
    /// The directory of the JSON Schema.
    pub(in crate::source) const SCHEMA: &str = "/etc/stowage/schema";
}

/// A source that was checked as far as it can be without running a sync.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ValidatedSource {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether nothing is to be synced for now.
    pub suspend: bool,
    /// One for each branch and Store, in the order of the spec.
    pub branches: Vec<ValidatedBranch>,
}

/// One branch into one Store.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ValidatedBranch {
    /// The branch.
    pub name: String,
    /// The Store.
    pub store: String,
    /// The name of its CronJob.
    pub child: String,
    /// What keeps it from being synced.
    pub problem: Option<Problem>,
    /// What to run; `None` where the spec gives no configuration at all.
    pub plan: Option<SyncPlan>,
    /// What an immediate Job is wanted for: a digest over everything that the sync depends on and
    /// the annotation. `None` as long as something keeps it from being synced.
    pub request: Option<String>,
}

/// What the pods of a branch run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SyncPlan {
    /// The configuration as text, without secrets.
    pub configuration: String,
    /// Its digest.
    pub digest: String,
    /// When it runs by itself.
    pub schedule: Schedule,
    /// How long one try may take.
    pub timeout_secs: i64,
    /// The Secret with the Git credentials.
    pub credentials: Option<String>,
    /// The ConfigMap with the JSON Schema.
    pub schema: Option<ConfigMapKeyReference>,
    /// What the fetch may take on disk.
    pub repository_bytes_max: u64,
    /// What all configs may weigh together.
    pub configs_bytes_max: u64,
}

/// Checks a source against what it refers to.
#[must_use]
pub(super) fn validate(
    source: &RuntimeConfigSource,
    references: &References,
    allow_insecure_urls: bool,
) -> ValidatedSource {
    let branch = |branch| validate_branch(source, branch, references, allow_insecure_urls);
    ValidatedSource {
        name: source.name_any(),
        namespace: source.namespace().unwrap_or_default(),
        suspend: source.spec.suspend,
        branches: source.spec.branches.iter().map(branch).collect(),
    }
}

fn validate_branch(
    source: &RuntimeConfigSource,
    branch: &Branch,
    references: &References,
    allow_insecure_urls: bool,
) -> ValidatedBranch {
    let store = &branch.store_ref.name;
    let (plan, mut problem) = match plan(source, branch, allow_insecure_urls) {
        Ok(plan) => (Some(plan), None),
        Err(problem) => (None, Some(problem)),
    };
    problem = problem
        .or_else(|| url_problem(source, allow_insecure_urls))
        .or_else(|| reference_problem(source, store, references));
    let request = match (&plan, &problem) {
        (Some(plan), None) => request(source, branch, plan, references),
        _ => None,
    };
    ValidatedBranch {
        name: branch.name.clone(),
        store: store.clone(),
        child: child_name(&source.name_any(), &branch.name, store),
        problem,
        plan,
        request,
    }
}

fn plan(
    source: &RuntimeConfigSource,
    branch: &Branch,
    allow_insecure_urls: bool,
) -> Result<SyncPlan, Problem> {
    let spec = &source.spec;
    let schema = spec.schema.as_ref().and_then(|schema| schema.config_map_ref.clone());
    let config = sync(source, branch, &sync_places(source, branch, allow_insecure_urls))
        .map_err(|error| Problem::invalid_spec(&error.to_string()))?;
    let configuration = text(&config)?;
    let uid = source.meta().uid.as_deref().unwrap_or_default();
    let seed = u64::from_str_radix(&digest(&[uid, &branch.name], 12), 16).unwrap_or_default();
    Ok(SyncPlan {
        digest: digest(&[&configuration], 10),
        schedule: Schedule::every(spec.interval.duration(), seed),
        timeout_secs: i64::try_from(spec.timeout.duration().as_secs().max(1)).unwrap_or(i64::MAX),
        credentials: spec.auth.as_ref().map(|auth| auth.secret_ref.name.clone()),
        schema,
        repository_bytes_max: ByteSize::bytes(&config.limits.max_repository_bytes),
        configs_bytes_max: ByteSize::bytes(&config.limits.max_total_bytes),
        configuration,
    })
}

fn text(config: &SyncConfig) -> Result<String, Problem> {
    // Indented for whoever looks into the ConfigMap.
    let text = serde_json::to_string_pretty(config)
        .map_err(|error| Problem::invalid_spec(&error.to_string()))?;
    Ok(text + "\n")
}

fn sync_places(
    source: &RuntimeConfigSource,
    branch: &Branch,
    allow_insecure_urls: bool,
) -> SyncPlaces {
    let namespace = source.namespace().unwrap_or_default();
    let schema = source.spec.schema.as_ref().and_then(|schema| schema.config_map_ref.as_ref());
    let key = schema.map_or("schema.json", |reference| reference.key.as_str());
    SyncPlaces {
        target_url: format!("http://{}.{namespace}.svc:8080", branch.store_ref.name),
        token_file: Some(PathBuf::from(places::TOKEN).join(places::TOKEN_KEY)),
        secret_dir: places::CREDENTIALS.into(),
        schema_file: PathBuf::from(places::SCHEMA).join(key),
        allow_insecure_urls,
    }
}

fn url_problem(source: &RuntimeConfigSource, allow_insecure_urls: bool) -> Option<Problem> {
    let refused = RepositoryUrl::parse(&source.spec.url, allow_insecure_urls).err()?;
    Some(Problem::url_refused(&refused.to_string()))
}

fn reference_problem(
    source: &RuntimeConfigSource,
    store: &str,
    references: &References,
) -> Option<Problem> {
    let spec = &source.spec;
    if let (SecretState::Missing, Some(auth)) = (&references.secret, &spec.auth) {
        return Some(Problem::secret_missing(&auth.secret_ref.name));
    }
    let schema = spec.schema.as_ref().and_then(|schema| schema.config_map_ref.as_ref());
    if let (SchemaState::Missing, Some(reference)) = (&references.schema, schema) {
        return Some(Problem::schema_missing(reference));
    }
    match references.stores.get(store) {
        None | Some(StoreState::Missing) => Some(Problem::store_missing(store)),
        Some(StoreState::WithoutRuntimes) => Some(Problem::contract_not_served(store)),
        Some(StoreState::NotReady { message }) => Some(Problem::store_not_ready(store, message)),
        Some(StoreState::Ready { .. }) => None,
    }
}

fn request(
    source: &RuntimeConfigSource,
    branch: &Branch,
    plan: &SyncPlan,
    references: &References,
) -> Option<String> {
    let store = &branch.store_ref.name;
    let Some(StoreState::Ready { uid: store_uid }) = references.stores.get(store) else {
        return None;
    };
    let secret = match &references.secret {
        SecretState::Present { version } => version.as_str(),
        SecretState::None | SecretState::Missing => "",
    };
    let schema = match &references.schema {
        SchemaState::Present { digest } => digest.as_str(),
        SchemaState::None | SchemaState::Missing => "",
    };
    let uid = source.meta().uid.as_deref().unwrap_or_default();
    let asked = source.annotations().get(SYNC_REQUESTED_AT).map_or("", String::as_str);
    let parts = [uid, &branch.name, store, store_uid, &plan.digest, secret, schema, asked];
    Some(digest(&parts, 16))
}
