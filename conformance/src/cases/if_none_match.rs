//! `If-None-Match` (RFC 9110 §13.1.2): the guard against a second creation, and the way to a 304.

use crate::build::{delete, head, may, must, now, read, unchanged, write};
use crate::case::{Case, Expect, Need};
use crate::content::{A, B};

const SOURCE: &str = "RFC 9110 §13.1.2";

pub(super) fn cases() -> Vec<Case> {
    vec![
        must("if-none-match/create", SOURCE, "* lets the first write through")
            .needs(&[Need::Absence])
            .steps([write(A).if_none_match("*").ok().into(), now(A)]),
        must(
            "if-none-match/create-twice",
            SOURCE,
            "* stops a second one: 412, and nothing changes",
        )
        .needs(&[Need::Absence])
        .steps([
            write(A).if_none_match("*").ok().into(),
            read().save("a").holds(A).into(),
            write(B).if_none_match("*").status(&[412]).into(),
            unchanged(),
        ]),
        must("if-none-match/star", SOURCE, "* stops a write where something is there")
            .on_a([write(B).if_none_match("*").status(&[412]).into(), unchanged()]),
        must("if-none-match/create-again", SOURCE, "* lets a write through after a delete")
            .needs(&[Need::Absence, Need::Delete])
            .on_a([delete().ok().into(), write(B).if_none_match("*").ok().into(), now(B)]),
        must("if-none-match/put-current", SOURCE, "The current tag stops a write")
            .needs(&[Need::Tag])
            .on_a([
                write(B).if_none_match("‹a›").status(&[412]).into(),
                read().status(&[200]).holds(A).into(),
            ]),
        must(
            "if-none-match/put-weak",
            SOURCE,
            "The comparison is weak: the current tag with W/ stops a write",
        )
        .needs(&[Need::StrongTag])
        .on_a([write(B).if_none_match("‹a.weak›").status(&[412]).into(), unchanged()]),
        must("if-none-match/put-other", SOURCE, "Another tag lets a write through")
            .on_a([write(B).if_none_match("\"no-such-tag\"").ok().into(), now(B)]),
        must(
            "if-none-match/put-absent",
            SOURCE,
            "Any tag lets a write through where nothing is there",
        )
        .needs(&[Need::Absence])
        .steps([write(A).if_none_match("\"no-such-tag\"").ok().into(), now(A)]),
        must("if-none-match/delete", SOURCE, "The current tag stops a delete")
            .needs(&[Need::Tag])
            .on_a([
                delete().if_none_match("‹a›").status(&[412]).into(),
                read().status(&[200]).holds(A).into(),
            ]),
        must("if-none-match/get", SOURCE, "The current tag makes a GET 304")
            .needs(&[Need::Tag])
            .on_a([read().if_none_match("‹a›").status(&[304]).into()]),
        must(
            "if-none-match/get-weak",
            SOURCE,
            "The comparison is weak: so does the current tag with W/",
        )
        .needs(&[Need::Tag])
        .on_a([read().if_none_match("‹a.weak›").status(&[304]).into()]),
        must("if-none-match/get-strong", SOURCE, "And so does a weak tag without its W/")
            .needs(&[Need::WeakTag])
            .on_a([read().if_none_match("‹a.opaque›").status(&[304]).into()]),
        must("if-none-match/get-other", SOURCE, "Another tag makes a GET 200").on_a([read()
            .if_none_match("\"no-such-tag\"")
            .status(&[200])
            .holds(A)
            .into()]),
        must("if-none-match/get-stale", SOURCE, "A tag is 304 only as long as nothing changes")
            .needs(&[Need::StrongTag])
            .on_a([
                write(B).ok().into(),
                read().save("b").if_none_match("‹a›").status(&[200]).holds(B).into(),
            ]),
        must("if-none-match/get-star", SOURCE, "* makes a GET 304 where something is there")
            .on_a([read().if_none_match("*").status(&[304]).into()]),
        must("if-none-match/quoted-star", SOURCE, "\"*\" in quotes is a tag like any other")
            .on_a([read().if_none_match("\"*\"").status(&[200]).holds(A).into()]),
        must("if-none-match/head", SOURCE, "The current tag makes a HEAD 304")
            .needs(&[Need::Tag, Need::Head])
            .on_a([
                head().if_none_match("‹a›").status(&[304]).into(),
                head().if_none_match("\"no-such-tag\"").status(&[200]).into(),
            ]),
        may("if-none-match/refusal-tag", "RFC 9110 §15.5.13", "A 412 carries the current ETag")
            .needs(&[Need::StrongTag])
            .promised()
            .on_a([write(B)
                .if_none_match("*")
                .status(&[412])
                .expect(Expect::Same("ETag", "a"))
                .into()]),
    ]
}
