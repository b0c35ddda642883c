//! KV: a namespace of keys under one version (contract 2).

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use stowage_config::Contract;
use stowage_store::{
    MemberKey, Name, NameKind, Namespace, NamespaceKey, Operation, Patch, Patched, Preconditions,
    StoreError, Subject, WallClock,
};

use super::app::App;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::history::{self, Asked};
use super::problem::Problem;
use super::watch::{Access, Watched};
use super::{accept, body, document, media, operations, prefer, target, watch};
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
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (namespace, key) = authorized(&caller, &uri, &headers, Right::Read)?;
    let member = target::query_of(&uri, "key", || target::not_utf8("invalid_key", "key"))?;
    let member = member.as_deref().map(MemberKey::new).transpose();
    let member = member.map_err(|e| Problem::bad_request("invalid_key", e.to_string()))?;
    match history::asked(&app, &uri, &headers)? {
        None => {}
        Some(Asked::At(at)) => {
            let preconditions = preconditions(&headers, BareNumbers::Accepted)?;
            let past = Box::pin(history::namespace(&app, &key, &at)).await?;
            return answer(&past, member.as_ref(), &preconditions);
        }
        Some(Asked::Versions(page)) => {
            if member.is_some() {
                let detail = "a history is of the whole namespace: leave key= out";
                return Err(Problem::bad_request("invalid_query", detail));
            }
            let request = (&uri, &headers);
            return Box::pin(history::namespace_versions(&app, &key, request, &page)).await;
        }
    }
    let watched = || {
        let access = Access::new(&app, &caller, &headers, Contract::Kv, namespace.as_str());
        (access, Watched::Namespace(key.clone()))
    };
    if accept::wants_events(&headers) {
        if member.is_some() {
            return Err(Problem::bad_request(
                "invalid_query",
                "a stream of events is of the whole namespace: leave key= out",
            ));
        }
        return Box::pin(watch::answer(&app, &headers, watched())).await;
    }
    let preconditions = preconditions(&headers, BareNumbers::Accepted)?;
    let read = || read(&app, &key, member.as_ref(), &preconditions);
    watch::held(&app, &headers, watched, read).await
}

async fn read(
    app: &App,
    key: &NamespaceKey,
    member: Option<&MemberKey>,
    preconditions: &Preconditions,
) -> Result<Response, Problem> {
    answer(&*app.store.namespace(key).await?, member, preconditions)
}

/// A namespace, or one value of it.
fn answer(
    namespace: &Namespace,
    member: Option<&MemberKey>,
    preconditions: &Preconditions,
) -> Result<Response, Problem> {
    let tag = namespace.tag();
    let Some(member) = member else {
        return document::conditional(preconditions, &tag, || namespace.snapshot());
    };
    match namespace.get(member.as_str()) {
        Some(value) => document::conditional(preconditions, &tag, || value.clone()),
        None => Err(Problem::not_found("this key is not in the namespace").with_tag(&tag)),
    }
}

/// `PATCH`: applies operations, all or none. 201 from version 0, else 200.
pub(crate) async fn patch(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let place = authorized(&caller, &uri, &headers, Right::Write)?;
    refuse_key(&uri)?;
    let preconditions = required_preconditions(&headers)?;
    require_app_id(&headers)?;
    media::require_json(&headers).map_err(|problem| match problem.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            problem.with_header(ACCEPT_PATCH, HeaderValue::from_static("application/json"))
        }
        _ => problem,
    })?;
    let text =
        body::read(body, &headers, &caller.settings.limits.max_json_bytes, caller.settings.pace)
            .await?;
    let operations = operations::parse(&json::compact(&text)?, WallClock::System.now())
        .map_err(|e| Problem::bad_request("invalid_operation", e.to_string()))?;
    let patch = Patch { preconditions, operations, ..Patch::default() };
    let patched = apply(&app, &caller, &place, patch).await?;
    let status = if patched.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(changed(status, &patched, &headers))
}

