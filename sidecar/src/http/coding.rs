//! Content codings of JSON answers: gzip, br and zstd for who asks (RFC 9110 §8.4, §12.5.3).
//!
//! The entity tag stays that of the document, whatever it was coded in on this connection, because
//! it is what a client sends back in `If-Match`. RFC 9110 §8.8.1 would have one for each coding, so
//! that parts of different ones are never joined; of a document no parts are served, `Vary` keeps
//! them apart in caches, and a proxy may not recode one (`no-transform`).

use std::io;
use std::sync::Arc;

use async_compression::Level;
use async_compression::brotli::EncoderParams;
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use async_compression::zstd::CParameter;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body as _;
use tokio::io::{AsyncBufRead, AsyncRead};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::io::{ReaderStream, StreamReader};

use super::accept;

/// What is shorter fits into a packet as it is.
const BYTES_MIN: u64 = 1024;
/// So much is coded before others get their turn on this thread.
const PIECE_BYTES: usize = 64 << 10;
/// How many answers are coded at once. A coder holds some hundred kilobytes for as long as the client takes
/// for its answer, which may be long: beyond that, answers go as they are.
pub(crate) const CODERS_MAX: usize = 32;
/// How far back coders look, as a power of two: what they hold follows from that.
const WINDOW_BITS: i32 = 17;
/// How much is handed on at once.
const CODED_BYTES: usize = 16 << 10;

/// A way to write the same bytes shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// The best of those that a client accepts: the one with the most weight, and of several the
    /// one that costs least. `None` where it would rather have the bytes as they are.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut weights = Weights::default();
        for line in headers.get_all(ACCEPT_ENCODING) {
            line.to_str().unwrap_or_default().split(',').for_each(|it| weights.read(it));
        }
        let best = [
            (Self::Gzip, weights.gzip),
            (Self::Brotli, weights.brotli),
            (Self::Zstd, weights.zstd),
        ]
        .map(|(coding, weight)| (coding, weight.or(weights.any).unwrap_or(0)))
        .into_iter()
        .max_by_key(|(_, weight)| *weight)?;
        // Not named, the bytes as they are come last (RFC 9110 §12.5.3).
        let identity = weights.identity.unwrap_or(0);
        (best.1 > 0 && best.1 >= identity).then_some(best.0)
    }

    fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        })
    }

    /// Levels at which coding keeps up with a network, and windows that keep memory small.
    fn encode(
        self,
        bytes: impl AsyncBufRead + Send + 'static,
    ) -> Box<dyn AsyncRead + Send + Unpin> {
        match self {
            Self::Zstd => {
                let window = [CParameter::window_log(WINDOW_BITS.unsigned_abs())];
                Box::new(Box::pin(ZstdEncoder::with_quality_and_params(
                    bytes,
                    Level::Precise(3),
                    &window,
                )))
            }
            Self::Brotli => {
                let level = EncoderParams::default().quality(Level::Precise(4));
                let params = level.window_size(WINDOW_BITS);
                Box::new(Box::pin(BrotliEncoder::with_params(bytes, params)))
            }
            Self::Gzip => Box::new(Box::pin(GzipEncoder::with_quality(bytes, Level::Precise(4)))),
        }
    }

    /// Codes an answer that is JSON and long enough. One to HEAD, which has no body by now, gets
    /// the fields that the one to GET would have. Where too many are coded, it stays as it is.
    pub(crate) fn apply(self, response: Response, coders: &Arc<Semaphore>) -> Response {
        if !is_coded(&response) {
            return response;
        }
        let Ok(place) = Arc::clone(coders).try_acquire_owned() else { return response };
        let (mut parts, body) = response.into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.insert(CONTENT_ENCODING, self.name());
        let body = if body.is_end_stream() { body } else { self.coded(body, place) };
        Response::from_parts(parts, body)
    }

    fn coded(self, body: Body, place: OwnedSemaphorePermit) -> Body {
        let pieces =
            body.into_data_stream().map_err(io::Error::other).map_ok(in_pieces).try_flatten();
        let reader = self.encode(StreamReader::new(Box::pin(pieces)));
        let coded = ReaderStream::with_capacity(reader, CODED_BYTES);
        // Its place is free once the last of it is taken, or nobody wants it any more.
        Body::from_stream(coded.inspect(move |_| _ = &place))
    }
}

