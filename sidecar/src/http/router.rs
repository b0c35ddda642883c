//! The table of contents of the main port.
//!
//! Paths are told apart as they stand in the request, so `%2F` in a name is no separator; handlers
//! decode names themselves, once ([`super::target`]). A general router costs a request more here
//! than its handler does, so the few paths are told apart by hand.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{ALLOW, CONTENT_LENGTH, VARY};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use http_body::Body as _;
use stowage_config::Contract;

use super::app::App;
use super::caller::Caller;
use super::problem::Problem;
use super::{artifacts, debug, description, health, history, jobs, kv, run_store, runtimes, sites};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    /// A document of the run store.
    Document,
    /// A namespace of KV.
    Namespace,
    /// The list of all jobs.
    Jobs,
    /// A job.
    Job,
    /// The list of a job's checkpoints.
    Checkpoints,
    /// A checkpoint of a job.
    Checkpoint,
    /// The list of all runs.
    Runs,
    /// The setting of a run.
    Run,
    /// The events of a run.
    Events,
    /// An event of a run.
    Event,
    /// The list of all sets of runtime configs.
    Sets,
    /// The set of one branch.
    Set,
    /// A file of a set.
    File,
    /// The archive of a build.
    Archive,
    /// The log of a site's builds.
    Logs,
    /// The list of a site's builds.
    Versions,
    Health,
    /// The description of all this.
    Description,
    StorageInfo,
}

/// A path of the main port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    resource: Resource,
    /// The path with names for its variable parts, as logs and metrics tell it.
    pub(crate) template: &'static str,
}

impl Route {
    /// Whether it asks for no credentials.
    pub(crate) fn is_open(self) -> bool {
        self.resource.is_open()
    }
}

/// The route of a raw path. A name that is empty is a bad name, which its handler refuses.
pub(crate) fn route(path: &str) -> Option<Route> {
    let mut segments = [""; 5];
    let mut count = 0;
    // The last one holds what is left, slashes included.
    for (segment, text) in segments.iter_mut().zip(path.strip_prefix('/')?.splitn(5, '/')) {
        *segment = text;
        count += 1;
    }
    let (resource, template) = match segments.get(..count)? {
        [""] => (Resource::Document, "/"),
        ["run-stores", _] => (Resource::Document, "/run-stores/{name}"),
        ["api", "storage"] => (Resource::Namespace, "/api/storage"),
        ["storage"] => (Resource::Namespace, "/storage"),
        ["jobs"] => (Resource::Jobs, "/jobs"),
        ["runs"] => (Resource::Runs, "/runs"),
        ["jobs", _, rest @ ..] => below_a_job(rest)?,
        ["runtimes"] => (Resource::Sets, "/runtimes"),
        ["runtimes", _, _] => (Resource::Set, "/runtimes/{repo_id}/{branch}"),
        ["runtimes", _, _, _, ..] => (Resource::File, "/runtimes/{repo_id}/{branch}/{*filepath}"),
        ["sites", _, "artifacts", _] => (Resource::Archive, "/sites/{site}/artifacts/{build}"),
        ["artifacts", _, _] => (Resource::Archive, "/artifacts/{site}/{build}"),
        ["sites", _, "logs"] => (Resource::Logs, "/sites/{site}/logs"),
        ["sites", _, "versions"] => (Resource::Versions, "/sites/{site}/versions"),
        ["health"] => (Resource::Health, "/health"),
        // A client that was given the URL of a document appends the path of the health check; the
        // default document's URL may end in a slash.
        ["", "health"] => (Resource::Health, "//health"),
        ["run-stores", name, "health"] if !name.is_empty() => {
            (Resource::Health, "/run-stores/{name}/health")
        }
        ["openapi.json"] => (Resource::Description, "/openapi.json"),
        ["_debug", "storage-info"] => (Resource::StorageInfo, "/_debug/storage-info"),
        _ => return None,
    };
    Some(Route { resource, template })
}

/// What stands below a job.
fn below_a_job(segments: &[&str]) -> Option<(Resource, &'static str)> {
    Some(match segments {
        [] => (Resource::Job, "/jobs/{job}"),
        ["checkpoints"] => (Resource::Checkpoints, "/jobs/{job}/checkpoints"),
        ["checkpoints", _] => (Resource::Checkpoint, "/jobs/{job}/checkpoints/{id}"),
        ["runs", _] => (Resource::Run, "/jobs/{job}/runs/{run}"),
        ["runs", _, "events"] => (Resource::Events, "/jobs/{job}/runs/{run}/events"),
        ["runs", _, last] => {
            let event = last.strip_prefix("events/")?;
            if event.is_empty() || event.contains('/') {
                return None;
            }
            (Resource::Event, "/jobs/{job}/runs/{run}/events/{event}")
        }
        _ => return None,
    })
}

