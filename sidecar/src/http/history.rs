//! History (contract 6): the last versions of a namespace, of a document of the run store, and of a
//! set of runtime configs, where the Store keeps them.

use std::borrow::Cow;
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::header::LINK;
use http::{HeaderMap, StatusCode, Uri};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use stowage_store::{EntityTag, Key, Name, Namespace, NamespaceKey, Object, Version};
use tokio::sync::SemaphorePermit;

use super::app::App;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::document::{self, with_header};
use super::jobs::{X_STOWAGE_CONTINUE, link};
use super::problem::Problem;
use super::{accept, target};
use crate::runtimes::{StoredSet, digest_tag};

/// How many histories are read at once: each may take the memory of a whole namespace.
pub(crate) const READ_AT_ONCE: usize = 4;

/// What a GET asks of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The version of this tag.
    At(String),
    /// The versions there are.
    Versions(Page),
}

/// A part of the list of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    limit: Option<usize>,
    /// The version that the page before ended with.
    after: Option<String>,
}

/// One version, as the list shows it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct VersionEntry {
    /// Its tag without the quotes: what `at=` takes.
    version: String,
    /// The Git commit; of a set of runtime configs.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    /// When it was written, RFC 3339 in UTC, to the millisecond; null where that is not known.
    time: Option<String>,
    /// The name of who wrote it, as the audit line has it; null where nobody did, as for keys that
    /// are over, or nobody knows.
    token: Option<String>,
}

/// What a GET asks of the history; `None` where it asks for what stands there.
///
/// # Errors
/// 400 for a query that asks for neither or for both, or for a stream of it; 404 where the Store
/// keeps no history.
pub(crate) fn asked(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<Option<Asked>, Problem> {
    // Most requests have none of it.
    if uri.query().is_none() {
        return Ok(None);
    }
    let invalid = |detail: &str| Problem::bad_request("invalid_query", detail);
    let at = target::query(uri, "at")?;
    let versions = match target::query(uri, "history")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(invalid("history is true or false")),
    };
    let asked = match (at, versions) {
        (None, false) => return Ok(None),
        (Some(_), true) => return Err(invalid("send at= or history=true, not both")),
        (Some(at), false) => Asked::At(unquoted(&at)?.to_owned()),
        (None, true) => Asked::Versions(page(uri)?),
    };
    if accept::wants_events(headers) {
        return Err(invalid("a stream of events has no at= and no history=true"));
    }
    if app.store.history_length() == 0 {
        return Err(Problem::not_found(
            "this store keeps no versions before the current one: its history is 0",
        ));
    }
    Ok(Some(asked))
}

/// Someone who names a version does not mean to change what stands there.
///
/// # Errors
/// 400.
pub(crate) fn refuse(uri: &Uri) -> Result<(), Problem> {
    refuse_because(uri, "is for GET: no version is changed or removed by itself")
}

/// Someone who names a version of what has none does not mean what stands there now.
///
/// # Errors
/// 400.
pub(crate) fn refuse_any(uri: &Uri) -> Result<(), Problem> {
    refuse_because(
        uri,
        "is for documents of the run store, namespaces and sets of runtime configs: of nothing else are \
         versions kept",
    )
}

fn refuse_because(uri: &Uri, reason: &str) -> Result<(), Problem> {
    if uri.query().is_none() {
        return Ok(());
    }
    for parameter in ["at", "history"] {
        if target::query(uri, parameter)?.is_some() {
            return Err(Problem::bad_request("invalid_query", format!("{parameter}= {reason}")));
        }
    }
    Ok(())
}

/// Who writes, for the history; `None` where there is none.
pub(crate) fn author(app: &App, caller: &Caller) -> Option<Arc<str>> {
    (app.store.history_length() > 0).then(|| caller.identity.name().into())
}

/// A tag, with its quotes or without.
fn unquoted(at: &str) -> Result<&str, Problem> {
    let inner = at.strip_prefix('"').and_then(|at| at.strip_suffix('"')).unwrap_or(at);
    match EntityTag::new(inner) {
        Ok(_) if !inner.is_empty() => Ok(inner),
        _ => Err(Problem::bad_request(
            "invalid_query",
            "at is the tag of one version, with its quotes or without: as ETag had it, or history=true",
        )),
    }
}

