//! The table of contents of the main port.
//!
//! Paths are told apart as they stand in the request, so `%2F` in a name is no separator; handlers
//! decode names themselves, once ([`super::target`]). A general router costs a request more here
//! than its handler does, so the few paths are told apart by hand.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{ALLOW, CONTENT_LENGTH};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use http_body::Body as _;
use stowage_config::Contract;

use super::app::App;
use super::caller::Caller;
use super::problem::Problem;
use super::{artifacts, debug, health, kv, run_store, runtimes, sites};
use crate::auth::{Identity, Refusal};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    /// A document of the run store.
    Document,
    /// A namespace of KV.
    Namespace,
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
    StorageInfo,
}

/// A path of the main port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    resource: Resource,
    /// The path with names for its variable parts, as logs and metrics tell it.
    pub(crate) template: &'static str,
}

/// The route of a raw path.
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
        ["run-stores", name] if !name.is_empty() => (Resource::Document, "/run-stores/{name}"),
        ["api", "storage"] => (Resource::Namespace, "/api/storage"),
        ["storage"] => (Resource::Namespace, "/storage"),
        ["runtimes"] => (Resource::Sets, "/runtimes"),
        ["runtimes", repository, branch] if !repository.is_empty() && !branch.is_empty() => {
            (Resource::Set, "/runtimes/{repo_id}/{branch}")
        }
        ["runtimes", repository, branch, first, ..]
            if !repository.is_empty() && !branch.is_empty() && (!first.is_empty() || count > 4) =>
        {
            (Resource::File, "/runtimes/{repo_id}/{branch}/{*filepath}")
        }
        ["sites", site, "artifacts", build] if !site.is_empty() && !build.is_empty() => {
            (Resource::Archive, "/sites/{site}/artifacts/{build}")
        }
        ["artifacts", site, build] if !site.is_empty() && !build.is_empty() => {
            (Resource::Archive, "/artifacts/{site}/{build}")
        }
        ["sites", site, "logs"] if !site.is_empty() => (Resource::Logs, "/sites/{site}/logs"),
        ["sites", site, "versions"] if !site.is_empty() => {
            (Resource::Versions, "/sites/{site}/versions")
        }
        ["health"] => (Resource::Health, "/health"),
        // A client that was given the URL of a document appends the path of the health check; the
        // default document's URL may end in a slash.
        ["", "health"] => (Resource::Health, "//health"),
        ["run-stores", name, "health"] if !name.is_empty() => {
            (Resource::Health, "/run-stores/{name}/health")
        }
        ["_debug", "storage-info"] => (Resource::StorageInfo, "/_debug/storage-info"),
        _ => return None,
    };
    Some(Route { resource, template })
}

impl Resource {
    /// The contract that it belongs to, if any.
    fn contract(self) -> Option<Contract> {
        match self {
            Self::Document => Some(Contract::RunStore),
            Self::Namespace => Some(Contract::Kv),
            Self::Sets | Self::Set | Self::File => Some(Contract::Runtimes),
            Self::Archive | Self::Logs | Self::Versions => Some(Contract::Artifacts),
            Self::Health | Self::StorageInfo => None,
        }
    }

    /// The methods that it takes, as `Allow` says them.
    fn methods(self) -> &'static str {
        match self {
            Self::Document | Self::Set | Self::Archive => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::Namespace => "GET, HEAD, PATCH, DELETE, OPTIONS",
            Self::Logs => "POST, OPTIONS",
            Self::Sets | Self::File | Self::Versions | Self::Health | Self::StorageInfo => {
                "GET, HEAD, OPTIONS"
            }
        }
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
    let handled = AssertUnwindSafe(handle(app, route, caller, parts, body)).catch_unwind().await;
    let response = match handled {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(panic) => panicked(panic.as_ref()),
    };
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
    let Parts { method, uri, headers, .. } = parts;
    let allowed = || HeaderValue::from_static(resource.methods());
    if !resource.takes(&method) {
        return Err(Problem::method_not_allowed().with_header(ALLOW, allowed()));
    }
    if method == Method::OPTIONS {
        return Ok((StatusCode::NO_CONTENT, [(ALLOW, allowed())]).into_response());
    }
    // Bad credentials are refused before a handler looks at anything; health asks for none.
    if resource != Resource::Health && matches!(caller.identity, Identity::Invalid) {
        return Err(Refusal::Unauthenticated.into());
    }
    let app = State(app);
    match (resource, method.as_str()) {
        (Resource::Document, "PUT") => run_store::put(app, caller, uri, headers, body).await,
        (Resource::Document, "DELETE") => run_store::delete(app, caller, uri, headers).await,
        (Resource::Document, _) => run_store::get(app, caller, uri, headers).await,
        (Resource::Namespace, "PATCH") => kv::patch(app, caller, uri, headers, body).await,
        (Resource::Namespace, "DELETE") => kv::delete(app, caller, uri, headers).await,
        (Resource::Namespace, _) => kv::get(app, caller, uri, headers).await,
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
        (Resource::Health, _) => Ok(health::get().await),
    }
}

/// The answer to HEAD: that to GET without its body, whose length it tells (RFC 9110 §9.3.2).
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact()
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
mod tests {
    use super::*;

    #[test]
    fn raw_paths_are_told_apart() {
        let table = [
            ("/", Some("/")),
            ("/run-stores/a", Some("/run-stores/{name}")),
            ("/run-stores/a%2Fb", Some("/run-stores/{name}")),
            ("/run-stores/health", Some("/run-stores/{name}")),
            ("/run-stores/a/health", Some("/run-stores/{name}/health")),
            ("/run-stores", None),
            ("/run-stores/", None),
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
            ("/runtimes//b", None),
            ("/runtimes/r/", None),
            ("/runtimes/r/b/", None),
            ("/runtimes/r/b/c", Some("/runtimes/{repo_id}/{branch}/{*filepath}")),
            ("/runtimes/r/b/c/d/e/f.yaml", Some("/runtimes/{repo_id}/{branch}/{*filepath}")),
            ("/runtimes/r/b//c", Some("/runtimes/{repo_id}/{branch}/{*filepath}")),
            ("/runtimes/r//c", None),
            ("/sites/s/artifacts/b", Some("/sites/{site}/artifacts/{build}")),
            ("/sites/s/artifacts/", None),
            ("/sites/s/artifacts/b/c", None),
            ("/sites//artifacts/b", None),
            ("/artifacts/s/b", Some("/artifacts/{site}/{build}")),
            ("/artifacts//b", None),
            ("/artifacts/s", None),
            ("/sites/s/logs", Some("/sites/{site}/logs")),
            ("/sites//logs", None),
            ("/sites/s/versions", Some("/sites/{site}/versions")),
            ("/sites/s", None),
            ("/health", Some("/health")),
            ("//health", Some("//health")),
            ("/health/", None),
            ("//", None),
            ("/_debug/storage-info", Some("/_debug/storage-info")),
            ("/nowhere", None),
            ("*", None),
            ("", None),
        ];
        for (path, template) in table {
            assert_eq!(route(path).map(|route| route.template), template, "{path:?}");
        }
    }
}
