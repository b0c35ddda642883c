//! JSON text: checked, and white space taken out, with nothing else touched.
//!
//! Documents are stored as they were spelled: numbers keep their digits, strings their escapes
//! (a lone `\ud83d` included), members their order and their duplicates. A parser that builds
//! values would lose that, so this one only walks the text: once, without recursion, copying
//! nothing where nothing has to be left out.

use bytes::Bytes;
use serde::Deserialize;

/// How deep arrays and objects may be nested.
pub(crate) const DEPTH_MAX: u32 = 128;

/// Why a text is not JSON that can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidJson {
    /// RFC 8259 §8.1 allows nothing else.
    #[error("it is not valid UTF-8 (byte {at})")]
    Encoding {
        /// Offset of the first bad byte, from 0.
        at: usize,
    },
    /// It does not follow the grammar of RFC 8259.
    #[error("line {line}, column {column}: expected {expected}")]
    Syntax {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault in bytes, from 1.
        column: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("it is nested deeper than {DEPTH_MAX} levels")]
    Depth,
}

/// Checks that a text is one JSON value, and leaves out insignificant white space.
///
/// # Errors
/// [`InvalidJson`] says where and what.
pub(crate) fn compact(input: &Bytes) -> Result<Bytes, InvalidJson> {
    let mut walk = walk(input, Some(Vec::new()))?;
    if walk.out.as_ref().is_none_or(Vec::is_empty) {
        return Ok(input.slice(walk.kept..walk.text.len()));
    }
    walk.keep();
    Ok(walk.out.unwrap_or_default().into())
}

/// Checks that a text is one JSON value, of a text that stays as it is.
///
/// # Errors
/// [`InvalidJson`] says where and what.
pub(crate) fn check(input: &[u8]) -> Result<(), InvalidJson> {
    walk(input, None).map(drop)
}

/// Reads the members of an object, of a text that was checked; says what is wrong with them. A derived reader
/// alone would take an array for an object, its members by their places.
///
/// # Errors
/// The parser's sentence without its position, which counts within a part of the body.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err("it must be an object".to_owned());
    }
    serde_json::from_slice(text).map_err(|error| {
        let text = error.to_string();
        text.rsplit_once(" at line ").map_or(text.clone(), |(sentence, _)| sentence.to_owned())
    })
}

fn walk(input: &[u8], out: Option<Vec<u8>>) -> Result<Walk<'_>, InvalidJson> {
    if let Err(e) = std::str::from_utf8(input) {
        return Err(InvalidJson::Encoding { at: e.valid_up_to() });
    }
    // With the ends trimmed, every gap has a token on either side.
    let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let end = input.iter().rposition(|b| !is_space(b)).map_or(0, |last| last + 1);
    let start = input.iter().position(|b| !is_space(b)).unwrap_or(end);
    let text = input.get(..end).unwrap_or_default();
    let mut walk = Walk { text, at: start, kept: start, out };
    walk.document()?;
    Ok(walk)
}

/// The open arrays and objects, one bit each: set for an object.
#[derive(Default)]
struct Nesting {
    depth: u32,
    objects: u128,
}