fn page(uri: &Uri) -> Result<Page, Problem> {
    let after = target::query(uri, "continue")?;
    if after.as_deref().is_some_and(|after| after.is_empty() || EntityTag::new(after).is_err()) {
        return Err(target::bad_continue());
    }
    Ok(Page { limit: target::limit(uri)?, after })
}

/// A history is read from the disk, and much of it for little: only so many are read at once.
///
/// # Errors
/// None in practice: nobody closes the turns.
pub(super) async fn turn(app: &App) -> Result<SemaphorePermit<'_>, Problem> {
    app.histories.acquire().await.map_err(|_| Problem::internal())
}

/// A version that is not kept: any more, or that never was one of this.
fn gone() -> Problem {
    Problem::new(
        StatusCode::GONE,
        "gone",
        "this version is not kept (any more), or it is none of this: history=true lists those that are",
    )
}

/// A version of a namespace.
///
/// # Errors
/// 400 where that is no number; 404 where the namespace has not come there yet, 410 where the
/// version is not kept.
pub(crate) async fn namespace(
    app: &App,
    key: &NamespaceKey,
    at: &str,
) -> Result<Arc<Namespace>, Problem> {
    let is_number =
        at.bytes().all(|byte| byte.is_ascii_digit()) && (at == "0" || !at.starts_with('0'));
    if !is_number {
        let detail = "a version of a namespace is a whole number";
        return Err(Problem::bad_request("invalid_query", detail));
    }
    // No namespace comes farther than that.
    let version = at.parse().unwrap_or(u64::MAX);
    let _turn = turn(app).await?;
    if let Some(namespace) = app.store.namespace_version(key, version).await? {
        return Ok(namespace);
    }
    let current = app.store.namespace(key).await?;
    if version > current.version() {
        return Err(Problem::not_found("the namespace has not come to this version yet")
            .with_tag(&current.tag()));
    }
    Err(gone())
}

/// A version of a document.
///
/// # Errors
/// 404 where there is no document, with the problem that says so; 410 where the version is not kept.
pub(crate) async fn document(
    app: &App,
    key: &Key,
    at: &str,
    nothing_there: impl FnOnce() -> Problem,
) -> Result<Arc<Object>, Problem> {
    let _turn = turn(app).await?;
    let versions = app.store.history(key).await?;
    if versions.is_empty() {
        return Err(nothing_there());
    }
    let found = versions.iter().find(|version| *version.tag.opaque() == *at).ok_or_else(gone)?;
    app.store.version(key, found).await?.ok_or_else(gone)
}

/// A version of a set of runtime configs, by the tag of its list; the last of those that have it.
///
/// # Errors
/// 404 where no set is served, with the problem that says so; 410 where the version is not kept.
pub(crate) async fn set(
    app: &App,
    (repository, branch): (&Name, &Name),
    at: &str,
    nothing_there: impl FnOnce() -> Problem,
) -> Result<StoredSet, Problem> {
    let key = Key::runtime_set(repository, branch);
    let _turn = turn(app).await?;
    let versions = app.store.history(&key).await?;
    if versions.is_empty() {
        return Err(nothing_there());
    }
    for version in &versions {
        let Some(object) = app.store.version(&key, version).await? else { continue };
        if *StoredSet::head(&key, &object)?.tag.opaque() == *at {
            let set = StoredSet::parse(&key, &object)?;
            // A set without files is not served.
            return if set.is_empty() { Err(nothing_there()) } else { Ok(set) };
        }
    }
    Err(gone())
}

