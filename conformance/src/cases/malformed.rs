//! Conditions that are not well-formed. A server may refuse them; it must not take one for a
//! condition that holds, and it must not fall over.

use crate::build::{must, read, unchanged, write};
use crate::case::{Call, Case, Expect, Need, Step};
use crate::content::{A, B};

/// Neither `*` nor a list in which a tag matches: "otherwise, the condition is false".
const FALSE: &str = "RFC 9110 §13.1.1";

pub(super) fn cases() -> Vec<Case> {
    [matches(), none_matches(), lines()].concat()
}

/// The write is refused, by 412 or another 4xx, and nothing changes.
fn refused(id: &'static str, title: &'static str, value: &str) -> Case {
    must(id, FALSE, title).on_a([refusal(value).into(), unchanged()])
}

fn refusal(value: &str) -> Call {
    write(B).if_match(value).expect(Expect::NoServerError).expect(Expect::Refusal)
}

fn matches() -> Vec<Case> {
    vec![
        refused("malformed/unquoted", "A word without quotes matches nothing", "no-such-tag"),
        refused("malformed/unterminated", "A tag without its end matches nothing", "\"no-such-tag"),
        refused("malformed/single-quotes", "Nor does one in other quotes", "'no-such-tag'"),
        refused("malformed/weak-only", "Nor does W/ alone", "W/"),
        refused("malformed/text-after", "Nor does a tag with text after it", "\"no\" such tag"),
        refused(
            "malformed/semicolons",
            "Nor do tags between semicolons",
            "\"no\";\"such\";\"tag\"",
        ),
        refused("malformed/control", "Nor does a tag with a control character", "\"a\u{1}b\""),
        refused("malformed/space", "Nor does a tag with a space", "\"no such tag\""),
        must(
            "malformed/lower-weak",
            "RFC 9110 §8.8.3",
            "w/ is not W/: the current tag behind it does not match",
        )
        .needs(&[Need::StrongTag])
        .on_a([refusal("w/‹a.opaque›").into(), unchanged()]),
        must(
            "malformed/unterminated-current",
            FALSE,
            "The current tag without its end quote: refused, or taken, and never half",
        )
        .needs(&[Need::StrongTag])
        .on_a(whole_or_not(write(B).if_match("\"‹a.inner›"))),
        must(
            "malformed/unquoted-current",
            FALSE,
            "The current tag without quotes: refused, or taken, and never half",
        )
        .needs(&[Need::StrongTag])
        .on_a(whole_or_not(write(B).if_match("‹a.inner›"))),
        must("malformed/star-in-list", FALSE, "* in a list: refused, or taken, and never half")
            .on_a(whole_or_not(write(B).if_match("*, \"x\""))),
        must("malformed/empty", FALSE, "An empty If-Match: refused, or passed over, and never 5xx")
            .on_a(whole_or_not(write(B).if_match(""))),
        must("malformed/commas", FALSE, "A list of nothing but commas matches nothing")
            .on_a(whole_or_not(write(B).if_match(" , ,,"))),
        must("malformed/long-tag", FALSE, "A tag of 64 KiB is refused").on_a([
            refusal(&format!("\"{}\"", "x".repeat(64 << 10))).may_close().into(),
            unchanged(),
        ]),
        must("malformed/long-list", FALSE, "A list of 64 KiB is refused")
            .on_a([refusal(&"\"x\", ".repeat(13_000)).may_close().into(), unchanged()]),
        must("malformed/many-lines", FALSE, "500 lines that do not match are refused").on_a([
            (0..500)
                .fold(write(B), |call, _| call.if_match("\"x\""))
                .expect(Expect::NoServerError)
                .expect(Expect::Refusal)
                .may_close()
                .into(),
            unchanged(),
        ]),
    ]
}

/// The write is done or refused, and what stands there fits its answer.
fn whole_or_not(write: Call) -> [Step; 2] {
    let outcome = Expect::Outcome { of: "w", before: A, after: B };
    [
        write.save("w").expect(Expect::NoServerError).into(),
        read().status(&[200]).expect(outcome).into(),
    ]
}

fn none_matches() -> Vec<Case> {
    let source = "RFC 9110 §13.1.2";
    let read_whole = |id, title, value: &str| {
        must(id, source, title).on_a([read()
            .if_none_match(value)
            .status(&[200, 400, 412])
            .expect(Expect::Where(&[200], vec![Expect::Holds(A)]))
            .into()])
    };
    vec![
        read_whole(
            "malformed/read-unquoted",
            "If-None-Match without quotes is no 304",
            "no-such-tag",
        ),
        read_whole("malformed/read-unterminated", "Nor is one without its end", "\"no-such-tag"),
        read_whole("malformed/read-control", "Nor one with a control character", "\"a\u{1}b\""),
        read_whole("malformed/read-commas", "Nor a list of nothing but commas", ",,"),
        must(
            "malformed/create-unquoted",
            source,
            "A write under it is done or refused, and never half",
        )
        .on_a(whole_or_not(write(B).if_none_match("no-such-tag"))),
    ]
}

/// Header lines that are not well-formed.
fn lines() -> Vec<Case> {
    vec![
        must("malformed/folded", "RFC 9112 §5.2", "A folded line is refused, or joined")
            .needs(&[Need::StrongTag])
            .on_a(whole_or_not(write(B).if_match("\"x\",\r\n ‹a›").may_close())),
        must(
            "malformed/folded-miss",
            "RFC 9112 §5.2",
            "A folded line that does not match stops a write",
        )
        .on_a([
            write(B)
                .if_match("\"x\",\r\n \"y\"")
                .may_close()
                .expect(Expect::NoServerError)
                .expect(Expect::Refusal)
                .into(),
            unchanged(),
        ]),
        must(
            "malformed/space-before-colon",
            "RFC 9112 §5.1",
            "A space before the colon is refused, not passed over",
        )
        .on_a([
            write(B).with("If-Match ", "\"no-such-tag\"").status(&[400]).may_close().into(),
            unchanged(),
        ]),
        must("malformed/nul", "RFC 9110 §5.5", "A NUL in a condition is refused")
            .on_a([refusal("\"a\u{0}b\"").may_close().into(), unchanged()]),
    ]
}
