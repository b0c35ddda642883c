//! `If-Match` (RFC 9110 §13.1.1): the guard against a lost update.

use crate::build::{delete, head, may, must, nothing, now, read, unchanged, write};
use crate::case::{Case, Expect, Need};
use crate::content::{A, B, C};

const STRONG: &[Need] = &[Need::StrongTag];
const SOURCE: &str = "RFC 9110 §13.1.1";

pub(super) fn cases() -> Vec<Case> {
    vec![
        must("if-match/current", SOURCE, "The current tag lets a write through")
            .needs(STRONG)
            .on_a([write(B).if_match("‹a›").ok().into(), now(B)]),
        must("if-match/stale", SOURCE, "A stale tag stops a write: 412, and nothing changes")
            .needs(STRONG)
            .on_a([
                write(B).if_match("‹a›").ok().into(),
                read().save("b").holds(B).into(),
                write(C).if_match("‹a›").status(&[412]).into(),
                read().holds(B).expect(Expect::Same("ETag", "b")).into(),
            ]),
        must("if-match/unknown", SOURCE, "A tag that never was stops a write")
            .on_a([write(B).if_match("\"no-such-tag\"").status(&[412]).into(), unchanged()]),
        must(
            "if-match/weak",
            SOURCE,
            "The comparison is strong: the current tag with W/ stops a write",
        )
        .needs(STRONG)
        .on_a([write(B).if_match("‹a.weak›").status(&[412]).into(), unchanged()]),
        must("if-match/weak-tag", SOURCE, "A weak tag that the server gave stops a write")
            .needs(&[Need::WeakTag])
            .on_a([
                write(B).if_match("‹a›").status(&[412]).into(),
                read().holds(A).into(),
                write(B).if_match("‹a.opaque›").status(&[412]).into(),
                read().holds(A).into(),
            ]),
        must("if-match/case", "RFC 9110 §8.8.3", "Tags are told apart by upper and lower case")
            .needs(STRONG)
            .on_a([write(B).if_match("‹a.flipped›").status(&[412]).into(), unchanged()]),
        must("if-match/star", SOURCE, "* lets a write through where something is there")
            .on_a([write(B).if_match("*").ok().into(), now(B)]),
        must("if-match/star-absent", SOURCE, "* stops a write where nothing is there")
            .needs(&[Need::Absence])
            .steps([write(A).if_match("*").status(&[412]).into(), nothing()]),
        must("if-match/absent", SOURCE, "A tag stops a write where nothing is there")
            .needs(&[Need::Absence])
            .steps([write(A).if_match("\"no-such-tag\"").status(&[412]).into(), nothing()]),
        must("if-match/deleted", SOURCE, "The tag of what was deleted stops a write")
            .needs(&[Need::StrongTag, Need::Absence, Need::Delete])
            .on_a([
                delete().ok().into(),
                write(B).if_match("‹a›").status(&[412]).into(),
                nothing(),
            ]),
        must("if-match/quoted-star", SOURCE, "\"*\" in quotes is a tag like any other")
            .on_a([write(B).if_match("\"*\"").status(&[412]).into(), unchanged()]),
        must("if-match/delete", SOURCE, "The current tag lets a delete through")
            .needs(&[Need::StrongTag, Need::Absence, Need::Delete])
            .on_a([delete().if_match("‹a›").ok().into(), nothing()]),
        must("if-match/delete-stale", SOURCE, "A stale tag stops a delete").needs(STRONG).on_a([
            write(B).ok().into(),
            read().save("b").holds(B).into(),
            delete().if_match("‹a›").status(&[412]).into(),
            read().status(&[200]).holds(B).into(),
        ]),
        must("if-match/delete-weak", SOURCE, "The current tag with W/ stops a delete")
            .needs(STRONG)
            .on_a([delete().if_match("‹a.weak›").status(&[412]).into(), unchanged()]),
        must("if-match/get", SOURCE, "A tag that never was makes a GET 412, the current one 200")
            .needs(STRONG)
            .on_a([
                read().if_match("\"no-such-tag\"").status(&[412]).into(),
                read().if_match("‹a›").status(&[200]).holds(A).into(),
            ]),
        must("if-match/get-weak", SOURCE, "The current tag with W/ makes a GET 412")
            .needs(STRONG)
            .on_a([read().if_match("‹a.weak›").status(&[412]).into()]),
        must("if-match/head", SOURCE, "A tag that never was makes a HEAD 412, without a body")
            .needs(&[Need::StrongTag, Need::Head])
            .on_a([
                head().if_match("\"no-such-tag\"").status(&[412]).into(),
                head().if_match("‹a›").status(&[200]).into(),
            ]),
        must("if-match/name", "RFC 9110 §5.1", "The field's name is written in any case").on_a([
            write(B).with("iF-mAtCh", "\"no-such-tag\"").status(&[412]).into(),
            unchanged(),
        ]),
        may("if-match/refusal-tag", "RFC 9110 §15.5.13", "A 412 carries the current ETag")
            .needs(STRONG)
            .promised()
            .on_a([write(B)
                .if_match("\"no-such-tag\"")
                .status(&[412])
                .expect(Expect::Same("ETag", "a"))
                .into()]),
    ]
}
