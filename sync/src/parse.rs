//! Parsing: the bytes of a file become compact JSON text, or a fault with its place.
//!
//! Nothing here builds a tree: a file is turned into text as it is read, so that what an
//! anchor repeats counts where it stands, and memory stays in proportion to the limit.

mod json;
mod yaml;

use std::path::Path;

use serde_json::value::RawValue;

use crate::text::shorten;

/// The deepest nesting of a config; what reads it later recurses.
pub(crate) const DEPTH_MAX: usize = 64;

const MESSAGE_CHARS_MAX: usize = 300;

/// Why a file is not a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError {
    /// `line:column`, both from 1; empty where no place can be named.
    pub(crate) at: String,
    /// What is wrong there.
    pub(crate) message: String,
}

impl ParseError {
    fn new(line: u64, column: u64, message: &str) -> Self {
        let at = if line == 0 { String::new() } else { format!("{line}:{}", column.max(1)) };
        Self { at, message: shorten(message, MESSAGE_CHARS_MAX) }
    }

    fn nowhere(message: &str) -> Self {
        Self::new(0, 0, message)
    }
}

/// How a file is written; its name says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// YAML 1.2, one document.
    Yaml,
    /// JSON as in RFC 8259.
    Json,
}

impl Format {
    /// The format of a file name; `None` where it ends in neither `.yaml`, `.yml` nor `.json`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match Path::new(name).extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Turns a file into compact JSON of at most `bytes_max` bytes.
///
/// A byte order mark is passed over. JSON keeps the spelling of its numbers and strings. In
/// YAML, scalar keys become strings as they are spelled (`200: ok` → `"200"`), while null, lists
/// and maps as keys are refused; `yes`, `no`, `on` and `off` are strings (YAML 1.2), and so are
/// numbers with leading zeros or underscores, of which YAML's versions disagree.
///
/// # Errors
/// [`ParseError`] with the first fault.
pub(crate) fn parse(
    bytes: &[u8],
    format: Format,
    bytes_max: u64,
) -> Result<Box<RawValue>, ParseError> {
    let text = std::str::from_utf8(bytes).map_err(|e| not_utf8(bytes, e.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let compact = match format {
        Format::Yaml => yaml::to_json(text, bytes_max)?,
        Format::Json => json::compact(text)?,
    };
    RawValue::from_string(compact).map_err(|e| ParseError::nowhere(&e.to_string()))
}

fn not_utf8(bytes: &[u8], valid: usize) -> ParseError {
    let before = bytes.get(..valid).unwrap_or_default();
    let line = before.iter().filter(|b| **b == b'\n').count() as u64 + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() as u64 + 1;
    ParseError::new(line, column, "the file is not UTF-8 text: save it as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_format() {
        let table = [
            ("a.yaml", Some(Format::Yaml)),
            ("d/a.runtime.YML", Some(Format::Yaml)),
            ("a.json", Some(Format::Json)),
            ("a.json5", None),
            ("README", None),
            ("d.yaml/README", None),
        ];
        for (name, expected) in table {
            assert_eq!(Format::of(name), expected, "{name}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_place() {
        let error = parse(b"a: 1\nb: \xff\n", Format::Yaml, 1 << 20).unwrap_err();
        assert_eq!(error.at, "2:4");
        assert!(error.message.contains("UTF-8"), "{}", error.message);
    }

    #[test]
    fn a_byte_order_mark_and_crlf_are_passed_over() {
        for (text, format) in [
            ("\u{feff}a: 1\r\nb: [x,\r\n y]\r\n", Format::Yaml),
            ("\u{feff}{\"a\":1,\r\n\"b\":[\"x\",\"y\"]}\r\n", Format::Json),
        ] {
            let json = parse(text.as_bytes(), format, 1 << 20).unwrap();
            assert_eq!(json.get(), r#"{"a":1,"b":["x","y"]}"#, "{format:?}");
        }
    }
}
