//! One sync, step by step, and the report of it.

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;
use stowage_config::{
    FileError, InvalidFile, Outcome, RepositoryUrl, SyncConfig, SyncLimits, SyncReport,
};

use crate::Publisher;
use crate::credentials::Credentials;
use crate::failure::{Failure, Stage};
use crate::fetch::fetch;
use crate::git::Git;
use crate::machine::Machine;
use crate::name::{check_branch, check_name};
use crate::parse::{Format, parse};
use crate::reason::Reason;
use crate::report::{ConfigFile, ConfigSet, PublishError, Published};
use crate::schema::{self, SCHEMA_BYTES_MAX, SchemaPlan};
use crate::select::{Blob, Patterns, SelectError, Selection, Selector};
use crate::tree::{Blobs, list};
use crate::validate::{SchemaUnusable, Validator};

/// The most invalid files that a report holds; the message counts them all.
const INVALID_FILES_MAX: usize = 50;

/// How often a sync looks at the branch anew because another sync of it published in between.
const ATTEMPTS_MAX: u32 = 5;

/// What stands in place of a file that is kept elsewhere; it would parse as YAML.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Runs one sync on the given machine; [`crate::sync`] takes the one of the environment.
///
/// Cancel-safe: dropped, it kills git and removes what was fetched. Never fails as a call: what
/// went wrong is in the report.
pub async fn sync_on(
    machine: &Machine,
    config: &SyncConfig,
    publisher: &dyn Publisher,
) -> SyncReport {
    let started = Instant::now();
    let mut progress = Progress::default();
    let timeout = config.timeout.duration();
    let result =
        tokio::time::timeout(timeout, attempt(machine, config, publisher, &mut progress)).await;
    let result = result.unwrap_or_else(|_| {
        let timeout = config.timeout.to_string();
        Err(Failure::TimedOut { stage: progress.stage, timeout })
    });
    report(config, progress, result, started)
}

/// What is known so far, also when a sync is cut off.
#[derive(Debug, Default)]
struct Progress {
    stage: Stage,
    revision: Option<String>,
    files: usize,
}

/// Tries until no other sync of the branch came in between: what was fetched before another one
/// published may be older than what that one published.
async fn attempt(
    machine: &Machine,
    config: &SyncConfig,
    publisher: &dyn Publisher,
    progress: &mut Progress,
) -> Result<Published, Failure> {
    let mut attempts = 1;
    loop {
        match attempt_once(machine, config, publisher, progress).await {
            Err(Failure::Publish(PublishError::Overtaken)) if attempts < ATTEMPTS_MAX => {
                tracing::info!("another sync of this branch published in between: starting anew");
                attempts += 1;
                *progress = Progress::default();
            }
            result => return result,
        }
    }
}

async fn attempt_once(
    machine: &Machine,
    config: &SyncConfig,
    publisher: &dyn Publisher,
    progress: &mut Progress,
) -> Result<Published, Failure> {
    let plan = Plan::check(config)?;
    publisher.prepare(&config.repo_id, &config.branch).await.map_err(Failure::Publish)?;
    let checkout = fetch(
        machine,
        &plan.url,
        &config.branch,
        &plan.credentials,
        config.limits.max_repository_bytes.bytes(),
    )
    .await?;
    progress.stage = Stage::Reading;
    progress.revision = Some(checkout.revision.clone());
    let files = read(&checkout.git, &checkout.revision, plan, &config.limits, progress).await?;
    drop(checkout.git);
    progress.stage = Stage::Publishing;
    let set = ConfigSet {
        repo_id: config.repo_id.clone(),
        branch: config.branch.clone(),
        revision: checkout.revision,
        files,
    };
    publisher.publish(&set).await.map_err(Failure::Publish)
}

/// A configuration that was checked as far as it can be without the repository.
struct Plan<'a> {
    url: RepositoryUrl,
    patterns: Patterns,
    schema: SchemaPlan<'a>,
    credentials: Credentials,
}

impl<'a> Plan<'a> {
    fn check(config: &'a SyncConfig) -> Result<Self, Failure> {
        check_name("repository id", &config.repo_id)?;
        check_branch(&config.branch)?;
        let url = RepositoryUrl::parse(&config.url, config.allow_insecure_urls)?;
        let patterns = Patterns::parse(&config.include)?;
        let schema = SchemaPlan::prepare(config.schema.as_ref())?;
        let credentials = Credentials::load(config.auth.as_ref(), &url)?;
        Ok(Self { url, patterns, schema, credentials })
    }
}

