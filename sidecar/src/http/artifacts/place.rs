//! The places of those who fetch archives.

use std::sync::Arc;

use crate::http::app::App;
use crate::http::caller::Caller;
use crate::http::places::Full;
use crate::http::problem::Problem;

/// A place among those who fetch archives, until it is dropped.
pub(super) struct Place {
    app: Arc<App>,
    by: u64,
}

impl Place {
    /// Takes one. Nobody gets more than half of them.
    ///
    /// # Errors
    /// 429 where the client has as many as it may have, 503 where all are taken.
    pub(super) fn take(app: &Arc<App>, caller: &Caller) -> Result<Self, Problem> {
        let by = app.downloads.key(caller.identity.bucket());
        let own_max = app.downloads.all_max().div_ceil(2);
        let by = app.downloads.take(by, own_max).map_err(|full| match full {
            Full::Own => Problem::too_many_downloads(own_max),
            Full::All => Problem::unavailable(
                "as many archives are fetched as this server sends at once; try again",
            ),
        })?;
        Ok(Self { app: Arc::clone(app), by })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.downloads.give_back(self.by);
    }
}
