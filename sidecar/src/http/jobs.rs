//! Jobs of an agent runtime: single documents of their tree, and all of a job (contract 3).
//!
//! A document is stored and answered in the bytes that were received, so that the runtime reads the
//! directory as its own.

mod list_body;
mod list_entries;
mod lists;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};
use jiff::Timestamp;
use stowage_store::{Change, EntityTag, EventId, Key, Name, NameKind, Put, Segment};

use super::app::App;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::problem::Problem;
use super::{body, document, media, prefer, target};
use crate::auth::Right;
use crate::{jobs, json};

pub(super) use lists::{X_STOWAGE_CONTINUE, link};
pub(crate) use lists::{checkpoints, events, jobs as list_jobs, runs as list_runs};

/// What a path of the contract names.
enum Named {
    Job,
    Checkpoint(Name),
    Run(Name),
    Event(Name, EventId),
}

/// `GET` of a job, a checkpoint, the setting of a run or an event: 200, 304, 404.
pub(crate) async fn get(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (job, named) = authorized(&caller, &uri, Right::Read)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let object = app.store.get(&key(&job, &named)).await?.ok_or_else(nothing_there)?;
    document::conditional(&preconditions, &object.tag, || object.body.clone())
}

/// `PUT` of a job or a checkpoint: 201 where it created, else 200.
pub(crate) async fn put(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (job, named) = authorized(&caller, &uri, Right::Write)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let text = received(&caller, &headers, body).await?;
    match &named {
        Named::Checkpoint(checkpoint) => jobs::check_checkpoint(&text, &job, checkpoint)?,
        _ => jobs::check_job(&text, &job)?,
    }
    let put = app.store.put(&key(&job, &named), text.clone(), preconditions).await?;
    caller.replaced(put.replaced.as_ref());
    Ok(stored(&headers, status(put.created), &put.tag, text))
}

/// `PUT` of the setting of a run: 201 with it, or 200 with the one that stands there, whose
/// `updatedAt` is now.
pub(crate) async fn put_run(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (job, named) = authorized(&caller, &uri, Right::Write)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let text = received(&caller, &headers, body).await?;
    if let Named::Run(run) = &named {
        jobs::check_run_setting(&text, &job, run)?;
    }
    let edit = move |current: Option<&stowage_store::Object>| match current {
        None => Change::Put(text.clone()),
        Some(object) => {
            // The time of its turn: of two at once, the one that asked first may be the later write.
            let now = Timestamp::now().as_millisecond();
            // What does not parse is neither changed nor replaced.
            jobs::with_updated_at(&object.body, now).map_or(Change::Keep, Change::Put)
        }
    };
    let updated = app.store.update(&key(&job, &named), preconditions, Box::new(edit)).await?;
    let (Some(after), created) = (updated.after, updated.before.is_none()) else {
        return Err(Problem::internal());
    };
    let before = updated.before.as_ref().map(|before| &before.tag);
    if before == Some(&after.tag) {
        return Err(Problem::damaged());
    }
    caller.replaced(before);
    Ok(stored(&headers, status(created), &after.tag, after.body.clone()))
}

/// `POST` of an event: 201, also where it replaces one of the same key.
pub(crate) async fn post_event(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (job, run) = lists::of_run(&caller, &uri, Right::Write)?;
    caller.writes_item(format_args!("runs/{run}/events"));
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let text = received(&caller, &headers, body).await?;
    let event = jobs::check_event(&text, &job, &run)?;
    caller.writes_item(format_args!("runs/{run}/events/{event}"));
    let location = format!("/jobs/{job}/runs/{run}/events/{event}");
    let key = Key::event(&(&job).into(), &(&run).into(), &event);
    let Put { tag, replaced, .. } = app.store.put(&key, text.clone(), preconditions).await?;
    caller.replaced(replaced.as_ref());
    let response = stored(&headers, StatusCode::CREATED, &tag, text);
    Ok(document::with_header(response, LOCATION, &location))
}

/// `DELETE` of a job, with its checkpoints, runs and events: 204, or 404 where there is nothing of
/// it. Conditions are on the job itself.
pub(crate) async fn delete(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = lists::of_job(&caller, &uri, Right::Write)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let removed = app.store.delete_job(&(&job).into(), preconditions).await?;
    caller.replaced(removed.ok_or_else(nothing_there)?.tag.as_ref());
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn status(created: bool) -> StatusCode {
    if created { StatusCode::CREATED } else { StatusCode::OK }
}

/// A body that is JSON, as it was received.
async fn received(caller: &Caller, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    media::require_json(headers)?;
    let text =
        body::read(body, headers, &caller.settings.limits.max_json_bytes, caller.settings.pace)
            .await?;
    json::check(&text)?;
    Ok(text)
}

/// The answer to a write: the document with its tag, or the tag alone where the client prefers
/// that.
fn stored(headers: &HeaderMap, status: StatusCode, tag: &EntityTag, text: Bytes) -> Response {
    if !prefer::minimal(headers) {
        return document::json(status, tag, text);
    }
    let mut response = document::empty(status, tag);
    response.headers_mut().insert(prefer::PREFERENCE_APPLIED, prefer::RETURN_MINIMAL);
    response
}

/// The job of a path, and what is named there below it.
fn authorized(caller: &Caller, uri: &Uri, right: Right) -> Result<(Name, Named), Problem> {
    let job = lists::of_job(caller, uri, right)?;
    let name = |kind, index| target::name(kind, target::segment(uri, index));
    let named = match (target::segment(uri, 2), target::segment(uri, 5)) {
        ("checkpoints", _) => Named::Checkpoint(name(NameKind::Checkpoint, 3)?),
        ("runs", "") => Named::Run(name(NameKind::Run, 3)?),
        ("runs", event) => Named::Event(name(NameKind::Run, 3)?, event_id(event)?),
        _ => Named::Job,
    };
    match &named {
        Named::Checkpoint(checkpoint) => {
            caller.writes_item(format_args!("checkpoints/{checkpoint}"));
        }
        Named::Run(run) => caller.writes_item(format_args!("runs/{run}")),
        // A job is all of its name, and an event is only read here.
        Named::Job | Named::Event(..) => {}
    }
    Ok((job, named))
}

fn event_id(raw: &str) -> Result<EventId, Problem> {
    let decoded = target::decode(raw).ok_or_else(|| target::bad_escape("event's id"))?;
    EventId::parse(&decoded).map_err(|e| Problem::bad_request("invalid_name", e.to_string()))
}

fn key(job: &Name, named: &Named) -> Key {
    let job = Segment::from(job);
    match named {
        Named::Job => Key::job(&job),
        Named::Checkpoint(checkpoint) => Key::checkpoint(&job, checkpoint),
        Named::Run(run) => Key::run_setting(&job, &run.into()),
        Named::Event(run, event) => Key::event(&job, &run.into(), event),
    }
}

fn nothing_there() -> Problem {
    Problem::not_found("nothing is stored here yet")
}

impl From<jobs::InvalidDocument> for Problem {
    fn from(error: jobs::InvalidDocument) -> Self {
        Self::bad_request("invalid_document", error.to_string().trim_start().to_owned())
            .with_member("pointer", error.pointer)
    }
}