/// The list of a namespace's versions, the last first.
///
/// # Errors
/// As the store.
pub(crate) async fn namespace_versions(
    app: &App,
    key: &NamespaceKey,
    (uri, headers): (&Uri, &HeaderMap),
    page: &Page,
) -> Result<Response, Problem> {
    let _turn = turn(app).await?;
    let versions = app.store.namespace_history(key).await?;
    // What has left the list since was the end of it.
    let after = page.after.as_deref().and_then(|after| after.parse::<u64>().ok());
    let is_behind = |version: &Version| {
        let number = version.tag.opaque().parse::<u64>().ok();
        page.after.is_none() || after.zip(number).is_some_and(|(after, number)| number < after)
    };
    let behind = versions.into_iter().filter(is_behind);
    let entries = behind.map(|version| (entry(&version), version.tag.opaque().to_string()));
    answer((uri, headers), BareNumbers::Accepted, page, entries.collect())
}

/// The list of a document's versions, the last first.
///
/// # Errors
/// 404 where there is no document, with the problem that says so.
pub(crate) async fn document_versions(
    app: &App,
    key: &Key,
    request: (&Uri, &HeaderMap),
    page: &Page,
    nothing_there: impl FnOnce() -> Problem,
) -> Result<Response, Problem> {
    let _turn = turn(app).await?;
    let versions = app.store.history(key).await?;
    if versions.is_empty() {
        return Err(nothing_there());
    }
    let entries = behind(versions, page);
    let entries = entries.map(|version| (entry(&version), version.tag.opaque().to_string()));
    answer(request, BareNumbers::Refused, page, entries.collect())
}

/// The list of a set's versions, the last first: one for each commit.
///
/// # Errors
/// 404 where no set is served, with the problem that says so.
pub(crate) async fn set_versions(
    app: &App,
    (repository, branch): (&Name, &Name),
    request: (&Uri, &HeaderMap),
    page: &Page,
    nothing_there: impl FnOnce() -> Problem,
) -> Result<Response, Problem> {
    let key = Key::runtime_set(repository, branch);
    let _turn = turn(app).await?;
    let versions = app.store.history(&key).await?;
    if versions.is_empty() {
        return Err(nothing_there());
    }
    let most = page.limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
    let mut entries = Vec::new();
    for version in behind(versions, page) {
        if entries.len() >= most {
            break;
        }
        let Some(object) = app.store.version(&key, &version).await? else { continue };
        let head = StoredSet::head(&key, &object)?;
        let mut entry = entry(&version);
        entry.version = head.tag.opaque().to_string();
        entry.revision = Some(head.revision);
        entries.push((entry, version.tag.opaque().to_string()));
    }
    answer(request, BareNumbers::Refused, page, entries)
}

/// Those behind the page before. What has left the list since was the end of it.
fn behind(versions: Vec<Version>, page: &Page) -> impl Iterator<Item = Version> {
    let skipped = match &page.after {
        None => 0,
        Some(after) => versions
            .iter()
            .position(|version| *version.tag.opaque() == **after)
            .map_or(versions.len(), |place| place + 1),
    };
    versions.into_iter().skip(skipped)
}

fn entry(version: &Version) -> VersionEntry {
    VersionEntry {
        version: version.tag.opaque().to_string(),
        revision: None,
        time: version.time.map(time),
        token: version.author.as_deref().map(str::to_owned),
    }
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Answers with a page of entries, each with what the page behind it goes on from.
fn answer(
    (uri, headers): (&Uri, &HeaderMap),
    numbers: BareNumbers,
    page: &Page,
    mut entries: Vec<(VersionEntry, String)>,
) -> Result<Response, Problem> {
    let limit = page.limit.unwrap_or(usize::MAX);
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(|(_, token)| Cow::from(token.clone()));
    let shown: Vec<VersionEntry> = entries.into_iter().map(|(entry, _)| entry).collect();
    let text = Bytes::from(serde_json::to_vec(&shown).map_err(|_| Problem::internal())?);
    let preconditions = preconditions(headers, numbers)?;
    let response = document::conditional(&preconditions, &digest_tag(&text), || text.clone())?;
    let Some(next) = next else { return Ok(response) };
    let response = with_header(response, LINK, &link(uri, &next));
    Ok(with_header(response, X_STOWAGE_CONTINUE, &next))
}
