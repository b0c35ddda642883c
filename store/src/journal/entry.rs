//! What a record says: the payload of each kind, to bytes and back.

use std::sync::Arc;

use bytes::Bytes;

use super::format::{RecordHeader, RecordKind};
use crate::revision::Revision;
use crate::{Expiry, MemberKey, Operation};

/// What one record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// What was done at a path.
    Change { path: Arc<str>, change: Change },
    /// Everything up to this sequence stands in the tree, durably.
    Checkpoint {
        sequence: u64,
        /// No revision up to this one is handed out again, in nanoseconds since 1970.
        clock: i128,
    },
}

/// One accepted write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A document was put, at this revision.
    Put {
        revision: Revision,
        body: Bytes,
        /// Who put it, where that is kept.
        author: Option<Arc<str>>,
    },
    /// A document was deleted; the revision is later than that of what was deleted.
    Delete { revision: Revision },
    /// A job was deleted: every document below its directory, which is the path, that no later
    /// record makes. The revision is later than that of each.
    DeleteJob { revision: Revision },
    /// A namespace was patched and now stands at this version.
    Patch {
        version: u64,
        operations: Vec<Operation>,
        /// What the history says of it, where there is one.
        note: Option<Box<Note>>,
    },
}

/// What is told of a patch beside what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// When it was decided, in milliseconds since 1970.
    pub(crate) time: Expiry,
    /// Who sent it; `None` where nobody did.
    pub(crate) author: Option<Arc<str>>,
    /// Whether no version before it can be read any more.
    pub(crate) forgets: bool,
}

/// What a payload does not hold to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record checks out but does not read as one: another version wrote it")]
pub(crate) struct Unreadable;

const SET: u8 = 1;
const DELETE: u8 = 2;
const CLEAR: u8 = 3;
const SET_UNTIL: u8 = 4;

impl Entry {
    pub(crate) fn kind(&self) -> RecordKind {
        match self {
            Self::Change { change: Change::Put { author: Some(_), .. }, .. } => RecordKind::PutBy,
            Self::Change { change: Change::Put { .. }, .. } => RecordKind::Put,
            Self::Change { change: Change::Delete { .. }, .. } => RecordKind::Delete,
            Self::Change { change: Change::DeleteJob { .. }, .. } => RecordKind::DeleteJob,
            Self::Change { change: Change::Patch { note: Some(_), .. }, .. } => {
                RecordKind::NotedPatch
            }
            Self::Change { change: Change::Patch { .. }, .. } => RecordKind::Patch,
            Self::Checkpoint { .. } => RecordKind::Checkpoint,
        }
    }

    /// How long [`Self::write`] makes the payload.
    pub(crate) fn payload_bytes(&self) -> u64 {
        match self {
            Self::Change { path, change } => 2 + path.len() as u64 + change.payload_bytes(),
            Self::Checkpoint { .. } => 24,
        }
    }

    /// Appends the payload. Lengths fit: paths and keys are short, and values below 4 GiB.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Change { path, change } => {
                write_text(out, path);
                change.write(out);
            }
            Self::Checkpoint { sequence, clock } => {
                out.extend(sequence.to_le_bytes());
                out.extend(clock.to_le_bytes());
            }
        }
    }

    /// Reads a payload.
    pub(crate) fn read(header: &RecordHeader, payload: &[u8]) -> Result<Self, Unreadable> {
        let mut rest = Reader(payload);
        let entry = match header.kind {
            RecordKind::Checkpoint => Self::Checkpoint {
                sequence: rest.number()?,
                clock: i128::from_le_bytes(rest.array()?),
            },
            RecordKind::Confirmation => return Err(Unreadable),
            kind => {
                let path = rest.text()?.into();
                Self::Change { path, change: rest.change(kind)? }
            }
        };
        if rest.0.is_empty() { Ok(entry) } else { Err(Unreadable) }
    }
}

