//! Every request that a client makes, and how it was answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use tower::{Layer, Service};

/// What was asked, in order.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<Asked>>>);

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// When.
    pub(crate) at: Instant,
    /// Method and URL.
    pub(crate) line: String,
    /// The answer's status; `None` while there is none.
    pub(crate) answer: Option<StatusCode>,
}

impl Asked {
    /// Whether it was meant to change something.
    pub(crate) fn writes(&self) -> bool {
        !self.line.starts_with("GET ")
    }

    /// The resource that it was about, in the plural, as in its URL.
    fn resource(&self) -> Option<&str> {
        let path = self.line.split([' ', '?']).nth(1)?;
        let (_, in_namespace) = path.split_once("/namespaces/")?;
        in_namespace.split('/').nth(1)
    }
}

impl Requests {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many writes succeeded, by resource.
    pub(crate) fn written(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for asked in self.lock().iter() {
            if asked.writes() && asked.answer.is_some_and(|answer| answer.is_success()) {
                let resource = asked.resource().unwrap_or(&asked.line);
                *counts.entry(resource.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

impl<S> Layer<S> for Requests {
    type Service = Recorded<S>;

    fn layer(&self, inner: S) -> Recorded<S> {
        Recorded { inner, requests: self.clone() }
    }
}

/// A client whose requests are recorded.
#[derive(Clone)]
pub(crate) struct Recorded<S> {
    inner: S,
    requests: Requests,
}

impl<S, A, B> Service<Request<A>> for Recorded<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let line = format!("{} {}", request.method(), request.uri());
        let number = {
            let mut asked = self.requests.lock();
            asked.push(Asked { at: Instant::now(), line, answer: None });
            asked.len() - 1
        };
        let (answer, requests) = (self.inner.call(request), self.requests.clone());
        Box::pin(async move {
            let answer = answer.await?;
            requests.lock()[number].answer = Some(answer.status());
            Ok(answer)
        })
    }
}