impl Nesting {
    fn open(&mut self, object: bool) -> Result<(), InvalidJson> {
        if self.depth == DEPTH_MAX {
            return Err(InvalidJson::Depth);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    /// Start of what was read but not yet copied.
    kept: usize,
    /// What was copied; empty as long as no gap was met, `None` where nobody wants it.
    out: Option<Vec<u8>>,
}

impl Walk<'_> {
    fn document(&mut self) -> Result<(), InvalidJson> {
        let mut nesting = Nesting::default();
        loop {
            let opened = self.value(&mut nesting)?;
            if opened {
                continue;
            }
            if self.after_value(&mut nesting)? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar, an empty container, or the start of a container up to its first value;
    /// says whether the latter.
    fn value(&mut self, nesting: &mut Nesting) -> Result<bool, InvalidJson> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                nesting.open(true)?;
                self.skip_space();
                if self.peek() == Some(b'}') {
                    self.at += 1;
                    nesting.close();
                    return Ok(false);
                }
                self.member_name("a member's name in quotes, or }")?;
                Ok(true)
            }
            Some(b'[') => {
                self.at += 1;
                nesting.open(false)?;
                self.skip_space();
                if self.peek() == Some(b']') {
                    self.at += 1;
                    nesting.close();
                    return Ok(false);
                }
                Ok(true)
            }
            Some(b'"') => self.string().map(|()| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word(b"true").map(|()| false),
            Some(b'f') => self.word(b"false").map(|()| false),
            Some(b'n') => self.word(b"null").map(|()| false),
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads what may follow a value, up to the next one; says whether the document is over.
    fn after_value(&mut self, nesting: &mut Nesting) -> Result<bool, InvalidJson> {
        loop {
            self.skip_space();
            if nesting.depth == 0 {
                return if self.peek().is_none() {
                    Ok(true)
                } else {
                    Err(self.expected("the end"))
                };
            }
            let object = nesting.in_object();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                    if object {
                        self.member_name("a member's name in quotes")?;
                    }
                    return Ok(false);
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                _ if object => return Err(self.expected(", or }")),
                _ => return Err(self.expected(", or ]")),
            }
            self.at += 1;
            nesting.close();
        }
    }

    /// `"name" :` and the space up to the value.
    fn member_name(&mut self, expected: &'static str) -> Result<(), InvalidJson> {
        if self.peek() != Some(b'"') {
            return Err(self.expected(expected));
        }
        self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.expected("a colon"));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn string(&mut self) -> Result<(), InvalidJson> {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += plain_length(rest);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(_) => return Err(self.expected("an escape: control characters")),
                None => return Err(self.expected("the string's closing quote")),
            }
        }
    }

    /// What follows a backslash (RFC 8259 §7); surrogates need not come in pairs.
    fn escape(&mut self) -> Result<(), InvalidJson> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return Err(self.expected("four hexadecimal digits"));
                    }
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(self.expected("one of \" \\ / b f n r t u")),
        }
    }

    fn number(&mut self) -> Result<(), InvalidJson> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), InvalidJson> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), InvalidJson> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.expected("true, false or null"))
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        if !matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            return;
        }
        self.keep();
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.kept = self.at;
    }

    /// Copies what was read since the last gap.
    fn keep(&mut self) {
        let span = self.text.get(self.kept..self.at).unwrap_or_default();
        if let Some(out) = &mut self.out {
            out.extend_from_slice(span);
        }
        self.kept = self.at;
    }

    fn expected(&self, expected: &'static str) -> InvalidJson {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        InvalidJson::Syntax {
            line: before.iter().filter(|b| **b == b'\n').count() + 1,
            column: self.at - line_start + 1,
            expected,
        }
    }
}

