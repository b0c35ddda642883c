//! The order of a list, and where a page of it ends.
//!
//! A position is what an entry is sorted by and the path of its file, which decides between equals: name by name, for a
//! name that begins another one comes before it, whatever follows it in the path.
//! It is also what `continue` carries, so it holds across restarts, and what is written or removed
//! meanwhile moves nothing else.

use std::cmp::Ordering;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Which list; a position belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// By `startedAt`, newest first.
    Jobs,
    /// By `updatedAt`, newest first.
    Runs,
    /// By `stepNumber`.
    Checkpoints,
    /// By the step of the key.
    Events,
    /// By the timestamp of the key.
    Contents,
}

/// What an entry is sorted by: lower comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(u64);

impl Rank {
    /// The lowest first, and before them what has no number.
    pub(super) fn ascending(value: Option<f64>) -> Self {
        const SIGN: u64 = 1 << 63;
        // The bits of a positive number are in its order, those of a negative one in the reverse.
        Self(value.map_or(0, |value| match (value + 0.0).to_bits() {
            bits if bits & SIGN == 0 => bits | SIGN,
            bits => !bits,
        }))
    }

    /// The highest first, and behind them what has no number.
    pub(super) fn descending(value: Option<f64>) -> Self {
        Self(!Self::ascending(value).0)
    }

    /// By a number of an event's key.
    pub(super) fn of(number: u64) -> Self {
        Self(number)
    }
}

/// The place of an entry in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    rank: Rank,
    path: Box<str>,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    /// The most entries.
    pub(crate) limit: Option<usize>,
    /// Only those behind it.
    pub(crate) after: Option<Position>,
}

impl Position {
    pub(super) fn new(rank: Rank, path: &str) -> Self {
        Self { rank, path: path.into() }
    }

    /// Whether an entry comes behind it.
    pub(super) fn is_before(&self, rank: Rank, path: &str) -> bool {
        compare((self.rank, &self.path), (rank, path)).is_lt()
    }

    /// The text of `continue`: letters, digits, `-` and `_`.
    pub(crate) fn token(&self, list: List) -> String {
        let rank = self.rank.0.to_be_bytes();
        BASE64_URL_SAFE_NO_PAD.encode([&[list.byte()], &rank[..], self.path.as_bytes()].concat())
    }

    /// Reads a token of the same list; `None` where it is none.
    pub(crate) fn parse(list: List, token: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (of, rest) = bytes.split_first()?;
        let (rank, path) = rest.split_first_chunk()?;
        let path = std::str::from_utf8(path).ok()?;
        (*of == list.byte()).then(|| Self::new(Rank(u64::from_be_bytes(*rank)), path))
    }
}

/// The order of two entries.
pub(super) fn compare(one: (Rank, &str), other: (Rank, &str)) -> Ordering {
    one.0.cmp(&other.0).then_with(|| one.1.split('/').cmp(other.1.split('/')))
}

impl List {
    fn byte(self) -> u8 {
        match self {
            Self::Jobs => 1,
            Self::Runs => 2,
            Self::Checkpoints => 3,
            Self::Events => 4,
            Self::Contents => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_in_the_order_of_the_numbers() {
        let numbers = [
            None,
            Some(f64::NEG_INFINITY),
            Some(-2.5),
            Some(-1.0),
            Some(0.0),
            Some(1e-300),
            Some(9.0),
            Some(10.0),
            Some(1_700_000_000_000.0),
            Some(f64::INFINITY),
        ];
        for pair in numbers.windows(2) {
            assert!(Rank::ascending(pair[0]) < Rank::ascending(pair[1]), "{pair:?}");
            assert!(Rank::descending(pair[0]) > Rank::descending(pair[1]), "{pair:?}");
        }
        assert_eq!(Rank::ascending(Some(-0.0)), Rank::ascending(Some(0.0)));
    }

    #[test]
    fn a_token_is_read_back_by_its_own_list_alone() {
        let position = Position::new(Rank::descending(Some(1.5)), "jobs/é/job.json");
        let token = position.token(List::Jobs);
        assert_eq!(Position::parse(List::Jobs, &token), Some(position));
        assert_eq!(Position::parse(List::Runs, &token), None);
        for text in ["", "x", "AQ", "!", "AQAAAAAAAAAA_w"] {
            assert_eq!(Position::parse(List::Jobs, text), None, "{text:?}");
        }
    }
}
