//! Whether who watches may still do so: what a request is asked once, a watch is asked again.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use stowage_config::Contract;
use tokio::sync::watch;

use crate::auth::{Identity, Right, Scope};
use crate::http::app::App;
use crate::http::audit::Audit;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::settings::Settings;

/// Who watches, and what that takes.
#[derive(Debug)]
pub(crate) struct Access {
    /// The request's credentials, and nothing else of it.
    credentials: HeaderMap,
    /// With whose watches it is counted; `None` where there is nobody to leave a place to.
    pub(super) counted_with: Option<u64>,
    contract: Contract,
    name: Box<str>,
}

impl Access {
    /// Reading `name` of a contract, with the credentials of a caller's request.
    pub(crate) fn new(
        app: &App,
        caller: &Caller,
        headers: &HeaderMap,
        contract: Contract,
        name: &str,
    ) -> Self {
        let mut credentials = HeaderMap::new();
        for value in headers.get_all(AUTHORIZATION) {
            credentials.append(AUTHORIZATION, value.clone());
        }
        let is_everyone = matches!(caller.identity, Identity::Everyone);
        let bucket = caller.identity.bucket();
        let counted_with = (!is_everyone).then(|| app.watchers.key(bucket));
        Self { credentials, counted_with, contract, name: name.into() }
    }

    /// Lets the watch begin under the settings of now, which may be others than those that the request
    /// began with, and gives what tells of the next ones.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn check_from_now_on(
        &self,
        app: &App,
    ) -> Result<watch::Receiver<Arc<Settings>>, Problem> {
        let mut settings = app.settings.clone();
        let now = Arc::clone(&settings.borrow_and_update());
        self.check(app, &now)?;
        Ok(settings)
    }

    /// Lets the watch go on under these settings, or refuses it.
    ///
    /// # Errors
    /// As a new request would get: 404 where the contract is not served any more, 401, 403.
    pub(super) fn check(&self, app: &App, settings: &Arc<Settings>) -> Result<(), Problem> {
        if !settings.contracts.contains(&self.contract) {
            return Err(Problem::not_found("this store does not serve this contract any more"));
        }
        let caller = Caller::at_once(app, Arc::clone(settings), &self.credentials, Audit::none());
        caller.authorize(self.contract, Scope::Namespace(&self.name), Right::Read)
    }
}
