//! The contract of KV: a namespace of keys under one version.

use crate::build::{contract, delete, now, read, send, unchanged, write};
use crate::case::{Call, Case, Expect};
use crate::content::{A, B};
use crate::profile::Profile;

const KV: &[Profile] = &[Profile::Kv];

pub(super) fn cases() -> Vec<Case> {
    [versions(), operations(), requests()].concat()
}

/// A PATCH under this condition.
fn patch(if_match: &str, operations: &str) -> Call {
    bare(operations).if_match(if_match)
}

/// A PATCH without a condition.
fn bare(operations: &str) -> Call {
    send("PATCH", "‹here›").json(operations).with("X-Thesara-App-Id", "conformance")
}

fn case(id: &'static str, title: &'static str) -> Case {
    contract(KV, id, title)
}

const SET: &str = r#"[{"op":"set","key":"k","value":1}]"#;

fn versions() -> Vec<Case> {
    vec![
        case("kv/empty", "An untouched namespace is {} under version 0").steps([read()
            .status(&[200])
            .answers("{}")
            .field("ETag", "\"0\"")
            .into()]),
        case("kv/create", "If-Match: \"0\" creates: 201, once").steps([
            patch("\"0\"", SET)
                .status(&[201])
                .field("ETag", "\"1\"")
                .answers(r#"{"version":"1","snapshot":{"k":1}}"#)
                .into(),
            patch("\"0\"", SET).problem(&[412], "precondition_failed").into(),
        ]),
        case("kv/bare-number", "A version may stand without quotes").steps([
            patch("0", SET).status(&[201]).into(),
            patch("1", SET).status(&[200]).field("ETag", "\"2\"").into(),
            patch("1", SET).status(&[412]).into(),
        ]),
        case("kv/star", "* takes whatever is current, and nothing too")
            .steps([patch("*", SET).status(&[201]).into(), patch("*", SET).status(&[200]).into()]),
        case("kv/conflict", "A 412 says the current version, in ETag and in the body").steps([
            patch("0", SET).status(&[201]).into(),
            patch("\"7\"", SET)
                .problem(&[412], "precondition_failed")
                .field("ETag", "\"1\"")
                .member("/version", "1")
                .into(),
            read().answers(r#"{"k":1}"#).into(),
        ]),
        case(
            "kv/grows",
            "The version grows by one with every accepted PATCH, one that changes nothing too",
        )
        .on_a([
            patch("‹a›", "[]").status(&[200]).expect(Expect::VersionAfter("a", 1)).into(),
            patch("*", r#"[{"op":"del","key":"none"}]"#)
                .status(&[200])
                .expect(Expect::VersionAfter("a", 2))
                .into(),
            write(A).ok().expect(Expect::VersionAfter("a", 3)).into(),
            now(A),
        ]),
        case("kv/delete", "DELETE empties a namespace; its version goes on and never back").on_a([
            delete().if_match("‹a›").ok().expect(Expect::VersionAfter("a", 1)).into(),
            read().answers("{}").expect(Expect::VersionAfter("a", 1)).into(),
            patch("0", SET).status(&[412]).into(),
            patch("*", SET).status(&[200]).expect(Expect::VersionAfter("a", 2)).into(),
        ]),
        case("kv/clear", "clear empties it in its turn, and its version goes on").on_a([
            patch("‹a›", r#"[{"op":"clear"},{"op":"set","key":"b","value":2}]"#)
                .status(&[200])
                .expect(Expect::VersionAfter("a", 1))
                .into(),
            read().answers(r#"{"b":2}"#).into(),
        ]),
    ]
}

fn operations() -> Vec<Case> {
    let many = format!("[{}]", vec![r#"{"op":"del","key":"k"}"#; 1001].join(","));
    let most = format!("[{}]", vec![r#"{"op":"del","key":"k"}"#; 1000].join(","));
    let key = |length| format!(r#"[{{"op":"set","key":"{}","value":1}}]"#, "k".repeat(length));
    let refused = |operations: &str| patch("*", operations).problem(&[400], "invalid_operation");
    vec![
        case("kv/order", "Operations are applied in their order").steps([
            patch("0", r#"[{"op":"set","key":"k","value":1},{"op":"del","key":"k"},{"op":"set","key":"k","value":3}]"#)
                .status(&[201])
                .member("/snapshot/k", 3)
                .into(),
        ]),
        case("kv/all-or-none", "One that is not known refuses all of them, and is named").on_a([
            refused(r#"[{"op":"clear"},{"op":"increment","key":"k"}]"#).into(),
            unchanged(),
        ]),
        case("kv/not-operations", "What is no array of operations is 400").on_a([
            refused(r#"{"op":"clear"}"#).into(),
            refused(r#"[1]"#).into(),
            refused(r#"[{"op":"set","key":"k"}]"#).into(),
            refused(r#"[{"op":"set","value":1}]"#).into(),
            patch("*", "[").problem(&[400], "invalid_json").into(),
            unchanged(),
        ]),
        case("kv/other-members", "Other members of an operation are passed over").steps([
            patch("0", r#"[{"op":"set","key":"k","value":1,"scope":"user"}]"#)
                .status(&[201])
                .into(),
        ]),
        case("kv/many", "1,000 operations are taken, one more is not").on_a([
            refused(&many).into(),
            unchanged(),
            patch("*", &most).status(&[200]).into(),
        ]),
        case("kv/keys", "A key is 1 to 256 bytes").on_a([
            refused(&key(257)).into(),
            refused(&key(0)).into(),
            unchanged(),
            patch("*", &key(256)).status(&[200]).into(),
        ]),
        case("kv/values", "Values keep their numbers, escapes and order; null is one").steps([
            patch("0", r#"[{"op":"set","key":"k","value": {"b": 1.0, "a": [1e2, "\ud83d", null]}},{"op":"set","key":"n","value":null}]"#)
                .status(&[201])
                .into(),
            read().answers(r#"{"k":{"b":1.0,"a":[1e2,"\ud83d",null]},"n":null}"#).into(),
        ]),
        case("kv/minimal", "Prefer: return=minimal leaves the body out").cites("RFC 7240 §4.2").steps([
            patch("0", SET)
                .with("Prefer", "return=minimal")
                .status(&[201])
                .field("ETag", "\"1\"")
                .expect(Expect::NoBody)
                .into(),
        ]),
    ]
}

fn requests() -> Vec<Case> {
    vec![
        case(
            "kv/condition",
            "A PATCH and a DELETE without If-Match are 428, and no cache keeps that",
        )
        .cites("RFC 6585 §3")
        .on_a([
            bare(SET)
                .problem(&[428], "precondition_required")
                .lists("Cache-Control", "no-store")
                .into(),
            send("DELETE", "‹here›").problem(&[428], "precondition_required").into(),
            unchanged(),
        ]),
        case("kv/application", "A PATCH without X-Thesara-App-Id is 400").on_a([
            send("PATCH", "‹here›")
                .json(SET)
                .if_match("*")
                .problem(&[400], "missing_header")
                .into(),
            unchanged(),
        ]),
        case("kv/media-type", "A PATCH that is not sent as JSON is 415, with Accept-Patch")
            .cites("RFC 5789 §2.2")
            .on_a([
                send("PATCH", "‹here›")
                    .body(SET)
                    .with("Content-Type", "text/plain")
                    .with("X-Thesara-App-Id", "conformance")
                    .if_match("*")
                    .problem(&[415], "unsupported_media_type")
                    .has("Accept-Patch")
                    .into(),
                unchanged(),
            ]),
        case("kv/key", "key= answers one value, or 404, under the version of the namespace").steps(
            [
                patch("0", SET).status(&[201]).into(),
                send("GET", "‹here›&key=k")
                    .status(&[200])
                    .answers("1")
                    .field("ETag", "\"1\"")
                    .into(),
                send("GET", "‹here›&key=none")
                    .problem(&[404], "not_found")
                    .field("ETag", "\"1\"")
                    .into(),
                send("GET", "‹here›&key=k").if_none_match("\"1\"").status(&[304]).into(),
            ],
        ),
        case("kv/alias", "/storage is the same as /api/storage").on_a([send(
            "GET",
            "‹base›/storage?ns=‹name›",
        )
        .status(&[200])
        .holds(A)
        .expect(Expect::Same("ETag", "a"))
        .into()]),
        case("kv/scope", "X-Thesara-Scope: shared is the common namespace, user needs a user")
            .on_a([
                read().with("X-Thesara-Scope", "shared").status(&[200]).holds(A).into(),
                read()
                    .with("X-Thesara-Scope", "user")
                    .status(&[200, 401])
                    .expect(Expect::Where(&[200], vec![Expect::Body(b"{}")]))
                    .into(),
            ]),
        case("kv/namespace", "A request that names no namespace is 400").steps([
            send("GET", "‹base›/api/storage").problem(&[400], "missing_namespace").into(),
            send("GET", "‹base›/api/storage?ns=a%20b").problem(&[400], "invalid_name").into(),
        ]),
        case("kv/stale", "A PATCH under a stale version is refused, and nothing changes").on_a([
            write(B).if_match("‹a›").ok().into(),
            patch("‹a›", SET).status(&[412]).into(),
            now(B),
        ]),
    ]
}
