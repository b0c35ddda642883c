//! Contract 2: a namespace of keys under one version.

use super::harness::{Server, Setup};
use super::raw::{Request, delete, get, head, patch, put};
use super::rows::{row, run};

const PATHS: [&str; 2] = ["/api/storage?ns=cart", "/storage?ns=cart"];
const SET_A: &str = r#"[{"op":"set","key":"a","value":1}]"#;

fn keyed(path: &str, key: &str) -> String {
    format!("{path}&key={key}")
}

#[tokio::test]
async fn every_row_of_get() {
    for path in PATHS {
        let first = || patch(path, "\"0\"", SET_A);
        let rows = [
            row("an empty namespace is {} with ETag \"0\"")
                .when(get(path))
                .then(200)
                .header("ETag", "\"0\"")
                .header("Content-Type", "application/json")
                .header("Cache-Control", "no-cache, no-transform")
                .header("Vary", "Accept, Authorization, X-Thesara-Scope, Origin, Accept-Encoding")
                .body("{}"),
            row("ns that is no percent-encoded UTF-8: 400, and its kind")
                .when(get("/storage?ns=%FF"))
                .then(400)
                .holds("invalid_name")
                .holds("the namespace is not"),
            row("key that is no percent-encoded UTF-8: 400, as every bad key")
                .when(get(&keyed(path, "%FF")))
                .then(400)
                .holds("invalid_key")
                .holds("the key is not"),
            row("any other parameter: 400")
                .when(get(&format!("{path}&at=%FF")))
                .then(400)
                .holds("invalid_query")
                .holds("the at is not"),
            row("GET: 200, the object of all keys, ETag \"<n>\"")
                .given(first())
                .when(get(path))
                .then(200)
                .header("ETag", "\"1\"")
                .body(r#"{"a":1}"#),
            row("HEAD: the same without the body")
                .given(first())
                .when(head(path))
                .then(200)
                .header("ETag", "\"1\"")
                .header("Content-Length", "7"),
            row("GET answers 304 to a matching If-None-Match")
                .given(first())
                .when(get(path).header("If-None-Match", "\"1\""))
                .then(304)
                .header("ETag", "\"1\"")
                .has("Cache-Control"),
            row("an empty namespace has a version to match")
                .when(get(path).header("If-None-Match", "0"))
                .then(304)
                .header("ETag", "\"0\""),
            row("GET key=: that key's value alone, with the namespace's ETag")
                .given(first())
                .when(get(&keyed(path, "a")))
                .then(200)
                .header("ETag", "\"1\"")
                .body("1"),
            row("GET key=: 304 too")
                .given(first())
                .when(get(&keyed(path, "a")).header("If-None-Match", "\"1\""))
                .then(304),
            row("GET key=: 404 if absent, with the namespace's ETag")
                .given(first())
                .when(get(&keyed(path, "b")))
                .then(404)
                .header("ETag", "\"1\""),
            row("GET key=: any UTF-8, percent-decoded once")
                .given(patch(path, "0", r#"[{"op":"set","key":"é/%2F +","value":"x"}]"#))
                .when(get(&keyed(path, "%C3%A9%2F%252F%20+")))
                .then(200)
                .body("\"x\""),
            row("GET key=: a NUL is UTF-8 too")
                .given(patch(path, "0", r#"[{"op":"set","key":"\u0000","value":"x"}]"#))
                .when(get(&keyed(path, "%00")))
                .then(200)
                .body("\"x\""),
            row("GET key=: empty is 400").when(get(&keyed(path, ""))).then(400),
            row("GET key=: over 256 bytes is 400")
                .when(get(&keyed(path, &"k".repeat(257))))
                .then(400),
            row("GET key=: bad UTF-8 is 400").when(get(&keyed(path, "%FF"))).then(400),
            row("GET key=: repeated is 400").when(get(&keyed(path, "a&key=a"))).then(400),
        ];
        run(|| Setup::default().in_memory(), rows).await;
    }
}

#[tokio::test]
async fn every_row_of_patch() {
    for path in PATHS {
        let first = || patch(path, "\"0\"", SET_A);
        let rows = [
            row("201 when it created from version 0, the version and the snapshot")
                .when(first())
                .then(201)
                .header("ETag", "\"1\"")
                .header("Content-Type", "application/json")
                .body(r#"{"version":"1","snapshot":{"a":1}}"#),
            row("0 without quotes creates").when(patch(path, "0", SET_A)).then(201),
            row("else 200")
                .given(first())
                .when(patch(path, "\"1\"", r#"[{"op":"del","key":"a"}]"#))
                .then(200)
                .header("ETag", "\"2\"")
                .body(r#"{"version":"2","snapshot":{}}"#),
            row("an unquoted number is a version")
                .given(first())
                .when(patch(path, "1", SET_A))
                .then(200),
            row("a list of versions")
                .given(first())
                .when(patch(path, "\"7\", 1", SET_A))
                .then(200),
            row("* applies to whatever is current")
                .given(first())
                .when(patch(path, "*", SET_A))
                .then(200),
            row("* applies to an empty namespace").when(patch(path, "*", SET_A)).then(201),
            row("412 carries the current ETag and says it in the body")
                .given(first())
                .when(first())
                .then(412)
                .header("ETag", "\"1\"")
                .holds(r#""version":"1""#)
                .holds(r#""etag":"\"1\"""#)
                .holds(r#""error":"#),
            row("412 on an empty namespace carries \"0\"")
                .when(patch(path, "\"1\"", SET_A))
                .then(412)
                .header("ETag", "\"0\"")
                .holds(r#""version":"0""#),
            row("a weak tag is no version")
                .given(first())
                .when(patch(path, "W/\"1\"", SET_A))
                .then(412),
            row("428 without If-Match")
                .when(
                    Request::new("PATCH", path).header("X-Thesara-App-Id", "t").body(SET_A),
                )
                .then(428),
            row("400 without X-Thesara-App-Id")
                .when(Request::new("PATCH", path).header("If-Match", "0").body(SET_A))
                .then(400)
                .holds("X-Thesara-App-Id"),
            row("400 for a malformed If-Match").when(patch(path, "x", SET_A)).then(400),
            row("the headers come before the body")
                .when(Request::new("PATCH", path).body("not json"))
                .then(428),
            row("a part of a body: 400, which is about no type")
                .when(first().header("Content-Range", "bytes 0-1/2"))
                .then(400)
                .holds("Content-Range")
                .lacks("Accept-Patch"),
            row("415 with Accept-Patch")
                .when(
                    Request::new("PATCH", path)
                        .header("If-Match", "0")
                        .header("X-Thesara-App-Id", "t")
                        .header("Content-Type", "text/plain")
                        .body(SET_A),
                )
                .then(415)
                .header("Accept-Patch", "application/json"),
            row("application/*+json is accepted")
                .when(
                    Request::new("PATCH", path)
                        .header("If-Match", "0")
                        .header("X-Thesara-App-Id", "t")
                        .header("Content-Type", "application/json-patch+json")
                        .body(SET_A),
                )
                .then(201),
            row("an absent Content-Type is accepted")
                .when(
                    Request::new("PATCH", path)
                        .header("If-Match", "0")
                        .header("X-Thesara-App-Id", "t")
                        .body(SET_A),
                )
                .then(201),
            row("in order: a clear in the middle")
                .given(first())
                .when(patch(
                    path,
                    "1",
                    r#"[{"op":"set","key":"b","value":1},{"op":"clear"},{"op":"set","key":"c","value":2}]"#,
                ))
                .then(200)
                .body(r#"{"version":"2","snapshot":{"c":2}}"#),
            row("null is a value")
                .when(patch(path, "0", r#"[{"op":"set","key":"a","value":null}]"#))
                .then(201)
                .holds(r#""snapshot":{"a":null}"#),
            row("del of an absent key: no error")
                .when(patch(path, "0", r#"[{"op":"del","key":"nope"}]"#))
                .then(201)
                .body(r#"{"version":"1","snapshot":{}}"#),
            row("a PATCH that changes nothing still counts")
                .given(first())
                .when(patch(path, "1", "[]"))
                .then(200)
                .header("ETag", "\"2\""),
            row("other members of an operation are ignored")
                .when(patch(path, "0", r#"[{"op":"set","key":"a","value":1,"scope":"shared"}]"#))
                .then(201),
            row("values keep their bytes")
                .when(patch(
                    path,
                    "0",
                    r#"[{"op":"set","key":"a","value": {"z" : 1.50e+3, "a":"\ud83d"} }]"#,
                ))
                .then(201)
                .body(r#"{"version":"1","snapshot":{"a":{"z":1.50e+3,"a":"\ud83d"}}}"#),
            row("an unknown operation is 400 and says which index")
                .when(patch(path, "0", r#"[{"op":"clear"},{"op":"incr","key":"a"}]"#))
                .then(400)
                .holds("operation 1"),
            row("set without a value is 400")
                .when(patch(path, "0", r#"[{"op":"set","key":"a"}]"#))
                .then(400)
                .holds("operation 0"),
            row("duplicate members of an operation are 400")
                .when(patch(path, "0", r#"[{"op":"del","key":"a","key":"b"}]"#))
                .then(400)
                .holds("operation 0"),
            row("a lone surrogate in a key is 400")
                .when(patch(path, "0", r#"[{"op":"set","key":"\ud83d","value":1}]"#))
                .then(400)
                .holds("operation 0"),
            row("a body that is no array is 400").when(patch(path, "0", "{}")).then(400),
            row("an empty body is 400").when(patch(path, "0", "")).then(400),
            row("keys are 1–256 bytes: 256")
                .when(patch(
                    path,
                    "0",
                    format!(r#"[{{"op":"set","key":"{}","value":1}}]"#, "k".repeat(256)),
                ))
                .then(201),
            row("keys are 1–256 bytes: 257")
                .when(patch(
                    path,
                    "0",
                    format!(r#"[{{"op":"set","key":"{}","value":1}}]"#, "k".repeat(257)),
                ))
                .then(400),
            row("at most 1,000 operations")
                .when(patch(path, "0", format!("[{}]", [r#"{"op":"clear"}"#; 1001].join(","))))
                .then(400)
                .holds("1000"),
            row("Prefer: the first of two counts")
                .when(first().header("Prefer", "return=representation, return=minimal"))
                .then(201)
                .lacks("Preference-Applied")
                .holds("snapshot"),
            row("Prefer: what a quoted string says is no preference")
                .when(first().header("Prefer", "foo=\"a, return=minimal\""))
                .then(201)
                .lacks("Preference-Applied"),
            row("Prefer: return=minimal: no body")
                .when(first().header("Prefer", "return=minimal"))
                .then(201)
                .header("ETag", "\"1\"")
                .header("Preference-Applied", "return=minimal")
                .body(""),
            row("a key in the query is for GET only")
                .when(patch(&keyed(path, "a"), "0", SET_A))
                .then(400),
            row("405 with Allow")
                .when(put(path, "1"))
                .then(405)
                .header("Allow", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ];
        run(|| Setup::default().in_memory(), rows).await;
    }
}

#[tokio::test]
async fn every_row_of_delete() {
    for path in PATHS {
        let first = || patch(path, "\"0\"", SET_A);
        let rows = [
            row("DELETE clears the namespace, the version grows by one")
                .given(first())
                .when(delete(path).header("If-Match", "\"1\""))
                .then(200)
                .header("ETag", "\"2\"")
                .body(r#"{"version":"2","snapshot":{}}"#),
            row("GET answers {} under the new version")
                .given(first())
                .given(delete(path).header("If-Match", "1"))
                .when(get(path))
                .then(200)
                .header("ETag", "\"2\"")
                .body("{}"),
            row("If-Match required").given(first()).when(delete(path)).then(428),
            row("412 with the current ETag")
                .given(first())
                .when(delete(path).header("If-Match", "\"9\""))
                .then(412)
                .header("ETag", "\"1\""),
            row("from version 0 nothing is created")
                .when(delete(path).header("If-Match", "\"0\""))
                .then(200)
                .header("ETag", "\"1\""),
            row("Prefer: return=minimal")
                .given(first())
                .when(delete(path).header("If-Match", "*").header("Prefer", "return=minimal"))
                .then(200)
                .header("Preference-Applied", "return=minimal")
                .body(""),
            row("a key in the query never deletes the namespace")
                .given(first())
                .when(delete(&keyed(path, "a")).header("If-Match", "*"))
                .then(400),
        ];
        run(|| Setup::default().in_memory(), rows).await;
    }
}

#[tokio::test]
async fn every_row_of_names_and_scopes() {
    let path = PATHS[0];
    let rows = [
        row("a missing ns is 400").when(get("/api/storage")).then(400).holds("ns"),
        row("an empty ns is 400").when(get("/api/storage?ns=")).then(400),
        row("a repeated ns is 400").when(get("/api/storage?ns=a&ns=a")).then(400),
        row("a bad ns is 400").when(get("/api/storage?ns=a%2Fb")).then(400).holds("namespace"),
        row("ns .. is 400").when(get("/api/storage?ns=..")).then(400),
        row("ns is decoded once").when(get("/api/storage?ns=%63art")).then(200),
        row("a doubly encoded ns is 400").when(get("/api/storage?ns=%2563art")).then(400),
        row("a plus sign is a plus sign").when(get("/api/storage?ns=a+b")).then(200),
        row("scope shared is the common one")
            .given(patch(path, "0", SET_A))
            .when(get(path).header("X-Thesara-Scope", "shared"))
            .then(200)
            .body(r#"{"a":1}"#),
        row("scope user is 401 without a JWT subject")
            .when(get(path).header("X-Thesara-Scope", "user"))
            .then(401)
            .header("WWW-Authenticate", "Bearer")
            .holds("leave the header out"),
        row("any other scope is 400")
            .when(get(path).header("X-Thesara-Scope", "everyone"))
            .then(400),
    ];
    run(|| Setup::default().in_memory(), rows).await;
}

#[tokio::test]
async fn a_failed_patch_leaves_nothing_behind() {
    let server = Server::start().await;
    let path = PATHS[0];
    server.send(&patch(path, "0", SET_A)).await;
    let half = r#"[{"op":"set","key":"b","value":2},{"op":"nope"}]"#;
    assert_eq!(server.send(&patch(path, "1", half)).await.status, 400);
    assert_eq!(server.send(&patch(path, "0", "[{\"op\":\"clear\"}]")).await.status, 412);
    let read = server.send(&get(path)).await;
    assert_eq!((read.text().as_str(), read.etag().as_str()), (r#"{"a":1}"#, "\"1\""));
}

#[tokio::test]
async fn the_version_never_goes_back() {
    let server = Server::start().await;
    let path = PATHS[0];
    let steps = [
        patch(path, "*", SET_A),
        patch(path, "*", r#"[{"op":"clear"}]"#),
        delete(path).header("If-Match", "*"),
        patch(path, "*", "[]"),
        delete(path).header("If-Match", "*"),
    ];
    for (version, step) in (1..).zip(&steps) {
        let answer = server.send(step).await;
        assert_eq!(answer.etag(), format!("\"{version}\""), "{} {version}", step.method);
    }
}

#[tokio::test]
async fn quotas_are_507_and_reads_and_deletes_still_work() {
    let config = "limits: {maxNamespaceBytes: 40}\n\
                  namespaces: [{name: few, maxKeys: 1}, {name: small, maxBytes: 10}]";
    let setup = || Setup::default().config(config);
    let big = format!(r#"[{{"op":"set","key":"b","value":"{}"}}]"#, "x".repeat(40));
    let two = r#"[{"op":"set","key":"a","value":1},{"op":"set","key":"b","value":2}]"#;
    let (small, few) = ("/api/storage?ns=small", "/api/storage?ns=few");
    let rows = [
        row("maxNamespaceBytes")
            .given(patch(PATHS[0], "0", SET_A))
            .when(patch(PATHS[0], "*", &big))
            .then(507)
            .holds("40 bytes"),
        row("a namespace's maxBytes").when(patch(small, "0", two)).then(507).holds("10 bytes"),
        row("a namespace's maxKeys").when(patch(few, "0", two)).then(507).holds("1 keys"),
        row("reads still work").given(patch(few, "0", SET_A)).when(get(few)).then(200),
        row("deletes still work")
            .given(patch(few, "0", SET_A))
            .when(patch(few, "*", r#"[{"op":"del","key":"a"}]"#))
            .then(200),
    ];
    run(setup, rows).await;
}
