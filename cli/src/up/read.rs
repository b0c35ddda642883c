//! From manifests to a [`Plan`], with what only this command refuses: names that cannot stand
//! side by side in one directory.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use kube::ResourceExt;
use stowage_config::{Interval, Token};
use stowage_crds::render::{self, StorePlaces, SyncPlaces};
use stowage_crds::{Branch, DeletionPolicy, RuntimeConfigSource, Store, StoreNamespace};

use super::addresses;
use super::data_dir::{self, RESERVED};
use super::plan::{Credentials, NamespacePlan, OnRemoval, Plan, StorePlan};
use super::sources::{BranchKey, BranchPlan};
use crate::args::UpArgs;
use crate::exit::Failure;
use crate::manifests::{self, Located, Manifests, ObjectName, Origin, Problem, Problems};

/// How long requests under way may take to finish when a Store stops.
const SHUTDOWN_GRACE_SECONDS: u64 = 20;

/// The keys of a Secret that a Git sync reads; no others are written as files.
const GIT_SECRET_KEYS: [&str; 5] =
    ["username", "password", "bearerToken", "ssh-privatekey", "known_hosts"];

/// What a start needs.
pub(crate) struct First {
    pub(crate) plan: Plan,
    /// The addresses given by flags.
    pub(crate) chosen: BTreeMap<String, SocketAddr>,
}

/// Reads the manifests for a start: there must be a Store, and the flags must fit.
///
/// # Errors
/// [`Failure::Input`] with everything that is wrong.
pub(crate) fn first_plan(args: &UpArgs) -> Result<First, Failure> {
    let plan = plan(args)?;
    if plan.stores.is_empty() {
        return Err(Failure::Input(
            "there is no Store in the manifests, so there is nothing to serve; add one".to_owned(),
        ));
    }
    let chosen = addresses::chosen(&args.listen, &plan.store_names())?;
    addresses::assign(&plan.store_names(), &chosen, &BTreeMap::new())?;
    Ok(First { plan, chosen })
}

/// Reads the manifests.
///
/// # Errors
/// [`Failure::Input`] with every problem.
pub(crate) fn plan(args: &UpArgs) -> Result<Plan, Failure> {
    let data = std::path::absolute(&args.data).map_err(|e| {
        Failure::Environment(format!("cannot find the directory that this runs in: {e}"))
    })?;
    let read = manifests::load(&args.files);
    read.and_then(|read| compile(&read, &data, args.insecure_no_auth))
        .map_err(|problems| Failure::Input(describe(&problems)))
}

fn describe(problems: &Problems) -> String {
    let count = problems.iter().count();
    let plural = if count == 1 { "" } else { "s" };
    format!("the manifests have {count} problem{plural}:\n{problems}")
}

fn compile(read: &Manifests, data: &Path, insecure: bool) -> Result<Plan, Problems> {
    let mut problems = name_problems(read);
    let mut plan = Plan::default();
    for store in &read.stores {
        match store_plan(read, store, data, insecure) {
            Ok(store) => plan.stores.push(store),
            Err(problem) => problems.push(problem),
        }
    }
    for source in read.sources.iter().filter(|source| !source.spec.suspend) {
        for branch in &source.spec.branches {
            let key = BranchKey {
                source: source.name_any(),
                branch: branch.name.clone(),
                store: branch.store_ref.name.clone(),
            };
            match branch_plan(read, source, branch, data) {
                Ok(branch) => drop(plan.branches.insert(key, branch)),
                Err(problem) => problems.push(problem),
            }
        }
    }
    match Problems::new(problems) {
        Some(problems) => Err(problems),
        None => Ok(plan),
    }
}

/// On a cluster, resources of one name may stand in several namespaces, and any name is free;
/// here each stands under its bare name in one directory.
fn name_problems(read: &Manifests) -> Vec<Problem> {
    let mut problems = twice("Stores", &read.stores);
    problems.extend(twice("StoreNamespaces", &read.namespaces));
    problems.extend(twice("RuntimeConfigSources", &read.sources));
    for store in &read.stores {
        let name = store.name_any();
        let hidden = name.starts_with('.') || name.contains('/') || name.is_empty();
        if hidden || RESERVED.contains(&name.as_str()) {
            problems.push(problem(
                &store.origin,
                "metadata.name",
                format!(
                    "{name:?} cannot be the name of a Store here, because its data stands in a \
                     directory of that name, which stowage up uses itself; give it another name"
                ),
            ));
        }
    }
    problems
}

fn twice<T: ResourceExt>(kind: &str, resources: &[Located<T>]) -> Vec<Problem> {
    let mut seen: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for resource in resources {
        let name = resource.resource.name_any();
        let namespace = resource.resource.namespace();
        if let Some(other) = seen.insert(name.clone(), namespace.clone()) {
            let both = [other, namespace].map(|n| n.unwrap_or_else(|| "default".to_owned()));
            problems.push(problem(
                &resource.origin,
                "metadata.name",
                format!(
                    "two {kind} are named {name} (in namespaces {}), and without a cluster they \
                     would share what is kept under that name; rename one",
                    both.join(" and ")
                ),
            ));
        }
    }
    problems
}

