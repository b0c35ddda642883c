//! Users, as whom a namespace may be kept apart.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::name::is_name_byte;

/// The longest subject that stands in the tree as itself; a file name takes 255 bytes.
const SEGMENT_BYTES_MAX: usize = 200;
/// In front of the hash of a subject that cannot stand there as itself.
const HASHED: &str = "sha256:";

/// A user, as one segment of a storage key: the subject of a token (RFC 7519 §4.1.2), which may be
/// any text, with every byte that a name may not hold as `%` and two digits. One that is empty or
/// too long is `sha256:` and the hexadecimal digits of its hash; no other begins so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Box<str>);

impl Subject {
    /// The segment of a subject. Two that differ have two that differ.
    #[must_use]
    pub fn new(subject: &str) -> Self {
        let encoded = encoded(subject);
        if encoded.is_empty() || encoded.len() > SEGMENT_BYTES_MAX {
            Self(hashed(subject).into())
        } else {
            Self(encoded.into())
        }
    }

    /// The segment.
    #[must_use]
    pub fn as_segment(&self) -> &str {
        &self.0
    }

    /// Reads back a segment; `None` where no subject has it.
    #[must_use]
    pub fn from_segment(segment: &str) -> Option<Self> {
        let is_hash = |digits: &str| {
            digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_subject = segment.strip_prefix(HASHED).is_some_and(is_hash)
            || decoded(segment).is_some_and(|subject| &*Self::new(&subject).0 == segment);
        is_subject.then(|| Self(segment.into()))
    }
}

fn encoded(subject: &str) -> String {
    let mut segment = String::with_capacity(subject.len());
    // `.` and `..` are directories, and what begins as a hash would be taken for one.
    let is_dots = matches!(subject, "." | "..");
    let is_like_a_hash = subject.starts_with(HASHED);
    for (place, byte) in subject.bytes().enumerate() {
        let is_special = is_dots || (is_like_a_hash && place + 1 == HASHED.len());
        if is_name_byte(byte) && !is_special {
            segment.push(char::from(byte));
        } else {
            push_escaped(&mut segment, byte);
        }
    }
    segment
}

fn push_escaped(segment: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(segment, "%{byte:02X}");
}

fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn hashed(subject: &str) -> String {
    format!("{HASHED}{}", HEXLOWER.encode(&Sha256::digest(subject.as_bytes())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_subject_is_one_segment_and_never_a_way_out() {
        let longest = "a".repeat(200);
        let escaped = "é".repeat(34);
        let digits = format!("sha256%3A{}", &EMPTY[7..]);
        let table = [
            ("user-1", "user-1"),
            ("auth0|5f7c", "auth0%7C5f7c"),
            ("a@b.example", "a@b.example"),
            ("a/../../b", "a%2F..%2F..%2Fb"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("...", "..."),
            ("a%2Fb", "a%252Fb"),
            ("a b\0\n", "a%20b%00%0A"),
            ("é", "%C3%A9"),
            ("sha256:", "sha256%3A"),
            (EMPTY, &digits),
            ("sha256", "sha256"),
            ("SHA256:x", "SHA256:x"),
            (&longest, &longest),
            ("", EMPTY),
        ];
        for (subject, segment) in table {
            assert_eq!(Subject::new(subject).as_segment(), segment, "{subject:?}");
            assert_eq!(Subject::from_segment(segment), Some(Subject::new(subject)), "{segment}");
        }
        for long in [longest.clone() + "a", escaped] {
            let segment = Subject::new(&long);
            assert!(segment.as_segment().starts_with(HASHED), "{segment:?}");
            assert_eq!(Subject::from_segment(segment.as_segment()), Some(segment));
        }
    }

    #[test]
    fn what_no_subject_makes_is_none() {
        let upper = EMPTY.to_uppercase().replace("SHA", "sha");
        let segments = [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "é",
            "%",
            "%4",
            "%zz",
            "%61",
            "%c3%A9",
            "%FF",
            "sha256:",
            "sha256:00",
            &upper,
            "sha256%3a",
        ];
        for segment in segments {
            assert_eq!(Subject::from_segment(segment), None, "{segment:?}");
        }
    }

    proptest! {
        #[test]
        fn no_two_subjects_meet(a in ".{0,80}", b in ".{0,80}") {
            let (first, second) = (Subject::new(&a), Subject::new(&b));
            prop_assert_eq!(a == b, first == second);
            for subject in [first, second] {
                let segment = subject.as_segment();
                prop_assert!(!segment.contains('/') && !matches!(segment, "" | "." | ".."));
                prop_assert!(segment.len() <= 200);
                prop_assert_eq!(Subject::from_segment(segment), Some(subject.clone()));
            }
        }
    }
}
