//! `If-Modified-Since` and `If-Unmodified-Since` (RFC 9110 §13.1.3, §13.1.4).

use crate::build::{must, now, read, should, unchanged, write};
use crate::case::{Case, Need};
use crate::content::{A, B};

const DATED: &[Need] = &[Need::LastModified];
const SINCE: &str = "If-Modified-Since";
const UNMODIFIED: &str = "If-Unmodified-Since";
const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

pub(super) fn cases() -> Vec<Case> {
    [modified(), unmodified()].concat()
}

fn modified() -> Vec<Case> {
    let source = "RFC 9110 §13.1.3";
    let whole = |id, title, value: &str| {
        must(id, source, title).on_a([read().with(SINCE, value).status(&[200]).holds(A).into()])
    };
    vec![
        should("dates/since-current", source, "If-Modified-Since with the Last-Modified is 304")
            .needs(DATED)
            .promised()
            .on_a([read().with(SINCE, "‹a.modified›").status(&[304]).into()]),
        whole("dates/since-long-ago", "With a date long ago it is 200", LONG_AGO),
        should("dates/since-rfc850", "RFC 9110 §5.6.7", "Dates of RFC 850 are understood")
            .needs(DATED)
            .promised()
            .on_a([read().with(SINCE, "‹a.rfc850›").status(&[304]).into()]),
        should("dates/since-asctime", "RFC 9110 §5.6.7", "Dates of asctime are understood")
            .needs(DATED)
            .promised()
            .on_a([read().with(SINCE, "‹a.asctime›").status(&[304]).into()]),
        whole("dates/since-malformed", "A date that is none is ignored", "yesterday"),
        whole("dates/since-empty", "So is an empty one", ""),
        must("dates/since-number", source, "And one that is a number").on_a([read()
            .with(SINCE, "99999999999999999999")
            .status(&[200])
            .holds(A)
            .into()]),
        must(
            "dates/since-put",
            source,
            "If-Modified-Since is for GET and HEAD: a write ignores it",
        )
        .needs(DATED)
        .on_a([write(B).with(SINCE, "‹a.after›").ok().into(), now(B)]),
    ]
}

fn unmodified() -> Vec<Case> {
    let source = "RFC 9110 §13.1.4";
    vec![
        must("dates/unmodified-long-ago", source, "If-Unmodified-Since long ago stops a write")
            .needs(DATED)
            .on_a([write(B).with(UNMODIFIED, "‹a.before›").status(&[412]).into(), unchanged()]),
        must("dates/unmodified-current", source, "With the Last-Modified it lets a write through")
            .needs(DATED)
            .on_a([write(B).with(UNMODIFIED, "‹a.modified›").ok().into(), now(B)]),
        must("dates/unmodified-malformed", source, "A date that is none is ignored")
            .on_a([write(B).with(UNMODIFIED, "yesterday").ok().into(), now(B)]),
        must(
            "dates/unmodified-no-date",
            source,
            "Where there is no Last-Modified, If-Unmodified-Since is ignored",
        )
        .needs(&[Need::NoLastModified])
        .on_a([write(B).with(UNMODIFIED, LONG_AGO).ok().into(), now(B)]),
        must("dates/unmodified-get", source, "If-Unmodified-Since long ago makes a GET 412")
            .needs(DATED)
            .on_a([read().with(UNMODIFIED, "‹a.before›").status(&[412]).into()]),
    ]
}