fn problem(origin: &Origin, field: &str, message: String) -> Problem {
    let Origin { file, line } = origin;
    Problem { file: file.clone(), line: *line, column: 1, field: field.to_owned(), message }
}

fn store_plan(
    read: &Manifests,
    store: &Located<Store>,
    data: &Path,
    insecure: bool,
) -> Result<StorePlan, Problem> {
    let name = store.name_any();
    let namespaces: Vec<&StoreNamespace> = read.namespaces.iter().map(|n| &n.resource).collect();
    // The addresses are settled later and may change without the Store changing; these only
    // have to differ.
    let places = StorePlaces {
        listen: (Ipv4Addr::LOCALHOST, 1).into(),
        management_listen: (Ipv4Addr::LOCALHOST, 2).into(),
        data: data.join(&name),
        tokens_dir: None,
        shutdown_grace: Interval::from_secs(SHUTDOWN_GRACE_SECONDS),
    };
    let tenants = namespaces.iter().filter(|namespace| {
        namespace.spec.store_ref.name == name && namespace.namespace() == store.namespace()
    });
    Ok(StorePlan {
        config: render::sidecar(store, &namespaces, &places),
        credentials: credentials(read, store, insecure)?,
        namespaces: tenants
            .map(|namespace| NamespacePlan {
                name: namespace.name_any(),
                contract: namespace.spec.contract.into(),
                subject: namespace.served_name(),
                access: namespace.spec.access,
            })
            .collect(),
        on_removal: match store.spec.deletion_policy {
            DeletionPolicy::Retain => OnRemoval::Retain,
            DeletionPolicy::Delete => OnRemoval::Delete,
        },
        suspended: store.spec.suspend,
        name,
    })
}

fn credentials(
    read: &Manifests,
    store: &Located<Store>,
    insecure: bool,
) -> Result<Credentials, Problem> {
    const FIELD: &str = "spec.auth.tokensSecretRef.name";
    let Some(reference) = &store.spec.auth.tokens_secret_ref else {
        return Ok(if insecure { Credentials::Nobody } else { Credentials::Made });
    };
    let name = &reference.name;
    let Some(secret) = read.secrets.get(&ObjectName::beside(&store.resource, name)) else {
        let message = format!("there is no Secret {name} in the manifests; add it");
        return Err(problem(&store.origin, FIELD, message));
    };
    let mut tokens = Vec::new();
    for (key, value) in &secret.values {
        let text = String::from_utf8_lossy(value.expose());
        let token = Token::parse(&text)
            .map_err(|e| problem(&secret.origin, &format!("stringData.{key}"), e.to_string()))?;
        tokens.push((key.clone(), token));
    }
    if tokens.is_empty() {
        let message = format!(
            "Secret {name} holds no token; add one to it, or leave tokensSecretRef out to have \
             one made"
        );
        return Err(problem(&store.origin, FIELD, message));
    }
    let origin = format!("{}:{}", secret.origin.file.display(), secret.origin.line);
    Ok(Credentials::Secret { name: name.clone(), origin, tokens })
}

fn branch_plan(
    read: &Manifests,
    source: &Located<RuntimeConfigSource>,
    branch: &Branch,
    data: &Path,
) -> Result<BranchPlan, Problem> {
    let directory = data_dir::run(data)
        .join(&branch.store_ref.name)
        .join(source.name_any())
        .join(branch.name.replace('/', "%2F"));
    let places = SyncPlaces {
        target_url: String::new(),
        token_file: None,
        secret_dir: directory.join("auth"),
        schema_file: directory.join("schema"),
        allow_insecure_urls: true,
    };
    let config = render::sync(source, branch, &places)
        .map_err(|e| problem(&source.origin, "spec", e.to_string()))?;
    Ok(BranchPlan {
        environment: branch.environment.clone(),
        interval: source.spec.interval.duration(),
        config,
        files: source_files(read, source, &places)?,
        directory,
    })
}

/// The Secret and the ConfigMap that a sync reads, as the files that it is told of.
fn source_files(
    read: &Manifests,
    source: &Located<RuntimeConfigSource>,
    places: &SyncPlaces,
) -> Result<BTreeMap<PathBuf, Vec<u8>>, Problem> {
    let mut files = BTreeMap::new();
    if let Some(auth) = &source.spec.auth {
        let name = &auth.secret_ref.name;
        let Some(secret) = read.secret(&source.resource, name) else {
            let message = format!("there is no Secret {name} in the manifests; add it");
            return Err(problem(&source.origin, "spec.auth.secretRef.name", message));
        };
        for (key, value) in &secret.values {
            if GIT_SECRET_KEYS.contains(&key.as_str()) {
                files.insert(places.secret_dir.join(key), value.expose().to_vec());
            }
        }
    }
    if let Some(reference) = source.spec.schema.as_ref().and_then(|s| s.config_map_ref.as_ref()) {
        let found = read.config_map(&source.resource, &reference.name);
        let Some(text) = found.and_then(|map| map.data.get(&reference.key)) else {
            let message = format!(
                "there is no ConfigMap {} with a key {} in the manifests; add it",
                reference.name, reference.key
            );
            return Err(problem(&source.origin, "spec.schema.configMapRef", message));
        };
        files.insert(places.schema_file.clone(), text.clone().into_bytes());
    }
    Ok(files)
}
