//! One branch of a source of the manifests, with the Secret and the ConfigMap that it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kube::ResourceExt;
use stowage_crds::render::{self, SyncPlaces};
use stowage_crds::{Branch, RuntimeConfigSource};

use super::problem;
use crate::manifests::{Located, Manifests, Problem};
use crate::up::data_dir;
use crate::up::plan::BranchPlan;

/// The keys of a Secret that a Git sync reads; no others are written as files.
const GIT_SECRET_KEYS: [&str; 5] =
    ["username", "password", "bearerToken", "ssh-privatekey", "known_hosts"];

/// # Errors
/// The problem of its Secret or ConfigMap.
pub(super) fn plan(
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