impl Change {
    fn payload_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Put { body, author, .. } => {
                author.as_ref().map_or(0, |author| 2 + text(author).len()) + 16 + body.len()
            }
            Self::Delete { .. } | Self::DeleteJob { .. } => 16,
            Self::Patch { operations, note, .. } => {
                let bytes = |operation: &Operation| match operation {
                    Operation::Set { key, value } => 1 + 2 + key.as_str().len() + 4 + value.len(),
                    Operation::SetUntil { key, value, .. } => {
                        1 + 2 + key.as_str().len() + 8 + 4 + value.len()
                    }
                    Operation::Delete { key } => 1 + 2 + key.as_str().len(),
                    Operation::Clear => 1,
                };
                let noted = note.as_ref().map_or(0, |note| note.payload_bytes());
                noted + 8 + operations.iter().map(bytes).sum::<usize>()
            }
        };
        bytes as u64
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put { revision, body, author } => {
                if let Some(author) = author {
                    write_text(out, text(author));
                }
                out.extend(revision.nanoseconds().to_le_bytes());
                out.extend_from_slice(body);
            }
            Self::Delete { revision } | Self::DeleteJob { revision } => {
                out.extend(revision.nanoseconds().to_le_bytes())
            }
            Self::Patch { version, operations, note } => {
                if let Some(note) = note {
                    note.write(out);
                }
                out.extend(version.to_le_bytes());
                write_operations(out, operations);
            }
        }
    }
}

/// In a note's flags: somebody sent it.
const HAS_AUTHOR: u8 = 1;
/// In a note's flags: versions before it are gone.
const FORGETS: u8 = 2;

impl Note {
    fn payload_bytes(&self) -> usize {
        1 + 8 + self.author.as_ref().map_or(0, |author| 2 + text(author).len())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let has_author = if self.author.is_some() { HAS_AUTHOR } else { 0 };
        let forgets = if self.forgets { FORGETS } else { 0 };
        out.push(has_author | forgets);
        out.extend(self.time.milliseconds().to_le_bytes());
        if let Some(author) = &self.author {
            write_text(out, text(author));
        }
    }
}

/// The longest name of an author that is kept, in bytes. That of a token is shorter; the subject of
/// a JWT may be any text.
const AUTHOR_BYTES_MAX: usize = 256;

/// An author's name, as much of it as is kept.
fn text(author: &str) -> &str {
    author.get(..author.floor_char_boundary(AUTHOR_BYTES_MAX)).unwrap_or_default()
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_value(out: &mut Vec<u8>, value: &[u8]) {
    out.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(value);
}

/// Appends operations, as the payload of a patch ends with them.
pub(crate) fn write_operations(out: &mut Vec<u8>, operations: &[Operation]) {
    operations.iter().for_each(|operation| write_operation(out, operation));
}

/// Reads what [`write_operations`] wrote.
pub(crate) fn read_operations(bytes: &[u8]) -> Result<Vec<Operation>, Unreadable> {
    Reader(bytes).operations()
}

fn write_operation(out: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Set { key, value } => {
            out.push(SET);
            write_text(out, key.as_str());
            write_value(out, value);
        }
        Operation::SetUntil { key, value, expiry } => {
            out.push(SET_UNTIL);
            write_text(out, key.as_str());
            out.extend(expiry.milliseconds().to_le_bytes());
            write_value(out, value);
        }
        Operation::Delete { key } => {
            out.push(DELETE);
            write_text(out, key.as_str());
        }
        Operation::Clear => out.push(CLEAR),
    }
}

