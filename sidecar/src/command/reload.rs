//! Takes up a changed configuration file and changed tokens while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::check::{self, Loaded};
use super::failure::Failure;
use super::usable::{Usable, usable};
use crate::settings::{NoAuth, Settings};

/// How often the files are looked at. A mounted Secret or ConfigMap changes by swapping a link,
/// which directory watches miss on some file systems.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the files until it is dropped. Where what they say now is no good, what held before
/// goes on holding; but for tokens, of which each that is gone or no good is refused.
///
/// A change counts once two looks in a row see the same of it: a file that is being written may
/// parse halfway.
pub(super) async fn reload(file: PathBuf, serving: Loaded, settings: watch::Sender<Arc<Settings>>) {
    let mut ticks = tokio::time::interval(EVERY);
    let fixed = serving.config.fixed();
    let mut taken = serving.tokens().tokens.clone();
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
        // Once it has asked for credentials it is not opened again by taking them away.
        let no_auth = if settings.borrow().is_open() { NoAuth::Insecure } else { NoAuth::Nobody };
        let checked = now.as_ref().map_err(Clone::clone).and_then(|loaded| {
            let Usable { tokens, faults } = usable(loaded.tokens(), &taken);
            // A file that is there says that a token is to be asked for, whatever is wrong with it.
            let no_auth = if faults.is_empty() { no_auth } else { NoAuth::Nobody };
            let changed = loaded.settings_with(tokens.clone(), no_auth);
            Ok((loaded, tokens, faults, changed.map_err(|failure| failure.to_string())?))
        });
        match checked {
            Ok((loaded, tokens, faults, changed)) => {
                if loaded.config.fixed() != fixed {
                    tracing::warn!(
                        "store, listen, managementListen, backend, history, shutdownGrace, tracing or \
                         limits.maxConnections has changed; that takes effect at the next start"
                    );
                }
                if tokens.is_empty() && !taken.is_empty() {
                    tracing::warn!(
                        "there is no token any more: every one is refused from now on; put one into \
                         auth.tokensDir before the next start"
                    );
                }
                for reason in faults {
                    tracing::error!(
                        reason,
                        "this token is refused, as if its file were not there; the others hold"
                    );
                }
                taken = tokens;
                Arc::new(changed).succeed(&settings);
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
