//! What handlers leave of requests' bodies.
//!
//! A client that writes its whole body before it reads would meet a reset connection instead of the
//! answer, so what is left is read on. Nothing is read where the client waits for `100 Continue`:
//! reading would ask it for the body. Then the connection ends behind the answer, which has to say so
//! (RFC 9112 §9.6), and nobody but this knows.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

/// How much of a refused body is still read, so that the client gets to read the answer: as much
/// as an archive has by default. The time is what bounds it for most.
const DRAIN_BYTES_MAX: u64 = 2 << 30;
/// How long that may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// A body that is read on, within bounds, where its handler answers without reading all of it.
pub(crate) struct Drained {
    body: Option<Body>,
    waits: bool,
    left: Left,
}

/// An answer of up to so many bytes is written at once.
const SHORT_BYTES_MAX: u64 = 64 << 10;

/// Nothing of a body is left, as far as is known.
const WHOLE: u8 = 0;
/// What is left is read on.
const READ_ON: u8 = 1;
/// What is left is not read.
const UNREAD: u8 = 2;

/// What a handler has left of a body by the time when the answer begins.
#[derive(Clone, Default)]
pub(crate) struct Left(Option<Arc<AtomicU8>>);

impl Left {
    fn tell(&self, what: u8) {
        if let Some(left) = &self.0 {
            left.store(what, Ordering::Relaxed);
        }
    }

    /// Whether the connection cannot go on behind this answer: where nobody reads what is left, and where it is
    /// read on while a long answer is on its way. The HTTP library begins to read the next request once the body
    /// has ended, also where it has not written all of the answer: it would lose track of which comes first.
    pub(crate) fn ends_connection(&self, answer: &Body) -> bool {
        match self.0.as_ref().map_or(WHOLE, |left| left.load(Ordering::Relaxed)) {
            WHOLE => false,
            READ_ON => answer.size_hint().exact().is_none_or(|bytes| bytes > SHORT_BYTES_MAX),
            _ => true,
        }
    }
}

impl Drained {
    /// Wraps a request's body.
    pub(crate) fn wrap<B>(body: B, headers: &HeaderMap) -> (Body, Left)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return (Body::empty(), Left::default());
        }
        let waits = headers.contains_key(EXPECT);
        let left = Left(Some(Arc::default()));
        let body = Self { body: Some(Body::new(body)), waits, left: left.clone() };
        (Body::new(body), left)
    }
}

impl http_body::Body for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        // Once it was read from, the client was asked for it.
        self.waits = false;
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        if body.is_end_stream() {
            return;
        }
        let is_read = !self.waits && body.size_hint().lower() <= DRAIN_BYTES_MAX;
        self.left.tell(if is_read { READ_ON } else { UNREAD });
        if self.waits {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME_MAX, drain(body)));
        }
    }
}

async fn drain(mut body: Body) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > DRAIN_BYTES_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test]
    async fn what_a_handler_leaves_is_read_on_unless_the_client_waits_to_be_asked() {
        let left = |expects: bool| {
            let (told, read) = tokio::sync::oneshot::channel();
            let pieces = stream::once(async move {
                // The receiver is still there: the test waits for it.
                let _ = told.send(());
                Ok::<_, axum::Error>(Frame::data(Bytes::from_static(b"x")))
            });
            let mut headers = HeaderMap::new();
            if expects {
                headers.insert(EXPECT, http::HeaderValue::from_static("100-continue"));
            }
            let body = Body::new(StreamBody::new(Box::pin(pieces)));
            let (body, left) = Drained::wrap(body, &headers);
            drop(body);
            let ends = |length: usize| left.ends_connection(&Body::from(vec![0; length]));
            assert_eq!(ends(1), expects, "the connection ends where it is not read");
            assert!(ends(SHORT_BYTES_MAX as usize + 1), "and behind a long answer");
            read
        };
        assert!(left(false).await.is_ok(), "it is read on");
        assert!(left(true).await.is_err(), "it is dropped unread");
    }
}
