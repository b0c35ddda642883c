//! What a record says: the payload of each kind, to bytes and back.

use std::sync::Arc;

use bytes::Bytes;

use super::format::{RecordHeader, RecordKind};
use crate::revision::Revision;
use crate::{MemberKey, Operation};

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
    Put { revision: Revision, body: Bytes },
    /// A document was deleted; the revision is later than that of what was deleted.
    Delete { revision: Revision },
    /// A namespace was patched and now stands at this version.
    Patch { version: u64, operations: Vec<Operation> },
}

/// What a payload does not hold to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record checks out but does not read as one: another version wrote it")]
pub(crate) struct Unreadable;

const SET: u8 = 1;
const DELETE: u8 = 2;
const CLEAR: u8 = 3;

impl Entry {
    pub(crate) fn kind(&self) -> RecordKind {
        match self {
            Self::Change { change: Change::Put { .. }, .. } => RecordKind::Put,
            Self::Change { change: Change::Delete { .. }, .. } => RecordKind::Delete,
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
            Self::Put { body, .. } => 16 + body.len(),
            Self::Delete { .. } => 16,
            Self::Patch { operations, .. } => {
                let bytes = |operation: &Operation| match operation {
                    Operation::Set { key, value } => 1 + 2 + key.as_str().len() + 4 + value.len(),
                    Operation::Delete { key } => 1 + 2 + key.as_str().len(),
                    Operation::Clear => 1,
                };
                8 + operations.iter().map(bytes).sum::<usize>()
            }
        };
        bytes as u64
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put { revision, body } => {
                out.extend(revision.nanoseconds().to_le_bytes());
                out.extend_from_slice(body);
            }
            Self::Delete { revision } => out.extend(revision.nanoseconds().to_le_bytes()),
            Self::Patch { version, operations } => {
                out.extend(version.to_le_bytes());
                for operation in operations {
                    write_operation(out, operation);
                }
            }
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_operation(out: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Set { key, value } => {
            out.push(SET);
            write_text(out, key.as_str());
            out.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(value);
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
            RecordKind::Put => {
                let revision = self.revision()?;
                let body = Bytes::copy_from_slice(std::mem::take(&mut self.0));
                Change::Put { revision, body }
            }
            RecordKind::Delete => Change::Delete { revision: self.revision()? },
            RecordKind::Patch => {
                let version = self.number()?;
                let mut operations = Vec::new();
                while !self.0.is_empty() {
                    operations.push(self.operation()?);
                }
                Change::Patch { version, operations }
            }
            RecordKind::Checkpoint | RecordKind::Confirmation => return Err(Unreadable),
        })
    }

    fn revision(&mut self) -> Result<Revision, Unreadable> {
        Ok(Revision::from_nanoseconds(i128::from_le_bytes(self.array()?)))
    }

    fn key(&mut self) -> Result<MemberKey, Unreadable> {
        MemberKey::new(self.text()?).map_err(|_| Unreadable)
    }

    fn operation(&mut self) -> Result<Operation, Unreadable> {
        let [kind] = self.array()?;
        match kind {
            SET => {
                let key = self.key()?;
                let length = u32::from_le_bytes(self.array()?);
                let length = usize::try_from(length).map_err(|_| Unreadable)?;
                Ok(Operation::Set { key, value: Bytes::copy_from_slice(self.bytes(length)?) })
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
            Change::Put { revision, body: Bytes::from_static(b"{}") },
            Change::Put { revision, body: Bytes::new() },
            Change::Delete { revision },
            Change::Patch { version: 3, operations: vec![] },
            Change::Patch {
                version: u64::MAX,
                operations: vec![
                    Operation::Clear,
                    Operation::Set { key: key("é"), value: Bytes::from_static(b"[1]") },
                    Operation::Delete { key: key("b") },
                ],
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
