//! The contract of the run store: one JSON document under compare-and-swap.

use crate::build::{contract, delete, nothing, read, send, unchanged, write};
use crate::case::{Call, Case, Expect, Need};
use crate::content::{A, B};
use crate::profile::Profile;

const RUN_STORE: &[Profile] = &[Profile::RunStore];

pub(super) fn cases() -> Vec<Case> {
    vec![
        contract(
            RUN_STORE,
            "run-store/first",
            "The first write is 200, with the document and its ETag",
        )
        .steps([
            write(A).if_none_match("*").status(&[200]).holds(A).save("w").into(),
            read().holds(A).expect(Expect::Same("ETag", "w")).into(),
        ]),
        contract(RUN_STORE, "run-store/next", "So is every other one").on_a([write(B)
            .if_match("‹a›")
            .status(&[200])
            .holds(B)
            .has("ETag")
            .into()]),
        contract(RUN_STORE, "run-store/delete", "A delete is 204, and 404 the second time").on_a([
            delete().status(&[204]).expect(Expect::NoBody).into(),
            delete().problem(&[404], "not_found").into(),
        ]),
        contract(
            RUN_STORE,
            "run-store/compact",
            "White space goes; order, numbers and escapes stay",
        )
        .steps([
            put(" { \"b\" : 1.0 ,\n \"a\" : [ 1e2 , \"\\ud83d\" ] } ")
                .status(&[200])
                .answers(COMPACT)
                .into(),
            read().answers(COMPACT).into(),
        ]),
        contract(RUN_STORE, "run-store/empty", "An empty body is {}")
            .steps([put("").status(&[200]).answers("{}").into(), read().answers("{}").into()]),
        contract(RUN_STORE, "run-store/no-json", "What is no JSON is 400, and nothing changes")
            .on_a([
                put("{\"a\":").problem(&[400], "invalid_json").into(),
                put("{} {}").problem(&[400], "invalid_json").into(),
                put("\"\u{1}\"").problem(&[400], "invalid_json").into(),
                unchanged(),
            ]),
        contract(
            RUN_STORE,
            "run-store/stale-and-no-json",
            "What is stale and no JSON is refused for one of them, and nothing changes",
        )
        .on_a([put("{\"a\":").if_match("\"no-such-tag\"").status(&[400, 412]).into(), unchanged()]),
        contract(RUN_STORE, "run-store/media-type", "What is not sent as JSON is 415").on_a([
            text("text/plain").problem(&[415], "unsupported_media_type").into(),
            unchanged(),
            text("application/merge-patch+json").status(&[200]).into(),
        ]),
        contract(
            RUN_STORE,
            "run-store/too-large",
            "A body that is announced too large is 413, before it is sent",
        )
        .steps([
            send("PUT", "‹here›")
                .with("Content-Length", "1099511627776")
                .with("Content-Type", "application/json")
                .with("Expect", "100-continue")
                .if_none_match("*")
                .problem(&[413], "payload_too_large")
                .into(),
            nothing(),
        ]),
        contract(RUN_STORE, "run-store/name", "A name with other characters is 400").steps([
            send("GET", "‹base›/run-stores/a%20b").problem(&[400], "invalid_name").into(),
            send("GET", "‹base›/run-stores/%2e%2e").problem(&[400], "invalid_name").into(),
            send("PUT", "‹base›/run-stores/a%2Fb")
                .json("{}")
                .problem(&[400], "invalid_name")
                .into(),
        ]),
        contract(RUN_STORE, "run-store/encoded-name", "A name is percent-decoded once")
            .needs(&[Need::Absence])
            .on_a([send("GET", "‹base›/run-stores/%63onformance-none-‹name›")
                .status(&[404])
                .into()]),
    ]
}

const COMPACT: &str = "{\"b\":1.0,\"a\":[1e2,\"\\ud83d\"]}";

/// A write under a condition that always holds: a Store may want one.
fn put(body: &str) -> Call {
    send("PUT", "‹here›").json(body).if_none_match("\"no-such-tag\"")
}

fn text(media: &str) -> Call {
    send("PUT", "‹here›").body("{}").with("Content-Type", media).if_none_match("\"no-such-tag\"")
}
