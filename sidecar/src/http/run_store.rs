//! The run store: one JSON document under compare-and-swap (contract 1).

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use stowage_config::Contract;
use stowage_store::{Key, NameKind, Preconditions};

use super::app::App;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::history::{self, Asked};
use super::problem::Problem;
use super::watch::{Access, Watched};
use super::{accept, body, document, media, target, watch};
use crate::auth::{Right, Scope};
use crate::json;

/// `GET`: 200 with the document, 304, 404 where nothing stands there.
pub(crate) async fn get(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = authorized(&caller, &uri, Right::Read)?;
    match history::asked(&app, &uri, &headers)? {
        None => {}
        Some(Asked::At(at)) => {
            let preconditions = preconditions(&headers, BareNumbers::Refused)?;
            let past = Box::pin(history::document(&app, &key, &at, nothing_there)).await?;
            return document::conditional(&preconditions, &past.tag, || past.body.clone());
        }
        Some(Asked::Versions(page)) => {
            let request = (&uri, &headers);
            let answer = history::document_versions(&app, &key, request, &page, nothing_there);
            return Box::pin(answer).await;
        }
    }
    let watched = || {
        let access = Access::new(&app, &caller, &headers, Contract::RunStore, &scope_name(&uri));
        (access, Watched::Document(key.clone()))
    };
    if accept::wants_events(&headers) {
        return Box::pin(watch::answer(&app, &headers, watched())).await;
    }
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    watch::held(&app, &headers, watched, || read(&app, &key, &preconditions)).await
}

async fn read(app: &App, key: &Key, preconditions: &Preconditions) -> Result<Response, Problem> {
    let object = app.store.get(key).await?.ok_or_else(nothing_there)?;
    document::conditional(preconditions, &object.tag, || object.body.clone())
}

/// `PUT`: 200 with the document as it was stored, and its new tag.
pub(crate) async fn put(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = authorized(&caller, &uri, Right::Write)?;
    history::refuse(&uri)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let unconditional = preconditions.if_match.is_none() && preconditions.if_none_match.is_none();
    if caller.settings.require_precondition && unconditional {
        return Err(Problem::precondition_required(
            "this store takes no unconditional PUT: send If-Match with the ETag that you read, \
             or If-None-Match: * to create",
        ));
    }
    media::require_json(&headers)?;
    let text =
        body::read(body, &headers, &caller.settings.limits.max_json_bytes, caller.settings.pace)
            .await?;
    let text = if text.is_empty() { Bytes::from_static(b"{}") } else { text };
    let compact = json::compact(&text)?;
    let author = history::author(&app, &caller);
    let put = app.store.put_by(&key, compact.clone(), preconditions, author).await?;
    caller.replaced(put.replaced.as_ref());
    Ok(document::json(StatusCode::OK, &put.tag, compact))
}

/// `DELETE`: 204, and no version before can be read any more; or 404 where nothing stands there.
pub(crate) async fn delete(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = authorized(&caller, &uri, Right::Write)?;
    history::refuse(&uri)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let removed = app.store.delete(&key, preconditions).await?.ok_or_else(nothing_there)?;
    caller.replaced(Some(&removed));
    Ok(StatusCode::NO_CONTENT.into_response())
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

/// The name of the document in rights, once it was checked.
fn scope_name(uri: &Uri) -> String {
    if uri.path() == "/" {
        return "/".to_owned();
    }
    target::decode(target::segment(uri, 1)).unwrap_or_default().into_owned()
}

fn nothing_there() -> Problem {
    Problem::not_found("nothing is stored here yet")
}

impl From<json::InvalidJson> for Problem {
    fn from(error: json::InvalidJson) -> Self {
        Self::bad_request("invalid_json", format!("the body is not JSON: {error}"))
    }
}
