//! Writes and deletes under no condition.

use crate::build::{delete, must, nothing, now, read, send, should, unchanged, write};
use crate::case::{Case, Need};
use crate::content::{A, B};
use crate::profile::Profile;

pub(super) fn cases() -> Vec<Case> {
    vec![
        must(
            "writes/condition-required",
            "RFC 6585 §3",
            "A write without the condition that the server wants is 428, and writes nothing",
        )
        .needs(&[Need::ConditionRequired, Need::Absence])
        .profiles(&[Profile::Generic, Profile::RunStore])
        .on_a([send("PUT", "‹here›").json("{}").status(&[428]).into(), unchanged()]),
        must("writes/read-back", "RFC 9110 §9.3.4", "A write is seen by the next read").steps([
            write(A).ok().into(),
            now(A),
            write(B).ok().into(),
            now(B),
        ]),
        must("writes/created", "RFC 9110 §9.3.4", "A write that creates is answered 201")
            .needs(&[Need::Created])
            .steps([write(A).status(&[201]).into()]),
        must("writes/replaced", "RFC 9110 §9.3.4", "A write that replaces is answered 200 or 204")
            .needs(&[Need::Replaced])
            .steps([write(A).ok().into(), write(B).status(&[200, 204]).into(), now(B)]),
        must("writes/delete", "RFC 9110 §9.3.5", "After a delete nothing is there")
            .needs(&[Need::Absence])
            .steps([write(A).ok().into(), delete().status(&[200, 202, 204]).into(), nothing()]),
        should("writes/delete-absent", "RFC 9110 §15.5.5", "A delete of nothing is 404 or 410")
            .needs(&[Need::Absence])
            .promised()
            .steps([delete().status(&[404, 410]).into()]),
        must("writes/absent", "RFC 9110 §15.5.5", "What was never written is 404")
            .needs(&[Need::Absence])
            .steps([read().status(&[404]).into()]),
    ]
}
