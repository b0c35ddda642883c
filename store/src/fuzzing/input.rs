//! Reading instructions out of a fuzzer's bytes. What is missing at the end reads as zeros, so
//! that every input means something.

/// What is left of an input.
#[derive(Debug)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At most so many bytes.
    pub(super) fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    pub(super) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number that is mostly small: one byte, or eight after a byte of ones.
    pub(super) fn number(&mut self) -> u64 {
        match self.byte() {
            u8::MAX => (0..8).fold(0, |number, i| number | u64::from(self.byte()) << (8 * i)),
            small => small.into(),
        }
    }

    /// A number near another one: the same one, one more, or any.
    pub(super) fn near(&mut self, number: u64) -> u64 {
        match self.byte() {
            0 => number,
            1 => number.wrapping_add(1),
            _ => self.number(),
        }
    }

    /// As many bytes as a byte before them says.
    pub(super) fn chunk(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.bytes(length.into())
    }

    pub(super) fn text(&mut self) -> &'a str {
        let bytes = self.chunk();
        std::str::from_utf8(bytes).unwrap_or("k")
    }
}
