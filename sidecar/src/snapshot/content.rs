//! What a snapshot says of itself: how much it holds, and a digest of all of it. A tar's own
//! checksums cover its headers alone.

use std::io::{self, Read};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The version of the format of snapshots.
pub(super) const VERSION: u32 = 1;

/// What stands in [`MANIFEST`](stowage_store::volume::MANIFEST), the last file but one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// The version of the format.
    pub snapshot: u32,
    /// Every write to a document or a namespace up to this one is in it, and none after; archives
    /// are in it as they stood a moment later.
    pub sequence: u64,
    /// How many files it holds, those of the journal included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The digest of its directories and files, in hexadecimal.
    pub sha256: String,
}

/// Counts, and digests: for each directory `d`, the length of its path and the path; for each file
/// `f`, the same, its time in nanoseconds, its length and its content. Numbers are little-endian,
/// of 8 bytes, the time of 16.
#[derive(Default)]
pub(super) struct Tally {
    digest: Sha256,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn directory(&mut self, path: &str) {
        self.name(b"d", path);
    }

    /// Digests a file while it is read.
    pub(super) fn file<'a, R: Read>(
        &'a mut self,
        path: &str,
        modified: i128,
        length: u64,
        content: R,
    ) -> Tallied<'a, R> {
        self.name(b"f", path);
        self.digest.update(modified.to_le_bytes());
        self.digest.update(length.to_le_bytes());
        self.files += 1;
        Tallied { tally: self, content }
    }

    fn name(&mut self, kind: &[u8], path: &str) {
        self.digest.update(kind);
        self.digest.update((path.len() as u64).to_le_bytes());
        self.digest.update(path);
    }

    pub(super) fn contents(self, sequence: u64) -> Contents {
        let sha256 = HEXLOWER.encode(&self.digest.finalize());
        let Self { files, bytes, .. } = self;
        Contents { snapshot: VERSION, sequence, files, bytes, sha256 }
    }
}

pub(super) struct Tallied<'a, R> {
    tally: &'a mut Tally,
    content: R,
}

impl<R: Read> Read for Tallied<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read(buffer)?;
        self.tally.digest.update(&buffer[..length]);
        self.tally.bytes += length as u64;
        Ok(length)
    }
}

const NANOSECONDS: u128 = 1_000_000_000;

/// A time as PAX has it (POSIX.1-2017, pax, "mtime"): seconds with a fraction.
pub(super) fn seconds(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let distance = nanoseconds.unsigned_abs();
    format!("{sign}{}.{:09}", distance / NANOSECONDS, distance % NANOSECONDS)
}

/// Reads such a time, of nanoseconds at the finest.
pub(super) fn nanoseconds(seconds: &str) -> Option<i128> {
    let (sign, digits) = match seconds.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, seconds),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !is_number(whole) || !is_number(part) {
        return None;
    }
    let whole: i128 = whole.parse::<u64>().ok()?.into();
    let part: i128 = format!("{part:0<9}").parse().ok()?;
    Some(sign * (whole * NANOSECONDS as i128 + part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_to_the_nanosecond() {
        let table = [
            (0, "0.000000000"),
            (1, "0.000000001"),
            (1_234_567_890_123_456_789, "1234567890.123456789"),
            (-1, "-0.000000001"),
            (-1_500_000_000, "-1.500000000"),
        ];
        for (time, text) in table {
            assert_eq!(seconds(time), text);
            assert_eq!(nanoseconds(text), Some(time), "{text}");
        }
        assert_eq!(nanoseconds("7"), Some(7_000_000_000));
        assert_eq!(nanoseconds("7.5"), Some(7_500_000_000));
        for text in
            ["", "-", ".5", "1.0000000001", "1.-5", "--1", "1 ", "+1", "99999999999999999999"]
        {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
