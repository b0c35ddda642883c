//! Names: the values from a request that become part of a storage key.

use std::borrow::Cow;
use std::fmt;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// What a name names; error messages say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A KV namespace.
    Namespace,
    /// A document of the run store.
    RunStore,
    /// A repository id; may hold `/`.
    Repository,
    /// A Git branch; may hold `/`.
    Branch,
    /// A site, whose builds have archives and logs.
    Site,
    /// One build of a site.
    Build,
    /// A job of an agent runtime.
    Job,
    /// A checkpoint of a job.
    Checkpoint,
    /// A run of a job.
    Run,
    /// The type of an event of a run.
    EventType,
}

impl NameKind {
    fn allows_slash(self) -> bool {
        matches!(self, Self::Repository | Self::Branch)
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "namespace",
            Self::RunStore => "run store name",
            Self::Repository => "repository id",
            Self::Branch => "branch",
            Self::Site => "site",
            Self::Build => "build",
            Self::Job => "job id",
            Self::Checkpoint => "checkpoint id",
            Self::Run => "run id",
            Self::EventType => "event type",
        })
    }
}

/// A value that may stand in a storage key: 1–128 bytes of `A–Z a–z 0–9 . _ : @ + ~ -`, neither
/// `.` nor `..`. A repository id or a branch may be several of those joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

/// Why a value is not a [`Name`]. The message names the kind, never the value: it may be
/// anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// No bytes, or too many.
    #[error("a {0} is 1 to {NAME_BYTES_MAX} bytes long")]
    Length(NameKind),
    /// A byte outside the set.
    #[error("a {0} holds only letters, digits and . _ : @ + ~ -{slash}", slash = slash_hint(*.0))]
    Character(NameKind),
    /// `.`, `..`, or an empty part beside a `/`.
    #[error("a {0} is neither . nor .. and has no empty part")]
    Dots(NameKind),
    /// Percent-encoded for storage, it no longer fits a file name.
    #[error("a {0} with this many slashes is too long to store")]
    Encoded(NameKind),
}

fn slash_hint(kind: NameKind) -> &'static str {
    if kind.allows_slash() { ", and / as %2F" } else { "" }
}

impl Name {
    /// Checks a value that was percent-decoded already.
    ///
    /// # Errors
    /// [`InvalidName`] says what is wrong with it.
    pub fn parse(kind: NameKind, value: &str) -> Result<Self, InvalidName> {
        if value.is_empty() || value.len() > NAME_BYTES_MAX {
            return Err(InvalidName::Length(kind));
        }
        let allowed = |b: u8| is_name_byte(b) || (b == b'/' && kind.allows_slash());
        if !value.bytes().all(allowed) {
            return Err(InvalidName::Character(kind));
        }
        if value.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(InvalidName::Dots(kind));
        }
        let slashes = value.bytes().filter(|b| *b == b'/').count();
        if value.len() + slashes * (ENCODED_SLASH.len() - 1) > SEGMENT_BYTES_MAX {
            return Err(InvalidName::Encoded(kind));
        }
        Ok(Self(value.into()))
    }

    /// The value, with `/` as itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value as one path segment, with `/` as `%2F`.
    #[must_use]
    pub fn to_segment(&self) -> Cow<'_, str> {
        if self.0.contains('/') {
            self.0.replace('/', ENCODED_SLASH).into()
        } else {
            (&*self.0).into()
        }
    }

    /// Reads back what [`Self::to_segment`] wrote.
    ///
    /// # Errors
    /// [`InvalidName`] where it did not write this.
    pub fn from_segment(kind: NameKind, segment: &str) -> Result<Self, InvalidName> {
        if segment.contains('/') {
            return Err(InvalidName::Character(kind));
        }
        Self::parse(kind, &segment.replace(ENCODED_SLASH, "/"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands for a slash in a path segment.
const ENCODED_SLASH: &str = "%2F";

/// A file name holds at most 255 bytes on every common file system, and five are for `.json`.
/// `.tar.gz` takes seven, behind names without slashes, which are far shorter.
const SEGMENT_BYTES_MAX: usize = 250;

/// Whether a byte may stand in a name, and in a segment of a runtime config's path.
#[must_use]
pub fn is_name_byte(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b':' | b'@' | b'+' | b'~' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_and_refused_as_the_contract_says() {
        use InvalidName as E;
        use NameKind::{Branch, Namespace};
        let long = "a".repeat(128);
        let too_long = "a".repeat(129);
        let slashes = "a/".repeat(63) + "a";
        let table: &[(NameKind, &str, Result<(), InvalidName>)] = &[
            (Namespace, "cart", Ok(())),
            (Namespace, "A.b_c:d@e+f~g-9", Ok(())),
            (Namespace, "...", Ok(())),
            (Namespace, ".hidden", Ok(())),
            (Namespace, &long, Ok(())),
            (Namespace, &too_long, Err(E::Length(Namespace))),
            (Namespace, "", Err(E::Length(Namespace))),
            (Namespace, ".", Err(E::Dots(Namespace))),
            (Namespace, "..", Err(E::Dots(Namespace))),
            (Namespace, "a/b", Err(E::Character(Namespace))),
            (Namespace, "a b", Err(E::Character(Namespace))),
            (Namespace, "a%2Fb", Err(E::Character(Namespace))),
            (Namespace, "é", Err(E::Character(Namespace))),
            (Namespace, "a\0", Err(E::Character(Namespace))),
            (Branch, "feature/x", Ok(())),
            (Branch, "a/../b", Err(E::Dots(Branch))),
            (Branch, "/a", Err(E::Dots(Branch))),
            (Branch, "a//b", Err(E::Dots(Branch))),
            (Branch, &slashes, Err(E::Encoded(Branch))),
        ];
        for (kind, value, expected) in table {
            let got = Name::parse(*kind, value).map(|_| ());
            assert_eq!(&got, expected, "{kind} {value:?}");
        }
    }

    #[test]
    fn a_slash_is_stored_as_an_escape_and_read_back() {
        let name = Name::parse(NameKind::Branch, "feature/x").unwrap();
        assert_eq!(name.to_segment(), "feature%2Fx");
        assert_eq!(Name::from_segment(NameKind::Branch, "feature%2Fx").unwrap(), name);
        let unescaped = Name::from_segment(NameKind::Branch, "feature/x");
        assert_eq!(unescaped, Err(InvalidName::Character(NameKind::Branch)));
    }
}
