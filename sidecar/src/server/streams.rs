//! The streams of one h2c connection, and the end of those whose peer takes nothing of them.
//!
//! hyper asks a body for its next piece once the peer has given a window for the one before. Where it
//! gives none, a body is not asked again and cannot end itself, and what it holds would be held for as
//! long as the peer answers pings: a place among those who watch, a coder, an open archive. So each
//! stream is a task that is known here, and a task whose peer has taken nothing for too long is dropped:
//! that resets its stream and takes back what was queued for it.
//!
//! A peer that gives a part of a window is handed a piece ([`PIECE_BYTES_MAX`]) for it; the last one of an
//! answer stays in the connection's queue when its stream's task is over. That is the most that a stalled
//! stream can keep, and a connection without tasks rests, and ends.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// The most bytes of a body that are handed over at once: as many as fit into a frame of HTTP/2, unless the
/// peer asks for larger ones.
const PIECE_BYTES_MAX: usize = 16 << 10;

tokio::task_local! {
    /// That of the stream whose task this is.
    static OFFER: Offer;
}

/// Since when something is offered to a peer that has not taken it; nothing while it has.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    start: Instant,
    /// Milliseconds since the start, and one; 0 while nothing is offered.
    since: Arc<AtomicU64>,
}

impl Offer {
    fn new(start: Instant) -> Self {
        Self { start, since: Arc::default() }
    }

    /// That of the task that is running, where it is a stream's.
    pub(super) fn current() -> Option<Self> {
        OFFER.try_with(Self::clone).ok()
    }

    fn begin(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.since.store(now + 1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    fn since(&self) -> Option<Instant> {
        let before = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.start + Duration::from_millis(before))
    }
}

/// The streams of one connection that are answered. hyper starts their tasks by it.
#[derive(Debug, Clone)]
pub(super) struct Streams(Arc<Mutex<Live>>);

#[derive(Debug)]
struct Live {
    start: Instant,
    next: u64,
    streams: HashMap<u64, Stream>,
    last_end: Instant,
}

#[derive(Debug)]
struct Stream {
    offer: Offer,
    /// There at once, but for the moment of its start.
    task: Option<AbortHandle>,
}

/// What a look at the streams found.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    /// How many were ended.
    stalled: usize,
    /// When to look again; `None` where the connection has rested for its time.
    again: Option<Instant>,
}

impl Streams {
    /// None yet.
    pub(super) fn new() -> Self {
        let start = Instant::now();
        Self(Arc::new(Mutex::new(Live {
            start,
            next: 0,
            streams: HashMap::new(),
            last_end: start,
        })))
    }

