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
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::bare_head::BareHead;

/// How long, and how much, is read on behind a refusal: what arrives at a closed socket takes the answer away
/// from a client that has not read it yet (RFC 9112 §9.6).
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 4 << 20;
/// Of so many connections at once, beside those that have places: who is refused takes none from others.
static LINGERING: Semaphore = Semaphore::const_new(64);

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
    /// Whether hyper has nothing that it has not written.
    is_flushed: bool,
    /// Whether hyper would have nothing sent behind it.
    ends: bool,
}

/// Guards a stream.
pub(super) fn guard(stream: TcpStream) -> (Guarded, Guard) {
    let inner =
        Inner { stream, held: Vec::new(), is_released: false, is_flushed: true, ends: false };
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
    /// be read, where that is why it has ended. Within `stall_max` the peer has to take what is written.
    ///
    /// # Errors
    /// As the system says.
    pub(super) async fn end(
        self,
        unreadable: Option<Unreadable>,
        stall_max: Duration,
        refusal: impl FnOnce(StatusCode) -> Response,
    ) -> io::Result<()> {
        let Some(inner) = Arc::into_inner(self.0) else { return Ok(()) };
        let mut inner = inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let status = unreadable.and_then(|unreadable| inner.refused(unreadable));
        if let Some(status) = status {
            write_response(&mut inner.held, refusal(status)).await;
        }
        let Inner { mut stream, held, ends, .. } = inner;
        let written = async {
            stream.write_all(&held).await?;
            if ends || status.is_some() { stream.shutdown().await } else { Ok(()) }
        };
        timeout(stall_max, written)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if status.is_some() {
            linger(stream);
        }
        Ok(())
    }
}

/// What hyper could not read as a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing that it knows: it refuses it with a head of its own.
    Request,
    /// The preface of HTTP/2, in the middle of a connection of HTTP/1.1: it says nothing.
    Preface,
}

impl Unreadable {
    /// Whether that is why hyper has returned.
    pub(super) fn of(error: &hyper::Error) -> Option<Self> {
        // No method of the error tells.
        let is_preface = || error.to_string().contains("preface");
        error.is_parse().then(|| if is_preface() { Self::Preface } else { Self::Request })
    }
}

/// Reads on for a while, where not too many are read on already.
fn linger(stream: TcpStream) {
    let Ok(place) = LINGERING.try_acquire() else { return };
    tokio::spawn(async move {
        let (mut rest, mut nowhere) = (stream.take(LINGER_BYTES_MAX), tokio::io::sink());
        let _ = timeout(LINGER_MAX, tokio::io::copy(&mut rest, &mut nowhere)).await;
        drop(place);
    });
}

