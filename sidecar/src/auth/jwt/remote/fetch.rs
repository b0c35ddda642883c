//! One fetch of a JWK Set.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use stowage_config::Jwt;
use stowage_config::jwt::InvalidKeys;

use crate::auth::jwt::KeySet;

/// How long it may take.
pub(super) const TIME_MAX: Duration = Duration::from_secs(5);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// Nobody took it, or the connection broke.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// Too slow.
    #[error("there was no answer within {} s", TIME_MAX.as_secs())]
    TimedOut,
    /// Another answer. Redirects are not followed: the settings say where the keys are.
    #[error("the answer is {0}, and not 200")]
    Status(StatusCode),
    /// The answer is no set of keys.
    #[error("the answer cannot be used: {0}")]
    Invalid(#[from] InvalidKeys),
    /// The system's certificates cannot be read.
    #[error("no https connection can be made: {0}")]
    Tls(std::io::Error),
}

/// Gets the keys, by http or https as the URL says.
///
/// # Errors
/// [`FetchError`].
pub(super) async fn fetch(url: &Uri) -> Result<KeySet, FetchError> {
    match tokio::time::timeout(TIME_MAX, get(url)).await {
        Ok(text) => Ok(KeySet::from_jwks(&text?)?),
        Err(_) => Err(FetchError::TimedOut),
    }
}

async fn get(url: &Uri) -> Result<Bytes, FetchError> {
    let request = Request::get(url)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("stowage-sidecar/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Unreachable(error.to_string()))?;
    let unreachable =
        |error: &(dyn std::error::Error + 'static)| FetchError::Unreachable(chain(error));
    // Made anew each time, so that a changed bundle of certificates counts.
    let connector = connector().await.map_err(FetchError::Tls)?;
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let answer = client.request(request).await.map_err(|error| unreachable(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    match Limited::new(answer.into_body(), Jwt::KEYS_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(InvalidKeys::TooLarge.into()),
        Err(error) => Err(unreachable(&*error)),
    }
}

async fn connector() -> std::io::Result<HttpsConnector<HttpConnector>> {
    // Reads the system's certificates.
    let made = tokio::task::spawn_blocking(|| {
        HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(Arc::new(rustls::crypto::ring::default_provider()))
            .map(|builder| builder.https_or_http().enable_http1().build())
    });
    made.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

/// What went wrong, and why: the outermost error only says that something did.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
