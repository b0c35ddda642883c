//! Request bodies: limited as they stream in.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use stowage_config::ByteSize;
use tokio::time::Instant;

use super::digest::{self, Hashing};
use super::problem::Problem;
use crate::settings::Pace;

/// A body that comes steadily may take longer than it may stall, a second for each of these: who sends a byte
/// a second would otherwise hold a request for good.
const PACE_BYTES: u64 = 1 << 10;

/// Reads a whole body.
///
/// # Errors
/// As [`Pieces::of`] and [`Pieces::next`]; 400 where it is not the one that the client sent a digest
/// of.
pub(crate) async fn read(
    body: Body,
    headers: &HeaderMap,
    limit: &ByteSize,
    pace: Pace,
) -> Result<Bytes, Problem> {
    let mut hashing = Hashing::wanted(headers)?;
    let mut pieces = Pieces::of(body, headers, limit, pace)?;
    let mut whole = BytesMut::new();
    while let Some(piece) = pieces.next().await? {
        if let Some(hashing) = &mut hashing {
            hashing.update(&piece);
        }
        whole.extend_from_slice(&piece);
    }
    match hashing {
        Some(hashing) => drop(hashing.verify(pieces.trailers())?),
        // Nobody said that one would come; the body is still here.
        None if digest::is_sent(pieces.trailers()) => {
            let mut hashing = Hashing::of(pieces.trailers())?;
            hashing.update(&whole);
            hashing.verify(&HeaderMap::new())?;
        }
        None => {}
    }
    Ok(whole.freeze())
}

/// A body piece by piece as it comes in, within a limit.
pub(crate) struct Pieces {
    body: Body,
    limit_bytes: u64,
    declared: Option<u64>,
    received_bytes: u64,
    trailers: HeaderMap,
    idle_max: Duration,
    /// When the first piece was asked for.
    begun: Option<Instant>,
}

impl Pieces {
    /// Takes a request's body; nothing of it is read yet.
    ///
    /// # Errors
    /// 413 where `Content-Length` declares more than the limit.
    pub(crate) fn of(
        body: Body,
        headers: &HeaderMap,
        limit: &ByteSize,
        pace: Pace,
    ) -> Result<Self, Problem> {
        let limit_bytes = limit.bytes();
        let declared: Option<u64> =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length| length > limit_bytes) {
            return Err(Problem::payload_too_large(limit_bytes));
        }
        let trailers = HeaderMap::new();
        let (received_bytes, idle_max, begun) = (0, pace.body_idle, None);
        Ok(Self { body, limit_bytes, declared, received_bytes, trailers, idle_max, begun })
    }

    /// The length that the request declares, in bytes.
    pub(crate) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// 413 above the limit; 408 where the body stalls; 400 where it breaks off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let begun = *self.begun.get_or_insert_with(Instant::now);
            let late =
                begun + self.idle_max + Duration::from_secs(self.received_bytes / PACE_BYTES);
            let deadline = late.min(Instant::now() + self.idle_max);
            let frame = match tokio::time::timeout_at(deadline, self.body.frame()).await {
                Err(_) => return Err(stalled(self.idle_max)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => {
                    return Err(Problem::bad_request(
                        "incomplete_body",
                        "the body broke off before its end; nothing was applied",
                    ));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    self.trailers.extend(frame.into_trailers().unwrap_or_default());
                    continue;
                }
            };
            self.received_bytes += data.len() as u64;
            if self.received_bytes > self.limit_bytes {
                return Err(Problem::payload_too_large(self.limit_bytes));
            }
            return Ok(Some(data));
        }
    }

    /// The fields that came behind the body; none before its end.
    pub(crate) fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    /// How many bytes came so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }
}

fn stalled(idle: Duration) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "request_timeout",
        format!(
            "the body came too slowly, or nothing of it for {} seconds; send it again",
            idle.as_secs()
        ),
    )
    .with_header(http::header::CONNECTION, http::HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test]
    async fn a_body_that_stalls_is_408_and_ends_the_connection() {
        use axum::response::IntoResponse;

        let pieces = stream::iter([Ok::<_, axum::Error>(Frame::data(Bytes::from_static(b"[1")))]);
        let body = Body::new(StreamBody::new(pieces.chain(stream::pending())));
        let pace = Pace { body_idle: Duration::from_millis(20), ..Pace::default() };
        let limit = ByteSize::from_bytes(100);
        let mut pieces = Pieces::of(body, &HeaderMap::new(), &limit, pace).unwrap();
        assert_eq!(pieces.next().await.unwrap().as_deref(), Some(&b"[1"[..]));
        let problem = pieces.next().await.expect_err("a stall");
        let response = problem.into_response();
        assert_eq!(response.status(), 408);
        assert_eq!(response.headers()["connection"], "close");
    }

    /// How long a body may take that comes in such pieces, a second apart; `None` where all of it comes.
    async fn cut_after(piece: usize, count: usize) -> Option<Duration> {
        let pieces = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, axum::Error>(Frame::data(Bytes::from(vec![b'1'; piece])))
        });
        let body = Body::new(StreamBody::new(Box::pin(pieces)));
        let limit = ByteSize::from_bytes(1 << 30);
        let mut pieces = Pieces::of(body, &HeaderMap::new(), &limit, Pace::default()).unwrap();
        let begun = Instant::now();
        loop {
            match pieces.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(problem) => {
                    assert_eq!(problem.status(), 408);
                    return Some(begun.elapsed());
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_408_and_one_that_comes_slowly_is_read() {
        let trickle = cut_after(1, 10_000).await.expect("a byte a second is too slow");
        assert!(trickle <= Pace::default().body_idle + Duration::from_secs(1), "{trickle:?}");
        assert_eq!(cut_after(2 << 10, 600).await, None, "2 KiB a second for ten minutes");
    }
}
