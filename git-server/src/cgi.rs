//! `git http-backend` as a CGI program (RFC 3875).

use std::io;
use std::path::Path;
use std::process::Stdio;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// The most bytes of a request's body: what is pushed.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Hands a request for `path` (a repository under `root` and what is asked of it, without a slash
/// in front) to `git http-backend`. A program that fails is answered with 500 and what it said.
pub async fn backend(root: &Path, path: &str, request: Request) -> Response {
    match answer(root, path, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("git http-backend: {error}\n"))
            .into_response(),
    }
}

async fn answer(root: &Path, path: &str, request: Request) -> io::Result<Response> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    };
    let mut process = Command::new("git")
        .arg("http-backend")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROJECT_ROOT", root)
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", text(&parts.headers, "content-type"))
        .env("HTTP_CONTENT_ENCODING", text(&parts.headers, "content-encoding"))
        .env("GIT_PROTOCOL", text(&parts.headers, "git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(mut stdin), Some(mut stdout)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut output = Vec::new();
    let write = async {
        // It may have read enough to refuse; what it says then counts.
        let _ = stdin.write_all(&body).await;
        drop(stdin);
    };
    let (_, read) = tokio::join!(write, stdout.read_to_end(&mut output));
    read?;
    response(&output).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Header fields, an empty line, the body.
fn response(output: &[u8]) -> Option<Response> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n")?;
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).ok()?.split("\r\n") {
        let (name, value) = line.split_once(": ")?;
        response = match name {
            "Status" => response.status(value.split(' ').next()?),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_says_status_fields_and_body() {
        let found = response(b"Status: 404 Not Found\r\nX-A: b\r\n\r\ngone\r\n\r\n").unwrap();
        assert_eq!(found.status(), StatusCode::NOT_FOUND);
        assert_eq!(found.headers()["x-a"], "b");
        assert!(response(b"no end of header fields\r\n").is_none());
    }
}