/// What is left of a payload.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = u16::from_le_bytes(self.array()?);
        std::str::from_utf8(self.bytes(length.into())?).map_err(|_| Unreadable)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn change(&mut self, kind: RecordKind) -> Result<Change, Unreadable> {
        Ok(match kind {
            RecordKind::Put | RecordKind::PutBy => {
                let author = match kind {
                    RecordKind::PutBy => Some(self.text()?.into()),
                    _ => None,
                };
                let revision = self.revision()?;
                let body = Bytes::copy_from_slice(std::mem::take(&mut self.0));
                Change::Put { revision, body, author }
            }
            RecordKind::Delete => Change::Delete { revision: self.revision()? },
            RecordKind::DeleteJob => Change::DeleteJob { revision: self.revision()? },
            RecordKind::Patch | RecordKind::NotedPatch => {
                let note = match kind {
                    RecordKind::NotedPatch => Some(Box::new(self.note()?)),
                    _ => None,
                };
                let version = self.number()?;
                let operations = self.operations()?;
                Change::Patch { version, operations, note }
            }
            RecordKind::Checkpoint | RecordKind::Confirmation => return Err(Unreadable),
        })
    }

    fn note(&mut self) -> Result<Note, Unreadable> {
        let [flags] = self.array()?;
        if flags & !(HAS_AUTHOR | FORGETS) != 0 {
            return Err(Unreadable);
        }
        let time = Expiry::at_milliseconds(self.number()?);
        let author = if flags & HAS_AUTHOR != 0 { Some(self.text()?.into()) } else { None };
        Ok(Note { time, author, forgets: flags & FORGETS != 0 })
    }

    fn revision(&mut self) -> Result<Revision, Unreadable> {
        Ok(Revision::from_nanoseconds(i128::from_le_bytes(self.array()?)))
    }

    fn key(&mut self) -> Result<MemberKey, Unreadable> {
        MemberKey::new(self.text()?).map_err(|_| Unreadable)
    }

    fn value(&mut self) -> Result<Bytes, Unreadable> {
        let length = u32::from_le_bytes(self.array()?);
        let length = usize::try_from(length).map_err(|_| Unreadable)?;
        Ok(Bytes::copy_from_slice(self.bytes(length)?))
    }

    fn operations(&mut self) -> Result<Vec<Operation>, Unreadable> {
        let mut operations = Vec::new();
        while !self.0.is_empty() {
            operations.push(self.operation()?);
        }
        Ok(operations)
    }

    fn operation(&mut self) -> Result<Operation, Unreadable> {
        let [kind] = self.array()?;
        match kind {
            SET => Ok(Operation::Set { key: self.key()?, value: self.value()? }),
            SET_UNTIL => {
                let key = self.key()?;
                let expiry = Expiry::at_milliseconds(self.number()?);
                Ok(Operation::SetUntil { key, value: self.value()?, expiry })
            }
            DELETE => Ok(Operation::Delete { key: self.key()? }),
            CLEAR => Ok(Operation::Clear),
            _ => Err(Unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{Seed, append_record, record_at};
    use super::*;

    #[test]
    fn changes_read_back_and_are_as_long_as_was_said() {
        let key = |key: &str| MemberKey::new(key).expect("a key");
        let revision = Revision::from_nanoseconds(-7);
        let changes = [
            Change::Put { revision, body: Bytes::from_static(b"{}"), author: None },
            Change::Put { revision, body: Bytes::new(), author: None },
            Change::Put { revision, body: Bytes::from_static(b"{}"), author: Some("ci".into()) },
            Change::Delete { revision },
            Change::DeleteJob { revision },
            Change::Patch { version: 3, operations: vec![], note: None },
            Change::Patch {
                version: 3,
                operations: vec![Operation::Clear],
                note: Some(Box::new(Note {
                    time: Expiry::at_milliseconds(7),
                    author: Some("é".into()),
                    forgets: true,
                })),
            },
            Change::Patch {
                version: 4,
                operations: vec![],
                note: Some(Box::new(Note {
                    time: Expiry::at_milliseconds(u64::MAX),
                    author: None,
                    forgets: false,
                })),
            },
            Change::Patch {
                version: u64::MAX,
                operations: vec![
                    Operation::Clear,
                    Operation::Set { key: key("é"), value: Bytes::from_static(b"[1]") },
                    Operation::Delete { key: key("b") },
                    Operation::SetUntil {
                        key: key("c"),
                        value: Bytes::from_static(b"{}"),
                        expiry: Expiry::at_milliseconds(u64::MAX),
                    },
                ],
                note: None,
            },
        ];
        let at = |change| Entry::Change { path: "p/q".into(), change };
        let entries =
            changes.map(at).into_iter().chain([Entry::Checkpoint { sequence: 9, clock: -1 }]);
        let seed = Seed::of_segment(1);
        for entry in entries {
            let mut out = Vec::new();
            append_record(&mut out, seed, entry.kind(), (1, 1), |out| entry.write(out));
            let (header, payload) = record_at(&out, 0, seed).expect("a record");
            assert_eq!(payload.len() as u64, entry.payload_bytes(), "{entry:?}");
            assert_eq!(Entry::read(&header, payload), Ok(entry.clone()));
            for length in 0..payload.len() {
                // A shorter payload reads as another entry or as none, and never panics.
                let _ = Entry::read(&header, &payload[..length]);
            }
        }
    }
}
