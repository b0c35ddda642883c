//! `Range` (RFC 9110 §14.2): which bytes of an archive a GET is answered with.

use http::HeaderMap;
use http::header::RANGE;

/// The bytes that a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of them: 200.
    Whole,
    /// Those from `first` to `last`, both among them: 206.
    Part {
        /// The offset of the first byte.
        first: u64,
        /// The offset of the last one; not before `first`, and within the archive.
        last: u64,
    },
    /// None of what is asked for is there: 416.
    Unsatisfiable,
}

/// Decides by a request's `Range` lines.
///
/// A field that does not follow the grammar and a unit other than bytes are ignored, as §14.2
/// allows. So is a set of which more than one range is there: a client must take a 200, and one
/// that wants several places of an archive can ask for each; a `multipart/byteranges` answer would
/// only be another way to have the same bytes sent many times for one request.
pub(crate) fn select(headers: &HeaderMap, length: u64) -> Selection {
    let mut lines = headers.get_all(RANGE).iter();
    // The field is no list, so two lines are no valid one.
    let (Some(line), None) = (lines.next(), lines.next()) else { return Selection::Whole };
    let Some(specs) = line.to_str().ok().and_then(ranges) else { return Selection::Whole };
    let mut found = specs.iter().filter_map(|spec| spec.within(length));
    match (found.next(), found.next()) {
        // Nothing comes before the first byte: there is no part to name, and all of it is empty.
        (Some(_), _) if length == 0 => Selection::Whole,
        (Some((first, last)), None) => Selection::Part { first, last },
        (Some(_), Some(_)) => Selection::Whole,
        (None, _) => Selection::Unsatisfiable,
    }
}

/// One range as it was asked for.
#[derive(Debug, Clone, Copy)]
enum Spec {
    /// `first-` or `first-last`.
    From(u64, Option<u64>),
    /// `-count`: the last so many bytes.
    Last(u64),
}

impl Spec {
    /// `None` where it is not as §14.1.1 writes it.
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", count) => number(count).map(Self::Last),
            (first, "") => Some(Self::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// The offsets of its first and last byte; `None` where no byte of it is there.
    fn within(self, length: u64) -> Option<(u64, u64)> {
        let end = length.saturating_sub(1);
        match self {
            Self::From(first, last) if first < length => {
                Some((first, last.map_or(end, |last| last.min(end))))
            }
            Self::From(..) | Self::Last(0) => None,
            Self::Last(count) => Some((length.saturating_sub(count), end)),
        }
    }
}

/// `None` where the set is empty, of another unit, or holds anything malformed.
fn ranges(value: &str) -> Option<Vec<Spec>> {
    let (unit, set) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for element in set.split(',').map(|element| element.trim_matches([' ', '\t'])) {
        if !element.is_empty() {
            specs.push(Spec::parse(element)?);
        }
    }
    (!specs.is_empty()).then_some(specs)
}

/// Digits alone. One that is too large for any archive is as good as the largest.
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::Selection::{Part, Unsatisfiable, Whole};
    use super::*;

    fn selected(lines: &[&str], length: u64) -> Selection {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(RANGE, HeaderValue::from_str(line).unwrap());
        }
        select(&headers, length)
    }

    #[test]
    fn ranges_are_selected_as_rfc_9110_says() {
        let part = |first, last| Part { first, last };
        let table = [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-9", part(0, 9)),
            ("bytes=2-5", part(2, 5)),
            ("bytes=9-9", part(9, 9)),
            ("bytes=3-", part(3, 9)),
            ("bytes=3-100", part(3, 9)),
            ("bytes=-1", part(9, 9)),
            ("bytes=-10", part(0, 9)),
            ("bytes=-100", part(0, 9)),
            ("Bytes= 2-5 ", part(2, 5)),
            ("bytes=,2-5,", part(2, 5)),
            ("bytes=00002-5", part(2, 5)),
            ("bytes=2-99999999999999999999999", part(2, 9)),
            ("bytes=-99999999999999999999999", part(0, 9)),
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=10-,-0", Unsatisfiable),
            // Of several, one that alone is there is one part; more than one is the whole.
            ("bytes=2-5,10-20", part(2, 5)),
            ("bytes=0-1,4-5", Whole),
            ("bytes=0-,0-,0-,0-", Whole),
            // What is not as it should be is as if it were not there.
            ("bytes=5-2", Whole),
            ("bytes=0-1,5-2", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1 - 2", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=--1", Whole),
            ("bytes 0-1", Whole),
            ("items=0-1", Whole),
            ("0-1", Whole),
            ("", Whole),
        ];
        for (line, expected) in table {
            assert_eq!(selected(&[line], 10), expected, "{line:?}");
        }
        assert_eq!(selected(&[], 10), Whole);
        assert_eq!(selected(&["bytes=0-1", "bytes=4-5"], 10), Whole, "the field is no list");
    }

    #[test]
    fn an_empty_archive_has_no_first_byte() {
        for (line, expected) in [("bytes=0-", Unsatisfiable), ("bytes=-1", Whole)] {
            assert_eq!(selected(&[line], 0), expected, "{line}");
        }
    }

    #[test]
    fn the_last_offset_is_reached() {
        let last = u64::MAX - 1;
        assert_eq!(selected(&["bytes=-1"], u64::MAX), Part { first: last, last });
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_a_part_is_within_the_archive(
            text in "(bytes=)?[-0-9, b=]{0,40}",
            length in prop_oneof![0..20u64, Just(u64::MAX), any::<u64>()],
        ) {
            if let Part { first, last } = selected(&[&text], length) {
                prop_assert!(first <= last && last < length, "{text:?}: {first}-{last}/{length}");
            }
        }
    }
}