/// `DELETE`: removes every key, and the versions before. The version grows by one, as by a PATCH; the answer is a
/// PATCH's, with 200 even from version 0, because nothing was created.
pub(crate) async fn delete(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = authorized(&caller, &uri, &headers, Right::Write)?;
    refuse_key(&uri)?;
    let preconditions = required_preconditions(&headers)?;
    let operations = vec![Operation::Clear];
    let patch = Patch { preconditions, operations, forgets_history: true, ..Patch::default() };
    let patched = apply(&app, &caller, &place, patch).await?;
    Ok(changed(StatusCode::OK, &patched, &headers))
}

async fn apply(
    app: &App,
    caller: &Caller,
    (namespace, key): &(Name, NamespaceKey),
    patch: Patch,
) -> Result<Patched, Problem> {
    let quota = caller.settings.quota(namespace);
    let patch = Patch {
        max_bytes: quota.max_bytes,
        max_keys: quota.max_keys,
        author: history::author(app, caller),
        ..patch
    };
    let patched = app.store.patch(key, patch).await.map_err(|error| match error {
        StoreError::PreconditionFailed { current: Some(tag) } => {
            Problem::precondition_failed(Some(&tag)).with_member("version", &*tag.opaque())
        }
        other => other.into(),
    })?;
    caller.replaced(Some(&patched.replaced()));
    Ok(patched)
}

/// The new version, and the whole namespace unless the client wants none of it.
fn changed(status: StatusCode, patched: &Patched, headers: &HeaderMap) -> Response {
    let namespace = &patched.namespace;
    let tag = namespace.tag();
    if prefer::minimal(headers) {
        let mut response = document::empty(status, &tag);
        response.headers_mut().insert(prefer::PREFERENCE_APPLIED, prefer::RETURN_MINIMAL);
        return response;
    }
    let snapshot = namespace.snapshot();
    let mut body = format!(r#"{{"version":"{}","snapshot":"#, namespace.version()).into_bytes();
    body.reserve_exact(snapshot.len() + 1);
    body.extend_from_slice(&snapshot);
    body.push(b'}');
    document::json(status, &tag, Bytes::from(body))
}

/// The namespace that a request is about, and its place, once the caller may touch it.
fn authorized(
    caller: &Caller,
    uri: &Uri,
    headers: &HeaderMap,
    right: Right,
) -> Result<(Name, NamespaceKey), Problem> {
    let bad_escape = || target::bad_escape(&NameKind::Namespace.to_string());
    let namespace = target::query_of(uri, "ns", bad_escape)?.ok_or_else(|| {
        Problem::bad_request("missing_namespace", "say which namespace: ?ns=<namespace>")
    })?;
    let namespace = Name::parse(NameKind::Namespace, &namespace)
        .map_err(|e| Problem::bad_request("invalid_name", e.to_string()))?;
    caller.check(Contract::Kv, Scope::Namespace(namespace.as_str()), right)?;
    let key = match owner(headers)? {
        Owner::Everyone => NamespaceKey::shared(&namespace),
        Owner::User => {
            let subject = caller.identity.subject().ok_or_else(names_no_user)?;
            NamespaceKey::of_user(&Subject::new(subject), &namespace)
        }
    };
    if right == Right::Write {
        caller.may_write(Contract::Kv, key.place());
    }
    Ok((namespace, key))
}

/// Whose namespace is meant.
enum Owner {
    Everyone,
    User,
}

fn owner(headers: &HeaderMap) -> Result<Owner, Problem> {
    let mut lines = headers.get_all(X_THESARA_SCOPE).iter().map(HeaderValue::as_bytes);
    match (lines.next(), lines.next()) {
        (None | Some(b"shared"), None) => Ok(Owner::Everyone),
        (Some(b"user"), None) => Ok(Owner::User),
        _ => Err(Problem::bad_request(
            "invalid_header",
            "X-Thesara-Scope must be shared or user, or absent",
        )),
    }
}

fn names_no_user() -> Problem {
    Problem::unauthorized(
        "X-Thesara-Scope: user needs credentials that name a user: a JWT with a subject (sub), \
         which a token of this store is not; or leave the header out, or send shared",
    )
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
    history::refuse(uri)?;
    match target::query(uri, "key")? {
        None => Ok(()),
        Some(_) => Err(Problem::bad_request(
            "invalid_query",
            "key= is for GET; to change one key, PATCH the namespace with an operation for it",
        )),
    }
}
