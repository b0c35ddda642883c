//! Entity tags and dates as validators (RFC 9110 §8.8).

use crate::build::{delete, head, may, must, read, should, unchanged, write};
use crate::case::{Case, Expect, Need};
use crate::content::{A, B, LONGER};

pub(super) fn cases() -> Vec<Case> {
    vec![
        should("etag/present", "RFC 9110 §8.8.3", "An answer to GET has an ETag")
            .promised()
            .on_a([read().has("ETag").into()]),
        may("etag/strong", "RFC 9110 §8.8.1", "The ETag is strong: only then can it guard a write")
            .promised()
            .needs(&[Need::Tag])
            .on_a([read().save("s").expect(Expect::StrongTag).into()]),
        must("etag/syntax", "RFC 9110 §8.8.3", "ETag is well-formed in every answer").on_a([
            write(B).save("w").expect(Expect::TagSyntax).into(),
            read().save("b").expect(Expect::TagSyntax).into(),
            head().expect(Expect::TagSyntax).into(),
            read().if_none_match("*").expect(Expect::TagSyntax).into(),
            write(A).if_match("\"no-such-tag\"").expect(Expect::TagSyntax).into(),
        ]),
        should("etag/stable", "RFC 9110 §8.8.3", "What does not change keeps its ETag")
            .promised()
            .needs(&[Need::Tag])
            .on_a([unchanged(), unchanged()]),
        must(
            "etag/changes",
            "RFC 9110 §8.8.1",
            "Other bytes of the same length, written at once after, have another ETag",
        )
        .needs(&[Need::StrongTag])
        .on_a([
            write(B).ok().into(),
            read().save("b").holds(B).expect(Expect::OtherTag("a")).into(),
            write(A).ok().into(),
            read().save("c").holds(A).expect(Expect::OtherTag("b")).into(),
        ]),
        must(
            "etag/changes-with-length",
            "RFC 9110 §8.8.1",
            "Bytes of another length have another ETag",
        )
        .needs(&[Need::Tag])
        .on_a([
            write(LONGER).ok().into(),
            read().holds(LONGER).expect(Expect::OtherTag("a")).into(),
        ]),
        must(
            "etag/of-a-write",
            "RFC 9110 §9.3.4",
            "An ETag in the answer to a write is that of the next read",
        )
        .needs(&[Need::Tag])
        .steps([
            write(A).ok().save("w").into(),
            read().holds(A).expect(Expect::TagOfWrite("w")).into(),
            write(B).ok().save("v").into(),
            read().holds(B).expect(Expect::TagOfWrite("v")).into(),
        ]),
        may(
            "etag/aba",
            "RFC 9110 §8.8.1",
            "The same bytes again, with others between, have another ETag",
        )
        .promised()
        .needs(&[Need::StrongTag])
        .on_a([
            write(B).ok().into(),
            write(A).ok().into(),
            write(LONGER).if_match("‹a›").status(&[412]).into(),
            read().status(&[200]).holds(A).into(),
        ]),
        may(
            "etag/aba-delete",
            "RFC 9110 §8.8.1",
            "What is deleted and written again has another ETag",
        )
        .promised()
        .needs(&[Need::StrongTag, Need::Absence, Need::Delete])
        .on_a([
            delete().ok().into(),
            write(A).ok().into(),
            write(B).if_match("‹a›").status(&[412]).into(),
            read().status(&[200]).holds(A).into(),
        ]),
        must("etag/last-modified", "RFC 9110 §8.8.2.1", "Last-Modified is not later than Date")
            .needs(&[Need::LastModified])
            .on_a([read().expect(Expect::NotModifiedInFuture).into()]),
        must("etag/date", "RFC 9110 §6.6.1", "Answers have a Date").on_a([
            read().has("Date").into(),
            read().if_none_match("*").has("Date").into(),
            write(B).if_match("\"no-such-tag\"").has("Date").into(),
        ]),
    ]
}
