//! A buffer that can be written past the page cache: its content begins at a multiple of
//! [`DIRECT_BYTES`] in memory.

use crate::disk::DIRECT_BYTES;

/// A part of an archive. An empty one takes no memory.
#[derive(Debug, Default)]
pub(super) struct Piece {
    buffer: Vec<u8>,
    /// Where the content begins.
    start: usize,
}

impl Piece {
    /// Adds bytes to a piece that will have `length` of them at most.
    pub(super) fn append(&mut self, bytes: &[u8], length: usize) {
        if self.buffer.is_empty() {
            // All of it at once: if it grew, it would move. What is not used is never resident.
            self.buffer.reserve_exact(length + DIRECT_BYTES);
            let address = self.buffer.as_ptr().addr();
            self.start = address.next_multiple_of(DIRECT_BYTES) - address;
            self.buffer.resize(self.start, 0);
        }
        self.buffer.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Takes the content away and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.buffer.truncate(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_begins_at_a_page_and_stays_there() {
        for length in [1, 64, 1_000, 1_usize << 20] {
            let mut piece = Piece::default();
            assert_eq!(piece.bytes(), b"", "a piece of {length}");
            for round in 0..3_u8 {
                let expected: Vec<u8> = (0..length).map(|n| n as u8 ^ round).collect();
                for part in expected.chunks(length.div_ceil(3)) {
                    piece.append(part, length);
                    let address = piece.bytes().as_ptr().addr();
                    assert_eq!(address % DIRECT_BYTES, 0, "a piece of {length}: {address:x}");
                }
                assert_eq!(piece.bytes(), expected, "a piece of {length}");
                piece.clear();
                assert_eq!(piece.bytes(), b"", "a piece of {length}");
            }
        }
    }
}
