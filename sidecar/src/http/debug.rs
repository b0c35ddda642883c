//! `GET /_debug/storage-info`: where the data stands. It names directories, so it answers only
//! where the configuration says so, and only to callers who may read everything.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use stowage_config::Anonymous;

use super::app::App;
use super::caller::Caller;
use super::problem::Problem;
use crate::auth::{Identity, Refusal};

/// Where the data stands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StorageInfo {
    /// As `X-Storage-Backend` says it.
    backend: &'static str,
    /// The directory of the KV namespaces.
    kv_path: String,
    /// The bucket of an object store; none here.
    bucket: Option<String>,
}

/// Answers with the backend's kind and place.
pub(crate) async fn storage_info(app: Arc<App>, caller: Caller) -> Result<Response, Problem> {
    let Some(path) = &caller.settings.debug_path else { return Err(Problem::no_such_path()) };
    caller.known()?;
    match (caller.identity.grant(), &caller.identity) {
        (Some(grant), _) if grant.namespaces.is_some() || grant.contracts.is_some() => {
            return Err(Refusal::Forbidden.into());
        }
        (None, Identity::Anonymous(Anonymous::None)) => {
            return Err(Refusal::Unauthenticated.into());
        }
        _ => {}
    }
    let info = StorageInfo {
        backend: app.store.kind().as_str(),
        kv_path: path.join("kv").display().to_string(),
        bucket: None,
    };
    Ok(Json(info).into_response())
}
