//! The documents that are written: 1 KB of JSON, another one each time.

/// The length of a document, in bytes.
pub(crate) const DOCUMENT_BYTES: usize = 1024;

const HEAD: &[u8] = br#"{"count":""#;
const DIGITS: usize = 10;

/// A document whose content changes with every write, as a document in use does.
#[derive(Debug)]
pub(crate) struct Document(Vec<u8>);

impl Document {
    pub(crate) fn new() -> Self {
        let mut bytes = [HEAD, &[b'0'; DIGITS], br#"","pad":""#].concat();
        bytes.resize(DOCUMENT_BYTES - 2, b'x');
        bytes.extend(br#""}"#);
        Self(bytes)
    }

    /// The next content.
    pub(crate) fn next(&mut self) -> &[u8] {
        for digit in self.0[HEAD.len()..HEAD.len() + DIGITS].iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                break;
            }
            *digit = b'0';
        }
        &self.0
    }
}

/// Appends a number in decimal.
pub(crate) fn decimal(out: &mut Vec<u8>, number: u64) {
    use std::io::Write;
    // Writing to memory does not fail.
    let _ = write!(out, "{number}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_1_kb_of_json_and_never_the_same_twice() {
        let mut document = Document::new();
        let first = document.next().to_vec();
        for _ in 0..11 {
            document.next();
        }
        let value: serde_json::Value = serde_json::from_slice(&document.0).unwrap();
        assert_eq!(value["count"], "0000000012");
        assert_eq!((first.len(), document.0.len()), (DOCUMENT_BYTES, DOCUMENT_BYTES));
        assert_ne!(first, document.0);
    }
}
