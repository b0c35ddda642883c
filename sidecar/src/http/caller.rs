//! Who calls, under which settings: what every handler asks before anything else.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use stowage_config::Contract;
use stowage_store::EntityTag;

use super::app::App;
use super::audit::Audit;
use super::peer::Peer;
use super::problem::Problem;
use crate::auth::{Demand, Identity, InvalidJwt, Right, Scope, authorize, known};
use crate::settings::Settings;

/// The sender of a request, and the settings that hold for all of it.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Taken once, so that a reload does not change a request half-way.
    pub(crate) settings: Arc<Settings>,
    /// Who it is.
    pub(crate) identity: Identity,
    audit: Audit,
}

impl Caller {
    /// Identifies the sender by its headers. Where its key is not known and it matters who calls, newer
    /// ones are waited for. Whose signature is wrong counts for its address, and beyond a limit is not looked at.
    pub(crate) async fn identified(
        app: &App,
        settings: Arc<Settings>,
        headers: &HeaderMap,
        audit: Audit,
        peer: Peer,
        matters: bool,
    ) -> Self {
        if let Some(wait) = held_off(app, &settings, headers, peer) {
            app.metrics.held_off();
            return Self { settings, identity: Identity::HeldOff(wait), audit };
        }
        let mut caller = Self::at_once(app, settings, headers, audit);
        if matters
            && caller.identity.needs_keys()
            && caller.settings.jwks_url().is_some()
            && Box::pin(app.jwt_keys.refreshed()).await
        {
            caller.identity = identify(app, &caller.settings, headers);
        }
        // What costs no signature is as cheap as any request, and must not hold off who stands behind
        // the same address.
        if let Identity::Invalid(Some(InvalidJwt::Signature)) = caller.identity {
            // One more than there may be is told the truth still.
            let _ = app.refusals.take(peer, caller.settings.limits.refusal_rate());
        }
        caller
    }

    /// As [`Self::identified`], by the keys that are known, and without a limit.
    pub(crate) fn at_once(
        app: &App,
        settings: Arc<Settings>,
        headers: &HeaderMap,
        audit: Audit,
    ) -> Self {
        let identity = identify(app, &settings, headers);
        Self { settings, identity, audit }
    }

    /// Lets through who is known, and who does not say who they are.
    ///
    /// # Errors
    /// 401 for credentials that are no good; 503 where that cannot be told yet, 429 where it is not asked.
    pub(crate) fn known(&self) -> Result<(), Problem> {
        Ok(known(&self.identity)?)
    }

    /// Counts the request, where the settings limit their rate.
    ///
    /// # Errors
    /// 429 over the limit.
    pub(crate) fn count(&self, app: &App) -> Result<(), Problem> {
        let Some(rate) = self.settings.limits.requests_per_second else { return Ok(()) };
        app.rates.take(self.identity.bucket(), rate).map_err(Problem::too_many_requests)
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
        self.check(contract, scope, right)?;
        if let (Scope::Namespace(name), Right::Write) = (scope, right) {
            self.may_write(contract, name);
        }
        Ok(())
    }

    /// As [`Self::authorize`], where what is written is told by [`Self::may_write`].
    ///
    /// # Errors
    /// The same.
    pub(crate) fn check(
        &self,
        contract: Contract,
        scope: Scope<'_>,
        right: Right,
    ) -> Result<(), Problem> {
        Ok(authorize(&self.identity, Demand { contract, scope, right })?)
    }

    /// Whether a list shows it an entry of this name.
    pub(crate) fn may_read(&self, contract: Contract, name: &str) -> bool {
        let scope = Scope::Namespace(name);
        authorize(&self.identity, Demand { contract, scope, right: Right::Read }).is_ok()
    }

    /// Leaves word for the audit.
    pub(crate) fn may_write(&self, contract: Contract, name: &str) {
        self.audit.authorized(contract, name);
    }

    /// Leaves word for the audit of what below that name is written; of what is read, none.
    pub(crate) fn writes_item(&self, item: impl Display) {
        self.audit.item(item);
    }

    /// Leaves word for the audit of the tag that a write replaced; `None` where nothing was there, or
    /// nothing that has one.
    pub(crate) fn replaced(&self, tag: Option<&EntityTag>) {
        self.audit.replaced(tag);
    }
}

fn identify(app: &App, settings: &Settings, headers: &HeaderMap) -> Identity {
    settings.credentials.identify(authorization(headers), &app.jwt_keys)
}

/// For how long credentials of this address are not looked at. What is known to be good is no matter of it:
/// others may stand behind the same address.
fn held_off(app: &App, settings: &Settings, headers: &HeaderMap, peer: Peer) -> Option<Duration> {
    let line = authorization(headers)?;
    let wait = app.refusals.look(peer, settings.limits.refusal_rate()).err()?;
    (!settings.credentials.knows(line, &app.jwt_keys)).then_some(wait)
}

/// Two `Authorization` lines are no credentials.
fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => Some(b""),
        (line, _) => line.map(http::HeaderValue::as_bytes),
    }
}
