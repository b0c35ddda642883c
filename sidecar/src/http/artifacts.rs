//! Artifacts: versioned archives of a site (contract 5).

pub(crate) mod dates;
mod download;
mod hasher;
mod place;
pub(crate) mod range;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use http::header::ETAG;
use http::{HeaderMap, Method, StatusCode, Uri};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use stowage_config::Contract;
use stowage_store::{ArchiveInfo, ArchiveKey, Name, NameKind, Preconditions, Upload, Verdict};
use tokio::sync::SemaphorePermit;

use self::dates::LastModified;
use self::hasher::Hasher;
use self::place::Place;
use super::app::App;
use super::body::Pieces;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::digest::Hashing;
use super::problem::Problem;
use super::{document, media, target};
use crate::auth::{Right, Scope};

/// How long an upload waits for others to end.
const TURN_TIME_MAX: Duration = Duration::from_secs(30);

/// What a PUT is answered with.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StoredArtifact<'a> {
    status: &'static str,
    site_id: &'a str,
    build_id: &'a str,
    size_bytes: u64,
    /// In hexadecimal digits.
    sha256: String,
}

/// `PUT`: 201, whether the build is new or replaced, as the source system has it.
pub(crate) async fn put(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (site, build) = authorized(&caller, &uri, Right::Write)?;
    let key = ArchiveKey::new(&site, &build);
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let hashing = Hashing::of(&headers)?;
    media::require_archive(&headers)?;
    let settings = &caller.settings;
    let pieces = Pieces::of(body, &headers, &settings.limits.max_artifact_bytes, settings.pace)?;
    let preconditions = decided_early(&app, &key, &headers, preconditions).await?;
    let _turn = turn(&app).await?;
    let mut upload = app.store.upload(&key).await?;
    if let Some(length) = pieces.declared() {
        upload.announce(length).await?;
    }
    // Without its publication an upload leaves nothing behind.
    let (size_bytes, sha256) = receive(pieces, &mut *upload, hashing).await?;
    let put = upload.publish(preconditions).await?;
    caller.replaced(put.replaced.as_ref());
    let (site_id, build_id) = (site.as_str(), build.as_str());
    let stored = StoredArtifact { status: "success", site_id, build_id, size_bytes, sha256 };
    let response = (StatusCode::CREATED, Json(stored)).into_response();
    Ok(document::with_header(response, ETAG, &put.tag.to_string()))
}

/// `GET` and `HEAD`: the archive or a part of it, 304, 404 where there is none.
pub(crate) async fn get(
    app: Arc<App>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (site, build) = authorized(&caller, &uri, Right::Read)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let key = ArchiveKey::new(&site, &build);
    // Before the file is opened: HEAD holds none.
    let place = match method == Method::GET {
        true => Some(Place::take(&app, &caller)?),
        false => None,
    };
    let archive = app.store.archive(&key).await?.ok_or_else(nothing_there)?;
    let modified = last_modified(&archive.info);
    match dates::evaluate(&headers, &preconditions, &archive.info.tag, modified) {
        Verdict::Holds => {}
        Verdict::NoneMatchFailed => return Ok(download::not_modified(&archive.info, modified)),
        Verdict::MatchFailed => return Err(Problem::precondition_failed(Some(&archive.info.tag))),
    }
    // A range is for GET alone (RFC 9110 §14.2).
    let own_second = modified.filter(|_| archive.has_own_second);
    let ranged =
        method == Method::GET && dates::if_range_holds(&headers, &archive.info.tag, own_second);
    let selection =
        if ranged { range::select(&headers, archive.info.length) } else { range::Selection::Whole };
    download::answer((&site, &build), archive, modified, selection, place)
}

/// `DELETE`: 204, or 404 where nothing stands there. The build's log stays.
pub(crate) async fn delete(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (site, build) = authorized(&caller, &uri, Right::Write)?;
    let key = ArchiveKey::new(&site, &build);
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let preconditions = pinned(&app, &key, &headers, preconditions).await?;
    let removed = app.store.delete_archive(&key, preconditions).await?;
    caller.replaced(Some(&removed.ok_or_else(nothing_there)?));
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The site and the build that a path names: `/sites/{site}/artifacts/{build}`, or
/// `/artifacts/{site}/{build}`.
fn authorized(caller: &Caller, uri: &Uri, right: Right) -> Result<(Name, Name), Problem> {
    let last = if target::segment(uri, 0) == "sites" { 3 } else { 2 };
    let site = target::name(NameKind::Site, target::segment(uri, 1))?;
    let build = target::name(NameKind::Build, target::segment(uri, last))?;
    caller.authorize(Contract::Artifacts, Scope::Namespace(site.as_str()), right)?;
    caller.writes_item(&build);
    Ok((site, build))
}

/// Refuses by the state of now what would be refused at the end: nobody should send a gigabyte
/// for a 412. What passes is decided again when it is published.
async fn decided_early(
    app: &App,
    key: &ArchiveKey,
    headers: &HeaderMap,
    preconditions: Preconditions,
) -> Result<Preconditions, Problem> {
    let preconditions = pinned(app, key, headers, preconditions).await?;
    if preconditions == Preconditions::none() {
        return Ok(preconditions);
    }
    let archive = app.store.archive(key).await?;
    let current = archive.as_ref().map(|archive| &archive.info.tag);
    match preconditions.evaluate(current) {
        Verdict::Holds => Ok(preconditions),
        Verdict::MatchFailed | Verdict::NoneMatchFailed => {
            Err(Problem::precondition_failed(current))
        }
    }
}

/// Turns `If-Unmodified-Since` into the `If-Match` that it stands for: the store decides on tags,
/// and a date that was compared here would be a race.
async fn pinned(
    app: &App,
    key: &ArchiveKey,
    headers: &HeaderMap,
    mut preconditions: Preconditions,
) -> Result<Preconditions, Problem> {
    if !headers.contains_key(http::header::IF_UNMODIFIED_SINCE) || preconditions.if_match.is_some()
    {
        return Ok(preconditions);
    }
    let Some(archive) = app.store.archive(key).await? else { return Ok(preconditions) };
    let info = &archive.info;
    match dates::unmodified_since(headers, last_modified(info)) {
        None => {}
        Some(false) => return Err(Problem::precondition_failed(Some(&info.tag))),
        Some(true) => preconditions.if_match = Preconditions::matches(&info.tag).if_match,
    }
    Ok(preconditions)
}

/// Waits until one of the uploads that go on at once has ended, as long as a client may be
/// expected to.
async fn turn(app: &App) -> Result<SemaphorePermit<'_>, Problem> {
    match tokio::time::timeout(TURN_TIME_MAX, app.uploads.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Problem::unavailable("as many uploads as go on at once are under way; try again")),
    }
}

/// Writes a body on as it comes in, with a bounded part of it in memory; gives its length and
/// SHA-256.
async fn receive(
    mut pieces: Pieces,
    upload: &mut dyn Upload,
    hashing: Hashing,
) -> Result<(u64, String), Problem> {
    let mut hasher = Hasher::new(hashing);
    while let Some(piece) = pieces.next().await? {
        hasher.update(piece.clone()).await?;
        upload.write(piece).await?;
    }
    let sha256 = hasher.verify(pieces.trailers()).await?;
    Ok((pieces.received_bytes(), HEXLOWER.encode(&sha256)))
}

fn last_modified(info: &ArchiveInfo) -> Option<LastModified> {
    LastModified::of(info.modified, Timestamp::now())
}

fn nothing_there() -> Problem {
    Problem::not_found("no archive of this build is stored for this site")
}
