//! A client that sends exactly the bytes it is told to, and reads one answer.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::described;

/// How long an answer may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header; several lines are joined by commas.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("expected JSON, got {:?}: {e}", self.text()))
    }

    pub(crate) fn etag(&self) -> String {
        self.header("etag").unwrap_or_else(|| panic!("expected an ETag: {self:?}"))
    }
}

/// A connection on which bytes are written as they are.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        Self { stream, buffer: Vec::new() }
    }

    /// From another address of this machine.
    pub(crate) async fn open_from(local: [u8; 4], address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((local, 0).into()).expect("every 127.0.0.0/8 is this machine");
        let stream = socket.connect(address).await.expect("the server listens");
        Self { stream, buffer: Vec::new() }
    }

    /// Writes; says whether the peer took all of it. One that has gone is no fault here: what it
    /// answered counts.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("the connection is open");
    }

    /// Reads one answer. `None` where the connection ends before it is whole.
    pub(crate) async fn answer(&mut self, head_only: bool) -> Option<Answer> {
        timeout(PATIENCE, self.read_answer(head_only)).await.expect("an answer in time")
    }

    async fn read_answer(&mut self, head_only: bool) -> Option<Answer> {
        let mut answer = self.read_head().await?;
        let status = answer.status;
        if head_only || status == 204 || status == 304 || status < 200 {
            return Some(answer);
        }
        let length: usize = answer.header("content-length")?.parse().ok()?;
        answer.body = self.read_body(length).await?;
        Some(answer)
    }

    /// Reads an answer up to its body.
    pub(crate) async fn head(&mut self) -> Option<Answer> {
        timeout(PATIENCE, self.read_head()).await.expect("a head in time")
    }

    /// Reads so many bytes of a body.
    pub(crate) async fn body(&mut self, length: usize) -> Option<Vec<u8>> {
        timeout(PATIENCE, self.read_body(length)).await.expect("bytes in time")
    }

    /// Reads all that comes until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let read = async { while self.more().await.is_some() {} };
        timeout(PATIENCE, read).await.expect("the end in time");
        std::mem::take(&mut self.buffer)
    }

    /// Reads a body in chunks to its end; says how much came.
    pub(crate) async fn rest_of_chunks(&mut self) -> usize {
        let read = async {
            let mut length = 0;
            let mut tail = Vec::new();
            loop {
                length += self.buffer.len();
                tail.append(&mut self.buffer);
                if tail.ends_with(b"\r\n0\r\n\r\n") {
                    return Some(length);
                }
                let kept = tail.len().saturating_sub(7);
                tail.drain(..kept);
                self.more().await?;
            }
        };
        let read = timeout(PATIENCE, read).await.expect("the end in time");
        read.expect("the last chunk before the connection's end")
    }

    async fn read_head(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        self.buffer.drain(..head_end);
        let mut lines = head.lines();
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Answer { status, headers, body: Vec::new() })
    }

    async fn read_body(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = [0; 16 << 10];
        let count = self.stream.read(&mut piece).await.ok()?;
        self.buffer.extend_from_slice(&piece[..count]);
        (count > 0).then_some(())
    }

    /// Whether the server ends the connection.
    pub(crate) async fn ends(&mut self) -> bool {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.is_ok() && rest.is_empty()
    }
}

/// A request that is put together as it is written, nothing normalised.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The bytes on the wire, with a length and the headers as they are.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: test\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let has = |name: &str| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("content-length") && !has("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn send(&self, address: SocketAddr) -> Answer {
        let mut connection = Connection::open(address).await;
        connection.send(&self.bytes()).await;
        let answer = connection
            .answer(self.method == "HEAD")
            .await
            .unwrap_or_else(|| panic!("expected an answer to {} {}", self.method, self.target));
        described::verify(self, &answer);
        answer
    }
}

pub(crate) fn get(target: &str) -> Request {
    Request::new("GET", target)
}

pub(crate) fn head(target: &str) -> Request {
    Request::new("HEAD", target)
}

pub(crate) fn put(target: &str, body: impl AsRef<[u8]>) -> Request {
    Request::new("PUT", target).body(body)
}

pub(crate) fn delete(target: &str) -> Request {
    Request::new("DELETE", target)
}

/// A PATCH as the KV contract's clients send it.
pub(crate) fn patch(target: &str, if_match: &str, operations: impl AsRef<[u8]>) -> Request {
    Request::new("PATCH", target)
        .header("If-Match", if_match)
        .header("X-Thesara-App-Id", "test")
        .header("Content-Type", "application/json")
        .body(operations)
}
