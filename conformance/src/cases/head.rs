//! `HEAD` (RFC 9110 §9.3.2): GET without a body.

use crate::build::{head, must, now, read, should};
use crate::case::{Case, Expect, Need};
use crate::content::A;

pub(super) fn cases() -> Vec<Case> {
    vec![
        must("head/no-body", "RFC 9110 §9.3.2", "No byte of a body follows the answer to a HEAD")
            .needs(&[Need::Head, Need::KeepAlive])
            .on_a([
                head().status(&[200]).into(),
                read().same_connection().status(&[200]).holds(A).into(),
            ]),
        must(
            "head/length",
            "RFC 9110 §8.6",
            "A Content-Length is that of the GET, if there is one",
        )
        .needs(&[Need::Head])
        .on_a([head().expect(Expect::SameOrAbsent("Content-Length", "a")).into()]),
        should(
            "head/fields",
            "RFC 9110 §9.3.2",
            "ETag, Content-Type, Cache-Control and Vary are those of the GET",
        )
        .promised()
        .needs(&[Need::Head])
        .on_a([head()
            .status(&[200])
            .expect(Expect::Same("ETag", "a"))
            .expect(Expect::Same("Content-Type", "a"))
            .expect(Expect::Same("Cache-Control", "a"))
            .expect(Expect::Same("Vary", "a"))
            .into()]),
        must("head/absent", "RFC 9110 §9.3.2", "Where a GET is 404, so is a HEAD, without a body")
            .needs(&[Need::Head, Need::Absence, Need::KeepAlive])
            .steps([head().status(&[404]).into(), read().same_connection().status(&[404]).into()]),
        must("head/range", "RFC 9110 §14.2", "Range is for GET: a HEAD ignores it")
            .needs(&[Need::Head, Need::Ranges])
            .on_a([head().with("Range", "bytes=0-0").status(&[200]).into(), now(A)]),
    ]
}
