//! Ranges (RFC 9110 §14) and `If-Range` (§13.1.5).

use crate::build::{must, now, read, should, write};
use crate::case::{Case, Expect, Need};
use crate::content::{A, B};

const RANGES: &[Need] = &[Need::Ranges];
const STRONG: &[Need] = &[Need::Ranges, Need::StrongTag];

pub(super) fn cases() -> Vec<Case> {
    [ranges(), if_range()].concat()
}

fn ranges() -> Vec<Case> {
    let partial = |id, title, range: &str, first: usize, last: usize| {
        must(id, "RFC 9110 §14.1.2", title).needs(RANGES).on_a([read()
            .with("Range", range)
            .status(&[206])
            .expect(Expect::Part(A, first, last))
            .has("Content-Range")
            .into()])
    };
    let length = A.bytes().len();
    vec![
        partial("ranges/single", "The bytes that were asked for", "bytes=2-9", 2, 9),
        partial("ranges/one-byte", "One byte", "bytes=0-0", 0, 0),
        partial("ranges/open", "From a byte to the end", "bytes=10-", 10, length - 1),
        partial("ranges/suffix", "The last bytes", "bytes=-5", length - 5, length - 1),
        partial(
            "ranges/beyond",
            "What is beyond the end is left out",
            "bytes=10-999999",
            10,
            length - 1,
        ),
        partial(
            "ranges/long-suffix",
            "More than there is means all",
            "bytes=-999999",
            0,
            length - 1,
        ),
        must("ranges/content-range", "RFC 9110 §14.4", "Content-Range says which bytes these are")
            .needs(RANGES)
            .on_a([read()
                .with("Range", "bytes=2-9")
                .status(&[206])
                .expect(Expect::Begins("Content-Range", "bytes 2-9/"))
                .into()]),
        must(
            "ranges/etag",
            "RFC 9110 §15.3.7",
            "A 206 carries ETag, Cache-Control and Vary of the 200",
        )
        .needs(RANGES)
        .on_a([read()
            .with("Range", "bytes=2-9")
            .status(&[206])
            .expect(Expect::Same("ETag", "a"))
            .expect(Expect::Same("Cache-Control", "a"))
            .expect(Expect::Same("Vary", "a"))
            .into()]),
        should(
            "ranges/unsatisfiable",
            "RFC 9110 §15.5.17",
            "A range of nothing is 416 and says how long it is",
        )
        .needs(RANGES)
        .promised()
        .on_a([
            read()
                .with("Range", "bytes=999999-")
                .status(&[416])
                .expect(Expect::Begins("Content-Range", "bytes */"))
                .into(),
            now(A),
        ]),
        must("ranges/unknown-unit", "RFC 9110 §14.2", "A unit that is not known is ignored")
            .needs(RANGES)
            .on_a([read().with("Range", "lines=0-1").status(&[200]).holds(A).into()]),
        must("ranges/malformed", "RFC 9110 §14.2", "A malformed range is ignored or refused")
            .needs(RANGES)
            .on_a([
                read().with("Range", "bytes=9-2").status(&[200, 400, 416]).into(),
                read().with("Range", "bytes=a-b").status(&[200, 400, 416]).into(),
                read()
                    .with("Range", "bytes=99999999999999999999999-")
                    .status(&[200, 400, 416])
                    .into(),
            ]),
        must(
            "ranges/several",
            "RFC 9110 §15.3.7.2",
            "Several ranges are a multipart 206, one 206, or all",
        )
        .needs(RANGES)
        .on_a([read()
            .with("Range", "bytes=0-1,5-6")
            .status(&[200, 206])
            .expect(Expect::Where(&[200], vec![Expect::Holds(A)]))
            .expect(Expect::Where(&[206], vec![Expect::Has("Content-Type")]))
            .into()]),
        must(
            "ranges/not-modified",
            "RFC 9110 §13.2.2",
            "If-None-Match that matches is 304, not 206",
        )
        .needs(&[Need::Ranges, Need::Tag])
        .on_a([read()
            .with("Range", "bytes=0-0")
            .if_none_match("‹a›")
            .status(&[304])
            .into()]),
    ]
}

fn if_range() -> Vec<Case> {
    let source = "RFC 9110 §13.1.5";
    let part = |value: &str| read().with("Range", "bytes=2-9").with("If-Range", value);
    vec![
        must("ranges/if-range", source, "If-Range with the current tag gives the part")
            .needs(STRONG)
            .on_a([part("‹a›").status(&[206]).expect(Expect::Part(A, 2, 9)).into()]),
        must("ranges/if-range-other", source, "With another tag it gives the whole")
            .needs(RANGES)
            .on_a([part("\"no-such-tag\"").status(&[200]).holds(A).into()]),
        must(
            "ranges/if-range-stale",
            source,
            "With a stale tag it gives the whole of what is there now",
        )
        .needs(STRONG)
        .on_a([write(B).ok().into(), part("‹a›").status(&[200]).holds(B).into()]),
        must(
            "ranges/if-range-weak",
            source,
            "The comparison is strong: a weak form gives the whole",
        )
        .needs(STRONG)
        .on_a([part("‹a.weak›").status(&[200]).holds(A).into()]),
        must(
            "ranges/if-range-date",
            source,
            "With the Last-Modified it gives the part, or the whole where a date is too coarse",
        )
        .needs(&[Need::Ranges, Need::LastModified])
        .on_a([part("‹a.modified›")
            .status(&[200, 206])
            .expect(Expect::Where(&[206], vec![Expect::Part(A, 2, 9)]))
            .expect(Expect::Where(&[200], vec![Expect::Holds(A)]))
            .into()]),
        must(
            "ranges/if-range-date-other",
            source,
            "With another date, a later one too, it gives the whole",
        )
        .needs(&[Need::Ranges, Need::LastModified])
        .on_a([
            part("‹a.before›").status(&[200]).holds(A).into(),
            part("‹a.after›").status(&[200]).holds(A).into(),
        ]),
        must(
            "ranges/if-range-malformed",
            source,
            "With neither a tag nor a date it gives the whole, or is refused",
        )
        .needs(RANGES)
        .on_a([part("nonsense")
            .status(&[200, 400])
            .expect(Expect::Where(&[200], vec![Expect::Holds(A)]))
            .into()]),
        must("ranges/if-range-alone", source, "Without Range it is ignored")
            .needs(RANGES)
            .on_a([read().with("If-Range", "\"no-such-tag\"").status(&[200]).holds(A).into()]),
    ]
}
