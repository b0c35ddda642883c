//! Runtime configs: a Git branch's files, replaced as one (contract 4).

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use stowage_config::Contract;
use stowage_store::{Key, Name, NameKind, Preconditions};

use super::app::App;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::document::{self, X_STOWAGE_REVISION, with_header};
use super::history::{self, Asked};
use super::problem::Problem;
use super::watch::{Access, Watched};
use super::{accept, body, media, set_body, target, watch};
use crate::auth::{Right, Scope};
use crate::runtimes::{self, FilePath, ReplaceError, StoredSet};

/// A set as the list of all sets shows it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SetSummary<'a> {
    repo_id: &'a str,
    branch: &'a str,
    /// The Git commit.
    revision: &'a str,
    /// The set's tag, with its quotes.
    etag: String,
    /// How many files it holds.
    files: usize,
    /// When its content last changed, RFC 3339.
    updated_at: &'a str,
}

/// `GET /runtimes`: the sets that the caller may read.
pub(crate) async fn list(
    app: Arc<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.authorize(Contract::Runtimes, Scope::Listing, Right::Read)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let may_read = |repository: &Name| caller.may_read(Contract::Runtimes, repository.as_str());
    let sets = runtimes::list(app.store.as_ref(), &app.sets, may_read).await?;
    let summaries: Vec<_> =
        sets.iter().map(|(repository, branch, set)| summary(repository, branch, set)).collect();
    let text = Bytes::from(serde_json::to_vec(&summaries).map_err(|_| Problem::internal())?);
    document::conditional(&preconditions, &runtimes::digest_tag(&text), || text.clone())
}

/// `GET /runtimes/{repo_id}/{branch}`: every file of the set.
pub(crate) async fn get_set(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (repository, branch) = authorized(&caller, &uri, Right::Read)?;
    let names = (&repository, &branch);
    match history::asked(&app, &uri, &headers)? {
        None => {}
        Some(Asked::At(at)) => {
            let preconditions = preconditions(&headers, BareNumbers::Refused)?;
            let past = Box::pin(history::set(&app, names, &at, no_such_set)).await?;
            return set_answer(&past, &preconditions);
        }
        Some(Asked::Versions(page)) => {
            let request = (&uri, &headers);
            let answer = history::set_versions(&app, names, request, &page, no_such_set);
            return Box::pin(answer).await;
        }
    }
    let watched = || {
        let access = Access::new(&app, &caller, &headers, Contract::Runtimes, repository.as_str());
        (access, Watched::Set(Key::runtime_set(&repository, &branch)))
    };
    if accept::wants_events(&headers) {
        return Box::pin(watch::answer(&app, &headers, watched())).await;
    }
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    watch::held(&app, &headers, watched, || read_set(&app, names, &preconditions)).await
}

async fn read_set(
    app: &App,
    (repository, branch): (&Name, &Name),
    preconditions: &Preconditions,
) -> Result<Response, Problem> {
    set_answer(&*load(app, repository, branch).await?, preconditions)
}

fn set_answer(set: &StoredSet, preconditions: &Preconditions) -> Result<Response, Problem> {
    let response = document::conditional(preconditions, set.tag(), || set.files_json())?;
    Ok(with_header(response, X_STOWAGE_REVISION, set.revision()))
}

/// `GET /runtimes/{repo_id}/{branch}/{filepath}`: one config.
pub(crate) async fn get_file(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (repository, branch) = authorized(&caller, &uri, Right::Read)?;
    let path = file_path(target::segments_after(&uri, 3))?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let set = match history::asked(&app, &uri, &headers)? {
        None => load(&app, &repository, &branch).await?,
        Some(Asked::At(at)) => {
            let past = history::set(&app, (&repository, &branch), &at, no_such_set);
            Arc::new(Box::pin(past).await?)
        }
        Some(Asked::Versions(_)) => {
            let detail = "a history is of the whole set: ask for it without the file path";
            return Err(Problem::bad_request("invalid_query", detail));
        }
    };
    let Some(file) = set.file(&path) else {
        let problem = Problem::not_found("this file is not in the set");
        return Err(with_revision(problem, &set));
    };
    let response = document::conditional(&preconditions, &file.tag, || file.config.clone())?;
    Ok(with_header(response, X_STOWAGE_REVISION, set.revision()))
}

