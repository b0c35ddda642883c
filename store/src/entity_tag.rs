//! Strong entity tags as the store hands them out (RFC 9110 §8.8.3).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// The opaque part of a strong entity tag, without its quotes.
///
/// Cheap to clone. Two representations of one resource have equal tags only if they are the
/// same accepted write.
#[derive(Clone)]
pub struct EntityTag(Repr);

#[derive(Clone)]
enum Repr {
    /// A document's tag, which there are as many of as documents: in a third of the room.
    Revision {
        nanoseconds: u64,
        hash: u64,
    },
    Text(Arc<str>),
}

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
            Ok(Self(Repr::Text(opaque.into())))
        } else {
            Err(InvalidEntityTag)
        }
    }

    /// The tag of a namespace at a version: its decimal digits.
    #[must_use]
    pub fn from_version(version: u64) -> Self {
        Self(Repr::Text(version.to_string().into()))
    }

    /// The tag of a document or an archive: when it was written, in nanoseconds since 1970, and the
    /// first 64 bits of a document's hash, or an archive's length.
    #[must_use]
    pub(crate) fn from_revision(nanoseconds: i128, hash: u64) -> Self {
        Self(match u64::try_from(nanoseconds) {
            Ok(nanoseconds) => Repr::Revision { nanoseconds, hash },
            // A file that somebody dated before 1970, or beyond 2554.
            Err(_) => Repr::Text(format!("{nanoseconds:x}-{hash:016x}").into()),
        })
    }

    /// The text between the quotes.
    #[must_use]
    pub fn opaque(&self) -> Opaque<'_> {
        Opaque(match &self.0 {
            Repr::Revision { nanoseconds, hash } => Text::of_revision(*nanoseconds, *hash),
            Repr::Text(text) => Text::Borrowed(text),
        })
    }
}

/// The text of an [`EntityTag`].
pub struct Opaque<'a>(Text<'a>);

enum Text<'a> {
    Made { text: [u8; REVISION_BYTES_MAX], start: usize },
    Borrowed(&'a str),
}

/// The longest tag of a revision: two numbers in hexadecimal, and what stands between them.
const REVISION_BYTES_MAX: usize = 2 * 16 + 1;

impl Text<'_> {
    /// By hand: it is made for each answer, and formatting costs ten times as much.
    fn of_revision(nanoseconds: u64, hash: u64) -> Self {
        let mut text = [0; REVISION_BYTES_MAX];
        let hash_digits = (0..16).map(|place| hex_digit(hash >> (4 * place)));
        let places = (0..16).take_while(|place| *place == 0 || nanoseconds >> (4 * place) > 0);
        let digits = places.map(|place| hex_digit(nanoseconds >> (4 * place)));
        let mut start = text.len();
        // From its end to its start.
        for (slot, byte) in text.iter_mut().rev().zip(hash_digits.chain([b'-']).chain(digits)) {
            *slot = byte;
            start -= 1;
        }
        Self::Made { text, start }
    }
}

impl Deref for Opaque<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Text::Made { text, start } => {
                // Digits and a hyphen.
                std::str::from_utf8(text.get(*start..).unwrap_or_default()).unwrap_or_default()
            }
            Text::Borrowed(text) => text,
        }
    }
}

impl fmt::Display for Opaque<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq for EntityTag {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (
                Repr::Revision { nanoseconds, hash },
                Repr::Revision { nanoseconds: other_nanoseconds, hash: other_hash },
            ) => nanoseconds == other_nanoseconds && hash == other_hash,
            _ => *self.opaque() == *other.opaque(),
        }
    }
}

impl Eq for EntityTag {}

impl Ord for EntityTag {
    fn cmp(&self, other: &Self) -> Ordering {
        self.opaque().cmp(&other.opaque())
    }
}

impl PartialOrd for EntityTag {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for EntityTag {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.opaque().hash(state);
    }
}

/// The lowest four bits as a hexadecimal digit.
fn hex_digit(bits: u64) -> u8 {
    let bits = (bits & 0xf) as u8;
    if bits < 10 { b'0' + bits } else { b'a' + bits - 10 }
}

impl fmt::Display for EntityTag {
    /// Writes the tag as it stands in a header: with its quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.opaque())
    }
}

impl fmt::Debug for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityTag({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use proptest::prelude::*;

    use super::*;

    fn tags() -> impl Strategy<Value = (i128, u64)> {
        let nanoseconds =
            prop_oneof![any::<u64>().prop_map(i128::from), any::<i128>(), 0..300_i128];
        (nanoseconds, any::<u64>())
    }

    proptest! {
        #[test]
        fn a_document_tag_is_written_in_hexadecimal((nanoseconds, hash) in tags()) {
            let text = format!("{nanoseconds:x}-{hash:016x}");
            let tag = EntityTag::from_revision(nanoseconds, hash);
            prop_assert_eq!(&*tag.opaque(), &text);
            prop_assert_eq!(tag.to_string(), format!("\"{text}\""));
            let read = EntityTag::new(&text).unwrap();
            prop_assert_eq!(&read, &tag);
            let hash_of = |tag: &EntityTag| BuildHasherDefault::<DefaultHasher>::default().hash_one(tag);
            prop_assert_eq!(hash_of(&read), hash_of(&tag));
        }
    }

    #[test]
    fn a_tag_takes_no_more_room_than_two_numbers_and_which_they_are() {
        assert_eq!(size_of::<EntityTag>(), 24);
    }
}
