//! KV: a namespace of keys under one version (contract 2).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use stowage_config::Contract;
use stowage_store::{
    MemberKey, Name, NameKind, NamespaceKey, Operation, Patch, Patched, Preconditions, StoreError,
};

use super::app::App;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::problem::Problem;
use super::{body, document, media, operations, target};
use crate::auth::{Right, Scope};
use crate::json;

/// Which application changes the namespace.
const X_THESARA_APP_ID: HeaderName = HeaderName::from_static("x-thesara-app-id");
/// Whose namespace is meant.
const X_THESARA_SCOPE: HeaderName = HeaderName::from_static("x-thesara-scope");
/// RFC 5789 §2.2: what a PATCH may carry.
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// `GET`: the object of all keys, or with `key=` one value; both with the namespace's version.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let namespace = authorized(&caller, &uri, &headers, Right::Read)?;
    let member = target::query(&uri, "key")?;
    let preconditions = preconditions(&headers, BareNumbers::Accepted)?;
    let key = NamespaceKey::shared(&namespace);
    let Some(member) = member else {
        let namespace = app.store.namespace(&key).await?;
        return document::conditional(&preconditions, &namespace.tag(), || namespace.snapshot());
    };
    let member =
        MemberKey::new(&member).map_err(|e| Problem::bad_request("invalid_key", e.to_string()))?;
    let namespace = app.store.namespace(&key).await?;
    let tag = namespace.tag();
    match namespace.get(member.as_str()) {
        Some(value) => document::conditional(&preconditions, &tag, || value.clone()),
        None => Err(Problem::not_found("this key is not in the namespace").with_tag(&tag)),
    }
}

/// `PATCH`: applies operations, all or none. 201 from version 0, else 200.
pub(crate) async fn patch(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let namespace = authorized(&caller, &uri, &headers, Right::Write)?;
    refuse_key(&uri)?;
    let preconditions = required_preconditions(&headers)?;
    require_app_id(&headers)?;
    media::require_json(&headers).map_err(|problem| {
        problem.with_header(ACCEPT_PATCH, HeaderValue::from_static("application/json"))
    })?;
    let text = body::read(body, &headers, &caller.settings.limits.max_json_bytes).await?;
    let operations = operations::parse(&json::compact(&text)?)
        .map_err(|e| Problem::bad_request("invalid_operation", e.to_string()))?;
    let patched = apply(&app, &caller, &namespace, preconditions, operations).await?;
    let status = if patched.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(changed(status, &patched, &headers))
}

/// `DELETE`: removes every key. The version grows by one, as by a PATCH; the answer is a
/// PATCH's, with 200 even from version 0, because nothing was created.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let namespace = authorized(&caller, &uri, &headers, Right::Write)?;
    refuse_key(&uri)?;
    let preconditions = required_preconditions(&headers)?;
    let patched = apply(&app, &caller, &namespace, preconditions, vec![Operation::Clear]).await?;
    Ok(changed(StatusCode::OK, &patched, &headers))
}

async fn apply(
    app: &App,
    caller: &Caller,
    namespace: &Name,
    preconditions: Preconditions,
    operations: Vec<Operation>,
) -> Result<Patched, Problem> {
    let quota = caller.settings.quota(namespace);
    let patch =
        Patch { preconditions, operations, max_bytes: quota.max_bytes, max_keys: quota.max_keys };
    app.store.patch(&NamespaceKey::shared(namespace), patch).await.map_err(|error| match error {
        StoreError::PreconditionFailed { current: Some(tag) } => {
            Problem::precondition_failed(Some(&tag)).with_member("version", &*tag.opaque())
        }
        other => other.into(),
    })
}

/// The new version, and the whole namespace unless the client wants none of it.
fn changed(status: StatusCode, patched: &Patched, headers: &HeaderMap) -> Response {
    let namespace = &patched.namespace;
    let tag = namespace.tag();
    if media::prefers_minimal(headers) {
        let mut response = document::empty(status, &tag);
        response.headers_mut().insert(media::PREFERENCE_APPLIED, media::RETURN_MINIMAL);
        return response;
    }
    let snapshot = namespace.snapshot();
    let mut body = format!(r#"{{"version":"{}","snapshot":"#, namespace.version()).into_bytes();
    body.reserve_exact(snapshot.len() + 1);
    body.extend_from_slice(&snapshot);
    body.push(b'}');
    document::json(status, &tag, Bytes::from(body))
}

/// The namespace that a request is about, once the caller may touch it.
fn authorized(
    caller: &Caller,
    uri: &Uri,
    headers: &HeaderMap,
    right: Right,
) -> Result<Name, Problem> {
    let namespace = target::query(uri, "ns")?.ok_or_else(|| {
        Problem::bad_request("missing_namespace", "say which namespace: ?ns=<namespace>")
    })?;
    let namespace = Name::parse(NameKind::Namespace, &namespace)
        .map_err(|e| Problem::bad_request("invalid_name", e.to_string()))?;
    caller.authorize(Contract::Kv, Scope::Namespace(namespace.as_str()), right)?;
    require_shared_scope(headers)?;
    Ok(namespace)
}

/// A namespace per user needs to know the user, which static tokens do not say.
fn require_shared_scope(headers: &HeaderMap) -> Result<(), Problem> {
    let mut lines = headers.get_all(X_THESARA_SCOPE).iter().map(HeaderValue::as_bytes);
    match (lines.next(), lines.next()) {
        (None | Some(b"shared"), None) => Ok(()),
        (Some(b"user"), None) => Err(Problem::unauthorized(
            "X-Thesara-Scope: user needs credentials that name a user, and a token of this Store \
             names none: leave the header out, or send shared",
        )),
        _ => Err(Problem::bad_request(
            "invalid_header",
            "X-Thesara-Scope must be shared or user, or absent",
        )),
    }
}

fn required_preconditions(headers: &HeaderMap) -> Result<Preconditions, Problem> {
    let preconditions = preconditions(headers, BareNumbers::Accepted)?;
    if preconditions.if_match.is_none() {
        return Err(Problem::precondition_required(
            "send If-Match with the ETag that you read, \"0\" to create, or * for whatever is \
             current",
        ));
    }
    Ok(preconditions)
}

fn require_app_id(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(X_THESARA_APP_ID) {
        Some(id) if !id.as_bytes().trim_ascii().is_empty() => Ok(()),
        _ => Err(Problem::bad_request(
            "missing_header",
            "say which application makes this change: X-Thesara-App-Id: <name>",
        )),
    }
}

/// Someone who names a key does not mean the whole namespace.
fn refuse_key(uri: &Uri) -> Result<(), Problem> {
    match target::query(uri, "key")? {
        None => Ok(()),
        Some(_) => Err(Problem::bad_request(
            "invalid_query",
            "key= is for GET; to change one key, PATCH the namespace with an operation for it",
        )),
    }
}
