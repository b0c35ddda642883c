//! One Store of the manifests, with its tokens and tenants.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use kube::ResourceExt;
use stowage_config::{Interval, Token, TokenGrant};
use stowage_crds::render::{self, StorePlaces};
use stowage_crds::{Backend, DeletionPolicy, Store, StoreJwt, StoreNamespace};

use super::problem;
use crate::manifests::{Located, Manifests, ObjectName, Problem, SecretValue};
use crate::up::data_dir::run;
use crate::up::plan::{Credentials, NamespacePlan, OnRemoval, StorePlan};
use crate::up::token_command::token_command;

/// How long requests under way may take to finish when a Store stops.
const SHUTDOWN_GRACE_SECONDS: u64 = 20;

/// # Errors
/// The problem of its Secret.
pub(super) fn plan(
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
        // Its keys are handed on as they stand in the Secret.
        jwt_keys_file: PathBuf::from("keys"),
        tracing_dir: tracing_dir(data, &name),
        memory_limit: None,
        shutdown_grace: Interval::from_secs(SHUTDOWN_GRACE_SECONDS),
    };
    let tenants = namespaces.iter().filter(|namespace| {
        namespace.spec.store_ref.name == name && namespace.namespace() == store.namespace()
    });
    Ok(StorePlan {
        config: render::sidecar(store, &namespaces, &places),
        credentials: credentials(read, store, insecure)?,
        jwt_keys: jwt_keys(read, store)?,
        tracing_files: tracing_files(read, store, data)?,
        volume_size: {
            let Backend::Volume(volume) = &store.spec.backend;
            volume.size.clone()
        },
        namespaces: tenants
            .map(|namespace| NamespacePlan {
                name: namespace.name_any(),
                contract: namespace.spec.contract,
                subject: namespace.served_name(),
                access: namespace.spec.access,
                token_life: namespace.spec.token_ttl.duration(),
                token_generation: namespace.spec.token_generation,
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

/// Where the Secrets that go with a collector of traces stand as files. No source is named so.
fn tracing_dir(data: &Path, store: &str) -> PathBuf {
    run(data).join(store).join(".tracing")
}

/// The files that go with a collector of traces.
fn tracing_files(
    read: &Manifests,
    store: &Located<Store>,
    data: &Path,
) -> Result<BTreeMap<PathBuf, SecretValue>, Problem> {
    let directory = tracing_dir(data, &store.name_any());
    let mut files = BTreeMap::new();
    for wanted in store.spec.tracing.iter().flat_map(|tracing| tracing.otlp.secrets()) {
        let secret = read.secret(&store.resource, wanted.name);
        let Some(value) = secret.and_then(|secret| secret.values.get(wanted.key)) else {
            let message = format!(
                "there is no Secret {} with a key {} in the manifests; add it",
                wanted.name, wanted.key
            );
            let field = format!("spec.tracing.otlp.{}", wanted.field);
            return Err(problem(&store.origin, &field, message));
        };
        files.insert(directory.join(wanted.file), value.clone());
    }
    Ok(files)
}

/// What stands in the Secret that JWTs are checked with.
fn jwt_keys(read: &Manifests, store: &Located<Store>) -> Result<Option<SecretValue>, Problem> {
    let Some(wanted) = store.spec.auth.jwt.as_ref().and_then(StoreJwt::secret) else {
        return Ok(None);
    };
    let secret = read.secret(&store.resource, wanted.name);
    match secret.and_then(|secret| secret.values.get(wanted.key)) {
        Some(value) => Ok(Some(value.clone())),
        None => {
            let message = format!(
                "there is no Secret {} with a key {} in the manifests; add it",
                wanted.name, wanted.key
            );
            Err(problem(&store.origin, &format!("spec.auth.jwt.{}", wanted.field), message))
        }
    }
}

fn credentials(
    read: &Manifests,
    store: &Located<Store>,
    insecure: bool,
) -> Result<Credentials, Problem> {
    const FIELD: &str = "spec.auth.tokensSecretRef.name";
    let Some(reference) = &store.spec.auth.tokens_secret_ref else {
        // Who says which JWTs are taken does not want everyone.
        let is_open = insecure && store.spec.auth.jwt.is_none();
        return Ok(if is_open { Credentials::Nobody } else { Credentials::Made });
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
    let command = command(&secret.origin.file, &tokens);
    Ok(Credentials::Secret { name: name.clone(), origin, tokens, command })
}

/// How to read a token that may do everything out of the manifest. Works from any directory.
fn command(file: &Path, tokens: &[(String, Token)]) -> Option<String> {
    let file = std::path::absolute(file).ok()?;
    let text = std::fs::read_to_string(&file).ok()?;
    let mut all_rights = tokens.iter().filter(|(_, token)| token.grant == TokenGrant::default());
    all_rights.find_map(|(name, token)| token_command(&file, &text, name, &token.value))
}
