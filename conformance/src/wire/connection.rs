//! A connection on which bytes are written as they are, and answers read one by one.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::answer::{Answer, excerpt};
use super::{Origin, Request, WireError};

/// More lines than this are no answer of a server that means well.
const FIELDS_MAX: usize = 128;

/// Opens connections to one server.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) origin: Origin,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
}

impl Connector {
    /// With the system's root certificates where the server is reached by TLS.
    pub(crate) fn new(origin: Origin, timeout: Duration) -> Result<Self, WireError> {
        let tls = if origin.tls { Some(Arc::new(tls(&origin)?)) } else { None };
        Ok(Self { origin, tls, timeout })
    }

    /// Opens a connection.
    pub(crate) fn open(&self) -> Result<Connection, WireError> {
        let (host, port) = (self.origin.bare_host(), self.origin.port);
        let failed =
            |reason: String| WireError::Connect { address: format!("{host}:{port}"), reason };
        let addresses = (host, port).to_socket_addrs().map_err(|e| failed(e.to_string()))?;
        let mut last = "the name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => {
                    // Without it, a race is decided by the sender's timer.
                    let _ = stream.set_nodelay(true);
                    let _ = stream.set_write_timeout(Some(self.timeout));
                    let stream = self.wrap(stream).map_err(failed)?;
                    return Ok(Connection {
                        stream,
                        buffer: Vec::new(),
                        timeout: self.timeout,
                        authority: self.origin.authority(),
                    });
                }
                Err(e) => last = e.to_string(),
            }
        }
        Err(failed(last))
    }

    fn wrap(&self, stream: TcpStream) -> Result<Stream, String> {
        let Some(config) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let name = ServerName::try_from(self.origin.bare_host().to_owned())
            .map_err(|_| "the host is no name that a certificate can hold".to_owned())?;
        let session = ClientConnection::new(Arc::clone(config), name).map_err(|e| e.to_string())?;
        let mut tls = StreamOwned::new(session, stream);
        // Now, so that a certificate that is not trusted is told as that.
        tls.sock.set_read_timeout(Some(self.timeout)).map_err(|e| e.to_string())?;
        tls.conn.complete_io(&mut tls.sock).map_err(|e| e.to_string())?;
        Ok(Stream::Tls(Box::new(tls)))
    }
}

fn tls(origin: &Origin) -> Result<ClientConfig, WireError> {
    let failed = |reason: String| WireError::Connect { address: origin.authority(), reason };
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(failed(
            "this system has no root certificates; install ca-certificates, or name a file of \
             them in SSL_CERT_FILE"
                .into(),
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(e.to_string()))?;
    let mut config = versions.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &tls.sock,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(tls) => tls.read(into),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    /// What has come and belongs to no answer yet.
    buffer: Vec<u8>,
    timeout: Duration,
    authority: String,
}

impl Connection {
    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self, request: &Request) -> Result<Answer, WireError> {
        self.send(&request.bytes(&self.authority));
        self.answer(request.method == "HEAD")
    }

    /// Writes. A server that closes has often answered before: what it answered counts.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write(bytes);
    }

    /// What stands in `Host`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Reads one answer; those that only announce another one (1xx) are left out.
    pub(crate) fn answer(&mut self, head: bool) -> Result<Answer, WireError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let mut answer = self.head(deadline)?;
            if answer.status / 100 == 1 {
                continue;
            }
            if !head && !matches!(answer.status, 204 | 304) {
                self.body(&mut answer, deadline)?;
            }
            return Ok(answer);
        }
    }

    fn head(&mut self, deadline: Instant) -> Result<Answer, WireError> {
        loop {
            let mut lines = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut head = httparse::Response::new(&mut lines);
            match head.parse(&self.buffer) {
                Ok(httparse::Status::Complete(length)) => {
                    let answer = taken(&head);
                    self.buffer.drain(..length);
                    return Ok(answer);
                }
                Ok(httparse::Status::Partial) => {}
                Err(_) => return Err(WireError::NotHttp(excerpt(&self.buffer))),
            }
            let before = self.buffer.len();
            if self.more(deadline)? == 0 {
                return Err(if before == 0 { WireError::Closed } else { WireError::Truncated });
            }
        }
    }

    fn body(&mut self, answer: &mut Answer, deadline: Instant) -> Result<(), WireError> {
        if answer.lists("transfer-encoding", "chunked") {
            answer.body = self.chunks(deadline)?;
        } else if let Some(length) = answer.field("content-length") {
            let length = length
                .parse()
                .map_err(|_| WireError::NotHttp(format!("Content-Length: {length}")))?;
            answer.body = self.take(length, deadline)?;
        } else {
            while self.more(deadline)? > 0 {}
            answer.body = std::mem::take(&mut self.buffer);
            answer.closes = true;
        }
        Ok(())
    }

    /// RFC 9112 §7.1.
    fn chunks(&mut self, deadline: Instant) -> Result<Vec<u8>, WireError> {
        let mut body = Vec::new();
        loop {
            let line = self.line(deadline)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| WireError::NotHttp(excerpt(line.as_bytes())))?;
            if size == 0 {
                while !self.line(deadline)?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size, deadline)?);
            self.line(deadline)?;
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<String, WireError> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.buffer.drain(..end + 2).take(end).map(char::from).collect();
                return Ok(line);
            }
            if self.more(deadline)? == 0 {
                return Err(WireError::Truncated);
            }
        }
    }

    fn take(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>, WireError> {
        while self.buffer.len() < length {
            if self.more(deadline)? == 0 {
                return Err(WireError::Truncated);
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads what comes; 0 where the connection has ended.
    fn more(&mut self, deadline: Instant) -> Result<usize, WireError> {
        let late = WireError::Timeout { seconds: self.timeout.as_secs() };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || self.stream.socket().set_read_timeout(Some(left)).is_err() {
            return Err(late);
        }
        let mut piece = [0; 16 << 10];
        match self.stream.read(&mut piece) {
            Ok(count) => {
                self.buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
                Ok(count)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(late),
            Err(e) if e.kind() == ErrorKind::Interrupted => self.more(deadline),
            // A reset: what has come before it was read already.
            Err(_) => Ok(0),
        }
    }
}

fn taken(head: &httparse::Response<'_, '_>) -> Answer {
    let fields = head
        .headers
        .iter()
        .map(|line| {
            let value = line.value.iter().map(|&byte| char::from(byte)).collect();
            (line.name.to_owned(), value)
        })
        .collect();
    let mut answer = Answer { status: head.code.unwrap_or_default(), fields, ..Answer::default() };
    let old = head.version == Some(0) && !answer.lists("connection", "keep-alive");
    answer.closes = old || answer.lists("connection", "close");
    answer
}
