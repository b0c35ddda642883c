//! Watching (contract 6): a stream of server-sent events, or an answer that is held until there is
//! something new.

mod access;
mod event;
mod past;
mod place;
mod stream;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use stowage_store::{Changes, Key, NamespaceKey};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::app::App;
use super::prefer;
use super::problem::Problem;
use crate::settings::Settings;
pub(crate) use access::Access;
use place::Place;
pub(crate) use stream::answer;
pub(crate) use texts::Texts;

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) enum Watched {
    /// A document of the run store.
    Document(Key),
    /// A set of runtime configs.
    Set(Key),
    /// A namespace of KV.
    Namespace(NamespaceKey),
}

impl Watched {
    async fn changes(&self, app: &App) -> Result<Changes, Problem> {
        Ok(match self {
            Self::Document(key) | Self::Set(key) => app.store.watch(key).await?.1,
            Self::Namespace(key) => app.store.watch_namespace(key).await?.1,
        })
    }
}

/// An answer that is held, where it is a 304 (which is the answer to a GET with `If-None-Match`) and the
/// client asks for that by `Prefer: wait`: it is read again and again, until it is no 304 any more or the
/// client has waited for so long.
///
/// # Errors
/// As the read; 401, 403 or 404 where the client may not read it any more; 429 where it watches too much,
/// 503 where too many watch.
pub(crate) async fn held<R: Future<Output = Result<Response, Problem>>>(
    app: &Arc<App>,
    headers: &HeaderMap,
    begins: impl FnOnce() -> (Access, Watched),
    read: impl Fn() -> R,
) -> Result<Response, Problem> {
    let answer = read().await?;
    if answer.status() != StatusCode::NOT_MODIFIED {
        return Ok(answer);
    }
    let Some(wait) = prefer::wait(headers) else { return Ok(answer) };
    // Apart, so that a request which does not wait carries no room for it.
    Box::pin(async {
        let (access, subject) = begins();
        let mut hold = Hold::begin(app, wait, access, subject).await?;
        loop {
            let answer = read().await?;
            if !hold.goes_on(answer.status()).await? {
                return Ok(hold.applied(answer));
            }
        }
    })
    .await
}

struct Hold {
    app: Arc<App>,
    access: Access,
    subject: Watched,
    wait: Duration,
    deadline: Instant,
    settings: watch::Receiver<Arc<Settings>>,
    changes: Changes,
    _place: Place,
}

impl Hold {
    /// Begins. From here on no change is missed, so what is to be answered is to be looked at again.
    async fn begin(
        app: &Arc<App>,
        wait: Duration,
        access: Access,
        subject: Watched,
    ) -> Result<Self, Problem> {
        let place = Place::take(app, &access)?;
        let settings = access.check_from_now_on(app)?;
        Ok(Self {
            app: Arc::clone(app),
            access,
            changes: subject.changes(app).await?,
            subject,
            wait,
            deadline: Instant::now() + wait,
            settings,
            _place: place,
        })
    }

    /// Waits for something new after an answer of this status; says whether to look again. Not
    /// after one that tells something new already, nor where the time is over or the server ends.
    async fn goes_on(&mut self, status: StatusCode) -> Result<bool, Problem> {
        if status != StatusCode::NOT_MODIFIED || Instant::now() >= self.deadline {
            return Ok(false);
        }
        tokio::select! {
            () = self.app.shutdown.cancelled() => return Ok(false),
            () = sleep_until(self.deadline) => {}
            changed = self.settings.changed() => {
                if changed.is_err() {
                    return Ok(false);
                }
            }
            changed = self.changes.next() => {
                if changed.is_err() {
                    self.changes = self.subject.changes(&self.app).await?;
                }
            }
        }
        // Credentials may have an end that no change of the settings tells.
        let settings = Arc::clone(&self.settings.borrow_and_update());
        self.access.check(&self.app, &settings)?;
        Ok(true)
    }

    /// Says that the preference was kept to (RFC 7240 §3), in the seconds that were granted.
    fn applied(&self, mut answer: Response) -> Response {
        if let Ok(value) = HeaderValue::from_str(&format!("wait={}", self.wait.as_secs())) {
            answer.headers_mut().append(prefer::PREFERENCE_APPLIED, value);
        }
        answer
    }
}
