//! Which files are worth the room that is kept for the journal.
//!
//! On a full volume deletes go on in a segment for which the tree leaves room. Where few files keep long
//! segments of the journal, those files may take that room: it comes back with the segments. Where
//! many do, as with documents that are shorter than the least that a file takes, they would use it up and free
//! nothing.

/// What file systems commonly allot to the smallest file, in bytes.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// What is missing in the tree: the first record of it, and the bytes of its file, `None` where a file
/// goes.
pub(super) type Missing = (u64, Option<u64>);

/// What a file of so many bytes takes.
pub(super) fn room_of(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(BLOCK_BYTES)
}

/// Up to which record all that is missing in the tree is worth the room: the record itself is not
/// among them, and 0 is none at all. They fit into the `room`, in bytes, and the segments that they keep
/// are no shorter.
///
/// `missing` is in the order of the records. A segment is its length and the first record of the next one.
pub(super) fn worth_the_room(
    missing: impl IntoIterator<Item = Missing>,
    segments: impl IntoIterator<Item = (u64, u64)>,
    room: u64,
) -> u64 {
    let mut missing = missing.into_iter().peekable();
    // A directory may have to be made.
    let mut needed = BLOCK_BYTES;
    let mut freed = 0;
    let mut worth = 0;
    for (capacity, next) in segments {
        freed += capacity;
        while let Some((_, file)) = missing.next_if(|(record, _)| *record < next) {
            needed += file.map_or(0, room_of);
        }
        if needed > room {
            break;
        }
        if needed <= freed {
            worth = next;
        }
    }
    worth
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 8 * BLOCK_BYTES;

    #[test]
    fn few_files_that_keep_much_are_worth_it_and_many_are_not() {
        let small = |number: u64| (1..=number).map(|record| (record, Some(100)));
        type Row = (&'static str, Vec<Missing>, Vec<(u64, u64)>, u64, u64);
        let rows: [Row; 9] = [
            ("nothing is missing", vec![], vec![(SEGMENT, 10)], SEGMENT, 10),
            ("only the current segment", small(2).collect(), vec![], SEGMENT, 0),
            ("two files, one segment", small(2).collect(), vec![(SEGMENT, 10)], SEGMENT, 10),
            ("more than there is room for", small(9).collect(), vec![(SEGMENT, 10)], SEGMENT, 0),
            ("more than they keep", small(9).collect(), vec![(SEGMENT, 10)], 99 * SEGMENT, 0),
            (
                "the second segment pays for the first",
                small(9).collect(),
                vec![(SEGMENT, 10), (SEGMENT, 20)],
                2 * SEGMENT,
                20,
            ),
            (
                "the first, and not the second",
                small(30).collect(),
                vec![(SEGMENT, 3), (SEGMENT, 40)],
                SEGMENT,
                3,
            ),
            ("deletes take nothing", vec![(1, None), (2, None)], vec![(SEGMENT, 3)], SEGMENT, 3),
            ("a long one", vec![(1, Some(SEGMENT + 1))], vec![(2 * SEGMENT, 3)], SEGMENT, 0),
        ];
        for (what, missing, segments, room, expected) in rows {
            assert_eq!(worth_the_room(missing, segments, room), expected, "{what}");
        }
    }
}
