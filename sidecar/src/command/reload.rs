//! Takes up a changed configuration file and changed tokens while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::check::{self, Loaded};
use super::failure::Failure;
use crate::settings::{NoAuth, Settings};

/// How often the files are looked at. A mounted Secret or ConfigMap changes by swapping a link,
/// which directory watches miss on some file systems.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the files until it is dropped. Where what they say now is no good, what held before
/// goes on holding.
///
/// A change counts once two looks in a row see the same of it: a file that is being written may
/// parse halfway.
pub(super) async fn reload(
    file: PathBuf,
    serving: Loaded,
    no_auth: NoAuth,
    settings: watch::Sender<Arc<Settings>>,
) {
    let mut ticks = tokio::time::interval(EVERY);
    let fixed = serving.config.fixed();
    let mut held = Ok(serving);
    let mut seen = None;
    loop {
        ticks.tick().await;
        let now = look(&file).await;
        if now == held {
            seen = None;
            continue;
        }
        if seen.as_ref() != Some(&now) {
            seen = Some(now);
            continue;
        }
        seen = None;
        let checked = now.as_ref().map_err(Clone::clone).and_then(|loaded| {
            Ok((loaded, loaded.settings(no_auth).map_err(|failure| failure.to_string())?))
        });
        match checked {
            Ok((loaded, changed)) => {
                if loaded.config.fixed() != fixed {
                    tracing::warn!(
                        "store, listen, managementListen, backend, history, shutdownGrace, tracing or \
                         limits.maxConnections has changed; that takes effect at the next start"
                    );
                }
                settings.send_replace(Arc::new(changed));
                tracing::info!("the configuration or the tokens have changed and hold from now on");
            }
            Err(reason) => tracing::error!(
                reason,
                "the configuration or the tokens have changed and are wrong; the old ones hold"
            ),
        }
        held = now;
    }
}

type Look = Result<Loaded, String>;

async fn look(file: &Path) -> Look {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || check::load(&file))
        .await
        .map_err(|e| e.to_string())?
        .map_err(|failure: Failure| failure.to_string())
}
