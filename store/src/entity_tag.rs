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

    /// The tag of a document or an archive: when it was written, in nanoseconds since 1970, and the
    /// first 64 bits of a document's hash, or an archive's length.
    #[must_use]
    pub(crate) fn from_revision(nanoseconds: i128, hash: u64) -> Self {
        Self(format!("{nanoseconds:x}-{hash:016x}").into())
    }

    /// The text between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &str {
        &self.0
    }
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
