//! `GET /health`: whether the process answers. No credentials, and every value a string, as a
//! client of the source system decodes it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::Serialize;

/// What the health check is answered with.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Health {
    /// `healthy`.
    status: &'static str,
    /// RFC 3339, in UTC.
    time: String,
}

/// Answers 200 as long as the process lives.
pub(crate) async fn get() -> Response {
    let now = Timestamp::now();
    let time = now.round(Unit::Millisecond).unwrap_or(now).to_string();
    let mut response = Json(Health { status: "healthy", time }).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
