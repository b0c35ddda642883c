//! The second port: liveness, readiness and metrics, without credentials.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use stowage_store::Capacity;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::app::App;
use super::drained::Drained;
use super::malformed;
use super::observe::{decorate, end_connection};
use super::problem::Problem;
use super::request_id;

/// The paths of the second port: whether the process runs, whether it is ready, its metrics.
pub(crate) const PATHS: [&str; 3] = ["/livez", "/readyz", "/metrics"];
/// OpenMetrics, as `Content-Type` says it.
pub(crate) const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long one look at the store answers for.
const CHECK_VALID: Duration = Duration::from_secs(1);
/// How long a look at the store may take; a medium that hangs is not ready.
const CHECK_MAX: Duration = Duration::from_secs(5);

/// What the last look found: when, and what stood in the way.
type LastCheck = Mutex<Option<(Instant, Result<(), String>)>>;

/// How long the volume may take to tell how full it is; the other metrics do not wait for longer.
const CAPACITY_MAX: Duration = Duration::from_secs(1);

/// A question to the volume that is under way.
type Asking = JoinHandle<stowage_store::Result<Option<Capacity>>>;

struct Management {
    app: Arc<App>,
    last_check: LastCheck,
    asking: Mutex<Option<Asking>>,
}

/// Every route of the second port.
pub(crate) fn router(app: Arc<App>) -> Router {
    let every = middleware::from_fn_with_state(Arc::clone(&app), around);
    let state =
        Arc::new(Management { app, last_check: LastCheck::default(), asking: Mutex::default() });
    let [livez, readyz, metrics] = PATHS;
    Router::new()
        .route(livez, get(async || "ok\n"))
        .route(readyz, get(is_ready))
        .route(metrics, get(read_metrics))
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(every)
        .with_state(state)
}

/// What stands around every request: reads on what is sent with it, as no handler here takes a body, and adds
/// what each answer carries.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (version, id) = (parts.version, request_id::of(&parts.headers));
    let (body, left) = Drained::wrap(body, &parts.headers);
    let mut response = match malformed::check(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    };
    decorate(&app, id, response.headers_mut());
    let ends = left.ends_connection(response.body());
    end_connection(version, ends, response.headers_mut());
    response
}

/// Answers what could not be read as a request. What comes here is neither logged nor counted.
pub(crate) fn refuse_malformed(app: &App, status: StatusCode, reason: &str) -> Response {
    let mut response = malformed::problem(status, reason).into_response();
    decorate(app, request_id::of(&HeaderMap::new()), response.headers_mut());
    response
}

/// 200 as long as the store can be read and written and no shutdown has begun.
async fn is_ready(State(state): State<Arc<Management>>) -> Result<&'static str, Problem> {
    if state.app.shutdown.is_cancelled() {
        return Err(Problem::unavailable("the server is shutting down"));
    }
    // Held during the look, so that any number of probes make one.
    let mut last = state.last_check.lock().await;
    let found = match &*last {
        Some((when, found)) if when.elapsed() < CHECK_VALID => found.clone(),
        _ => {
            let found = look(&state.app).await;
            *last = Some((Instant::now(), found.clone()));
            found
        }
    };
    found.map(|()| "ready\n").map_err(|reason| {
        tracing::warn!(reason, "not ready");
        Problem::unavailable("the store cannot be read and written; the log says why")
    })
}

async fn look(app: &App) -> Result<(), String> {
    match tokio::time::timeout(CHECK_MAX, app.store.check()).await {
        Ok(found) => found.map_err(|e| e.to_string()),
        Err(_) => Err(format!("the store did not answer within {} s", CHECK_MAX.as_secs())),
    }
}

async fn read_metrics(State(state): State<Arc<Management>>) -> Response {
    let capacity = capacity(&state).await;
    let engine = state.app.store.stats();
    let text = state.app.metrics.text(engine.as_ref(), capacity);
    ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}

/// How full the volume is. One that hangs is asked once, however often the metrics are read: each
/// question holds a thread until it is answered.
async fn capacity(state: &Management) -> Option<Capacity> {
    let mut asking = state.asking.lock().await;
    let store = Arc::clone(&state.app.store);
    let ask = || tokio::spawn(async move { store.capacity().await });
    let answer = asking.get_or_insert_with(ask);
    let told = tokio::time::timeout(CAPACITY_MAX, answer).await.ok()?;
    *asking = None;
    told.map_err(|panic| panic.to_string())
        .and_then(|told| told.map_err(|error| error.to_string()))
        .inspect_err(|error| tracing::warn!(error, "it is unknown how full the volume is"))
        .ok()
        .flatten()
}
