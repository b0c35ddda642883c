//! The bytes of a segment's header and of a record's. All integers are little-endian.

/// What a segment begins with.
const MAGIC: [u8; 8] = *b"STOWJRNL";

/// The version of all that this module says.
pub(crate) const VERSION: u32 = 1;

/// The length of a segment's header; the first record follows it.
pub(crate) const SEGMENT_HEADER: u64 = 64;

/// The length of a record's header.
pub(crate) const RECORD_HEADER: usize = 32;

/// Records begin at multiples of this.
const ALIGNMENT: u64 = 8;

/// The header of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Its place in the row; no other segment of the store ever has it.
    pub(crate) number: u64,
    /// The length of the file in bytes, this header included.
    pub(crate) capacity: u64,
    /// No record in it has a lower sequence.
    pub(crate) sequence: u64,
    /// No revision up to this one is handed out again, in nanoseconds since 1970.
    pub(crate) clock: i128,
}

/// Why bytes are no header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("its header does not check out")]
    Damaged,
    #[error("it is in format {0}, and this version reads format {VERSION} only")]
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER as usize] {
        let mut bytes = [0; SEGMENT_HEADER as usize];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &VERSION.to_le_bytes());
        put(&mut bytes, 16, &self.number.to_le_bytes());
        put(&mut bytes, 24, &self.capacity.to_le_bytes());
        put(&mut bytes, 32, &self.sequence.to_le_bytes());
        put(&mut bytes, 40, &self.clock.to_le_bytes());
        let crc = Self::crc(&bytes);
        put(&mut bytes, 12, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes =
            bytes.first_chunk::<{ SEGMENT_HEADER as usize }>().ok_or(HeaderError::Damaged)?;
        if bytes[..8] != MAGIC || u32_at(bytes, 12) != Self::crc(bytes) {
            return Err(HeaderError::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => {}
            other => return Err(HeaderError::Version(other)),
        }
        let mut clock = [0; 16];
        clock.copy_from_slice(&bytes[40..56]);
        Ok(Self {
            number: u64_at(bytes, 16),
            capacity: u64_at(bytes, 24),
            sequence: u64_at(bytes, 32),
            clock: i128::from_le_bytes(clock),
        })
    }

    /// Of everything but itself.
    fn crc(bytes: &[u8; SEGMENT_HEADER as usize]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
    }
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A document was put.
    Put,
    /// A document was deleted.
    Delete,
    /// A namespace was patched.
    Patch,
    /// The tree was brought up to date.
    Checkpoint,
    /// Every record before it is durable; its sequence is that of the next record.
    Confirmation,
    /// A job was deleted, with everything that belongs to it.
    DeleteJob,
    /// A document was put, and by whom.
    PutBy,
    /// A namespace was patched, when and by whom.
    NotedPatch,
}

impl RecordKind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Delete => 2,
            Self::Patch => 3,
            Self::Checkpoint => 4,
            Self::Confirmation => 5,
            Self::DeleteJob => 6,
            Self::PutBy => 7,
            Self::NotedPatch => 8,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Put,
            Self::Delete,
            Self::Patch,
            Self::Checkpoint,
            Self::Confirmation,
            Self::DeleteJob,
            Self::PutBy,
            Self::NotedPatch,
        ];
        all.into_iter().find(|kind| kind.to_byte() == byte)
    }
}

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    /// The length of the payload in bytes.
    pub(crate) length: u32,
    /// One more than that of the record before.
    pub(crate) sequence: u64,
    /// The sequence of the first record that was written and synced together with this one.
    pub(crate) batch: u64,
    payload_crc: u32,
}

/// What the checksums of a segment's records start from. It depends on the segment's number, so
/// that what stood in a file before it was used again never checks out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn of_segment(number: u64) -> Self {
        Self(crc32c::crc32c(&number.to_le_bytes()))
    }
}

/// What a record of this payload takes in a segment.
pub(crate) fn record_bytes(payload: u64) -> u64 {
    (RECORD_HEADER as u64 + payload).next_multiple_of(ALIGNMENT)
}

