//! Keys from a URL: fetched in the background, kept while the URL fails, and fetched at once for a
//! token whose key is not known.

mod fetch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use http::Uri;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::KeySet;
use crate::settings::Settings;

/// How long after a fetch the next one comes.
const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// How often tokens with unknown keys make for a fetch: anyone can make up such tokens.
const WANTED_EVERY: Duration = Duration::from_secs(10);
/// How long after a failed fetch the next one comes; twice as long after each.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long a request waits for a fetch, which itself takes no longer than that.
const WAIT_MAX: Duration = fetch::TIME_MAX;

/// The keys of one server that come from a URL.
#[derive(Debug)]
pub(crate) struct RemoteKeys {
    state: watch::Sender<State>,
    wanted: Notify,
    wanted_at: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct State {
    url: Option<Uri>,
    keys: Option<Arc<KeySet>>,
    is_fetching: bool,
    fetches: u64,
}

impl RemoteKeys {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            state: watch::Sender::new(State::default()),
            wanted: Notify::new(),
            wanted_at: Mutex::default(),
        }
    }

    /// The keys that a URL gave, if it gave any yet.
    pub(super) fn of(&self, url: &Uri) -> Option<Arc<KeySet>> {
        let state = self.state.borrow();
        state.keys.clone().filter(|_| state.url.as_ref() == Some(url))
    }

    /// Waits for a fetch that is under way, or has one made where that is due; says whether one has
    /// ended meanwhile, so that it is worth another look.
    pub(crate) async fn refreshed(&self) -> bool {
        let mut state = self.state.subscribe();
        let (is_fetching, fetches) = {
            let state = state.borrow();
            (state.is_fetching, state.fetches)
        };
        if !is_fetching {
            if !self.is_due() {
                return false;
            }
            self.wanted.notify_one();
        }
        let ended = state.wait_for(|state| state.fetches > fetches);
        matches!(timeout(WAIT_MAX, ended).await, Ok(Ok(_)))
    }

    fn is_due(&self) -> bool {
        let mut wanted_at = self.wanted_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = wanted_at.is_none_or(|at| at.elapsed() >= WANTED_EVERY);
        if is_due {
            *wanted_at = Some(Instant::now());
        }
        is_due
    }

    fn begin(&self, url: &Uri) {
        self.state.send_modify(|state| {
            if state.url.as_ref() != Some(url) {
                state.url = Some(url.clone());
                state.keys = None;
            }
            state.is_fetching = true;
        });
        // Who has asked for a fetch before waits for this one.
        let _ = self.wanted.notified().now_or_never();
    }

    fn end(&self, keys: Option<Arc<KeySet>>) {
        let before = self.state.borrow().keys.clone();
        if let (Some(keys), Some(before)) = (&keys, before) {
            keys.learn_from(&before);
        }
        self.state.send_modify(|state| {
            // Those of before hold on where there are no new ones.
            state.keys = keys.or(state.keys.take());
            state.is_fetching = false;
            state.fetches += 1;
        });
    }
}

/// Fetches keys for as long as the settings name a URL; ends when it is dropped. `fetched` hears
/// how each fetch ended.
pub(crate) async fn keep_fresh(
    remote: &RemoteKeys,
    mut settings: watch::Receiver<Arc<Settings>>,
    fetched: impl Fn(bool),
) {
    let mut failures = 0;
    loop {
        let Some(url) = settings.borrow_and_update().jwks_url().cloned() else {
            changed(&mut settings, |settings| settings.jwks_url().is_some()).await;
            continue;
        };
        remote.begin(&url);
        let result = fetch::fetch(&url).await;
        fetched(result.is_ok());
        match &result {
            Ok(_) if failures > 0 => {
                tracing::info!(url = place(&url), "the keys of JWTs are there")
            }
            Ok(_) => {}
            Err(error) => {
                let (url, old_keys_hold) = (place(&url), remote.of(&url).is_some());
                tracing::warn!(url, %error, old_keys_hold, "the keys of JWTs were not fetched");
            }
        }
        failures = if result.is_ok() { 0 } else { failures + 1 };
        remote.end(result.ok().map(Arc::new));
        tokio::select! {
            () = sleep(pause(failures)) => {}
            () = remote.wanted.notified() => {}
            () = changed(&mut settings, |settings| settings.jwks_url() != Some(&url)) => {}
        }
    }
}

/// The URL without its query, in which an issuer may want a key.
fn place(url: &Uri) -> String {
    let (scheme, authority) = (url.scheme_str(), url.authority().map(http::uri::Authority::as_str));
    format!("{}://{}{}", scheme.unwrap_or_default(), authority.unwrap_or_default(), url.path())
}

/// Waits for settings of a kind; for ever where they do not change any more.
async fn changed(
    settings: &mut watch::Receiver<Arc<Settings>>,
    is_meant: impl Fn(&Settings) -> bool,
) {
    if settings.wait_for(|settings| is_meant(settings)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn pause(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => REFRESH_EVERY,
        Some(before) => RETRY_MIN.saturating_mul(1 << before.min(6)).min(RETRY_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SECRET, signed_token};
    use super::*;

    #[test]
    fn the_pause_grows_with_each_failure_up_to_a_minute() {
        let table = [(0, 300), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (u32::MAX, 60)];
        for (failures, seconds) in table {
            assert_eq!(pause(failures), Duration::from_secs(seconds), "{failures}");
        }
    }

    #[test]
    fn a_url_is_logged_without_its_query() {
        let url = Uri::from_static("https://issuer.example:8443/keys?key=hunter2");
        assert_eq!(place(&url), "https://issuer.example:8443/keys");
    }

    #[test]
    fn what_was_found_out_outlives_a_fetch_of_the_same_keys() {
        let url = Uri::from_static("https://issuer/keys");
        let remote = RemoteKeys::new();
        let fetched = || Some(Arc::new(KeySet::from_secret(SECRET).unwrap()));
        let (text, digest) = signed_token();
        remote.begin(&url);
        remote.end(fetched());
        remote.of(&url).expect("keys").signed(text.as_bytes(), digest).expect("it is signed");
        remote.end(fetched());
        assert!(remote.of(&url).expect("keys").knows(&digest), "it was found to be signed before");
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_make_for_a_fetch_every_ten_seconds_and_wait_for_one_under_way() {
        let remote = RemoteKeys::new();
        let wants = || async { remote.refreshed().await };
        let fetch = async {
            remote.wanted.notified().await;
            remote.end(None);
        };
        assert!(tokio::join!(wants(), fetch).0, "the first one");
        assert!(!wants().await, "not at once again");
        tokio::time::advance(WANTED_EVERY).await;
        let before = Instant::now();
        assert!(!wants().await, "a fetch that does not end is not waited for any longer");
        assert_eq!(before.elapsed(), WAIT_MAX);

        remote.begin(&Uri::from_static("http://issuer/keys"));
        let end = async {
            sleep(Duration::from_secs(1)).await;
            remote.end(None);
        };
        assert!(tokio::join!(wants(), end).0, "one that is under way");
    }
}
