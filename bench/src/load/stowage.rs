//! Clients of `stowage-sidecar`, and of whatever serves files over HTTP.

use anyhow::{Context, Result};

use super::http::{Answer, parse};
use super::payload::{DOCUMENT_BYTES, Document, decimal};
use super::{Client, Step};

/// The token that the measured server accepts.
pub(crate) const TOKEN: &str = "bench-0123456789abcdef";

/// The path of a document of the run store.
pub(crate) fn path(name: &str) -> String {
    format!("/run-stores/{name}")
}

fn head(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n").into()
}

/// What every client does with an answer: whole or not, then what it means.
fn take(
    input: &[u8],
    step: impl FnOnce(&Answer<'_>) -> Result<Step>,
) -> Result<Option<(usize, Step)>> {
    let Some(answer) = parse(input)? else { return Ok(None) };
    Ok(Some((answer.length, step(&answer)?)))
}

fn keep_tag(tag: &mut Vec<u8>, answer: &Answer<'_>) -> Result<()> {
    tag.clear();
    tag.extend(answer.tag.context("an answer without an ETag")?);
    Ok(())
}

/// A conditional PUT of a document, prepared but for its tag and its content.
struct Put {
    head: Vec<u8>,
    document: Document,
}

impl Put {
    fn new(path: &str) -> Self {
        let mut head = head("PUT", path);
        let length = format!("Content-Type: application/json\r\nContent-Length: {DOCUMENT_BYTES}");
        head.extend(length.as_bytes());
        Self { head, document: Document::new() }
    }

    /// Without a tag, whatever stands there is replaced.
    fn write(&mut self, tag: &[u8], out: &mut Vec<u8>) {
        out.extend(&self.head);
        if !tag.is_empty() {
            out.extend(b"\r\nIf-Match: ");
            out.extend(tag);
        }
        out.extend(b"\r\n\r\n");
        out.extend(self.document.next());
    }
}

/// Replaces a document of its own under `If-Match`, again and again.
pub(crate) struct Writer {
    put: Put,
    tag: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(name: &str) -> Self {
        Self { put: Put::new(&path(name)), tag: Vec::new() }
    }
}

impl Client for Writer {
    fn is_ready(&self) -> bool {
        !self.tag.is_empty()
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        self.put.write(&self.tag, out);
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        take(input, |answer| {
            if answer.status != 200 {
                return Err(answer.unexpected());
            }
            keep_tag(&mut self.tag, answer)?;
            Ok(Step::Done)
        })
    }
}

/// Reads a document that all clients share, and writes it back where nobody else has meanwhile.
pub(crate) struct Incrementer {
    get: Vec<u8>,
    put: Put,
    tag: Vec<u8>,
    /// Whether a write is under way.
    writes: bool,
    is_ready: bool,
}

impl Incrementer {
    pub(crate) fn new(name: &str) -> Self {
        let path = path(name);
        let get = [head("GET", &path), b"\r\n".to_vec()].concat();
        Self { get, put: Put::new(&path), tag: Vec::new(), writes: false, is_ready: false }
    }
}

impl Client for Incrementer {
    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        if !self.is_ready {
            // That it exists is all that matters.
            self.put.write(&[], out);
        } else if self.writes {
            self.put.write(&self.tag, out);
        } else {
            out.extend(&self.get);
        }
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        take(input, |answer| {
            let step = match (self.is_ready, self.writes, answer.status) {
                (false, _, 200) => Step::Next,
                (true, false, 200) => {
                    keep_tag(&mut self.tag, answer)?;
                    self.writes = true;
                    return Ok(Step::Next);
                }
                (true, true, 200) => Step::Done,
                (true, true, 412) => Step::Lost,
                _ => return Err(answer.unexpected()),
            };
            self.is_ready = true;
            self.writes = false;
            Ok(step)
        })
    }
}

/// Reads a file or a document, whole or by a tag that still holds.
pub(crate) struct Reader {
    get: Vec<u8>,
    expected: u16,
    tag: Vec<u8>,
}

/// What a [`Reader`] is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Whole,
    NotModified,
}

impl Reader {
    pub(crate) fn new(path: &str, read: Read) -> Self {
        let expected = match read {
            Read::Whole => 200,
            Read::NotModified => 304,
        };
        Self { get: head("GET", path), expected, tag: Vec::new() }
    }
}

impl Client for Reader {
    fn is_ready(&self) -> bool {
        !self.tag.is_empty()
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        out.extend(&self.get);
        if self.is_ready() && self.expected == 304 {
            out.extend(b"If-None-Match: ");
            out.extend(&self.tag);
            out.extend(b"\r\n");
        }
        out.extend(b"\r\n");
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        let is_first = !self.is_ready();
        take(input, |answer| {
            let expected = if is_first { 200 } else { self.expected };
            if answer.status != expected || expected == 200 && answer.body.len() != DOCUMENT_BYTES {
                return Err(answer.unexpected());
            }
            if is_first {
                keep_tag(&mut self.tag, answer)?;
            }
            Ok(Step::Done)
        })
    }
}

/// Patches a namespace at whatever version it stands, and does not ask for the snapshot.
pub(crate) struct Patcher {
    head: Vec<u8>,
    body: Vec<u8>,
    keys: u64,
    operations: u64,
    next: u64,
}

impl Patcher {
    /// Sets `operations` keys at a time, one after another of `keys` and from the start again.
    pub(crate) fn new(namespace: &str, keys: u64, operations: u64) -> Self {
        let mut head = head("PATCH", &format!("/api/storage?ns={namespace}"));
        head.extend(b"If-Match: *\r\nPrefer: return=minimal\r\nX-Thesara-App-Id: bench\r\n");
        head.extend(b"Content-Type: application/json\r\nContent-Length: ");
        Self { head, body: Vec::new(), keys, operations, next: 0 }
    }
}

impl Client for Patcher {
    fn is_ready(&self) -> bool {
        true
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        self.body.clear();
        for operation in 0..self.operations {
            self.body.push(if operation == 0 { b'[' } else { b',' });
            self.body.extend(br#"{"op":"set","key":"k"#);
            decimal(&mut self.body, self.next % self.keys);
            self.body.extend(br#"","value":"#);
            decimal(&mut self.body, self.next);
            self.body.push(b'}');
            // Steps of a prime number visit the whole tree of keys, and each key in turn.
            self.next += if self.operations == 1 { 7919 } else { 1 };
        }
        self.body.push(b']');
        out.extend(&self.head);
        decimal(out, self.body.len() as u64);
        out.extend(b"\r\n\r\n");
        out.extend(&self.body);
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        take(input, |answer| match answer.status {
            200 | 201 | 204 => Ok(Step::Done),
            _ => Err(answer.unexpected()),
        })
    }
}
