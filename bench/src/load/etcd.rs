//! Clients of etcd's HTTP gateway: a compare-and-swap is a transaction on the revision at which the
//! key was last changed.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::http::{Answer, parse};
use super::json;
use super::payload::{Document, decimal};
use super::{Client, Step};

/// Puts a document, or replaces it where it stands at a revision.
struct Transaction {
    key: String,
    document: Document,
    value: String,
    body: Vec<u8>,
}

impl Transaction {
    fn new(key: &str) -> Self {
        Self {
            key: BASE64_STANDARD.encode(key),
            document: Document::new(),
            value: String::new(),
            body: Vec::new(),
        }
    }

    fn write_put(&mut self, out: &mut Vec<u8>) {
        self.encode();
        self.body.clear();
        self.push_put();
        send("/v3/kv/put", &self.body, out);
    }

    fn write_swap(&mut self, revision: u64, out: &mut Vec<u8>) {
        self.encode();
        self.body.clear();
        self.push(r#"{"compare":[{"target":"MOD","result":"EQUAL","key":""#);
        self.push_key();
        self.push(r#"","mod_revision":""#);
        decimal(&mut self.body, revision);
        self.push(r#""}],"success":[{"request_put":"#);
        self.push_put();
        self.push("}]}");
        send("/v3/kv/txn", &self.body, out);
    }

    fn encode(&mut self) {
        self.value.clear();
        BASE64_STANDARD.encode_string(self.document.next(), &mut self.value);
    }

    fn push(&mut self, text: &str) {
        self.body.extend(text.as_bytes());
    }

    fn push_key(&mut self) {
        self.body.extend(self.key.as_bytes());
    }

    fn push_put(&mut self) {
        self.push(r#"{"key":""#);
        self.push_key();
        self.push(r#"","value":""#);
        self.body.extend(self.value.as_bytes());
        self.push(r#""}"#);
    }
}

fn send(path: &str, body: &[u8], out: &mut Vec<u8>) {
    out.extend(b"POST ");
    out.extend(path.as_bytes());
    out.extend(b" HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: ");
    decimal(out, body.len() as u64);
    out.extend(b"\r\n\r\n");
    out.extend(body);
}

fn succeeded(input: &[u8]) -> Result<Option<Answer<'_>>> {
    match parse(input)? {
        Some(answer) if answer.status != 200 => Err(answer.unexpected()),
        answer => Ok(answer),
    }
}

/// The revision that an answer's header names: that of the write which it acknowledges.
fn revision(answer: &Answer<'_>) -> Result<u64> {
    json::number(&answer.body, "\"revision\"").context("an answer without a revision")
}

/// Replaces a key of its own, again and again.
pub(crate) struct Writer {
    transaction: Transaction,
    revision: Option<u64>,
}

impl Writer {
    pub(crate) fn new(key: &str) -> Self {
        Self { transaction: Transaction::new(key), revision: None }
    }
}

impl Client for Writer {
    fn is_ready(&self) -> bool {
        self.revision.is_some()
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        match self.revision {
            None => self.transaction.write_put(out),
            Some(revision) => self.transaction.write_swap(revision, out),
        }
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        let Some(answer) = succeeded(input)? else { return Ok(None) };
        if self.is_ready() && !json::is_true(&answer.body, "\"succeeded\"") {
            return Err(answer.unexpected());
        }
        self.revision = Some(revision(&answer)?);
        Ok(Some((answer.length, Step::Done)))
    }
}

/// What an [`Incrementer`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Created,
    Read,
    Swapped(u64),
}

/// Reads a key that all clients share, and writes it back where nobody else has meanwhile.
pub(crate) struct Incrementer {
    transaction: Transaction,
    range: Vec<u8>,
    waits: Waits,
}

impl Incrementer {
    pub(crate) fn new(key: &str) -> Self {
        let transaction = Transaction::new(key);
        let range = format!(r#"{{"key":"{}"}}"#, transaction.key).into();
        Self { transaction, range, waits: Waits::Created }
    }
}

impl Client for Incrementer {
    fn is_ready(&self) -> bool {
        self.waits != Waits::Created
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        match self.waits {
            Waits::Created => self.transaction.write_put(out),
            Waits::Read => send("/v3/kv/range", &self.range, out),
            Waits::Swapped(revision) => self.transaction.write_swap(revision, out),
        }
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        let Some(answer) = succeeded(input)? else { return Ok(None) };
        let (waits, step) = match self.waits {
            Waits::Created => (Waits::Read, Step::Next),
            Waits::Read => {
                let revision = json::number(&answer.body, "\"mod_revision\"");
                (Waits::Swapped(revision.context("a key without a revision")?), Step::Next)
            }
            Waits::Swapped(_) if json::is_true(&answer.body, "\"succeeded\"") => {
                (Waits::Read, Step::Done)
            }
            Waits::Swapped(_) => (Waits::Read, Step::Lost),
        };
        self.waits = waits;
        Ok(Some((answer.length, step)))
    }
}