impl Resource {
    /// The contract that it belongs to, if any.
    fn contract(self) -> Option<Contract> {
        match self {
            Self::Document => Some(Contract::RunStore),
            Self::Namespace => Some(Contract::Kv),
            Self::Jobs
            | Self::Job
            | Self::Checkpoints
            | Self::Checkpoint
            | Self::Runs
            | Self::Run
            | Self::Events
            | Self::Event => Some(Contract::Jobs),
            Self::Sets | Self::Set | Self::File => Some(Contract::Runtimes),
            Self::Archive | Self::Logs | Self::Versions => Some(Contract::Artifacts),
            Self::Health | Self::Description | Self::StorageInfo => None,
        }
    }

    /// The methods that it takes, as `Allow` says them.
    fn methods(self) -> &'static str {
        match self {
            Self::Document | Self::Job | Self::Set | Self::Archive => {
                "GET, HEAD, PUT, DELETE, OPTIONS"
            }
            Self::Namespace => "GET, HEAD, PATCH, DELETE, OPTIONS",
            Self::Checkpoint | Self::Run => "GET, HEAD, PUT, OPTIONS",
            Self::Events => "GET, HEAD, POST, OPTIONS",
            Self::Logs => "POST, OPTIONS",
            Self::Jobs
            | Self::Checkpoints
            | Self::Runs
            | Self::Event
            | Self::Sets
            | Self::File
            | Self::Versions
            | Self::Health
            | Self::Description
            | Self::StorageInfo => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether it asks for no credentials.
    fn is_open(self) -> bool {
        matches!(self, Self::Health | Self::Description)
    }

    /// Whether it can be read as a stream of events, too.
    fn is_watched(self) -> bool {
        matches!(self, Self::Document | Self::Namespace | Self::Set)
    }

    /// Whether versions before the current one can be kept of it.
    fn has_versions(self) -> bool {
        matches!(self, Self::Document | Self::Namespace | Self::Set | Self::File)
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|known| known == method.as_str())
    }
}

/// Has a request answered by the handler of its route and method.
pub(crate) async fn dispatch(
    app: Arc<App>,
    route: Option<Route>,
    caller: Caller,
    parts: Parts,
    body: Body,
) -> Response {
    let is_head = parts.method == Method::HEAD;
    let is_read = is_head || parts.method == Method::GET;
    let is_watched = is_read && route.is_some_and(|route| route.resource.is_watched());
    let is_namespace = route.is_some_and(|route| route.resource == Resource::Namespace)
        && parts.method != Method::OPTIONS;
    let handled = AssertUnwindSafe(handle(app, route, caller, parts, body)).catch_unwind().await;
    let mut response = match handled {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(panic) => panicked(panic.as_ref()),
    };
    if is_watched {
        // A stream of events would have been another answer.
        response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    }
    if is_namespace {
        // Whose namespace it is, and so what stands there, is said by these; and the versions of two are alike.
        response
            .headers_mut()
            .append(VARY, HeaderValue::from_static("Authorization, X-Thesara-Scope"));
    }
    if is_head { without_body(response) } else { response }
}

