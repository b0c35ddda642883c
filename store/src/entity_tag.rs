//! Strong entity tags as the store hands them out (RFC 9110 §8.8.3).

use std::fmt;
use std::sync::Arc;

/// The opaque part of a strong entity tag, without its quotes.
///
/// Cheap to clone. Two representations of one resource have equal tags only if they are the
/// same accepted write.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityTag(Arc<str>);

/// The text holds a byte that RFC 9110 does not allow between the quotes of an entity tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an entity tag may hold visible characters only, and no quote")]
pub struct InvalidEntityTag;

impl EntityTag {
    /// Takes the text between the quotes: `etagc` of RFC 9110 §8.8.3, ASCII only.
    ///
    /// # Errors
    /// [`InvalidEntityTag`] if a byte is not allowed there.
    pub fn new(opaque: &str) -> Result<Self, InvalidEntityTag> {
        if opaque.bytes().all(|b| b == 0x21 || (0x23..=0x7e).contains(&b)) {
            Ok(Self(opaque.into()))
        } else {
            Err(InvalidEntityTag)
        }
    }

    /// The tag of a namespace at a version: its decimal digits.
    #[must_use]
    pub fn from_version(version: u64) -> Self {
        Self(version.to_string().into())
    }

    /// The tag of a document: when it was written, in nanoseconds since 1970, and the first 64
    /// bits of its content's hash.
    #[must_use]
    pub(crate) fn from_revision(nanoseconds: i128, hash: u64) -> Self {
        // By hand: it is made for each write, and formatting costs ten times as much.
        let mut text = [0; 2 * size_of::<i128>() + 1 + 2 * size_of::<u64>()];
        let mut start = text.len();
        let mut put = |byte| {
            start -= 1;
            if let Some(place) = text.get_mut(start) {
                *place = byte;
            }
        };
        for place in 0..16 {
            put(hex_digit((hash >> (4 * place)) as u8));
        }
        put(b'-');
        // What lies before 1970 is written as its two's complement, as formatting does.
        let mut rest = nanoseconds as u128;
        loop {
            put(hex_digit(rest as u8));
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        let text = text.get(start..).unwrap_or_default();
        Self(std::str::from_utf8(text).unwrap_or_default().into())
    }

    /// The text between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &str {
        &self.0
    }
}

/// The lowest four bits as a hexadecimal digit.
fn hex_digit(bits: u8) -> u8 {
    let bits = bits & 0xf;
    if bits < 10 { b'0' + bits } else { b'a' + bits - 10 }
}

impl fmt::Display for EntityTag {
    /// Writes the tag as it stands in a header: with its quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Debug for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityTag({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_document_tag_is_written_in_hexadecimal(nanoseconds: i128, hash: u64) {
            let tag = EntityTag::from_revision(nanoseconds, hash);
            prop_assert_eq!(tag.opaque(), format!("{nanoseconds:x}-{hash:016x}"));
        }
    }
}
