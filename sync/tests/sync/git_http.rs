//! A real Git server over HTTP on a bound port, with routes on which it misbehaves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use stowage_git_server::backend;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The first segment of a URL's path chooses how the server behaves.
pub(crate) struct GitHttp {
    origin: String,
    state: Arc<Server>,
    task: tokio::task::JoinHandle<()>,
}

struct Server {
    root: PathBuf,
    authorization: Option<String>,
    asked: Notify,
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl GitHttp {
    /// Serves the repositories under `root`, to everyone or for one `Authorization` only.
    pub(crate) async fn start(root: &Path, authorization: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Server {
            root: root.to_owned(),
            authorization: authorization.map(str::to_owned),
            asked: Notify::new(),
        });
        let router = Router::new().fallback(answer).with_state(state.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, state, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Waits until a request has arrived at a route that hangs.
    pub(crate) async fn asked(&self) {
        self.state.asked.notified().await;
    }
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let authorization = request.headers().get(header::AUTHORIZATION);
    let known =
        authorization.map(|v| v.as_bytes()) == server.authorization.as_deref().map(str::as_bytes);
    if !known {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")])
            .into_response();
    }
    let (route, rest) = path.strip_prefix('/').and_then(|p| p.split_once('/')).unwrap_or_default();
    match route {
        "git" => backend(&server.root, rest, request).await,
        "moved" => {
            // Where redirects are followed, this one leads to the repository.
            let location = format!("/git/{rest}?{}", request.uri().query().unwrap_or_default());
            (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
        }
        "forbidden" => StatusCode::FORBIDDEN.into_response(),
        "broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "dumb" => "0123456789012345678901234567890123456789\trefs/heads/main\n".into_response(),
        "endless" => endless(&server.root, rest, request, ENDLESS_BLOB).await,
        "greedy" => endless(&server.root, rest, request, GREEDY_COMMIT).await,
        "hang" => {
            server.asked.notify_one();
            std::future::pending().await
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A blob of 2^36 bytes and a commit of 3 * 2^30, as a pack names them (gitformat-pack(5)).
const ENDLESS_BLOB: &[u8] = &[0xB0, 0x80, 0x80, 0x80, 0x80, 0x90, 0x00];
const GREEDY_COMMIT: &[u8] = &[0x90, 0x80, 0x80, 0x80, 0xE0, 0x00];

/// A server that means well until it is asked for the pack: that never ends.
async fn endless(root: &Path, path: &str, request: Request, object: &[u8]) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    if !body.windows(13).any(|w| w == b"command=fetch") {
        return backend(root, path, Request::from_parts(parts, Body::from(body))).await;
    }
    // One object, its zlib stream made of stored blocks.
    let mut start = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    start.extend_from_slice(object);
    start.extend_from_slice(&[0x78, 0x01]);
    let mut block = vec![0x00];
    block.extend_from_slice(&50_000_u16.to_le_bytes());
    block.extend_from_slice(&(!50_000_u16).to_le_bytes());
    block.resize(50_005, 7);
    let first = [packet(b"packfile\n"), packet(&[&[1], &start[..]].concat())].concat();
    let more = Bytes::from(packet(&[&[1], &block[..]].concat()));
    let stream = stream::iter([Bytes::from(first)]).chain(stream::repeat(more));
    Response::builder()
        .header(header::CONTENT_TYPE, "application/x-git-upload-pack-result")
        .body(Body::from_stream(stream.map(Ok::<_, std::convert::Infallible>)))
        .unwrap()
}

/// A line of Git's protocol (gitprotocol-common(5)).
fn packet(payload: &[u8]) -> Vec<u8> {
    [format!("{:04x}", payload.len() + 4).as_bytes(), payload].concat()
}