async fn handle(
    app: Arc<App>,
    route: Option<Route>,
    caller: Caller,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let Some(Route { resource, .. }) = route else { return Err(Problem::no_such_path()) };
    if let Some(contract) = resource.contract()
        && !caller.settings.contracts.contains(&contract)
    {
        let name = contract.as_str();
        return Err(Problem::not_found(format!("this store does not serve the contract {name}")));
    }
    // Not even that there is such a path is told.
    if resource == Resource::StorageInfo && caller.settings.debug_path.is_none() {
        return Err(Problem::no_such_path());
    }
    let Parts { method, uri, headers, .. } = parts;
    let allowed = || HeaderValue::from_static(resource.methods());
    if !resource.takes(&method) {
        return Err(Problem::method_not_allowed().with_header(ALLOW, allowed()));
    }
    if method == Method::OPTIONS {
        return Ok((StatusCode::NO_CONTENT, [(ALLOW, allowed())]).into_response());
    }
    // Bad credentials are refused before a handler looks at anything.
    if !resource.is_open() {
        caller.known()?;
        caller.count(&app)?;
    }
    if resource.contract().is_some() && !resource.has_versions() {
        history::refuse_any(&uri)?;
    }
    match (resource, method.as_str()) {
        (Resource::Document, "PUT") => run_store::put(app, caller, uri, headers, body).await,
        (Resource::Document, "DELETE") => run_store::delete(app, caller, uri, headers).await,
        (Resource::Document, _) => run_store::get(app, caller, uri, headers).await,
        (Resource::Namespace, "PATCH") => kv::patch(app, caller, uri, headers, body).await,
        (Resource::Namespace, "DELETE") => kv::delete(app, caller, uri, headers).await,
        (Resource::Namespace, _) => kv::get(app, caller, uri, headers).await,
        (Resource::Jobs, _) => jobs::list_jobs(app, caller, uri, headers).await,
        (Resource::Runs, _) => jobs::list_runs(app, caller, uri, headers).await,
        (Resource::Checkpoints, _) => jobs::checkpoints(app, caller, uri, headers).await,
        (Resource::Events, "POST") => jobs::post_event(app, caller, uri, headers, body).await,
        (Resource::Events, _) => jobs::events(app, caller, uri, headers).await,
        (Resource::Run, "PUT") => jobs::put_run(app, caller, uri, headers, body).await,
        (Resource::Job, "DELETE") => jobs::delete(app, caller, uri, headers).await,
        (Resource::Job | Resource::Checkpoint, "PUT") => {
            jobs::put(app, caller, uri, headers, body).await
        }
        (Resource::Job | Resource::Checkpoint | Resource::Run | Resource::Event, _) => {
            jobs::get(app, caller, uri, headers).await
        }
        (Resource::Sets, _) => runtimes::list(app, caller, headers).await,
        (Resource::Set, "PUT") => runtimes::put_set(app, caller, uri, headers, body).await,
        (Resource::Set, "DELETE") => runtimes::delete_set(app, caller, uri, headers).await,
        (Resource::Set, _) => runtimes::get_set(app, caller, uri, headers).await,
        (Resource::File, _) => runtimes::get_file(app, caller, uri, headers).await,
        // It is by far the largest, and every request would carry room for it.
        (Resource::Archive, "PUT") => {
            Box::pin(artifacts::put(app, caller, uri, headers, body)).await
        }
        (Resource::Archive, "DELETE") => artifacts::delete(app, caller, uri, headers).await,
        (Resource::Archive, _) => artifacts::get(app, caller, method, uri, headers).await,
        (Resource::Logs, _) => sites::post_log(app, caller, uri, headers, body).await,
        (Resource::Versions, _) => sites::versions(app, caller, uri, headers).await,
        (Resource::StorageInfo, _) => debug::storage_info(app, caller).await,
        (Resource::Description, _) => description::get(headers).await,
        (Resource::Health, _) => Ok(health::get().await),
    }
}

/// The answer to HEAD: that to GET without its body, whose length it tells (RFC 9110 §9.3.2).
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // A length in a 304 would be that of the 200 (§8.6), of which there is nothing here.
    if parts.status != StatusCode::NOT_MODIFIED
        && let Some(length) = body.size_hint().exact()
        && !parts.headers.contains_key(CONTENT_LENGTH)
    {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// A bug: the log has where, the client learns nothing but that.
fn panicked(panic: &(dyn Any + Send)) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked; this is a bug");
    Problem::internal().into_response()
}

