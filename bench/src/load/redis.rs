//! Clients of Redis (RESP 2): a plain `SET`, and a compare-and-swap.
//!
//! The compare-and-swap is a script on a hash of version and document. That is one round trip, where
//! `WATCH`, `GET`, `MULTI`, `SET`, `EXEC` are at least two; it is what clients in a hurry use.

use std::io::Write;

use anyhow::{Context, Result, bail};
use memchr::memmem;

use super::payload::Document;
use super::{Client, Step};

/// Answers 1 where the version was the expected one, and 0 otherwise.
const SWAP: &str = "if redis.call('HGET',KEYS[1],'v')~=ARGV[1] then return 0 end \
                    redis.call('HSET',KEYS[1],'v',ARGV[2],'d',ARGV[3]) return 1";

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    // Writing to memory does not fail.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n", word.len());
        out.extend(*word);
        out.extend(b"\r\n");
    }
}

/// One answer without its line ends; `None` where some of it is still on its way.
fn parse(input: &[u8]) -> Result<Option<(usize, &[u8])>> {
    let Some(end) = memmem::find(input, b"\r\n") else { return Ok(None) };
    let (line, length) = (&input[..end], end + 2);
    match line.first() {
        Some(b'+' | b':') => Ok(Some((length, &line[1..]))),
        Some(b'$') => {
            let bytes: usize = std::str::from_utf8(&line[1..])?.parse().context("no such key")?;
            Ok(input.get(length..length + bytes).and_then(|text| {
                let whole = length + bytes + 2;
                (input.len() >= whole).then_some((whole, text))
            }))
        }
        _ => bail!("an answer {}", String::from_utf8_lossy(line)),
    }
}

/// `SET`s a key of its own, again and again: no condition, and the least that a write costs.
pub(crate) struct Setter {
    key: String,
    document: Document,
}

impl Setter {
    pub(crate) fn new(key: &str) -> Self {
        Self { key: key.into(), document: Document::new() }
    }
}

impl Client for Setter {
    fn is_ready(&self) -> bool {
        true
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        command(out, &[b"SET", self.key.as_bytes(), self.document.next()]);
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        let Some((length, answer)) = parse(input)? else { return Ok(None) };
        if answer != b"OK" {
            bail!("an answer {} to a SET", String::from_utf8_lossy(answer));
        }
        Ok(Some((length, Step::Done)))
    }
}

/// Replaces a key of its own under its version, again and again.
pub(crate) struct Swapper {
    key: String,
    document: Document,
    version: u64,
    script: Script,
}

/// What is done before the first operation.
enum Script {
    Unknown,
    /// By its digest; the key does not stand at version 0 yet.
    Loaded(Vec<u8>),
    Ready(Vec<u8>),
}

impl Swapper {
    pub(crate) fn new(key: &str) -> Self {
        Self { key: key.into(), document: Document::new(), version: 0, script: Script::Unknown }
    }
}

impl Client for Swapper {
    fn is_ready(&self) -> bool {
        matches!(self.script, Script::Ready(_))
    }

    fn request(&mut self, out: &mut Vec<u8>) {
        let key = self.key.as_bytes();
        match &self.script {
            Script::Unknown => command(out, &[b"SCRIPT", b"LOAD", SWAP.as_bytes()]),
            Script::Loaded(_) => {
                command(out, &[b"HSET", key, b"v", b"0", b"d", self.document.next()]);
            }
            Script::Ready(digest) => {
                let (now, next) = (self.version.to_string(), (self.version + 1).to_string());
                let (now, next) = (now.as_bytes(), next.as_bytes());
                command(out, &[b"EVALSHA", digest, b"1", key, now, next, self.document.next()]);
            }
        }
    }

    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>> {
        let Some((length, answer)) = parse(input)? else { return Ok(None) };
        match &self.script {
            Script::Unknown => self.script = Script::Loaded(answer.to_vec()),
            Script::Loaded(digest) => self.script = Script::Ready(digest.clone()),
            Script::Ready(_) if answer == b"1" => self.version += 1,
            Script::Ready(_) => bail!("a compare-and-swap of a key of its own was lost"),
        }
        Ok(Some((length, Step::Done)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_once_they_are_whole() {
        for (text, answer) in [("+OK\r\n", "OK"), (":1\r\n", "1"), ("$4\r\nabcd\r\n", "abcd")] {
            for cut in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..cut]).unwrap(), None, "{cut} of {text:?}");
            }
            let followed = format!("{text}+the next one");
            let found = parse(followed.as_bytes()).unwrap();
            assert_eq!(found, Some((text.len(), answer.as_bytes())));
        }
        assert!(parse(b"-ERR unknown\r\n").is_err(), "an error was taken for an answer");
        assert!(parse(b"$-1\r\n").is_err(), "a missing key was taken for an answer");
    }
}
