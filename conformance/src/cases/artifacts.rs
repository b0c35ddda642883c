//! The contract of artifacts: archives of builds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::build::{break_off, contract, delete, nothing, now, read, send, unchanged, write};
use crate::case::{Call, Case, Expect};
use crate::content::{A, B};
use crate::profile::Profile;

const ARTIFACTS: &[Profile] = &[Profile::Artifacts];

pub(super) fn cases() -> Vec<Case> {
    [archives(), digests(), logs()].concat()
}

fn case(id: &'static str, title: &'static str) -> Case {
    contract(ARTIFACTS, id, title)
}

fn archives() -> Vec<Case> {
    let sum = HEXLOWER.encode(&Sha256::digest(A.bytes()));
    vec![
        case("artifacts/upload", "An upload is 201 with its size and digest").steps([
            write(A)
                .status(&[201])
                .has("ETag")
                .member("/status", "success")
                .member("/build_id", "b-1")
                .member("/size_bytes", A.bytes().len())
                .member("/sha256", sum)
                .into(),
            now(A),
        ]),
        case("artifacts/download", "A download is gzip, to be saved, with length and date").on_a([
            read()
                .field("Content-Type", "application/gzip")
                .field("Content-Disposition", "attachment; filename=‹name›-b-1.tar.gz")
                .has("Content-Length")
                .has("Last-Modified")
                .field("Accept-Ranges", "bytes")
                .into(),
        ]),
        case("artifacts/immutable", "Under If-None-Match: * a build never changes").steps([
            write(A).if_none_match("*").status(&[201]).into(),
            write(B).if_none_match("*").problem(&[412], "precondition_failed").into(),
            now(A),
        ]),
        case("artifacts/delete", "A delete is 204, and 404 the second time")
            .on_a([delete().status(&[204]).into(), delete().problem(&[404], "not_found").into()]),
        case("artifacts/alias", "/artifacts/{site}/{build} is the same").on_a([send(
            "GET",
            "‹base›/artifacts/‹name›/b-1",
        )
        .status(&[200])
        .holds(A)
        .expect(Expect::Same("ETag", "a"))
        .into()]),
        case("artifacts/broken-off", "An upload that breaks off leaves what was there").on_a([
            break_off("‹here›").into(),
            unchanged(),
            break_off("‹base›/sites/‹name›/artifacts/b-2").into(),
            send("GET", "‹base›/sites/‹name›/artifacts/b-2").status(&[404]).into(),
        ]),
        case("artifacts/416", "A 416 is a problem document").on_a([read()
            .with("Range", "bytes=999999-")
            .problem(&[416], "range_not_satisfiable")
            .into()]),
    ]
}

fn upload(field: &str, value: &str) -> Call {
    send("PUT", "‹here›").body(A.bytes()).with(field, value)
}

fn digests() -> Vec<Case> {
    let sha = |bytes: &[u8]| format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)));
    let md5 = |bytes: &[u8]| STANDARD.encode(Md5::digest(bytes));
    let (own, other) = (A.bytes(), B.bytes());
    vec![
        case("artifacts/digest", "A Content-Digest that fits lets an upload through")
            .cites("RFC 9530 §2")
            .steps([upload("Content-Digest", &sha(&own)).status(&[201]).into(), now(A)]),
        case("artifacts/digest-wrong", "One that does not is 400, and nothing is published")
            .cites("RFC 9530 §2")
            .steps([
                upload("Content-Digest", &sha(&other)).problem(&[400], "digest_mismatch").into(),
                nothing(),
            ]),
        case("artifacts/digest-unknown", "One of another algorithm is passed over")
            .cites("RFC 9530 §2")
            .steps([upload("Content-Digest", "crc32c=:AAAAAA==:").status(&[201]).into()]),
        case("artifacts/digest-malformed", "One that is malformed is 400").steps([
            upload("Content-Digest", "sha-256=nonsense").problem(&[400], "invalid_header").into(),
            nothing(),
        ]),
        case("artifacts/md5", "A Content-MD5 that fits lets an upload through").steps([upload(
            "Content-MD5",
            &md5(&own),
        )
        .status(&[201])
        .into()]),
        case("artifacts/md5-wrong", "One that does not is 400, and nothing is published").steps([
            upload("Content-MD5", &md5(&other)).problem(&[400], "digest_mismatch").into(),
            nothing(),
        ]),
    ]
}

fn log(body: &str) -> Call {
    send("POST", "‹base›/sites/‹name›/logs").json(body)
}

fn versions(query: &'static str) -> Call {
    send("GET", query).status(&[200])
}

const VERSIONS: &str = "‹base›/sites/‹name›/versions";
const ALL_VERSIONS: &str = "‹base›/sites/‹name›/versions?all=true";

fn logs() -> Vec<Case> {
    vec![
        case("artifacts/log", "A log entry is 201 and makes its build a version").on_a([
            log(r#"{"build_id":"b-1","action":"build","status":"success","metadata":{"n":1}}"#)
                .status(&[201])
                .member("/status", "success")
                .member("/build_id", "b-1")
                .expect(Expect::JsonHas("/timestamp"))
                .into(),
            versions(VERSIONS)
                .member("/count", 1)
                .member("/versions/0/build_id", "b-1")
                .member("/versions/0/size_bytes", A.bytes().len())
                .member("/versions/0/action", "build")
                .member("/versions/0/metadata/n", 1)
                .expect(Expect::JsonHas("/versions/0/logs/0/timestamp"))
                .into(),
        ]),
        case("artifacts/log-incomplete", "An entry without build, action or status is 400").steps(
            [
                log(r#"{"action":"build","status":"success"}"#)
                    .problem(&[400], "invalid_log")
                    .into(),
                log(r#"{"build_id":"b-1","status":"success"}"#)
                    .problem(&[400], "invalid_log")
                    .into(),
                log(r#"{"build_id":"b-1","action":"build"}"#).problem(&[400], "invalid_log").into(),
                versions(VERSIONS).member("/count", 0).into(),
            ],
        ),
        case("artifacts/no-log", "An archive without an entry is a version with all=true only")
            .on_a([
                versions(VERSIONS).member("/count", 0).into(),
                versions(ALL_VERSIONS).member("/count", 1).into(),
            ]),
        case("artifacts/no-archive", "A version without an archive has no size").steps([
            log(r#"{"build_id":"b-9","action":"build","status":"failed"}"#).status(&[201]).into(),
            versions(VERSIONS).member("/versions/0/size_bytes", serde_json::Value::Null).into(),
        ]),
        case("artifacts/unknown-site", "An unknown site is an empty list").steps([versions(
            VERSIONS,
        )
        .member("/count", 0)
        .into()]),
    ]
}
