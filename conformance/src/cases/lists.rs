//! Lists of entity tags (RFC 9110 §5.6.1, §8.8.3): commas may stand inside a tag, members may be
//! empty, and lines are joined.

use crate::build::{must, now, read, unchanged, write};
use crate::case::{Case, Need};
use crate::content::{A, B};

const STRONG: &[Need] = &[Need::StrongTag];
const TAGS: &[Need] = &[Need::Tag];

/// Every ASCII character but letters that may stand in a tag, and then the current tag.
const ODD: &str = "\"!#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~\", ‹a›";

pub(super) fn cases() -> Vec<Case> {
    [writes(), reads()].concat()
}

/// A list that must let a write through.
fn lets(id: &'static str, source: &'static str, title: &'static str, lines: &[&str]) -> Case {
    let mut call = write(B);
    for line in lines {
        call = call.if_match(line);
    }
    must(id, source, title).needs(STRONG).on_a([call.ok().into(), now(B)])
}

/// A list that must stop a write.
fn stops(id: &'static str, source: &'static str, title: &'static str, lines: &[&str]) -> Case {
    let mut call = write(B);
    for line in lines {
        call = call.if_match(line);
    }
    must(id, source, title).needs(STRONG).on_a([call.status(&[412]).into(), unchanged()])
}

/// A list under which a GET must be 304, or the whole representation.
fn reading(id: &'static str, title: &'static str, status: &'static [u16], lines: &[&str]) -> Case {
    let mut call = read();
    for line in lines {
        call = call.if_none_match(line);
    }
    let case = must(id, "RFC 9110 §13.1.2", title).needs(TAGS);
    if status == [304] {
        case.on_a([call.status(status).into()])
    } else {
        case.on_a([call.status(status).holds(A).into()])
    }
}

fn writes() -> Vec<Case> {
    let list = "RFC 9110 §13.1.1";
    let empty = "RFC 9110 §5.6.1.2";
    let lines = "RFC 9110 §5.3";
    let syntax = "RFC 9110 §8.8.3";
    vec![
        lets(
            "lists/hit",
            list,
            "A list with the current tag lets a write through",
            &["\"x\", ‹a›"],
        ),
        lets("lists/hit-first", list, "So does one that begins with it", &["‹a›,\"x\",\"y\""]),
        stops("lists/miss", list, "A list without it stops a write", &["\"x\", \"y\",\"z\""]),
        stops(
            "lists/weak",
            list,
            "A list with its weak form only stops a write",
            &["\"x\", ‹a.weak›"],
        ),
        lets("lists/weak-and-strong", list, "A weak tag beside it does no harm", &["W/\"x\", ‹a›"]),
        lets(
            "lists/empty-members",
            empty,
            "Empty members are passed over",
            &[", ,\"x\",, ‹a› , ,"],
        ),
        lets(
            "lists/white-space",
            empty,
            "Tabs and spaces stand around commas",
            &["\"x\"\t,\t ‹a›"],
        ),
        lets("lists/no-space", empty, "No space need stand after a comma", &["\"x\",‹a›"]),
        lets("lists/lines", lines, "A second line belongs to the list", &["\"x\"", "‹a›"]),
        lets("lists/lines-first", lines, "And so does the first one", &["‹a›", "\"x\""]),
        stops("lists/lines-miss", lines, "Lines without the tag stop a write", &["\"x\"", "\"y\""]),
        lets(
            "lists/comma-inside",
            syntax,
            "A comma inside a tag does not end it",
            &["\"a,b\", ‹a›"],
        ),
        stops(
            "lists/comma-torn",
            syntax,
            "What follows a comma inside a tag is no tag",
            &["\"x,‹a.inner›\""],
        ),
        stops(
            "lists/comma-torn-front",
            syntax,
            "Nor is what stands before one",
            &["\"‹a.inner›,x\""],
        ),
        lets(
            "lists/odd-characters",
            syntax,
            "Every character that a tag may hold is taken",
            &[ODD],
        ),
        lets(
            "lists/backslash",
            syntax,
            "A backslash before the quote escapes nothing",
            &["\"\\\", ‹a›"],
        ),
        lets(
            "lists/obs-text",
            syntax,
            "Bytes above 127 may stand in a tag",
            &["\"\u{e9}\u{ff}\", ‹a›"],
        ),
        lets("lists/empty-tag", syntax, "A tag may be empty", &["\"\", ‹a›"]),
        stops("lists/prefix", list, "A part of the tag is not the tag", &["\"‹a.inner›x\""]),
    ]
}

fn reads() -> Vec<Case> {
    vec![
        reading("lists/read-hit", "A list with the current tag is 304", &[304], &["\"x\", ‹a›"]),
        reading("lists/read-weak", "So is one with its weak form", &[304], &["\"x\", ‹a.weak›"]),
        reading("lists/read-miss", "A list without it is 200", &[200], &["\"x\", W/\"y\""]),
        reading("lists/read-lines", "A second line belongs to the list", &[304], &["\"x\"", "‹a›"]),
        reading("lists/read-empty-members", "Empty members are passed over", &[304], &[",,‹a›,,"]),
        reading(
            "lists/read-comma-inside",
            "A comma inside a tag does not end it",
            &[304],
            &["\"a,b\", ‹a›"],
        ),
        reading(
            "lists/read-comma-torn",
            "What follows a comma inside a tag is no tag",
            &[200],
            &["\"x,‹a.inner›\""],
        ),
        reading(
            "lists/read-backslash",
            "A backslash before the quote escapes nothing",
            &[304],
            &["\"\\\", ‹a›"],
        ),
    ]
}
