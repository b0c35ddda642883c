//! Sites: the log of their builds, and the list of their versions (contract 5).

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stowage_config::Contract;
use stowage_store::{Name, NameKind, Verdict};

use super::app::App;
use super::caller::Caller;
use super::conditional::{BareNumbers, preconditions};
use super::problem::Problem;
use super::{body, document, media, target, version_list};
use crate::auth::{Right, Scope};
use crate::builds::{self, Entry, Listed, Listing, LogError};
use crate::json;

/// What a client logs; other members are ignored.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct NewEntry<'a> {
    build_id: String,
    action: String,
    status: String,
    #[serde(borrow, default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    metadata: Option<&'a RawValue>,
}

/// What a POST is answered with.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Logged<'a> {
    status: &'static str,
    site_id: &'a str,
    build_id: &'a str,
    #[schemars(with = "String", extend("format" = "date-time"))]
    timestamp: Timestamp,
}

/// `POST /sites/{site}/logs`: 201; the time is the server's.
pub(crate) async fn post_log(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let site = authorized(&caller, &uri, Right::Write)?;
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    media::require_json(&headers)?;
    let limit = &caller.settings.limits.max_json_bytes;
    let text = json::compact(&body::read(body, &headers, limit, caller.settings.pace).await?)?;
    let (build, entry) = parse(&site, &text)?;
    caller.writes_item(&build);
    // Entries can be added here, and nothing be read: there is no representation that a tag could name.
    if preconditions.evaluate(None) != Verdict::Holds {
        return Err(Problem::precondition_failed(None));
    }
    builds::append(app.store.as_ref(), &site, &build, &entry, limit.bytes()).await?;
    let (site_id, build_id) = (site.as_str(), build.as_str());
    let logged = Logged { status: "success", site_id, build_id, timestamp: entry.timestamp };
    Ok((StatusCode::CREATED, Json(logged)).into_response())
}

/// `GET /sites/{site}/versions`, with `?all=true` also those without a log.
pub(crate) async fn versions(
    app: Arc<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let site = authorized(&caller, &uri, Right::Read)?;
    let listed = match target::query(&uri, "all")?.as_deref() {
        None | Some("false") => Listed::Logged,
        Some("true") => Listed::All,
        Some(_) => {
            return Err(Problem::bad_request("invalid_query", "all is true or false"));
        }
    };
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let listing = Listing::of(app.store.as_ref(), &site, listed).await?;
    let tag = listing.tag();
    if let Some(answer) = document::unchanged(&preconditions, &tag)? {
        return Ok(answer);
    }
    let body = version_list::body(Arc::clone(&app.store), &site, listing).await?;
    Ok(document::json(StatusCode::OK, &tag, body))
}

fn authorized(caller: &Caller, uri: &Uri, right: Right) -> Result<Name, Problem> {
    let site = target::name(NameKind::Site, target::segment(uri, 1))?;
    caller.authorize(Contract::Artifacts, Scope::Namespace(site.as_str()), right)?;
    Ok(site)
}

/// Reads an entry from compact JSON, and gives it the time of now.
fn parse(site: &Name, text: &[u8]) -> Result<(Name, Entry), Problem> {
    let invalid = |detail: String| Problem::bad_request("invalid_log", detail);
    let new: NewEntry<'_> = json::object(text).map_err(|reason| {
        invalid(format!(
            "the body must be {{\"build_id\", \"action\", \"status\", \"metadata\"}}: {reason}"
        ))
    })?;
    for (member, value) in [("action", &new.action), ("status", &new.status)] {
        if value.is_empty() {
            return Err(invalid(format!("{member} must not be empty")));
        }
    }
    let build = Name::parse(NameKind::Build, &new.build_id)
        .map_err(|e| Problem::bad_request("invalid_name", format!("build_id: {e}")))?;
    let metadata = new.metadata.map_or("{}", RawValue::get);
    if !metadata.starts_with('{') {
        return Err(invalid("metadata must be an object".to_owned()));
    }
    let entry = Entry {
        timestamp: Timestamp::now(),
        build_id: new.build_id,
        site_id: site.to_string(),
        action: new.action,
        status: new.status,
        metadata: RawValue::from_string(metadata.to_owned()).map_err(|_| Problem::internal())?,
    };
    Ok((build, entry))
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Full { limit_bytes } => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "log_full",
                format!(
                    "the log of this build may have {limit_bytes} bytes, and this entry would \
                     make it longer"
                ),
            ),
            LogError::Store(e) => e.into(),
        }
    }
}