#[cfg(test)]
pub(crate) use tests::described_routes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every route has a row.
    const PATHS: &[(&str, Option<&str>)] = &[
        ("/", Some("/")),
        ("/run-stores/a", Some("/run-stores/{name}")),
        ("/run-stores/a%2Fb", Some("/run-stores/{name}")),
        ("/run-stores/health", Some("/run-stores/{name}")),
        ("/run-stores/a/health", Some("/run-stores/{name}/health")),
        ("/run-stores", None),
        ("/run-stores/", Some("/run-stores/{name}")),
        ("/run-stores/a/", None),
        ("/run-stores/a/b", None),
        ("/run-stores//health", None),
        ("/api/storage", Some("/api/storage")),
        ("/api/storage/", None),
        ("/storage", Some("/storage")),
        ("/runtimes", Some("/runtimes")),
        ("/runtimes/", None),
        ("/runtimes/r", None),
        ("/runtimes/r/b", Some("/runtimes/{repo_id}/{branch}")),
        ("/runtimes/r%2Fs/b", Some("/runtimes/{repo_id}/{branch}")),
        ("/runtimes//b", Some("/runtimes/{repo_id}/{branch}")),
        ("/runtimes/r/", Some("/runtimes/{repo_id}/{branch}")),
        ("/runtimes/r/b/", Some("/runtimes/{repo_id}/{branch}/{*filepath}")),
        ("/runtimes/r/b/c", Some("/runtimes/{repo_id}/{branch}/{*filepath}")),
        ("/runtimes/r/b/c/d/e/f.yaml", Some("/runtimes/{repo_id}/{branch}/{*filepath}")),
        ("/runtimes/r/b//c", Some("/runtimes/{repo_id}/{branch}/{*filepath}")),
        ("/runtimes/r//c", Some("/runtimes/{repo_id}/{branch}/{*filepath}")),
        ("/jobs", Some("/jobs")),
        ("/jobs/", Some("/jobs/{job}")),
        ("/jobs/j", Some("/jobs/{job}")),
        ("/jobs/j%2Fk", Some("/jobs/{job}")),
        ("/jobs/j/", None),
        ("/jobs/j/other", None),
        ("/jobs/j/checkpoints", Some("/jobs/{job}/checkpoints")),
        ("/jobs//checkpoints", Some("/jobs/{job}/checkpoints")),
        ("/jobs/j/checkpoints/", Some("/jobs/{job}/checkpoints/{id}")),
        ("/jobs/j/checkpoints/c", Some("/jobs/{job}/checkpoints/{id}")),
        ("/jobs/j/checkpoints/c/d", None),
        ("/jobs/j/runs", None),
        ("/jobs/j/runs/", Some("/jobs/{job}/runs/{run}")),
        ("/jobs/j/runs/r", Some("/jobs/{job}/runs/{run}")),
        ("/jobs/j/runs//events", Some("/jobs/{job}/runs/{run}/events")),
        ("/jobs/j/runs/r/", None),
        ("/jobs/j/runs/r/events", Some("/jobs/{job}/runs/{run}/events")),
        ("/jobs/j/runs/r/events/", None),
        ("/jobs/j/runs/r/events/1-2-a", Some("/jobs/{job}/runs/{run}/events/{event}")),
        ("/jobs/j/runs/r/events/1-2-a/b", None),
        ("/jobs/j/runs/r/eventsx", None),
        ("/runs", Some("/runs")),
        ("/runs/r", None),
        ("/sites/s/artifacts/b", Some("/sites/{site}/artifacts/{build}")),
        ("/sites/s/artifacts/", Some("/sites/{site}/artifacts/{build}")),
        ("/sites/s/artifacts/b/c", None),
        ("/sites//artifacts/b", Some("/sites/{site}/artifacts/{build}")),
        ("/artifacts/s/b", Some("/artifacts/{site}/{build}")),
        ("/artifacts//b", Some("/artifacts/{site}/{build}")),
        ("/artifacts/s", None),
        ("/sites/s/logs", Some("/sites/{site}/logs")),
        ("/sites//logs", Some("/sites/{site}/logs")),
        ("/sites/s/versions", Some("/sites/{site}/versions")),
        ("/sites/s", None),
        ("/health", Some("/health")),
        ("//health", Some("//health")),
        ("/health/", None),
        ("//", None),
        ("/openapi.json", Some("/openapi.json")),
        ("/_debug/storage-info", Some("/_debug/storage-info")),
        ("/nowhere", None),
        ("*", None),
        ("", None),
    ];

    #[test]
    fn raw_paths_are_told_apart() {
        for (path, template) in PATHS {
            assert_eq!(route(path).map(|route| route.template), *template, "{path:?}");
        }
    }

    /// The paths and methods that a description of all this must have. A doubled slash is what a
    /// client makes of the URL of the default document.
    pub(crate) fn described_routes() -> BTreeSet<(String, String)> {
        let routes = PATHS.iter().filter_map(|(path, _)| route(path));
        routes
            .filter(|route| route.template != "//health")
            .flat_map(|Route { resource, template }| {
                let methods = resource.methods().split(", ");
                methods.map(|method| (template.replace("{*", "{"), method.to_owned()))
            })
            .collect()
    }
}
