//! Many clients at once: comparison and write are one step (RFC 9110 §13.2.2 leaves no gap).

use crate::build::{must, race};
use crate::case::{Case, Need};
use crate::race::Race;

pub(super) fn cases() -> Vec<Case> {
    vec![
        must(
            "races/writers",
            "RFC 9110 §13.1.1",
            "Of eight writers who hold the same tag exactly one wins",
        )
        .needs(&[Need::StrongTag])
        .steps([race(Race::Writers { rounds: 25 })]),
        must(
            "races/counter",
            "RFC 9110 §13.1.1",
            "Eight clients count by read, change, write: nothing is lost",
        )
        .needs(&[Need::StrongTag])
        .steps([race(Race::Counter)]),
        must(
            "races/creators",
            "RFC 9110 §13.1.2",
            "Of eight who create under If-None-Match: * exactly one wins",
        )
        .needs(&[Need::Absence, Need::Delete])
        .steps([race(Race::Creators { rounds: 25 })]),
        must(
            "races/deleters",
            "RFC 9110 §13.1.1",
            "Of eight who delete under the same tag exactly one succeeds",
        )
        .needs(&[Need::StrongTag, Need::Delete])
        .steps([race(Race::Deleters { rounds: 10 })]),
        must(
            "races/writer-and-deleter",
            "RFC 9110 §13.1.1",
            "Of a write and a delete under the same tag exactly one wins",
        )
        .needs(&[Need::StrongTag])
        .steps([race(Race::WriterAndDeleter { rounds: 25 })]),
        must(
            "races/readers",
            "RFC 9110 §8.8.1",
            "A reader beside a writer gets whole versions, each under a tag of its own",
        )
        .steps([race(Race::Readers)]),
    ]
}
