//! Contract 5 over h2c: what breaks off in the middle of an upload, and digests behind it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::harness::{Server, eventually};
use super::raw::{PATIENCE, get};

const PATH: &str = "/sites/blog/artifacts/b-1";

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection of HTTP/2, and the task that moves its bytes.
struct Client {
    sender: http2::SendRequest<Body>,
    connection: JoinHandle<hyper::Result<()>>,
    address: SocketAddr,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        Self { sender, connection: tokio::spawn(connection), address }
    }

    fn put(&self, path: &str, body: Body) -> JoinHandle<hyper::Result<(u16, String)>> {
        let request = hyper::Request::put(format!("http://{}{path}", self.address)).body(body);
        let answer = self.sender.clone().send_request(request.expect("a request"));
        tokio::spawn(async move {
            let answer = answer.await?;
            let status = answer.status().as_u16();
            let text = answer.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8_lossy(&text).into_owned()))
        })
    }
}

/// A body of these bytes that has no end.
fn endless(bytes: Vec<u8>) -> Body {
    let first = stream::iter([Ok(Frame::data(Bytes::from(bytes)))]);
    StreamBody::new(first.chain(stream::pending())).boxed_unsync()
}

/// How many bytes the temporary files of a volume have.
fn unfinished_bytes(data: &Path) -> u64 {
    let entries = std::fs::read_dir(data.join(".stowage/tmp")).expect("a directory").flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

#[tokio::test]
async fn an_upload_that_is_reset_or_loses_its_connection_leaves_nothing_behind() {
    const LENGTH: usize = 2 << 20;
    let server = Server::start().await;
    let before = unfinished_bytes(&server.data());
    for is_reset in [true, false] {
        let client = Client::connect(server.address).await;
        let upload = client.put(PATH, endless(vec![b'a'; LENGTH]));
        eventually("the server writes it", async || {
            (unfinished_bytes(&server.data()) >= before + (LENGTH / 2) as u64).then_some(())
        })
        .await;
        // A request that is dropped is a RST_STREAM; its connection goes on.
        upload.abort();
        if is_reset {
            let other = client.put("/run-stores/other", full(b"1", None));
            let other = timeout(PATIENCE, other).await.expect("in time").expect("no panic");
            assert_eq!(other.expect("an answer").0, 200, "the connection goes on");
        } else {
            client.connection.abort();
        }
        eventually("nothing of it is left", async || {
            (unfinished_bytes(&server.data()) <= before).then_some(())
        })
        .await;
        assert_eq!(server.send(&get(PATH)).await.status, 404, "reset: {is_reset}");
        assert_eq!(server.send(&get("/sites/blog/versions?all=true")).await.json()["count"], 0);
    }
}

/// A whole body, and a digest behind it.
fn full(bytes: &'static [u8], digest: Option<&str>) -> Body {
    let trailers = digest.map(|digest| {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("content-digest", digest.parse().expect("a value"));
        Ok(Frame::trailers(trailers))
    });
    let frames = [Ok(Frame::data(Bytes::from_static(bytes)))].into_iter().chain(trailers);
    StreamBody::new(stream::iter(frames.collect::<Vec<_>>())).boxed_unsync()
}

#[tokio::test]
async fn a_digest_in_trailers_of_http_2_is_compared() {
    let server = Server::start().await;
    let client = Client::connect(server.address).await;
    let table = [
        ("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:", 400, "digest_mismatch"),
        ("sha-256=:x3Xnt1ft5jDNCqERO9ECZhqziCnKUqZCKreChi8mhkY=:", 201, "success"),
    ];
    for (digest, status, part) in table {
        let upload = client.put(PATH, full(b"1234567890", Some(digest)));
        let answer = timeout(PATIENCE, upload).await.expect("an answer in time");
        let (found, text) = answer.expect("no panic").expect("an answer");
        assert_eq!(found, status, "{digest}: {text}");
        assert!(text.contains(part), "{digest}: {text}");
        let stands = server.send(&get(PATH)).await.status;
        assert_eq!(stands, if status == 201 { 200 } else { 404 }, "after {digest}");
    }
}
