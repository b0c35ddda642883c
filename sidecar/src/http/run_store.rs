//! The run store: one JSON document under compare-and-swap (contract 1).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use stowage_config::Contract;
use stowage_store::{Key, NameKind};

use super::app::App;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::problem::Problem;
use super::{body, document, media, target};
use crate::auth::{Right, Scope};
use crate::json;

/// `GET`: 200 with the document, 304, 404 where nothing stands there.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = authorized(&caller, &uri, Right::Read)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let object = app.store.get(&key).await?.ok_or_else(nothing_there)?;
    document::conditional(&preconditions, &object.tag, || object.body.clone())
}

/// `PUT`: 200 with the document as it was stored, and its new tag.
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = authorized(&caller, &uri, Right::Write)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let unconditional = preconditions.if_match.is_none() && preconditions.if_none_match.is_none();
    if caller.settings.require_precondition && unconditional {
        return Err(Problem::precondition_required(
            "this store takes no unconditional PUT: send If-Match with the ETag that you read, \
             or If-None-Match: * to create",
        ));
    }
    media::require_json(&headers)?;
    let text = body::read(body, &headers, &caller.settings.limits.max_json_bytes).await?;
    let text = if text.is_empty() { Bytes::from_static(b"{}") } else { text };
    let compact = json::compact(&text)?;
    let put = app.store.put(&key, compact.clone(), preconditions).await?;
    Ok(document::json(StatusCode::OK, &put.tag, compact))
}

/// `DELETE`: 204, or 404 where nothing stands there.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = authorized(&caller, &uri, Right::Write)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    if app.store.delete(&key, preconditions).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(nothing_there())
    }
}

/// The document that a path names: `/`, or `/run-stores/{name}`.
fn authorized(caller: &Caller, uri: &Uri, right: Right) -> Result<Key, Problem> {
    if uri.path() == "/" {
        caller.authorize(Contract::RunStore, Scope::Namespace("/"), right)?;
        return Ok(Key::default_run_store());
    }
    let name = target::name(NameKind::RunStore, target::segment(uri, 1))?;
    caller.authorize(Contract::RunStore, Scope::Namespace(name.as_str()), right)?;
    Ok(Key::run_store(&name))
}

fn nothing_there() -> Problem {
    Problem::not_found("nothing is stored here yet")
}

impl From<json::InvalidJson> for Problem {
    fn from(error: json::InvalidJson) -> Self {
        Self::bad_request("invalid_json", format!("the body is not JSON: {error}"))
    }
}