/// The answer as it is on the wire (RFC 9112 §2.1); the connection ends with it.
async fn write_response(wire: &mut Vec<u8>, response: Response) {
    let (parts, body) = response.into_parts();
    // It is held in memory as a whole: reading it does not fail.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    wire.extend_from_slice(format!("HTTP/1.1 {}\r\n", parts.status).as_bytes());
    let fields = parts.headers.iter().filter(|(name, _)| *name != http::header::CONNECTION);
    for (name, value) in fields {
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
    /// The status to refuse with, and in `held` what is to be written before. `None` where nothing can be said:
    /// hyper has more of an answer than it has written, and what comes behind that would be taken for its rest.
    fn refused(&mut self, unreadable: Unreadable) -> Option<StatusCode> {
        match unreadable {
            Unreadable::Preface => self.is_flushed.then_some(StatusCode::BAD_REQUEST),
            Unreadable::Request if self.is_released => None,
            Unreadable::Request => {
                let head = BareHead::at_end_of(&self.held)?;
                self.held.clear();
                Some(head.status)
            }
        }
    }

    /// Makes way for what is to be written now: what stands before it is no refusal.
    fn poll_clear(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_flushed = false;
        self.is_released = !self.held.is_empty();
        self.poll_drain(context)
    }

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
        ready!(inner.poll_clear(context))?;
        inner.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        ready!(inner.poll_clear(context))?;
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
        if !inner.is_holding() {
            ready!(inner.poll_drain(context))?;
            ready!(Pin::new(&mut inner.stream).poll_flush(context))?;
        }
        inner.is_flushed = true;
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use std::future::poll_fn;
    use std::io::Read;
    use tokio::net::TcpListener;

    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\
                          date: Sun, 22 Nov 2026 20:08:39 GMT\r\n\r\n";
    const STALL_MAX: Duration = Duration::from_secs(20);

    /// What a peer reads: of `writes`, each flushed or not, and of what comes of them at the end.
    async fn read(
        writes: &[(&'static [u8], bool)],
        waits: bool,
        unreadable: Option<Unreadable>,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut peer = std::net::TcpStream::connect(listener.local_addr().expect("its address"))
            .expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        let (mut guarded, guard) = guard(stream);
        for (bytes, is_flushed) in writes {
            guarded.write_all(bytes).await.expect("a write");
            if *is_flushed {
                guarded.flush().await.expect("a flush");
            }
        }
        if waits {
            poll_fn(|context| {
                guard.release(context);
                Poll::Ready(())
            })
            .await;
        }
        // Where the preface comes, hyper returns at once.
        if unreadable != Some(Unreadable::Preface) {
            guarded.shutdown().await.expect("a shutdown");
        }
        drop(guarded);
        let refusal = |status: StatusCode| {
            let mut response = Response::new(Body::from("why"));
            *response.status_mut() = status;
            response
        };
        guard.end(unreadable, STALL_MAX, refusal).await.expect("an end");
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            peer.read_to_string(&mut text).map(|_| text)
        });
        let read = read.await.expect("no panic").expect("what was written");
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        // Of the date, what stays the same for long.
        read.split("date: ").map(|part| part.replace(&date[4..], "")).collect()
    }

    #[tokio::test]
    async fn only_what_is_known_to_be_a_refusal_is_replaced() {
        let bare = String::from_utf8_lossy(BARE).replace("date: ", "");
        let refused = |status: &str| {
            format!("HTTP/1.1 {status}\r\ncontent-length: 3\r\nconnection: close\r\n")
        };
        let large = refused("431 Request Header Fields Too Large");
        let bad = refused("400 Bad Request");
        let (request, preface) = (Some(Unreadable::Request), Some(Unreadable::Preface));
        // What is written, whether hyper waits behind it, why it returns; what the peer gets, the refusals by
        // their beginnings.
        type Row<'a> = (&'a [(&'static [u8], bool)], bool, Option<Unreadable>, [&'a str; 2]);
        let table: [Row<'_>; 10] = [
            (&[(BARE, true)], false, request, ["", &large]),
            (&[(b"answer", false), (BARE, true)], false, request, ["answer", &large]),
            (&[(BARE, true), (BARE, true)], false, request, [&bare, &large]),
            (&[(BARE, true)], false, None, [&bare, ""]),
            // An archive's end, behind which hyper has written nothing.
            (&[(BARE, true)], true, request, [&bare, ""]),
            (&[(BARE, true), (b"x", false)], false, request, [&bare, "x"]),
            (&[(BARE, true)], false, preface, [&bare, &bad]),
            (&[(BARE, false)], false, preface, [&bare, ""]),
            (&[], false, preface, ["", &bad]),
            (&[(b"answer", true)], false, request, ["answer", ""]),
        ];
        for (row, (writes, waits, unreadable, [before, then])) in table.into_iter().enumerate() {
            let read = read(writes, waits, unreadable).await;
            let rest = read.strip_prefix(before).unwrap_or_else(|| panic!("{row}: {read:?}"));
            assert!(rest.starts_with(then), "{row}: expected {then:?}, got {rest:?}");
            let is_refused = rest.ends_with("why");
            assert_eq!(is_refused, then.contains("content-length: 3"), "{row}: {rest:?}");
            assert!(is_refused || rest == then, "{row}: {rest:?}");
        }
    }
}
