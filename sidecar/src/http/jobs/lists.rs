//! The lists of the jobs' tree: all of it or in pages, as an array or line by line.

use std::sync::Arc;

use axum::response::Response;
use http::header::{CONTENT_TYPE, LINK, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use stowage_config::Contract;
use stowage_store::{Name, NameKind};

use super::super::accept::{self, ListFormat};
use super::super::app::App;
use super::super::caller::Caller;
use super::super::conditional::{BareNumbers, preconditions};
use super::super::document::{self, with_header};
use super::super::problem::Problem;
use super::super::target;
use super::list_body::ListBody;
use super::list_entries::Shown;
use crate::auth::{Right, Scope};
use crate::jobs::{self, List, Page, Position, Selection};
use crate::runtimes::digest_tag;

/// The token of the next page.
pub(in crate::http) const X_STOWAGE_CONTINUE: HeaderName =
    HeaderName::from_static("x-stowage-continue");

/// `GET /jobs`.
pub(crate) async fn jobs(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.authorize(Contract::Jobs, Scope::Listing, Right::Read)?;
    let page = page(&uri, List::Jobs)?;
    let found =
        jobs::jobs(app.store.as_ref(), page, |job| caller.may_read(Contract::Jobs, job.as_str()))
            .await?;
    answer(app, &uri, &headers, found, Shown::Document).await
}

/// `GET /runs`.
pub(crate) async fn runs(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.authorize(Contract::Jobs, Scope::Listing, Right::Read)?;
    let page = page(&uri, List::Runs)?;
    let found =
        jobs::runs(app.store.as_ref(), page, |job| caller.may_read(Contract::Jobs, job.as_str()))
            .await?;
    answer(app, &uri, &headers, found, Shown::Document).await
}

/// `GET /jobs/{job}/checkpoints`.
pub(crate) async fn checkpoints(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = of_job(&caller, &uri, Right::Read)?;
    let page = page(&uri, List::Checkpoints)?;
    let found = jobs::checkpoints(app.store.as_ref(), page, &(&job).into()).await?;
    answer(app, &uri, &headers, found, Shown::Document).await
}

/// `GET /jobs/{job}/runs/{run}/events`, with `?contents=true` the events themselves.
pub(crate) async fn events(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (job, run) = of_run(&caller, &uri, Right::Read)?;
    let (list, shown) = match target::query(&uri, "contents")?.as_deref() {
        None | Some("false") => (List::Events, Shown::EventMeta),
        Some("true") => (List::Contents, Shown::Document),
        Some(_) => return Err(Problem::bad_request("invalid_query", "contents is true or false")),
    };
    let max_step = target::number(&uri, "maxStep")?;
    let page = page(&uri, list)?;
    let of = (&(&job).into(), &(&run).into());
    let found = jobs::events(app.store.as_ref(), page, of, list, max_step).await?;
    answer(app, &uri, &headers, found, shown).await
}

/// The job of a path, where the caller has this right on it.
pub(super) fn of_job(caller: &Caller, uri: &Uri, right: Right) -> Result<Name, Problem> {
    let job = target::name(NameKind::Job, target::segment(uri, 1))?;
    caller.authorize(Contract::Jobs, Scope::Namespace(job.as_str()), right)?;
    Ok(job)
}

/// The job and the run of a path, where the caller has this right on them.
pub(super) fn of_run(caller: &Caller, uri: &Uri, right: Right) -> Result<(Name, Name), Problem> {
    let job = of_job(caller, uri, right)?;
    Ok((job, target::name(NameKind::Run, target::segment(uri, 3))?))
}

fn page(uri: &Uri, list: List) -> Result<Page, Problem> {
    let after = target::query(uri, "continue")?
        .map(|token| Position::parse(list, &token).ok_or_else(target::bad_continue));
    Ok(Page { limit: target::limit(uri)?, after: after.transpose()? })
}

/// Answers with a list. The tag of one that is short is that of its very bytes; a longer one streams, under
/// a tag made of those of its documents.
async fn answer(
    app: Arc<App>,
    uri: &Uri,
    headers: &HeaderMap,
    found: Selection,
    shown: Shown,
) -> Result<Response, Problem> {
    let format = accept::list_format(headers);
    let preconditions = preconditions(headers, BareNumbers::Refused)?;
    app.metrics.documents_skipped(found.skipped);
    let (keys, next) = found.into_keys();
    let mut body = ListBody::new(app, keys, format, shown);
    let start = body.start().await?;
    let mut response = if body.is_done() {
        document::conditional(&preconditions, &digest_tag(&start), || start)?
    } else {
        let (tag, rest) = body.rest().await?;
        match document::unchanged(&preconditions, &tag)? {
            Some(answer) => answer,
            None => document::json(StatusCode::OK, &tag, rest.into_body(start)),
        }
    };
    // The tag is another one in each format, so a 304 needs not say which it is.
    if format == ListFormat::Lines && response.status() == StatusCode::OK {
        let lines = HeaderValue::from_static("application/x-ndjson");
        response.headers_mut().insert(CONTENT_TYPE, lines);
    }
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Accept"));
    let Some(next) = next else { return Ok(response) };
    let response = with_header(response, LINK, &link(uri, &next));
    Ok(with_header(response, X_STOWAGE_CONTINUE, &next))
}

/// Where the next page is, relative to this one (RFC 8288).
pub(in crate::http) fn link(uri: &Uri, token: &str) -> String {
    let pairs = uri.query().unwrap_or_default().split('&');
    let is_kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !name.is_empty() && target::decode(name).is_some_and(|name| name != "continue")
    };
    let kept: String = pairs.filter(is_kept).flat_map(|pair| [pair, "&"]).collect();
    format!("<?{kept}continue={token}>; rel=\"next\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_asked_for_as_this_one_was() {
        let table = [
            ("/jobs?limit=2", "<?limit=2&continue=T>; rel=\"next\""),
            ("/jobs?continue=S&limit=2", "<?limit=2&continue=T>; rel=\"next\""),
            ("/jobs?c%6Fntinue=S&limit=2&", "<?limit=2&continue=T>; rel=\"next\""),
            (
                "/jobs/j/runs/r/events?contents=true&maxStep=3&limit=1",
                "<?contents=true&maxStep=3&limit=1&continue=T>; rel=\"next\"",
            ),
        ];
        for (target, expected) in table {
            assert_eq!(link(&target.parse().unwrap(), "T"), expected, "{target}");
        }
    }
}
