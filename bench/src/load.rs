//! The load generator: each client has a connection of its own and one request under way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The token that the bench's server accepts.
pub(crate) const TOKEN: &str = "bench-0123456789abcdef";

/// What the clients do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Each client replaces its own document under `If-Match`.
    Put,
    /// Each client reads its own document.
    Get,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) per_second: f64,
}

impl Figures {
    pub(crate) fn new(mut latencies: Vec<Duration>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        let at =
            |q: usize| latencies.get(latencies.len() * q / 100).copied().unwrap_or(Duration::ZERO);
        Self {
            p50: at(50),
            p99: at(99),
            per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        }
    }
}

/// Runs one row.
///
/// # Errors
/// An answer that is not the expected one, or a broken connection.
pub(crate) async fn run(
    address: SocketAddr,
    work: Work,
    clients: usize,
    span: Duration,
) -> Result<Figures> {
    let mut tasks = tokio::task::JoinSet::new();
    let started = Instant::now();
    for client in 0..clients {
        tasks.spawn(one_client(address, work, client, started + span));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    Ok(Figures::new(latencies, started.elapsed()))
}

async fn one_client(
    address: SocketAddr,
    work: Work,
    client: usize,
    until: Instant,
) -> Result<Vec<Duration>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);

    let path = format!("/run-stores/bench-{client}");
    let document = Bytes::from(format!("{{\"client\":{client},\"pad\":\"{}\"}}", "x".repeat(990)));
    let mut tag = put(&mut sender, &path, None, document.clone()).await?;
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let at = Instant::now();
        match work {
            Work::Put => tag = put(&mut sender, &path, Some(&tag), document.clone()).await?,
            Work::Get => get(&mut sender, &path).await?,
        }
        latencies.push(at.elapsed());
    }
    Ok(latencies)
}

type Sender = SendRequest<Full<Bytes>>;

async fn put(sender: &mut Sender, path: &str, tag: Option<&str>, body: Bytes) -> Result<String> {
    let mut request = Request::put(path).header("content-type", "application/json");
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    let answer = send(sender, request, body).await?;
    let tag = answer.headers().get("etag").context("a PUT was answered without an ETag")?;
    Ok(tag.to_str()?.to_owned())
}

async fn get(sender: &mut Sender, path: &str) -> Result<()> {
    send(sender, Request::get(path), Bytes::new()).await.map(drop)
}

async fn send(
    sender: &mut Sender,
    request: http::request::Builder,
    body: Bytes,
) -> Result<http::Response<()>> {
    let request = request
        .header("host", "bench")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Full::new(body))?;
    sender.ready().await?;
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let bytes = body.collect().await?.to_bytes();
    ensure!(
        parts.status == StatusCode::OK,
        "expected 200, got {}: {}",
        parts.status,
        String::from_utf8_lossy(&bytes)
    );
    Ok(http::Response::from_parts(parts, ()))
}
