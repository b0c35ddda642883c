//! As much of HTTP/1.1 as telling answers apart takes.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use memchr::memchr;
use memchr::memmem;

/// How long a single question may take.
const ASK_MAX: Duration = Duration::from_secs(5);

/// An answer that has arrived as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// The value of `ETag`, with its quotes.
    pub(crate) tag: Option<&'a [u8]>,
    pub(crate) body: Cow<'a, [u8]>,
    /// The length of all of it.
    pub(crate) length: usize,
}

impl Answer<'_> {
    /// What is said of an answer that nobody expects.
    pub(crate) fn unexpected(&self) -> anyhow::Error {
        let body = String::from_utf8_lossy(&self.body);
        anyhow::anyhow!("an answer with status {}: {}", self.status, body.trim())
    }
}

/// Reads an answer; `None` where some of it is still on its way.
///
/// # Errors
/// What is no answer of HTTP/1.1.
pub(crate) fn parse(input: &[u8]) -> Result<Option<Answer<'_>>> {
    let Some(end) = memmem::find(input, b"\r\n\r\n") else { return Ok(None) };
    let (head, rest) = (&input[..end + 2], &input[end + 4..]);
    let status = head.strip_prefix(b"HTTP/1.1 ").and_then(|line| number(line.get(..3)?));
    let status = status.context("no HTTP/1.1 status line")?;
    let status = u16::try_from(status)?;
    let (mut tag, mut length, mut is_chunked) = (None, None, false);
    let mut lines = after_line(head);
    while !lines.is_empty() {
        // Told apart by the first byte, because most lines are none of these.
        match lines[0] | 0x20 {
            b'e' => tag = value(lines, b"etag").or(tag),
            b'c' => length = value(lines, b"content-length").or(length),
            b't' => is_chunked |= value(lines, b"transfer-encoding") == Some(b"chunked"),
            _ => {}
        }
        lines = after_line(lines);
    }
    let (body, body_bytes) = if is_chunked {
        match chunks(rest)? {
            None => return Ok(None),
            Some((body, bytes)) => (Cow::Owned(body), bytes),
        }
    } else {
        let bytes = match length {
            _ if matches!(status, 204 | 304) => 0,
            Some(length) => number(length).context("a Content-Length that is no number")?,
            None => bail!("an answer without a length"),
        };
        match rest.get(..bytes) {
            None => return Ok(None),
            Some(body) => (Cow::Borrowed(body), bytes),
        }
    };
    Ok(Some(Answer { status, tag, body, length: end + 4 + body_bytes }))
}

/// Sends a request that closes its connection, and says the answer's status.
///
/// # Errors
/// Nobody answers, or not in HTTP/1.1.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ASK_MAX))?;
    stream.write_all(request)?;
    let mut input = Vec::new();
    stream.read_to_end(&mut input)?;
    Ok(parse(&input)?.context("an answer that breaks off")?.status)
}

fn after_line(text: &[u8]) -> &[u8] {
    memchr(b'\n', text).map_or(&[], |end| &text[end + 1..])
}

/// The value of this line, if it is the field of this name.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let rest = rest.strip_prefix(b":").filter(|_| found.eq_ignore_ascii_case(name))?;
    memchr(b'\r', rest).map(|end| rest[..end].trim_ascii())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A chunked body (RFC 9112 §7.1) and how many bytes it took; `None` where it goes on.
fn chunks(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = &input[at..];
        let Some(end) = memmem::find(rest, b"\r\n") else { return Ok(None) };
        let digits = std::str::from_utf8(&rest[..end])?;
        let bytes = usize::from_str_radix(digits, 16).context("a chunk without a length")?;
        let Some(chunk) = rest.get(end + 2..end + 2 + bytes + 2) else { return Ok(None) };
        ensure!(chunk.ends_with(b"\r\n"), "a chunk that is longer than it says");
        body.extend(&chunk[..bytes]);
        at += end + 2 + bytes + 2;
        if bytes == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_once_it_is_whole_and_no_further() {
        let cases: [(&str, u16, Option<&str>, &str); 4] = [
            (
                "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 3\r\n\r\nabc",
                200,
                Some("\"a\""),
                "abc",
            ),
            ("HTTP/1.1 304 Not Modified\r\netag: W/\"b\"\r\n\r\n", 304, Some("W/\"b\""), ""),
            ("HTTP/1.1 412 x\r\ncontent-type: a\r\ncontent-length: 0\r\n\r\n", 412, None, ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                200,
                None,
                "abc",
            ),
        ];
        for (text, status, tag, body) in cases {
            for cut in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..cut]).unwrap(), None, "{cut} of {text:?}");
            }
            let followed = format!("{text}HTTP/1.1 500 the next one");
            let answer = parse(followed.as_bytes()).unwrap().expect(text);
            let found_tag = answer.tag.map(|tag| std::str::from_utf8(tag).unwrap());
            assert_eq!((answer.status, found_tag, &*answer.body), (status, tag, body.as_bytes()));
            assert_eq!(answer.length, text.len(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?} was taken for an answer");
        }
    }
}
