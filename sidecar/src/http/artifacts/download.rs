//! An archive as an answer: its headers, and its bytes as the client takes them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LAST_MODIFIED,
};
use http::{HeaderValue, StatusCode};
use http_body::{Frame, SizeHint};
use stowage_store::{Archive, ArchiveContent, ArchiveInfo, Name, Result as StoreResult};

use super::super::document::{self, with_header};
use super::super::problem::Problem;
use super::dates::LastModified;
use super::place::Place;
use super::range::Selection;

/// The most bytes of an archive that are in memory for one reader: as much as its connection
/// buffers. There may be thousands of readers that take their time.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// 200 with all of an archive, or 206 with a part of it.
///
/// # Errors
/// 416 where there is nothing of what was asked for.
pub(super) fn answer(
    names: (&Name, &Name),
    archive: Archive,
    modified: Option<LastModified>,
    selection: Selection,
    place: Option<Place>,
) -> Result<Response, Problem> {
    let Archive { info, content, .. } = archive;
    let (status, first, end) = match selection {
        Selection::Whole => (StatusCode::OK, 0, info.length),
        Selection::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last + 1),
        Selection::Unsatisfiable => return Err(unsatisfiable(&info)),
    };
    let body = Body::new(ArchiveBody { content, next: first, end, reading: None, _place: place });
    let mut response = dated(document::tagged(status, &info.tag, body), modified);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Said here, because an answer to HEAD has it and no body.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(end - first));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{}", end - 1, info.length);
        response = with_header(response, CONTENT_RANGE, &range);
    }
    Ok(with_header(response, CONTENT_DISPOSITION, &disposition(names)))
}

/// 304.
pub(super) fn not_modified(info: &ArchiveInfo, modified: Option<LastModified>) -> Response {
    dated(document::empty(StatusCode::NOT_MODIFIED, &info.tag), modified)
}

fn dated(mut response: Response, modified: Option<LastModified>) -> Response {
    if let Some(value) = modified.and_then(LastModified::to_header) {
        response.headers_mut().insert(LAST_MODIFIED, value);
    }
    response
}

/// RFC 9110 §15.5.17.
fn unsatisfiable(info: &ArchiveInfo) -> Problem {
    let problem = Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        format!("the archive has {} bytes, and none of them is in this range", info.length),
    );
    match HeaderValue::try_from(format!("bytes */{}", info.length)) {
        Ok(value) => problem.with_tag(&info.tag).with_header(CONTENT_RANGE, value),
        Err(_) => problem,
    }
}

/// RFC 6266. A name may hold `:` and `@`, which a token may not; the bytes of a name need no
/// escape between quotes.
fn disposition((site, build): (&Name, &Name)) -> String {
    let file = format!("{site}-{build}.tar.gz");
    if file.contains([':', '@']) {
        format!("attachment; filename=\"{file}\"")
    } else {
        format!("attachment; filename={file}")
    }
}

type Reading = Pin<Box<dyn Future<Output = StoreResult<Bytes>> + Send>>;

/// Bytes of an archive, read only when the connection has room for them.
struct ArchiveBody {
    content: Arc<dyn ArchiveContent>,
    /// The offset of the next byte.
    next: u64,
    /// The offset behind the last one.
    end: u64,
    reading: Option<Reading>,
    /// Held as long as the file is open.
    _place: Option<Place>,
}

impl http_body::Body for ArchiveBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let left = self.end - self.next;
        if left == 0 {
            return Poll::Ready(None);
        }
        let (content, offset) = (Arc::clone(&self.content), self.next);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES_MAX);
        let reading = self
            .reading
            .get_or_insert_with(|| Box::pin(async move { content.read(offset, most).await }));
        let read = ready!(reading.as_mut().poll(context));
        self.reading = None;
        Poll::Ready(Some(match read {
            Ok(bytes) if bytes.is_empty() => Err(broken("it is shorter than it was")),
            Ok(bytes) => {
                self.next += bytes.len() as u64;
                Ok(Frame::data(bytes))
            }
            Err(error) => Err(broken(&error.to_string())),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.next)
    }
}

/// The head has said 200 already: the connection breaks off, so that the client sees that bytes
/// are missing, and the log says why.
fn broken(reason: &str) -> io::Error {
    tracing::error!(reason, "an archive could not be read to its end");
    io::Error::other("the archive could not be read to its end")
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use http_body_util::BodyExt;
    use stowage_store::NameKind;

    use super::*;

    #[test]
    fn a_file_name_is_quoted_where_it_is_no_token() {
        let table = [
            ("blog", "b-1", "attachment; filename=blog-b-1.tar.gz"),
            ("a.b_c~d+e", "1", "attachment; filename=a.b_c~d+e-1.tar.gz"),
            ("a:b", "1", "attachment; filename=\"a:b-1.tar.gz\""),
            ("a", "v@2", "attachment; filename=\"a-v@2.tar.gz\""),
        ];
        for (site, build, expected) in table {
            let site = Name::parse(NameKind::Site, site).unwrap();
            let build = Name::parse(NameKind::Build, build).unwrap();
            assert_eq!(disposition((&site, &build)), expected);
        }
    }

    /// Gives at most three bytes at a time, and ends before what its length promises.
    struct Short;

    #[async_trait]
    impl ArchiveContent for Short {
        async fn read(&self, offset: u64, most: usize) -> StoreResult<Bytes> {
            let all = Bytes::from_static(b"0123456789");
            let start = usize::try_from(offset).unwrap().min(all.len());
            Ok(all.slice(start..all.len().min(start + most.min(3))))
        }
    }

    fn body(next: u64, end: u64) -> ArchiveBody {
        ArchiveBody { content: Arc::new(Short), next, end, reading: None, _place: None }
    }

    #[tokio::test]
    async fn a_part_is_read_from_its_first_to_its_last_byte() {
        for (first, end, expected) in
            [(0, 10, "0123456789"), (4, 9, "45678"), (9, 10, "9"), (3, 3, "")]
        {
            let body = body(first, end);
            assert_eq!(http_body::Body::size_hint(&body).exact(), Some(end - first));
            let bytes = body.collect().await.expect("all of it").to_bytes();
            assert_eq!(bytes, expected.as_bytes(), "{first}..{end}");
        }
    }

    #[tokio::test]
    async fn a_content_that_ends_too_early_breaks_the_answer_off() {
        let error = body(8, 12).collect().await.expect_err("two bytes are missing");
        assert!(!error.to_string().contains("shorter"), "no word of why to the client: {error}");
    }
}
