//! Content codings of answers, and digests of what is sent.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::harness::{Server, Setup};
use super::raw::{Connection, Request, get, head, patch, put};

/// Sends a request on a connection that ends with the answer, and gives its head and its whole body.
async fn whole(server: &Server, request: Request) -> (super::raw::Answer, Vec<u8>) {
    let mut connection = Connection::open(server.address).await;
    connection.send(&request.header("Connection", "close").bytes()).await;
    let head = connection.head().await.expect("an answer");
    let rest = connection.rest().await;
    let is_chunked = head.header("transfer-encoding").is_some();
    let body = if is_chunked { unchunked(&rest) } else { rest };
    (head, body)
}

/// The bytes of a chunked body, which must be whole (RFC 9112 §7.1).
fn unchunked(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let end = text.windows(2).position(|it| it == b"\r\n").expect("the end of a chunk's line");
        let length = std::str::from_utf8(&text[..end]).expect("a number");
        let length = usize::from_str_radix(length, 16).expect("a number");
        if length == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&text[end + 2..end + 2 + length]);
        text = &text[end + 4 + length..];
    }
}

fn posted(target: &str, body: &str) -> Request {
    Request::new("POST", target).body(body)
}

async fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn AsyncRead + Unpin + '_> = match coding {
        "gzip" => Box::new(GzipDecoder::new(bytes)),
        "br" => Box::new(BrotliDecoder::new(bytes)),
        "zstd" => Box::new(ZstdDecoder::new(bytes)),
        other => panic!("{other} is no coding that was asked for"),
    };
    let mut decoded = Vec::new();
    reader.read_to_end(&mut decoded).await.expect("it decodes");
    decoded
}

fn long(bytes: usize) -> String {
    format!("[{}0]", "1234567,".repeat(bytes / 8))
}

#[tokio::test]
async fn an_answer_is_coded_as_the_client_asks_under_the_same_tag() {
    let server = Setup::default().in_memory().start().await;
    // The last one is cut into pieces, and may take all of the default limit.
    for length in [1100, 70_000, 7 << 20] {
        let text = long(length);
        let tag = server.send(&put("/", &text)).await.etag();
        for (asked, coding) in
            [("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd")]
        {
            let request = get("/").header("Accept-Encoding", asked);
            let (answer, body) = whole(&server, request).await;
            assert_eq!(answer.header("content-encoding").as_deref(), Some(coding), "{answer:?}");
            assert_eq!(answer.header("content-length"), None, "its length is another one");
            assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
            assert_eq!(answer.etag(), tag, "the document's tag");
            assert!(body.len() < text.len() / 2, "{coding} makes {} of {}", body.len(), text.len());
            assert!(decoded(coding, &body).await == text.as_bytes(), "{coding} of {length}");
            let answer = server.send(&head("/").header("Accept-Encoding", asked)).await;
            assert_eq!(answer.header("content-encoding").as_deref(), Some(coding), "{answer:?}");
            assert_eq!(answer.header("content-length"), None, "{answer:?}");
        }
    }
    let tag = whole(&server, get("/").header("Accept-Encoding", "gzip")).await.0.etag();
    let unchanged = get("/").header("Accept-Encoding", "br").header("If-None-Match", &tag);
    let answer = server.send(&unchanged).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (304, None), "{answer:?}");
    let write = put("/", long(2000)).header("If-Match", &tag).header("Accept-Encoding", "gzip");
    let (answer, body) = whole(&server, write).await;
    assert_eq!(answer.status, 200, "the tag holds for a write");
    assert_eq!(decoded("gzip", &body).await, long(2000).as_bytes());
}

#[tokio::test]
async fn what_is_short_no_json_or_not_asked_for_is_left_as_it_is() {
    let server = Setup::default().in_memory().start().await;
    server.send(&put("/", long(2000))).await;
    server.send(&put("/run-stores/short", "[1]")).await;
    server.send(&put("/artifacts/site/build", vec![b'a'; 5000])).await;
    let requests = [
        get("/"),
        get("/").header("Accept-Encoding", "identity"),
        get("/").header("Accept-Encoding", "deflate, gzip;q=0"),
        get("/run-stores/short").header("Accept-Encoding", "gzip"),
        get("/artifacts/site/build").header("Accept-Encoding", "gzip"),
        get("/nowhere").header("Accept-Encoding", "gzip"),
    ];
    for request in requests {
        let answer = server.send(&request).await;
        assert_eq!(answer.header("content-encoding"), None, "{request:?}: {answer:?}");
        assert!(answer.header("content-length").is_some(), "{request:?}: {answer:?}");
        let vary = answer.header("vary").unwrap_or_default();
        assert!(vary.contains("Accept-Encoding"), "{request:?}: {vary}");
    }
}

#[tokio::test]
async fn a_list_that_streams_is_coded_too() {
    let server = Setup::default().in_memory().start().await;
    let mut lines = 0;
    for job in 0..30 {
        let text =
            format!(r#"{{"id":"j{job}","startedAt":{job},"text":"{}"}}"#, "x".repeat(70_000));
        assert_eq!(server.send(&put(&format!("/jobs/j{job}"), text)).await.status, 201);
        lines += 1;
    }
    let request =
        get("/jobs").header("Accept", "application/x-ndjson").header("Accept-Encoding", "gzip");
    let (answer, body) = whole(&server, request).await;
    assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"), "{answer:?}");
    let text = String::from_utf8(decoded("gzip", &body).await).expect("text");
    assert_eq!(text.lines().count(), lines);
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[tokio::test]
async fn a_body_that_is_not_the_one_of_its_digest_changes_nothing() {
    let server = Setup::default().in_memory().start().await;
    let set = r#"{"revision":"r","files":[{"filepath":"a","config":1}]}"#;
    let event = r#"{"timestamp":1,"stepNumber":1,"type":"a"}"#;
    let log = r#"{"build_id":"b","action":"deploy","status":"success"}"#;
    let kv = patch("/storage?ns=n", "0", r#"[{"op":"set","key":"a","value":1}]"#);
    // The last part is where to look for what the request would leave.
    let requests = [
        (put("/run-stores/a", "[1]"), "/run-stores/a"),
        (kv, "/storage?ns=n&key=a"),
        (put("/jobs/j", "{}"), "/jobs/j"),
        (put("/jobs/j/runs/r", "{}"), "/jobs/j/runs/r"),
        (posted("/jobs/j/runs/r/events", event), "/jobs/j/runs/r/events/1-1-a"),
        (put("/runtimes/r/b", set), "/runtimes/r/b"),
        (put("/artifacts/s/b", "archive"), "/artifacts/s/b"),
        (posted("/sites/s/logs", log), ""),
    ];
    for (request, left) in requests {
        let digest = |body: &[u8]| format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)));
        let wrong = request.clone().header("Content-Digest", &digest(b"something else"));
        let answer = server.send(&wrong).await;
        assert_eq!(answer.status, 400, "{request:?}: {}", answer.text());
        assert_eq!(answer.json()["error"], "digest_mismatch", "{request:?}");
        if !left.is_empty() {
            assert_eq!(server.send(&get(left)).await.status, 404, "{left}: nothing was applied");
        }
        let right = request.clone().header("Content-Digest", &digest(&request.body));
        let answer = server.send(&right).await;
        assert!(matches!(answer.status, 200 | 201), "{request:?}: {}", answer.text());
    }
}
