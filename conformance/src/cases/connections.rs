//! Connections (RFC 9112 §9): an answer without a fault in its framing leaves them usable.

use crate::build::{delete, must, read, write};
use crate::case::{Call, Case, Need};
use crate::content::{A, B};

const SOURCE: &str = "RFC 9112 §9.3";

pub(super) fn cases() -> Vec<Case> {
    let after = |id, title, first: Call| {
        must(id, SOURCE, title)
            .needs(&[Need::KeepAlive])
            .on_a([first.into(), read().same_connection().status(&[200]).holds(A).into()])
    };
    vec![
        after(
            "connections/after-304",
            "The connection answers on after a 304",
            read().if_none_match("*").provided(&[304]),
        ),
        after(
            "connections/after-412",
            "And after a 412 to a write",
            write(B).if_match("\"no-such-tag\"").provided(&[412]),
        ),
        after(
            "connections/after-412-delete",
            "And after a 412 to a delete",
            delete().if_match("\"no-such-tag\"").provided(&[412]),
        ),
        after(
            "connections/after-412-read",
            "And after a 412 to a GET",
            read().if_match("\"no-such-tag\"").provided(&[412]),
        ),
        after(
            "connections/after-405",
            "And after a method that is not known",
            crate::build::send("CONFORM", "‹here›").provided(&[400, 405, 501]),
        ),
        must("connections/after-404", SOURCE, "And after a 404")
            .needs(&[Need::KeepAlive, Need::Absence])
            .steps([
                read().status(&[404]).into(),
                write(A).same_connection().ok().into(),
                read().same_connection().status(&[200]).holds(A).into(),
            ]),
        must("connections/after-416", SOURCE, "And after a 416")
            .needs(&[Need::KeepAlive, Need::Ranges])
            .on_a([
                read().with("Range", "bytes=999999-").status(&[200, 416]).into(),
                read().same_connection().status(&[200]).holds(A).into(),
            ]),
        must("connections/after-401", SOURCE, "And after a write without credentials")
            .needs(&[Need::KeepAlive, Need::Authorization])
            .on_a([
                write(B).anonymous().provided(&[401, 403]).into(),
                read().same_connection().status(&[200]).holds(A).into(),
            ]),
    ]
}
