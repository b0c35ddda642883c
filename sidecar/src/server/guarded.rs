//! The stream of one connection of HTTP/1.1, which does not let go what hyper says by itself.
//!
//! What hyper cannot read as a request it refuses with a head of its own: a status, and nothing that answers here
//! carry. It tells nobody before, and returns the reason once the head is written. So a write that ends in such
//! a head is held back until hyper has either returned, which tells whether it was a refusal, or waits, which
//! tells that it was not: an archive may hold the same text. What was no refusal is sent as it came.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::bare_head::BareHead;

/// How long, and how much, is read on behind a refusal: what arrives at a closed socket takes the answer away
/// from a client that has not read it yet (RFC 9112 §9.6).
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 4 << 20;

/// What hyper reads from and writes to.
pub(super) struct Guarded(Arc<Mutex<Inner>>);

/// The other end of it: what becomes of what is held.
pub(super) struct Guard(Arc<Mutex<Inner>>);

struct Inner {
    stream: TcpStream,
    /// The end of a write that may be a refusal of hyper's; empty but for a moment.
    held: Vec<u8>,
    /// Whether it turned out to be none.
    is_released: bool,
    /// Whether hyper would have nothing sent behind it.
    ends: bool,
}

/// Guards a stream.
pub(super) fn guard(stream: TcpStream) -> (Guarded, Guard) {
    let inner = Inner { stream, held: Vec::new(), is_released: false, ends: false };
    let inner = Arc::new(Mutex::new(inner));
    (Guarded(Arc::clone(&inner)), Guard(inner))
}

impl Guard {
    /// To be called whenever hyper waits: what is held is part of an answer then.
    pub(super) fn release(&self, context: &mut Context<'_>) {
        let mut inner = lock(&self.0);
        if !inner.held.is_empty() {
            inner.is_released = true;
            // Where the peer takes nothing now, this task is woken once it does; an error meets the next write.
            let _ = inner.poll_drain(context);
        }
    }

    /// To be called once hyper has returned, and its end is dropped. `refusal` makes the answer to what could not
    /// be read, where that is why it has ended.
    pub(super) async fn end(
        self,
        error: Option<&hyper::Error>,
        refusal: impl FnOnce(StatusCode, &hyper::Error) -> Response,
    ) -> io::Result<()> {
        let Some(inner) = Arc::into_inner(self.0) else { return Ok(()) };
        let inner = inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Inner { mut stream, held, ends, .. } = inner;
        let Some(error) = error.filter(|error| error.is_parse()) else {
            stream.write_all(&held).await?;
            return if ends { stream.shutdown().await } else { Ok(()) };
        };
        let (answer, status) = match BareHead::at_end_of(&held) {
            // Only this is refused without a word, so what is held belongs to the answer before.
            _ if is_preface(error) => (held, StatusCode::BAD_REQUEST),
            Some(head) => (Vec::new(), head.status),
            // Amid an answer, there is no place for another one.
            None => return stream.write_all(&held).await,
        };
        let mut answer = answer;
        write_response(&mut answer, refusal(status, error)).await;
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        let (mut rest, mut nowhere) = (stream.take(LINGER_BYTES_MAX), tokio::io::sink());
        let _ = timeout(LINGER_MAX, tokio::io::copy(&mut rest, &mut nowhere)).await;
        Ok(())
    }
}

/// Whether it was the preface of HTTP/2, in the middle of a connection of HTTP/1.1. No method of the error tells.
fn is_preface(error: &hyper::Error) -> bool {
    error.to_string().contains("preface")
}

/// The answer as it is on the wire (RFC 9112 §2.1); the connection ends with it.
async fn write_response(wire: &mut Vec<u8>, response: Response) {
    let (parts, body) = response.into_parts();
    // It is held in memory as a whole: reading it does not fail.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    wire.extend_from_slice(format!("HTTP/1.1 {}\r\n", parts.status).as_bytes());
    for (name, value) in &parts.headers {
        wire.extend_from_slice(name.as_str().as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let rest =
        format!("content-length: {}\r\nconnection: close\r\ndate: {date}\r\n\r\n", body.len());
    wire.extend_from_slice(rest.as_bytes());
    wire.extend_from_slice(&body);
}

impl Inner {
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        self.is_released = false;
        Poll::Ready(Ok(()))
    }

    fn is_holding(&self) -> bool {
        !self.held.is_empty() && !self.is_released
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        match BareHead::at_end_of(bytes) {
            None => stream.poll_write(context, bytes),
            Some(BareHead { start: 0, .. }) => {
                self.held = bytes.to_vec();
                Poll::Ready(Ok(bytes.len()))
            }
            Some(head) => stream.poll_write(context, &bytes[..head.start]),
        }
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        ready!(inner.poll_drain(context))?;
        inner.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        ready!(inner.poll_drain(context))?;
        let last = pieces.iter().rposition(|piece| !piece.is_empty()).unwrap_or_default();
        let is_only = pieces.iter().take(last).all(|piece| piece.is_empty());
        match pieces.get(last) {
            Some(only) if is_only => inner.poll_write(context, only),
            Some(piece) if BareHead::at_end_of(piece).is_some() => {
                Pin::new(&mut inner.stream).poll_write_vectored(context, &pieces[..last])
            }
            _ => Pin::new(&mut inner.stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        if inner.is_holding() {
            return Poll::Ready(Ok(()));
        }
        ready!(inner.poll_drain(context))?;
        Pin::new(&mut inner.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        if inner.is_holding() {
            inner.ends = true;
            return Poll::Ready(Ok(()));
        }
        ready!(inner.poll_drain(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}
