//! A Git server over HTTP: `git http-backend` behind a small CGI gateway.
//!
//! For tests and for trying a source without a server of one's own. It has no TLS and no users, and
//! it holds each request and answer in memory: nothing to put before people one does not know.

mod cgi;
mod repositories;

use std::path::PathBuf;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;

pub use cgi::backend;
pub use repositories::{CreateError, create};

/// Serves every bare repository under `root`, for reading and for pushing where the repository
/// allows it; `/livez` answers 200.
pub fn router(root: PathBuf) -> Router {
    Router::new().route("/livez", get(|| async { "ok\n" })).fallback(answer).with_state(root)
}

async fn answer(State(root): State<PathBuf>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    backend(&root, &path, request).await
}
