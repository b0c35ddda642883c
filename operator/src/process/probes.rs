//! `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Context;

/// Whether the process can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Not yet, and why.
    Waiting(String),
    /// It acts, or stands by for the one that does.
    Ready,
}

#[derive(Clone)]
struct Shared {
    context: Arc<Context>,
    readiness: watch::Receiver<Readiness>,
}

/// Answers until `shutdown`.
pub(super) async fn serve(
    listener: TcpListener,
    context: Arc<Context>,
    readiness: watch::Receiver<Readiness>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        // Answering is what it is about: a process whose runtime is stuck does not.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Shared { context, readiness });
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn ready(State(shared): State<Shared>) -> Response {
    let readiness = shared.readiness.borrow().clone();
    match readiness {
        Readiness::Ready => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        Readiness::Waiting(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
        }
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match shared.context.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