/// `PUT /runtimes/{repo_id}/{branch}`: replaces the whole set in one step. 201 where none was
/// served before (RFC 9110 §9.3.4), else 200; the answer is the set's line in the list.
pub(crate) async fn put_set(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (repository, branch) = authorized(&caller, &uri, Right::Write)?;
    history::refuse(&uri)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    media::require_json(&headers)?;
    let text = body::read(
        body,
        &headers,
        &caller.settings.limits.max_runtime_set_bytes,
        caller.settings.pace,
    )
    .await?;
    let new = set_body::parse(&text)?;
    let replaced = runtimes::replace_if(
        app.store.as_ref(),
        Some(&app.sets),
        (&repository, &branch),
        new,
        preconditions,
        history::author(&app, &caller),
    )
    .await?;
    caller.replaced(replaced.replaced.as_ref());
    let status = if replaced.created { StatusCode::CREATED } else { StatusCode::OK };
    let set = &replaced.set;
    let text =
        serde_json::to_vec(&summary(&repository, &branch, set)).map_err(|_| Problem::internal())?;
    let response = document::json(status, set.tag(), text);
    Ok(with_header(response, X_STOWAGE_REVISION, set.revision()))
}

/// `DELETE /runtimes/{repo_id}/{branch}`: 204, or 404 where no set is served.
pub(crate) async fn delete_set(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (repository, branch) = authorized(&caller, &uri, Right::Write)?;
    history::refuse(&uri)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let names = (&repository, &branch);
    let removed = runtimes::remove_if(app.store.as_ref(), &app.sets, names, preconditions).await?;
    caller.replaced(Some(&removed.ok_or_else(no_such_set)?));
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn summary<'a>(repository: &'a Name, branch: &'a Name, set: &'a StoredSet) -> SetSummary<'a> {
    SetSummary {
        repo_id: repository.as_str(),
        branch: branch.as_str(),
        revision: set.revision(),
        etag: set.tag().to_string(),
        files: set.len(),
        updated_at: set.updated_at(),
    }
}

fn authorized(caller: &Caller, uri: &Uri, right: Right) -> Result<(Name, Name), Problem> {
    let repository = target::name(NameKind::Repository, target::segment(uri, 1))?;
    let branch = target::name(NameKind::Branch, target::segment(uri, 2))?;
    caller.authorize(Contract::Runtimes, Scope::Namespace(repository.as_str()), right)?;
    caller.writes_item(&branch);
    Ok((repository, branch))
}

/// Decodes each segment on its own: a `%2F` in one would be a slash that is no separator.
fn file_path(raw: &str) -> Result<FilePath, Problem> {
    let mut decoded = Vec::new();
    for segment in raw.split('/') {
        let segment = target::decode(segment).ok_or_else(|| target::bad_escape("file path"))?;
        if segment.contains('/') {
            return Err(Problem::bad_request(
                "invalid_name",
                "a file path holds / as itself, never as %2F",
            ));
        }
        decoded.push(segment);
    }
    FilePath::parse(&decoded.join("/"))
        .map_err(|e| Problem::bad_request("invalid_name", e.to_string()))
}

/// The set, unless there is none or it is empty; that answer still says the revision.
async fn load(app: &App, repository: &Name, branch: &Name) -> Result<Arc<StoredSet>, Problem> {
    let set = runtimes::load(app.store.as_ref(), &app.sets, repository, branch).await?;
    match set {
        Some(set) if set.is_empty() => Err(with_revision(no_such_set(), &set)),
        Some(set) => Ok(set),
        None => Err(no_such_set()),
    }
}

fn with_revision(problem: Problem, set: &StoredSet) -> Problem {
    match http::HeaderValue::from_str(set.revision()) {
        Ok(revision) => problem.with_header(X_STOWAGE_REVISION, revision),
        Err(_) => problem,
    }
}

fn no_such_set() -> Problem {
    Problem::not_found("no runtime configs are served for this repository and branch")
}

impl From<ReplaceError> for Problem {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::PreconditionFailed { current } => {
                Self::precondition_failed(current.as_ref())
            }
            ReplaceError::Store(e) => e.into(),
        }
    }
}
