//! Publishing over HTTP: `PUT /runtimes/{repo}/{branch}` at a store.

use std::error::Error;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    RETRY_AFTER,
};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};
use stowage_config::SyncTarget;
use tokio::time::{Instant, sleep};

use crate::report::{ConfigSet, PublishError, Published};
use crate::secret::redact;
use crate::{Publisher, text::shorten};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const BACK_OFF_FIRST: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
const PROBLEM_BYTES_MAX: usize = 64 << 10;
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// The commit of a served set.
const REVISION: HeaderName = HeaderName::from_static("x-stowage-revision");

/// RFC 3986 §2.3: what stands as itself in a path segment.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A store's address cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefused {
    /// It is no `http://host[:port]` URL.
    #[error("the target's URL is not of the form http://host:port: correct it")]
    Url,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client,
}

/// Publishes to a store over HTTP.
///
/// A store that is busy, not ready or not reachable is asked again, with growing pauses or as
/// its `Retry-After` says, as long as the time lasts.
///
/// A set is put in place of the very one that was served before the fetch ([`Publisher::prepare`]),
/// so that of two syncs at once none puts an older commit over a newer one.
#[derive(Debug)]
pub struct HttpPublisher {
    client: Client,
    base: Url,
    token_file: Option<PathBuf>,
    deadline: Instant,
    prepared: Mutex<Option<Served>>,
}

/// What is served under a branch's name: its tag, and its commit. A tag alone would not tell two
/// syncs apart of which the second took the first one's change back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Served {
    etag: Option<HeaderValue>,
    revision: Option<HeaderValue>,
}

/// An answer, and whether an earlier try of the same request may have been carried out.
struct Answer {
    response: Response,
    repeated: bool,
}

impl HttpPublisher {
    /// A publisher that gives up `timeout` from now; a sync's own timeout is the right one.
    ///
    /// # Errors
    /// [`TargetRefused`] where the URL is none.
    pub fn new(target: &SyncTarget, timeout: Duration) -> Result<Self, TargetRefused> {
        let base = Url::parse(&target.url).map_err(|_| TargetRefused::Url)?;
        let plain = base.scheme() == "http"
            && base.has_host()
            && base.path() == "/"
            && base.query().is_none()
            && base.fragment().is_none()
            && base.username().is_empty()
            && base.password().is_none();
        if !plain {
            return Err(TargetRefused::Url);
        }
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|_| TargetRefused::Client)?;
        let deadline = Instant::now() + timeout;
        Ok(Self {
            client,
            base,
            token_file: target.token_file.clone(),
            deadline,
            prepared: Mutex::new(None),
        })
    }

    fn url(&self, repo_id: &str, branch: &str) -> Result<Url, String> {
        let segment = |name| utf8_percent_encode(name, UNRESERVED);
        let path = format!("/runtimes/{}/{}", segment(repo_id), segment(branch));
        self.base.join(&path).map_err(|_| "the target's URL cannot be used".to_owned())
    }

    /// Read anew for each publication: a token may be replaced while a sync runs.
    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(file) = &self.token_file {
            let token = read_token(file)?;
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                "the store's token holds a line break or control character".to_owned()
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// Sends a request until it is answered for good.
    ///
    /// # Errors
    /// [`PublishError::Unknown`] where a connection was lost after a write may have been sent.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, PublishError> {
        let mut pause = BACK_OFF_FIRST;
        let mut repeated = false;
        loop {
            let sent = self
                .client
                .request(method.clone(), url.clone())
                .headers(headers.clone())
                .timeout(self.deadline.saturating_duration_since(Instant::now()))
                .body(body.clone())
                .send()
                .await;
            let (why, wait) = match sent {
                Ok(response) if is_busy(response.status()) => {
                    let asked = retry_after(response.headers());
                    (refusal(response).await, asked.unwrap_or(pause))
                }
                Ok(response) => return Ok(Answer { response, repeated }),
                Err(error) => {
                    if !method.is_safe() && !error.is_connect() {
                        repeated = true;
                    }
                    (unreachable_because(&error), pause)
                }
            };
            if Instant::now() + wait >= self.deadline {
                let kind = if repeated { PublishError::Unknown } else { PublishError::Unavailable };
                return Err(kind(why));
            }
            tracing::info!(%why, ?wait, "the store is asked again");
            sleep(wait).await;
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
    }
}

#[async_trait]
impl Publisher for HttpPublisher {
    async fn prepare(&self, repo_id: &str, branch: &str) -> Result<(), PublishError> {
        let url = self.url(repo_id, branch).map_err(PublishError::Refused)?;
        let headers = self.headers().map_err(PublishError::Refused)?;
        let served = self.served(&url, &headers).await?;
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(served);
        Ok(())
    }