/// Cut, so that a large document does not keep a thread to itself.
fn in_pieces(bytes: Bytes) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    stream::unfold((bytes, false), async |(mut bytes, is_begun)| {
        if bytes.is_empty() {
            return None;
        }
        if is_begun {
            tokio::task::yield_now().await;
        }
        let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
        Some((Ok(piece), (bytes, true)))
    })
}

fn is_coded(response: &Response) -> bool {
    let headers = response.headers();
    let declared = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    let is_empty = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let is_long =
        declared.or(response.body().size_hint().exact()).is_none_or(|bytes| bytes >= BYTES_MIN);
    !is_empty && is_long && is_json(headers) && !headers.contains_key(CONTENT_ENCODING)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    matches!(
        kind,
        Some(b"application/json" | b"application/problem+json" | b"application/x-ndjson")
    )
}

/// Weights in thousandths, as far as they are named.
#[derive(Default)]
struct Weights {
    gzip: Option<u16>,
    brotli: Option<u16>,
    zstd: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    fn read(&mut self, member: &str) {
        let (name, thousandths) = accept::weighted(member);
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => self.gzip = Some(thousandths),
            "br" => self.brotli = Some(thousandths),
            "zstd" => self.zstd = Some(thousandths),
            "identity" => self.identity = Some(thousandths),
            "*" => self.any = Some(thousandths),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_is_the_one_that_the_client_would_rather_have() {
        use Coding::{Brotli, Gzip, Zstd};
        let table: &[(&[&str], Option<Coding>)] = &[
            (&[], None),
            (&[""], None),
            (&["gzip"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["GZIP;Q=0.5"], Some(Gzip)),
            (&["deflate"], None),
            (&["identity"], None),
            (&["gzip, deflate, br, zstd"], Some(Zstd)),
            (&["gzip, deflate, br"], Some(Brotli)),
            (&["gzip", "br;q=0.9"], Some(Gzip)),
            (&["gzip;q=0"], None),
            (&["*"], Some(Zstd)),
            (&["*;q=0"], None),
            (&["*, zstd;q=0"], Some(Brotli)),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0.5, identity;q=0.5"], Some(Gzip)),
            (&["gzip;q=0.1, identity;q=0"], Some(Gzip)),
            (&["gzip;q=no"], None),
            (&["gzip;q=NaN"], None),
            (&["gzip;q=7"], Some(Gzip)),
            (&["br ; q=0.3 , gzip ; q=0.2"], Some(Brotli)),
        ];
        for (lines, expected) in table {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(Coding::accepted(&headers), *expected, "{lines:?}");
        }
    }

    #[tokio::test]
    async fn only_so_many_answers_are_coded_at_once() {
        use http_body_util::BodyExt;

        let answer = || {
            let mut response = Response::new(Body::from("[1234,5678,".repeat(1000)));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        };
        let coders = Arc::new(Semaphore::new(1));
        let coded = |response: &Response| response.headers().contains_key(CONTENT_ENCODING);
        let first = Coding::Gzip.apply(answer(), &coders);
        let second = Coding::Gzip.apply(answer(), &coders);
        assert!(coded(&first) && !coded(&second), "the second goes as it is");
        drop(first);
        let third = Coding::Gzip.apply(answer(), &coders);
        assert!(coded(&third), "nobody wants the first any more");
        third.into_body().collect().await.unwrap();
        assert!(coded(&Coding::Gzip.apply(answer(), &coders)), "all of it was taken");
    }
}
