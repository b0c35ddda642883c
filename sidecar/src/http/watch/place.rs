//! The places of those who watch.

use std::sync::Arc;

use stowage_config::Limits;

use super::Access;
use crate::http::app::App;
use crate::http::metrics::Counted;
use crate::http::places::Full;
use crate::http::problem::Problem;

/// A place among those who watch, until it is dropped.
pub(super) struct Place {
    app: Arc<App>,
    by: u64,
    _counted: Counted,
}

impl Place {
    /// Takes one.
    ///
    /// # Errors
    /// 429 where the client has as many as it may have, 503 where all are taken.
    pub(super) fn take(app: &Arc<App>, access: &Access) -> Result<Self, Problem> {
        let (by, own_max) = match access.counted_with {
            None => (0, Limits::WATCHES),
            Some(by) => (by, app.settings.borrow().limits.watches_max()),
        };
        let by = app.watchers.take(by, own_max).map_err(|full| match full {
            Full::Own => Problem::too_many_watches(own_max),
            Full::All => {
                Problem::unavailable("as many clients watch as this server takes; try again later")
            }
        })?;
        Ok(Self { app: Arc::clone(app), by, _counted: app.metrics.watcher() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.watchers.give_back(self.by);
    }
}
