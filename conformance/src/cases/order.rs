//! What comes before what (RFC 9110 §13.2).

use crate::build::{delete, must, nothing, now, read, send, unchanged, write};
use crate::case::{Case, Expect, Need};
use crate::content::{A, B};

const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

pub(super) fn cases() -> Vec<Case> {
    [precedence(), first()].concat()
}

fn precedence() -> Vec<Case> {
    let source = "RFC 9110 §13.2.2";
    let strong = &[Need::StrongTag];
    vec![
        must(
            "order/match-over-unmodified",
            source,
            "If-Unmodified-Since is ignored beside If-Match that holds",
        )
        .needs(strong)
        .on_a([write(B).if_match("‹a›").with("If-Unmodified-Since", LONG_AGO).ok().into(), now(B)]),
        must(
            "order/match-fails-first",
            source,
            "If-Match that fails stops a write, whatever If-Unmodified-Since says",
        )
        .on_a([
            write(B)
                .if_match("\"no-such-tag\"")
                .with("If-Unmodified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")
                .status(&[412])
                .into(),
            unchanged(),
        ]),
        must(
            "order/none-match-over-modified",
            source,
            "If-Modified-Since is ignored beside If-None-Match that holds",
        )
        .needs(&[Need::LastModified])
        .on_a([read()
            .if_none_match("\"no-such-tag\"")
            .with("If-Modified-Since", "‹a.modified›")
            .status(&[200])
            .holds(A)
            .into()]),
        must(
            "order/none-match-alone-decides",
            source,
            "If-None-Match that matches is 304, whatever If-Modified-Since says",
        )
        .needs(&[Need::Tag])
        .on_a([read()
            .if_none_match("‹a›")
            .with("If-Modified-Since", LONG_AGO)
            .status(&[304])
            .into()]),
        must("order/match-before-none-match", source, "If-Match is decided first: 412 before 304")
            .needs(&[Need::Tag])
            .on_a([read().if_match("\"no-such-tag\"").if_none_match("‹a›").status(&[412]).into()]),
        must("order/both-read", source, "If-Match that holds and If-None-Match that matches: 304")
            .needs(strong)
            .on_a([read().if_match("‹a›").if_none_match("‹a›").status(&[304]).into()]),
        must("order/both-write", source, "The same for a write: 412").needs(strong).on_a([
            write(B).if_match("‹a›").if_none_match("‹a›").status(&[412]).into(),
            unchanged(),
        ]),
        must("order/both-hold", source, "If-Match and If-None-Match that hold let a write through")
            .needs(strong)
            .on_a([write(B).if_match("‹a›").if_none_match("\"x\"").ok().into(), now(B)]),
    ]
}

fn first() -> Vec<Case> {
    let source = "RFC 9110 §13.2.1";
    let guarded = &[Need::Authorization, Need::Tag];
    vec![
        must("order/absent-get", source, "404 comes before conditions of a GET")
            .needs(&[Need::Absence])
            .steps([
                read().if_none_match("\"no-such-tag\"").status(&[404]).into(),
                read().if_none_match("*").status(&[404]).into(),
            ]),
        must("order/absent-delete", source, "A condition on nothing: a delete is 404 or 412")
            .needs(&[Need::Absence])
            .steps([delete().if_match("\"no-such-tag\"").status(&[404, 412]).into(), nothing()]),
        must("order/auth-write", source, "401 or 403 comes before 412").needs(guarded).on_a([
            write(B).if_match("\"no-such-tag\"").anonymous().status(&[401, 403]).into(),
            write(B).if_match("‹a›").anonymous().status(&[401, 403]).into(),
            unchanged(),
        ]),
        must("order/auth-read", source, "401 or 403 comes before 304, and tells no ETag")
            .needs(guarded)
            .on_a([read()
                .if_none_match("‹a›")
                .anonymous()
                .status(&[401, 403])
                .expect(Expect::Lacks("ETag"))
                .into()]),
        must(
            "order/auth-absent",
            source,
            "Whether something is there is not told without credentials",
        )
        .needs(guarded)
        .steps([read().anonymous().status(&[401, 403]).into()]),
        must("order/challenge", "RFC 9110 §15.5.2", "A 401 says which credentials are wanted")
            .needs(guarded)
            .on_a([read()
                .anonymous()
                .status(&[401, 403])
                .expect(Expect::Where(&[401], vec![Expect::Has("WWW-Authenticate")]))
                .into()]),
        must("order/method", source, "A method that is not known is refused as that, not with 412")
            .on_a([
                send("CONFORM", "‹here›")
                    .if_match("\"no-such-tag\"")
                    .status(&[400, 405, 501])
                    .into(),
                unchanged(),
            ]),
        must("order/allow", "RFC 9110 §15.5.6", "A 405 says what is allowed").on_a([send(
            "CONFORM",
            "‹here›",
        )
        .expect(Expect::Refusal)
        .expect(Expect::Where(&[405], vec![Expect::Has("Allow")]))
        .into()]),
        must("order/range", "RFC 9110 §13.2.2", "If-Match that fails makes a GET with Range 412")
            .on_a([read()
                .if_match("\"no-such-tag\"")
                .with("Range", "bytes=0-0")
                .status(&[412])
                .into()]),
    ]
}
