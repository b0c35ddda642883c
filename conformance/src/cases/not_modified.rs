//! 304 (RFC 9110 §15.4.5): the fields that a cache needs, and no body.

use crate::build::{head, must, now, read};
use crate::case::{Case, Expect, Need};
use crate::content::A;

pub(super) fn cases() -> Vec<Case> {
    vec![
        must("not-modified/no-body", "RFC 9110 §15.4.5", "No byte of a body follows a 304")
            .needs(&[Need::Tag, Need::KeepAlive])
            .on_a([
                read().if_none_match("‹a›").provided(&[304]).into(),
                read().same_connection().status(&[200]).holds(A).into(),
            ]),
        must("not-modified/etag", "RFC 9110 §15.4.5", "A 304 carries the ETag of the 200")
            .needs(&[Need::Tag])
            .on_a([read()
                .if_none_match("‹a›")
                .provided(&[304])
                .expect(Expect::Same("ETag", "a"))
                .into()]),
        must(
            "not-modified/fields",
            "RFC 9110 §15.4.5",
            "And its Cache-Control, Content-Location and Vary",
        )
        .needs(&[Need::Tag])
        .on_a([read()
            .if_none_match("‹a›")
            .provided(&[304])
            .expect(Expect::Same("Cache-Control", "a"))
            .expect(Expect::Same("Content-Location", "a"))
            .expect(Expect::Same("Vary", "a"))
            .into()]),
        must(
            "not-modified/length",
            "RFC 9110 §8.6",
            "A Content-Length in a 304 is that of the 200, if there is one",
        )
        .needs(&[Need::Tag])
        .on_a([read()
            .if_none_match("‹a›")
            .provided(&[304])
            .expect(Expect::SameOrAbsent("Content-Length", "a"))
            .into()]),
        must("not-modified/head", "RFC 9110 §13.1.2", "A 304 to a HEAD has the same fields")
            .needs(&[Need::Tag, Need::Head])
            .on_a([
                head()
                    .if_none_match("‹a›")
                    .provided(&[304])
                    .expect(Expect::Same("ETag", "a"))
                    .expect(Expect::Same("Cache-Control", "a"))
                    .expect(Expect::Same("Vary", "a"))
                    .into(),
                now(A),
            ]),
        must(
            "not-modified/head-length",
            "RFC 9110 §8.6",
            "A Content-Length in a 304 to a HEAD is that of the 200 too, never that of the empty body",
        )
        .needs(&[Need::Tag, Need::Head])
        .on_a([head()
            .if_none_match("‹a›")
            .provided(&[304])
            .expect(Expect::SameOrAbsent("Content-Length", "a"))
            .into()]),
    ]
}