    async fn publish(&self, set: &ConfigSet) -> Result<Published, PublishError> {
        use PublishError::{Refused, Unknown};
        let url = self.url(&set.repo_id, &set.branch).map_err(Refused)?;
        let mut headers = self.headers().map_err(Refused)?;
        let before = self.served(&url, &headers).await?;
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).take();
        if prepared.is_some_and(|prepared| prepared != before) {
            return Err(PublishError::Overtaken);
        }
        match &before.etag {
            Some(etag) => headers.insert(IF_MATCH, etag.clone()),
            None => headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*")),
        };
        let body =
            serde_json::to_vec(set).map_err(|e| Refused(format!("the set is no JSON: {e}")))?;
        let answer = self.send(Method::PUT, &url, &headers, body.into()).await?;
        let status = answer.response.status();
        if status == StatusCode::PRECONDITION_FAILED {
            return self.overtaken(&url, set, answer.repeated).await;
        }
        if !status.is_success() {
            let why = refusal(answer.response).await;
            return Err(if leaves_open(status) { Unknown(why) } else { Refused(why) });
        }
        let after = etag(&answer.response);
        published(before.etag.as_ref(), after.as_ref())
            .ok_or_else(|| Unknown("the store answered without an ETag: is it a store?".to_owned()))
    }
}

impl HttpPublisher {
    /// What is served now. An answer that says neither leaves it to the PUT to tell why.
    async fn served(&self, url: &Url, headers: &HeaderMap) -> Result<Served, PublishError> {
        let answer = self.send(Method::HEAD, url, headers, Bytes::new()).await?.response;
        if !answer.status().is_success() {
            return Ok(Served { etag: None, revision: None });
        }
        Ok(Served { etag: etag(&answer), revision: answer.headers().get(REVISION).cloned() })
    }

    /// Another set is served than the one that was to be replaced: somebody else's, or this one,
    /// where the answer to an earlier try was lost.
    async fn overtaken(
        &self,
        url: &Url,
        set: &ConfigSet,
        repeated: bool,
    ) -> Result<Published, PublishError> {
        if repeated {
            let now = self.served(url, &self.headers().map_err(PublishError::Refused)?).await?;
            let ours = now.revision.is_some_and(|revision| revision == *set.revision);
            if let Some(published) = published(None, now.etag.as_ref()).filter(|_| ours) {
                return Ok(published);
            }
        }
        Err(PublishError::Overtaken)
    }
}

fn published(before: Option<&HeaderValue>, after: Option<&HeaderValue>) -> Option<Published> {
    let etag = after?.to_str().ok()?.to_owned();
    Some(Published { changed: before != after, etag })
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// Whether the write may have been applied all the same: a store says 500 where it does not know,
/// and what stands between says 502 or 504 where it lost the answer.
fn leaves_open(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
    )
}

/// RFC 9110 §10.2.3, in seconds; a date is not used by any store.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn etag(response: &Response) -> Option<HeaderValue> {
    response.headers().get(ETAG).cloned()
}

/// A sentence from a problem document (RFC 9457), or from the status alone.
async fn refusal(mut response: Response) -> String {
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > PROBLEM_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let advice = match status {
        StatusCode::UNAUTHORIZED => "; check the token",
        StatusCode::FORBIDDEN => "; give the token the right to write runtimes",
        StatusCode::NOT_FOUND => "; enable the runtimes contract on the Store",
        _ => "",
    };
    match problem.get("detail").and_then(|detail| detail.as_str()) {
        Some(detail) => format!("the store answered {status}: {}{advice}", shorten(detail, 300)),
        None => format!("the store answered {status}{advice}"),
    }
}

/// The innermost cause says what the others only frame.
fn unreachable_because(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause = if error.is_timeout() { "it took too long".to_owned() } else { cause.to_string() };
    format!(
        "the store cannot be reached: check target.url, and that the store runs ({})",
        redact(&cause, &[])
    )
}

fn read_token(file: &Path) -> Result<String, String> {
    let mut token = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut token))
        .map_err(|e| {
            format!(
                "the store's token cannot be read: name a file that holds it in target.tokenFile \
                 ({})",
                e.kind()
            )
        })?;
    let token = token.trim_end_matches(['\r', '\n']);
    if token.is_empty() {
        Err("the store's token is empty".to_owned())
    } else {
        Ok(token.to_owned())
    }
}
