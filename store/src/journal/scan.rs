//! What a row of segments holds, and whether it checks out. Pure: the bytes come from outside,
//! segment after segment in the order of their numbers.

use super::entry::{Entry, Unreadable};
use super::format::{
    HeaderError, RecordHeader, RecordKind, SEGMENT_HEADER, Seed, SegmentHeader, headers_from,
    record_at, record_bytes,
};

/// Where something does not check out, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {offset}: {reason}", super::segments::file_name(*number))]
pub(crate) struct Damage {
    /// The segment's number.
    pub(crate) number: u64,
    /// The place in its file.
    pub(crate) offset: u64,
    pub(crate) reason: Reason,
}

/// What does not check out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("it is {found} bytes long, and its header says {expected}")]
    Length { found: u64, expected: u64 },
    #[error("its header says that it is number {0}")]
    Number(u64),
    #[error("the file before it is missing, or was never there")]
    Gap,
    #[error("a record that was durable does not check out (sequence {sequence})")]
    Record { sequence: u64 },
    #[error("the records {first} to {last} are missing")]
    Missing { first: u64, last: u64 },
    #[error("the record {found} stands where {expected} should")]
    Order { found: u64, expected: u64 },
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// One record that checks out.
#[derive(Debug)]
pub(crate) struct Replayed<'a> {
    number: u64,
    offset: u64,
    record: RecordHeader,
    payload: &'a [u8],
}

impl Replayed<'_> {
    pub(crate) fn sequence(&self) -> u64 {
        self.record.sequence
    }

    /// The sequence of the first record that was written together with it.
    pub(crate) fn batch(&self) -> u64 {
        self.record.batch
    }

    pub(crate) fn is_checkpoint(&self) -> bool {
        self.record.kind == RecordKind::Checkpoint
    }

    /// What it says.
    ///
    /// # Errors
    /// [`Reason::Unreadable`].
    pub(crate) fn entry(&self) -> Result<Entry, Damage> {
        let Self { number, offset, .. } = *self;
        Entry::read(&self.record, self.payload).map_err(|error| Damage {
            number,
            offset,
            reason: error.into(),
        })
    }
}

/// Where the records end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) number: u64,
    pub(crate) offset: u64,
    /// Whether a batch follows that a crash tore; nothing of it was acknowledged.
    pub(crate) is_torn: bool,
}

/// Reads segments one after the other.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The sequence of the next record, once one was seen.
    expected: Option<u64>,
    tail: Option<Tail>,
    /// The highest clock mark of a header.
    clock: Option<i128>,
    /// The highest sequence mark of a header.
    sequence: u64,
    /// The number of the last segment.
    number: Option<u64>,
}

impl Scanner {
    /// The sequence of the record that comes after everything that was scanned.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.expected.unwrap_or(1).max(self.sequence)
    }

    /// The highest mark of the clock.
    pub(crate) fn clock(&self) -> Option<i128> {
        self.clock
    }

    /// Where the records end, once one was seen.
    pub(crate) fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// Scans the segment of a number: the header first, then each record is handed to `visit`.
    ///
    /// # Errors
    /// [`Damage`]; what `visit` fails with.
    pub(crate) fn segment<E: From<Damage>>(
        &mut self,
        number: u64,
        bytes: &[u8],
        visit: impl FnMut(Replayed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.segment_up_to(number, bytes, u64::MAX, visit)
    }

    /// The same, and nothing behind the record of a sequence is looked at: it may be written just
    /// now.
    ///
    /// # Errors
    /// As for [`Self::segment`].
    pub(crate) fn segment_up_to<E: From<Damage>>(
        &mut self,
        number: u64,
        bytes: &[u8],
        up_to: u64,
        mut visit: impl FnMut(Replayed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let damaged = |offset, reason| Damage { number, offset, reason };
        if self.number.is_some_and(|last| last + 1 != number) {
            return Err(damaged(0, Reason::Gap).into());
        }
        self.number = Some(number);
        let header = self.header(number, bytes).map_err(|reason| damaged(0, reason))?;
        let seed = Seed::of_segment(number);
        let mut offset = SEGMENT_HEADER;
        let mut is_first = true;
        while let Some((record, payload)) = record_at(bytes, offset, seed) {
            let expected = self.expected.unwrap_or(record.sequence);
            if record.kind == RecordKind::Confirmation && record.sequence <= expected {
                // Nothing behind it counts: the batch that would have overwritten it never came.
                return Ok(());
            }
            self.in_order(number, offset, is_first, &record, expected)?;
            visit(Replayed { number, offset, record, payload })?;
            offset += record_bytes(record.length.into());
            self.expected = Some(record.sequence + 1);
            self.tail = Some(Tail { number, offset, is_torn: false });
            is_first = false;
            if record.sequence >= up_to {
                return Ok(());
            }
        }
        // A batch that was cut short begins at the next sequence, or in the middle of the last.
        let next = self.expected.unwrap_or(header.sequence);
        let mut is_torn = false;
        for (_, later) in headers_from(bytes, offset, seed) {
            if later.batch > next {
                return Err(damaged(offset, Reason::Record { sequence: next }).into());
            }
            is_torn = true;
        }
        if is_torn {
            match &mut self.tail {
                Some(tail) if tail.number == number => tail.is_torn = true,
                // The first batch of the segment.
                tail => *tail = Some(Tail { number, offset, is_torn: true }),
            }
        }
        Ok(())
    }

    fn header(&mut self, number: u64, bytes: &[u8]) -> Result<SegmentHeader, Reason> {
        let header = SegmentHeader::decode(bytes)?;
        if header.number != number {
            return Err(Reason::Number(header.number));
        }
        let found = bytes.len() as u64;
        if found != header.capacity {
            return Err(Reason::Length { found, expected: header.capacity });
        }
        self.clock = self.clock.max(Some(header.clock));
        self.sequence = self.sequence.max(header.sequence);
        Ok(header)
    }

    /// Every record follows the one before, across segments too.
    fn in_order(
        &self,
        number: u64,
        offset: u64,
        is_first: bool,
        record: &RecordHeader,
        expected: u64,
    ) -> Result<(), Damage> {
        let found = record.sequence;
        if found == expected {
            return Ok(());
        }
        match self.tail {
            // What is missing stood at the end of the segment before.
            Some(Tail { number, offset, .. }) if is_first && found > expected => Err(Damage {
                number,
                offset,
                reason: Reason::Missing { first: expected, last: found - 1 },
            }),
            _ => Err(Damage { number, offset, reason: Reason::Order { found, expected } }),
        }
    }
}
