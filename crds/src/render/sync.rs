//! One branch of a source as a sync's configuration.

use std::path::PathBuf;

use serde_json::Value;
use stowage_config::{GitAuth, Schema, SyncConfig, SyncLimits, SyncTarget};

use crate::{Branch, RuntimeConfigSource, SchemaSource, SourceLimits, SourceSchema};

/// Where things stand for one sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncPlaces {
    /// The URL of the store that serves the branch, without a path.
    pub target_url: String,
    /// The file with a token that may write runtimes; `None` where the set is handed over
    /// without HTTP.
    pub token_file: Option<PathBuf>,
    /// The directory that holds the keys of `auth.secretRef` as files; used where the source
    /// has one.
    pub secret_dir: PathBuf,
    /// The file that holds the key of `schema.configMapRef`; used where the source has one.
    pub schema_file: PathBuf,
    /// Whether `http://` and `file://` URLs are allowed.
    pub allow_insecure_urls: bool,
}

/// Why a source cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The resource's rules refuse this, so it can only come from before them.
    #[error("spec.schema names none or more than one of inline, configMapRef and path: keep one")]
    SchemaSource,
}

/// The configuration of the sync of one branch of a source.
///
/// # Errors
/// [`RenderError`] where the resource breaks one of its own rules.
pub fn sync(
    source: &RuntimeConfigSource,
    branch: &Branch,
    places: &SyncPlaces,
) -> Result<SyncConfig, RenderError> {
    let spec = &source.spec;
    Ok(SyncConfig {
        repo_id: spec.repo_id.clone(),
        branch: branch.name.clone(),
        url: spec.url.clone(),
        allow_insecure_urls: places.allow_insecure_urls,
        include: spec.include.clone(),
        schema: spec.schema.as_ref().map(|schema| render_schema(schema, places)).transpose()?,
        auth: spec.auth.as_ref().map(|_| GitAuth::SecretDir(places.secret_dir.clone())),
        timeout: spec.timeout.clone(),
        limits: limits(&spec.limits),
        target: SyncTarget {
            url: places.target_url.clone(),
            token_file: places.token_file.clone(),
        },
    })
}

fn render_schema(schema: &SourceSchema, places: &SyncPlaces) -> Result<Schema, RenderError> {
    let source = match schema.source().ok_or(RenderError::SchemaSource)? {
        SchemaSource::Inline(schema) => {
            stowage_config::SchemaSource::Inline(Value::Object(schema.clone()))
        }
        SchemaSource::ConfigMap(_) => {
            stowage_config::SchemaSource::File(places.schema_file.clone())
        }
        SchemaSource::Repository(path) => stowage_config::SchemaSource::Repository(path.to_owned()),
    };
    Ok(Schema { source, pointer: schema.pointer.clone() })
}

fn limits(spec: &SourceLimits) -> SyncLimits {
    let defaults = SyncLimits::default();
    SyncLimits {
        max_files: spec.max_files.map_or(defaults.max_files, u64::from),
        max_file_bytes: spec.max_file_bytes.clone().unwrap_or(defaults.max_file_bytes),
        max_total_bytes: spec.max_total_bytes.clone().unwrap_or(defaults.max_total_bytes),
        max_repository_bytes: spec
            .max_repository_bytes
            .clone()
            .unwrap_or(defaults.max_repository_bytes),
    }
}