    /// Ends streams of which the peer has taken nothing for `stall_max`, and tells how many, until for
    /// `rest_max` from now on there was none.
    pub(super) async fn rested(
        &self,
        stall_max: Duration,
        rest_max: Duration,
        stalled: impl Fn(usize),
    ) {
        let begin = Instant::now();
        loop {
            let look = self.live().look(Instant::now(), begin, stall_max, rest_max);
            if look.stalled > 0 {
                stalled(look.stalled);
            }
            match look.again {
                Some(at) => sleep_until(at).await,
                None => return,
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn look(
        &mut self,
        now: Instant,
        begin: Instant,
        stall_max: Duration,
        rest_max: Duration,
    ) -> Look {
        // What is offered from now on cannot have stalled before.
        let mut again = now + stall_max;
        let before = self.streams.len();
        self.streams.retain(|_, stream| match (stream.offer.since(), &stream.task) {
            (Some(since), Some(task)) if since + stall_max <= now => {
                task.abort();
                false
            }
            (Some(since), _) => {
                again = again.min(since + stall_max);
                true
            }
            (None, _) => true,
        });
        let stalled = before - self.streams.len();
        if stalled > 0 {
            self.last_end = now;
        }
        if self.streams.is_empty() {
            let rested = self.last_end.max(begin) + rest_max;
            if rested <= now {
                return Look { stalled, again: None };
            }
            again = again.min(rested);
        }
        Look { stalled, again: Some(again) }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut live = self.live();
        let id = live.next;
        live.next += 1;
        let offer = Offer::new(live.start);
        live.streams.insert(id, Stream { offer: offer.clone(), task: None });
        drop(live);
        let ended = Ended { streams: self.clone(), id };
        let task = async move {
            let _ended = ended;
            stream.await;
        };
        // Not under the lock: a runtime that ends drops the task at once, which takes it.
        let task = tokio::spawn(OFFER.scope(offer, task)).abort_handle();
        if let Some(stream) = self.live().streams.get_mut(&id) {
            stream.task = Some(task);
        }
    }
}

/// Forgets a stream when its task is dropped.
struct Ended {
    streams: Streams,
    id: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let mut live = self.streams.live();
        live.streams.remove(&self.id);
        live.last_end = Instant::now();
    }
}

/// The body of an answer, of which it is known whether it is taken.
pub(super) struct Offered {
    body: Body,
    /// What was made and is too long for a piece.
    rest: Bytes,
    offer: Option<Offer>,
}

impl Offered {
    /// A body, in the task of its stream.
    pub(super) fn new(body: Body) -> Self {
        Self { body, rest: Bytes::new(), offer: Offer::current() }
    }

    fn piece(&mut self) -> Bytes {
        self.rest.split_to(self.rest.len().min(PIECE_BYTES_MAX))
    }
}

impl http_body::Body for Offered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Who asks has taken what came before.
        let polled = if self.rest.is_empty() {
            Pin::new(&mut self.body).poll_frame(context)
        } else {
            Poll::Ready(Some(Ok(Frame::data(self.piece()))))
        };
        let polled = match polled {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) if data.len() > PIECE_BYTES_MAX => {
                    self.rest = data;
                    Frame::data(self.piece())
                }
                Ok(data) => Frame::data(data),
                Err(frame) => frame,
            }))),
            other => other,
        };
        if let Some(offer) = &self.offer {
            match polled {
                Poll::Ready(Some(Ok(_))) => offer.begin(),
                _ => offer.end(),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::sync::oneshot;
    use tokio::time::advance;

    use super::*;

    const STALL: Duration = Duration::from_secs(60);
    const REST: Duration = Duration::from_secs(120);

    fn look(streams: &Streams, begin: Instant) -> (usize, Option<Duration>) {
        let now = Instant::now();
        let look = streams.live().look(now, begin, STALL, REST);
        (look.stalled, look.again.map(|at| at - now))
    }

    /// A stream that offers something at once, and ends when it is told.
    async fn stream(streams: &Streams, is_offered: bool) -> oneshot::Sender<()> {
        let (end, ends) = oneshot::channel::<()>();
        let (begun, begins) = oneshot::channel();
        streams.execute(async move {
            let offer = Offer::current().expect("this is a stream");
            if is_offered {
                offer.begin();
            }
            let _ = begun.send(());
            let _ = ends.await;
        });
        begins.await.expect("it begins");
        end
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_offered_for_too_long_ends_and_nothing_else() {
        let (streams, begin) = (Streams::new(), Instant::now());
        let quiet = stream(&streams, false).await;
        advance(STALL / 2).await;
        let offered = stream(&streams, true).await;
        assert_eq!(look(&streams, begin), (0, Some(STALL)));
        advance(STALL - Duration::from_secs(1)).await;
        assert_eq!(look(&streams, begin), (0, Some(Duration::from_secs(1))), "its own time");
        advance(Duration::from_secs(1)).await;
        assert_eq!(look(&streams, begin), (1, Some(STALL)));
        let mut offered = offered;
        offered.closed().await;
        assert!(!quiet.is_closed(), "what has nothing to send lives on");
        advance(REST * 10).await;
        assert_eq!(look(&streams, begin), (0, Some(STALL)), "and keeps its connection");
        drop(quiet);
        while !streams.live().streams.is_empty() {
            tokio::task::yield_now().await;
        }
        advance(REST - Duration::from_secs(1)).await;
        assert_eq!(look(&streams, begin), (0, Some(Duration::from_secs(1))));
        advance(Duration::from_secs(1)).await;
        assert_eq!(look(&streams, begin), (0, None));
        assert_eq!(look(&streams, Instant::now()), (0, Some(STALL)), "from now on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_cut_and_is_offered_until_it_is_asked_for_more() {
        let whole = Bytes::from(vec![1; 2 * PIECE_BYTES_MAX + 5]);
        let (streams, told) = (Streams::new(), oneshot::channel());
        streams.execute(async move {
            let offer = Offer::current().expect("this is a stream");
            let mut body = Offered::new(Body::from(whole.clone()));
            assert_eq!(offer.since(), None);
            assert_eq!(http_body::Body::size_hint(&body).exact(), Some(whole.len() as u64));
            let mut lengths = Vec::new();
            while let Some(frame) = body.frame().await {
                assert_eq!(offer.since(), Some(Instant::now()), "it is offered");
                lengths.push(frame.expect("a frame").into_data().expect("data").len());
                let left = whole.len() - lengths.iter().sum::<usize>();
                assert_eq!(http_body::Body::size_hint(&body).exact(), Some(left as u64));
                assert_eq!(http_body::Body::is_end_stream(&body), left == 0);
                advance(Duration::from_secs(1)).await;
            }
            assert_eq!(offer.since(), None, "all was taken");
            told.0.send(lengths).expect("the test waits");
        });
        let lengths = told.1.await.expect("no assertion failed");
        assert_eq!(lengths, [PIECE_BYTES_MAX, PIECE_BYTES_MAX, 5]);
    }
}
