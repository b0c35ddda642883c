//! Who calls, under which settings: what every handler asks before anything else.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use stowage_config::Contract;

use super::problem::Problem;
use crate::auth::{Demand, Identity, Right, Scope, authorize};
use crate::settings::Settings;

/// The sender of a request, and the settings that hold for all of it.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Taken once, so that a reload does not change a request half-way.
    pub(crate) settings: Arc<Settings>,
    /// Who it is.
    pub(crate) identity: Identity,
}

impl Caller {
    /// Identifies the sender by its headers. Two `Authorization` lines are no credentials.
    pub(crate) fn identify(settings: Arc<Settings>, headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let identity = match (lines.next(), lines.next()) {
            (Some(_), Some(_)) => settings.credentials.identify(Some(b"")),
            (line, _) => settings.credentials.identify(line.map(http::HeaderValue::as_bytes)),
        };
        Self { settings, identity }
    }

    /// Lets the request through, or refuses it.
    ///
    /// # Errors
    /// 401 without credentials where some are needed, 403 where they do not suffice.
    pub(crate) fn authorize(
        &self,
        contract: Contract,
        scope: Scope<'_>,
        right: Right,
    ) -> Result<(), Problem> {
        Ok(authorize(&self.identity, Demand { contract, scope, right })?)
    }
}
