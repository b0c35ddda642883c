//! `GET /_debug/storage-info`: where the data stands. It names directories, so it answers only
//! where the configuration says so, and only to callers who may read everything.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use stowage_config::Anonymous;

use super::app::App;
use super::caller::Caller;
use super::problem::Problem;
use crate::auth::{Identity, Refusal};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageInfo {
    backend: &'static str,
    kv_path: String,
    /// The bucket of an object store; none here.
    bucket: Option<String>,
}

/// Answers with the backend's kind and place.
pub(crate) async fn storage_info(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Problem> {
    let Some(path) = &caller.settings.debug_path else { return Err(Problem::no_such_path()) };
    match &caller.identity {
        Identity::Everyone | Identity::Anonymous(Anonymous::Read) => {}
        Identity::Token(token) if token.grant().namespaces.is_none() => {}
        Identity::Token(_) => return Err(Refusal::Forbidden.into()),
        Identity::Anonymous(Anonymous::None) | Identity::Invalid => {
            return Err(Refusal::Unauthenticated.into());
        }
    }
    let info = StorageInfo {
        backend: app.store.kind().as_str(),
        kv_path: path.join("kv").display().to_string(),
        bucket: None,
    };
    Ok(Json(info).into_response())
}