/// Reads and checks every file before it gives up on any.
async fn read(
    git: &Git,
    revision: &str,
    plan: Plan<'_>,
    limits: &SyncLimits,
    progress: &mut Progress,
) -> Result<Vec<ConfigFile>, Failure> {
    let selector = Selector::new(&plan.patterns, limits, plan.schema.path());
    let Selection { files: blobs, mut invalid, schema } = list(git, revision, selector).await?;
    progress.files = blobs.len() + invalid.len();
    let mut reader = Blobs::open(git)?;
    let validator = resolve_schema(plan.schema, schema, &mut reader).await?.map(Arc::new);

    let mut files = Vec::with_capacity(blobs.len());
    let mut seen: Option<&str> = None;
    let mut total_bytes = 0;
    for blob in &blobs {
        let twice = seen.replace(&blob.path) == Some(&blob.path);
        let checked = if twice {
            Err(vec![fault("the tree holds this path twice: rewrite the commit")])
        } else {
            let content = reader.read(blob).await?;
            check(content, blob.format, limits.max_file_bytes.bytes(), validator.clone()).await
        };
        match checked {
            Ok(config) => {
                total_bytes += config.get().len() as u64;
                if total_bytes > limits.max_total_bytes.bytes() {
                    return Err(SelectError::TooManyBytes(limits.max_total_bytes.bytes()).into());
                }
                files.push(ConfigFile { filepath: blob.path.clone(), config });
            }
            Err(errors) => invalid.push(InvalidFile { file: blob.path.clone(), errors }),
        }
    }
    if invalid.is_empty() { Ok(files) } else { Err(refuse(invalid)) }
}

fn refuse(mut files: Vec<InvalidFile>) -> Failure {
    let count = files.len();
    files.sort_by(|a, b| a.file.cmp(&b.file));
    files.truncate(INVALID_FILES_MAX);
    Failure::Invalid { count, files }
}

fn fault(message: &str) -> FileError {
    FileError { at: String::new(), message: message.to_owned() }
}

async fn resolve_schema(
    plan: SchemaPlan<'_>,
    found: Option<Blob>,
    reader: &mut Blobs,
) -> Result<Option<Validator>, Failure> {
    let (path, pointer) = match plan {
        SchemaPlan::None => return Ok(None),
        SchemaPlan::Ready(validator) => return Ok(Some(validator)),
        SchemaPlan::InRepository { path, pointer } => (path, pointer),
    };
    let blob = found.ok_or_else(|| {
        let path = crate::text::shorten(path, 200);
        SchemaUnusable(format!("the branch has no file {path}: correct the path or add it"))
    })?;
    if blob.size_bytes > SCHEMA_BYTES_MAX {
        let reason = format!("it is larger than {SCHEMA_BYTES_MAX} bytes");
        return Err(SchemaUnusable(reason).into());
    }
    let text = reader.read(&blob).await?;
    Ok(Some(schema::compile(&text, schema::format(path.as_ref()), pointer)?))
}

/// Parses and validates one file off the runtime's threads; files are bounded, and so is the
/// time that one takes.
async fn check(
    content: Vec<u8>,
    format: Format,
    bytes_max: u64,
    validator: Option<Arc<Validator>>,
) -> Result<Box<RawValue>, Vec<FileError>> {
    if content.starts_with(LFS_POINTER) {
        return Err(vec![fault("it is kept in Git LFS, which is not fetched: commit it itself")]);
    }
    let checked = tokio::task::spawn_blocking(move || {
        let config = parse(&content, format, bytes_max)
            .map_err(|e| vec![FileError { at: e.at, message: e.message }])?;
        let Some(validator) = validator else { return Ok(config) };
        let value = serde_json::from_str(config.get()).map_err(|e| vec![fault(&e.to_string())])?;
        let errors = validator.check(&value);
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    });
    checked
        .await
        .unwrap_or_else(|_| Err(vec![fault("the parser gave up on this file: simplify it")]))
}

fn report(
    config: &SyncConfig,
    progress: Progress,
    result: Result<Published, Failure>,
    started: Instant,
) -> SyncReport {
    let (outcome, reason, message) = match &result {
        Ok(published) if published.changed => {
            (Outcome::Published, Reason::Published, served("is served now", progress.files))
        }
        Ok(_) => (
            Outcome::Unchanged,
            Reason::Unchanged,
            served("holds what was served already", progress.files),
        ),
        Err(failure) => (failure.outcome(), failure.reason(), failure.to_string()),
    };
    let (etag, invalid) = match result {
        Ok(published) => (Some(published.etag), Vec::new()),
        Err(Failure::Invalid { files, .. }) => (None, files),
        Err(_) => (None, Vec::new()),
    };
    SyncReport {
        repo_id: config.repo_id.clone(),
        branch: config.branch.clone(),
        outcome,
        reason: reason.to_string(),
        message,
        revision: progress.revision,
        files: progress.files,
        etag,
        invalid,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

fn served(what: &str, files: usize) -> String {
    let noun = if files == 1 { "config" } else { "configs" };
    format!("the commit {what}, with {files} {noun}")
}