/// Appends a record whose payload `write` appends.
///
/// The payload must be shorter than 4 GiB, which documents are by far.
pub(crate) fn append_record(
    out: &mut Vec<u8>,
    seed: Seed,
    kind: RecordKind,
    (sequence, batch): (u64, u64),
    write: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.resize(start + RECORD_HEADER, 0);
    write(out);
    let payload = &out[start + RECORD_HEADER..];
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let payload_crc = crc32c::crc32c_append(seed.0, payload);
    let header = &mut out[start..start + RECORD_HEADER];
    put(header, 4, &payload_crc.to_le_bytes());
    put(header, 8, &length.to_le_bytes());
    header[12] = kind.to_byte();
    put(header, 16, &sequence.to_le_bytes());
    put(header, 24, &batch.to_le_bytes());
    let header_crc = crc32c::crc32c_append(seed.0, &header[4..]);
    put(header, 0, &header_crc.to_le_bytes());
    let padded = start + record_bytes(u64::from(length)) as usize;
    out.resize(padded, 0);
}

/// The record that begins at an offset of a segment's bytes and its payload, if all of it checks
/// out.
pub(crate) fn record_at(bytes: &[u8], offset: u64, seed: Seed) -> Option<(RecordHeader, &[u8])> {
    let header = header_at(bytes, offset, seed)?;
    let start = usize::try_from(offset).ok()?.checked_add(RECORD_HEADER)?;
    let payload = bytes.get(start..start.checked_add(header.length as usize)?)?;
    (crc32c::crc32c_append(seed.0, payload) == header.payload_crc).then_some((header, payload))
}

/// The header alone, if that checks out.
fn header_at(bytes: &[u8], offset: u64, seed: Seed) -> Option<RecordHeader> {
    let start = usize::try_from(offset).ok()?;
    let header = bytes.get(start..start.checked_add(RECORD_HEADER)?)?;
    if u32_at(header, 0) != crc32c::crc32c_append(seed.0, &header[4..]) {
        return None;
    }
    Some(RecordHeader {
        kind: RecordKind::from_byte(header[12])?,
        length: u32_at(header, 8),
        sequence: u64_at(header, 16),
        batch: u64_at(header, 24),
        payload_crc: u32_at(header, 4),
    })
}

/// Every header of a record from an offset on, wherever one may stand. A payload that looks like
/// one would have to be made for it: clients do not choose their place in a segment.
pub(crate) fn headers_from(
    bytes: &[u8],
    offset: u64,
    seed: Seed,
) -> impl Iterator<Item = (u64, RecordHeader)> + '_ {
    (offset.next_multiple_of(ALIGNMENT)..bytes.len() as u64)
        .step_by(ALIGNMENT as usize)
        // A byte of a kind is never 0, and most of what is looked through is.
        .filter(move |at| bytes.get(*at as usize + 12).is_some_and(|kind| *kind != 0))
        .filter_map(move |at| Some((at, header_at(bytes, at, seed)?)))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_header_reads_back_and_any_flip_is_found() {
        let header = SegmentHeader { number: 7, capacity: 65_536, sequence: 42, clock: -3 };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), Err(HeaderError::Damaged), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(SegmentHeader::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_record_reads_back_and_any_flip_is_found() {
        let seed = Seed::of_segment(1);
        let mut bytes = vec![0; SEGMENT_HEADER as usize];
        append_record(&mut bytes, seed, RecordKind::Put, (9, 8), |out| out.extend(b"payload"));
        let (header, payload) = record_at(&bytes, SEGMENT_HEADER, seed).expect("a record");
        assert_eq!((header.kind, header.sequence, header.batch), (RecordKind::Put, 9, 8));
        assert_eq!(payload, b"payload");
        assert_eq!(bytes.len() as u64, SEGMENT_HEADER + record_bytes(7));
        let end = SEGMENT_HEADER as usize + RECORD_HEADER + payload.len();
        for bit in SEGMENT_HEADER as usize * 8..end * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(record_at(&flipped, SEGMENT_HEADER, seed), None, "bit {bit}");
        }
    }

    #[test]
    fn what_another_segment_left_does_not_check_out() {
        let mut bytes = Vec::new();
        append_record(&mut bytes, Seed::of_segment(1), RecordKind::Delete, (1, 1), |_| {});
        assert!(record_at(&bytes, 0, Seed::of_segment(1)).is_some());
        assert_eq!(record_at(&bytes, 0, Seed::of_segment(2)), None);
    }

    #[test]
    fn a_later_record_is_found_wherever_it_stands() {
        let seed = Seed::of_segment(3);
        let mut bytes = vec![0; 200];
        append_record(&mut bytes, seed, RecordKind::Patch, (5, 4), |out| out.extend([1; 20]));
        bytes.resize(400, 0);
        let found: Vec<_> =
            headers_from(&bytes, 64, seed).map(|(at, h)| (at, h.sequence)).collect();
        assert_eq!(found, [(200, 5)]);
    }
}
