//! The table of contents of the main port.
//!
//! Routes decide on the raw path, so `%2F` in a name is no separator; handlers decode names
//! themselves, once ([`super::target`]).

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use stowage_config::Contract;
use tower_http::catch_panic::CatchPanicLayer;

use super::app::App;
use super::caller::Caller;
use super::problem::Problem;
use super::{artifacts, debug, health, kv, run_store, runtimes, sites};

/// Every route of the main port.
pub(crate) fn router(app: Arc<App>) -> Router {
    let run_store = || get(run_store::get).put(run_store::put).delete(run_store::delete);
    let kv = || get(kv::get).patch(kv::patch).delete(kv::delete);
    let archive = || get(artifacts::get).put(artifacts::put).delete(artifacts::delete);
    let set = get(runtimes::get_set).put(runtimes::put_set).delete(runtimes::delete_set);

    Router::new()
        .merge(served(
            Contract::RunStore,
            Router::new().route("/", run_store()).route("/run-stores/{name}", run_store()),
        ))
        .merge(served(
            Contract::Kv,
            Router::new().route("/api/storage", kv()).route("/storage", kv()),
        ))
        .merge(served(
            Contract::Runtimes,
            Router::new()
                .route("/runtimes", get(runtimes::list))
                .route("/runtimes/{repo_id}/{branch}", set)
                .route("/runtimes/{repo_id}/{branch}/{*filepath}", get(runtimes::get_file)),
        ))
        .merge(served(
            Contract::Artifacts,
            Router::new()
                .route("/sites/{site}/artifacts/{build}", archive())
                .route("/artifacts/{site}/{build}", archive())
                .route("/sites/{site}/logs", post(sites::post_log))
                .route("/sites/{site}/versions", get(sites::versions)),
        ))
        .route("/health", get(health::get))
        // A client that was given the URL of a document appends the path of the health check; the
        // default document's URL may end in a slash.
        .route("//health", get(health::get))
        .route("/run-stores/{name}/health", get(health::get))
        .route("/_debug/storage-info", get(debug::storage_info))
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(name_route))
        .with_state(app)
}

/// The routes of one contract, which answer 404 where the Store does not enable it.
fn served(contract: Contract, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes.route_layer(middleware::from_fn_with_state(contract, enabled))
}

async fn enabled(State(contract): State<Contract>, request: Request, next: Next) -> Response {
    let enabled = |caller: &Caller| caller.settings.contracts.contains(&contract);
    if request.extensions().get::<Caller>().is_some_and(enabled) {
        return next.run(request).await;
    }
    Problem::not_found(format!("this store does not serve the contract {}", contract.as_str()))
        .into_response()
}

/// Hands the route's template out to the log and the metrics, which must not hold raw paths.
async fn name_route(matched: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(matched) = matched {
        response.extensions_mut().insert(matched);
    }
    response
}

/// A bug: the log has where, the client learns nothing but that.
fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked; this is a bug");
    Problem::internal().into_response()
}
