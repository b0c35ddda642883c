//! `GET /openapi.json`: the description of everything that is served here. It holds nothing of
//! the data, so it needs no credentials.

use axum::response::Response;
use http::HeaderMap;

use super::conditional::{BareNumbers, preconditions};
use super::document;
use super::problem::Problem;
use crate::openapi;

/// Answers 200 with the description, or 304.
pub(crate) async fn get(headers: HeaderMap) -> Result<Response, Problem> {
    let preconditions = preconditions(&headers, BareNumbers::Refused)?;
    let (text, tag) = openapi::compact();
    document::conditional(&preconditions, tag, || text.clone())
}