/// How many bytes at the start of a string's text stand for themselves. The compiler makes a few
/// vector instructions of a whole chunk, where each byte by itself would be looked at three times.
fn plain_length(text: &[u8]) -> usize {
    let is_plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    let (chunks, _) = text.as_chunks::<32>();
    let whole =
        chunks.iter().take_while(|chunk| chunk.iter().fold(true, |all, b| all & is_plain(*b)));
    let length = whole.count() * 32;
    let rest = text.get(length..).unwrap_or_default();
    length + rest.iter().take_while(|b| is_plain(**b)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compacted(text: &str) -> Result<String, InvalidJson> {
        compact(&Bytes::copy_from_slice(text.as_bytes()))
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn white_space_goes_and_every_spelling_stays() {
        let table = [
            ("{}", "{}"),
            (" {\t} \r\n", "{}"),
            ("[ ]", "[]"),
            ("  1  ", "1"),
            ("\n null\n", "null"),
            ("{ \"a\" : 1.50e+3 , \"a\" : -0 }", "{\"a\":1.50e+3,\"a\":-0}"),
            ("[1, 2,3 ,[ true,false ] ]", "[1,2,3,[true,false]]"),
            (
                r#"{"s": " a  b ","u":"\ud83d","e":"\/\u00e9"}"#,
                r#"{"s":" a  b ","u":"\ud83d","e":"\/\u00e9"}"#,
            ),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
            ("{\"z\":{},\"a\":[{}, []]}", "{\"z\":{},\"a\":[{},[]]}"),
            ("\"é😀\"", "\"é😀\""),
        ];
        for (text, expected) in table {
            assert_eq!(compacted(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_where_it_goes_wrong() {
        let table = [
            ("", 1, 1),
            ("  ", 1, 1),
            ("{", 1, 2),
            ("[1,]", 1, 4),
            ("{\"a\":1,}", 1, 8),
            ("{\"a\" 1}", 1, 6),
            ("{a:1}", 1, 2),
            ("[1 2]", 1, 4),
            ("[1}", 1, 3),
            ("{\"a\":1]", 1, 7),
            ("01", 1, 2),
            ("1.", 1, 3),
            ("-", 1, 2),
            ("1e", 1, 3),
            (".5", 1, 1),
            ("+1", 1, 1),
            ("NaN", 1, 1),
            ("tru", 1, 1),
            ("\"a", 1, 3),
            ("\"\\x\"", 1, 3),
            ("\"\\u12g4\"", 1, 6),
            ("\"a\nb\"", 1, 3),
            ("{}\n{}", 2, 1),
            ("1,", 1, 2),
            ("]", 1, 1),
            ("\u{feff}{}", 1, 1),
        ];
        for (text, line, column) in table {
            match compacted(text) {
                Err(InvalidJson::Syntax { line: l, column: c, .. }) => {
                    assert_eq!((l, c), (line, column), "{text:?}");
                }
                other => panic!("{text:?}: expected a syntax error, got {other:?}"),
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_offset() {
        let got = compact(&Bytes::from_static(b"\"a\xff\""));
        assert_eq!(got, Err(InvalidJson::Encoding { at: 2 }));
    }

    #[test]
    fn nesting_is_limited_to_128_levels() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(compacted(&nested(128)), Ok(nested(128)));
        assert_eq!(compacted(&nested(129)), Err(InvalidJson::Depth));
        assert_eq!(compacted(&"[".repeat(1 << 20)), Err(InvalidJson::Depth));
        let objects = "{\"a\":".repeat(129) + "1" + &"}".repeat(129);
        assert_eq!(compacted(&objects), Err(InvalidJson::Depth));
    }

    #[test]
    fn what_ends_the_plain_part_of_a_string_is_found_wherever_it_stands() {
        for length in 0..100 {
            for end in [&b"\""[..], b"\\", b"\x00", b"\x1f", b""] {
                let text = [&vec![b'x'; length][..], end, &[b'y'; 70]].concat();
                let text = if end.is_empty() { &text[..length] } else { &text };
                assert_eq!(plain_length(text), length, "{length} bytes, then {end:?}");
            }
        }
        assert_eq!(plain_length("\u{7f}é😀 ".repeat(20).as_bytes()), 160);
    }

    #[test]
    fn a_compact_text_is_not_copied() {
        let input = Bytes::from_static(b" {\"a\":[1,2]} ");
        let output = compact(&input).unwrap();
        assert_eq!(output.as_ptr(), input.get(1..).unwrap().as_ptr());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(".{0,4}", inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn pretty_text_becomes_the_compact_text(value in json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compacted(&pretty), Ok(serde_json::to_string(&value).unwrap()));
        }

        #[test]
        fn it_accepts_what_serde_json_accepts(text in r#"[\[\]{}",:0-9truefalsn\\ .eE+-]{0,16}"#) {
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(compacted(&text).is_ok(), expected);
        }
    }
}
