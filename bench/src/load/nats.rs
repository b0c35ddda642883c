//! A client of NATS JetStream: an update of a key of a KV bucket under its last sequence.
//!
//! A KV bucket is a stream `KV_<bucket>` on the subjects `$KV.<bucket>.>`; an update is a publication
//! with the header `Nats-Expected-Last-Subject-Sequence`, acknowledged to a reply subject once it is
//! stored.

use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;

use super::json;
use super::payload::Document;
use super::{Client, Step};

/// The bucket that is measured.
pub(crate) const BUCKET: &str = "bench";

/// What is done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The connection is greeted.
    New,
    /// There is a bucket.
    Greeted,
    /// The key stands at a sequence.
    HasBucket,
    Ready(u64),
}

/// Updates a key of its own, again and again.
pub(crate) struct Writer {
    key: String,
    inbox: String,
    document: Document,
    header: Vec<u8>,
    stage: Stage,
    owes_pong: bool,
}

impl Writer {
    pub(crate) fn new(key: &str) -> Self {
        Self {
            key: key.into(),
            inbox: format!("_INBOX.{key}"),
            document: Document::new(),
            header: Vec::new(),
            stage: Stage::New,
            owes_pong: false,
        }
    }

    fn publish(&mut self, out: &mut Vec<u8>) {
        let document = self.document.next();
        self.header.clear();
        self.header.extend(b"NATS/1.0\r\n");
        // Writing to memory does not fail.
        if let Stage::Ready(sequence) = self.stage {
            let _ = write!(self.header, "Nats-Expected-Last-Subject-Sequence: {sequence}\r\n");
        }
        self.header.extend(b"\r\n");
        let header = self.header.len();
        let whole = header + document.len();
        let _ = write!(out, "HPUB $KV.{BUCKET}.{} {} {header} {whole}\r\n", self.key, self.inbox);
        out.extend(&self.header);
        out.extend(document);
        out.extend(b"\r\n");
    }

    fn create_bucket(&self, out: &mut Vec<u8>) {
        // As the client libraries make one: the last value of each key is kept, in a file.
        let stream = format!(
            r#"{{"name":"KV_{BUCKET}","subjects":["$KV.{BUCKET}.>"],"storage":"file","num_replicas":1,"max_msgs_per_subject":1,"discard":"new","allow_rollup_hdrs":true,"deny_delete":true,"allow_direct":true,"retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msg_size":-1}}"#
        );
        let inbox = &self.inbox;
        let _ = write!(out, "PUB $JS.API.STREAM.CREATE.KV_{BUCKET} {inbox} {}\r\n", stream.len());
        out.extend(stream.as_bytes());
        out.extend(b"\r\n");
    }

    /// What the acknowledgement of this stage's request means.
    fn acknowledged(&mut self, payload: &[u8]) -> Result<()> {
        let text = || String::from_utf8_lossy(payload).into_owned();
        if memmem::find(payload, b"\"error\"").is_some() {
            bail!("an answer {}", text());
        }
        self.stage = match self.stage {
            Stage::New | Stage::Greeted => Stage::HasBucket,
            Stage::HasBucket | Stage::Ready(_) => {
                Stage::Ready(json::number(payload, "\"seq\"").with_context(text)?)
            }
        };
        Ok(())
    }
}

/// One line or message of the protocol.
enum Frame<'a> {
    Message(&'a [u8]),
    Ping,
    Pong,
    Other,
}

fn parse(input: &[u8]) -> Result<Option<(usize, Frame<'_>)>> {
    let Some(end) = memmem::find(input, b"\r\n") else { return Ok(None) };
    let (line, after) = (&input[..end], end + 2);
    let frame = match line {
        b"PING" => Frame::Ping,
        b"PONG" => Frame::Pong,
        _ if line.starts_with(b"MSG ") => {
            let bytes = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            let bytes: usize = std::str::from_utf8(bytes)?.parse()?;
            let Some(payload) = input.get(after..after + bytes + 2) else { return Ok(None) };
            return Ok(Some((after + bytes + 2, Frame::Message(&payload[..bytes]))));
        }
        // "No responders": JetStream does not listen yet, or not at all.
        _ if line.starts_with(b"HMSG ") => bail!("nobody answers for the bucket"),
        _ if line.starts_with(b"-ERR") => bail!("{}", String::from_utf8_lossy(line)),
        _ => Frame::Other,
    };
    Ok(Some((after, frame)))
}

impl Client for Writer {
    fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_))
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.owes_pong) {
            out.extend(b"PONG\r\n");
        }
        match self.stage {
            Stage::New => {
                out.extend(br#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"bench","version":"1"}"#);
                let _ = write!(out, "\r\nSUB {} 1\r\nPING\r\n", self.inbox);
            }
            Stage::Greeted => self.create_bucket(out),
            Stage::HasBucket | Stage::Ready(_) => self.publish(out),
        }
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        let mut at = 0;
        // Whatever comes before the awaited line is read again while that is on its way.
        while let Some((length, frame)) = parse(&input[at..])? {
            at += length;
            match frame {
                Frame::Other => {}
                Frame::Ping => self.owes_pong = true,
                Frame::Pong => {
                    ensure!(self.stage == Stage::New, "a PONG that nobody asked for");
                    self.stage = Stage::Greeted;
                    return Ok(Some((at, Step::Next)));
                }
                Frame::Message(payload) => {
                    self.acknowledged(payload)?;
                    return Ok(Some((at, Step::Done)));
                }
            }
        }
        Ok(None)
    }
}
