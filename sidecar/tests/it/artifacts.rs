//! Contract 5: archives of a site, by row.

use super::harness::{Server, Setup};
use super::raw::{Request, delete, get, head, put};
use super::rows::{Row, row, run};

/// Both paths of one archive behave the same.
const PATHS: [&str; 2] = ["/sites/blog/artifacts/b-1", "/artifacts/blog/b-1"];

const CONTENT: &str = "0123456789";
const SHA256: &str = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";
const CONTENT_SHA256: &str = "sha-256=:hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=:";
const CONTENT_SHA512: &str = "sha-512=:u5bC/EDS1UYX1vJ2/r5XH2I6ja3wtzSFUpmw4Qf9oyz2tp8toys2RF1z\
                              aQuTy9D3v8IOD38oVT0qRCjyO3FukA==:";
const CONTENT_MD5: &str = "eB5eJF1ptWaXm4bijSPyxw==";

fn upload(path: &str) -> Request {
    put(path, CONTENT).header("Content-Type", "application/gzip")
}

#[tokio::test]
async fn every_row_of_writing() {
    for path in PATHS {
        let rows = [
            row("PUT: 201 with what was stored")
                .when(upload(path))
                .then(201)
                .has("ETag")
                .header("Content-Type", "application/json")
                .body(format!(
                    r#"{{"status":"success","site_id":"blog","build_id":"b-1","size_bytes":10,"sha256":"{SHA256}"}}"#
                )),
            row("PUT: 201 when it replaces too").given(upload(path)).when(upload(path)).then(201),
            row("PUT of nothing").when(put(path, "")).then(201).holds(r#""size_bytes":0"#),
            row("PUT without a type").when(put(path, CONTENT)).then(201),
            row("PUT of any type: curl's own")
                .when(put(path, CONTENT).header("Content-Type", "application/x-www-form-urlencoded"))
                .then(201),
            row("PUT of a type that is none")
                .when(put(path, CONTENT).header("Content-Type", "none"))
                .then(201),
            row("PUT, If-None-Match: *: 201 where nothing stands")
                .when(upload(path).header("If-None-Match", "*"))
                .then(201),
            row("PUT, If-None-Match: * makes builds immutable: 412 with the current ETag")
                .given(upload(path))
                .when(put(path, "x").header("If-None-Match", "*"))
                .then(412)
                .header("ETag", "{etag}"),
            row("PUT, If-Match on match")
                .given(upload(path))
                .when(put(path, "x").header("If-Match", "{etag}"))
                .then(201),
            row("PUT, If-Match: else 412")
                .given(upload(path))
                .when(put(path, "x").header("If-Match", "\"other\""))
                .then(412)
                .header("ETag", "{etag}"),
            row("PUT, If-Match compares strongly")
                .given(upload(path))
                .when(put(path, "x").header("If-Match", "W/{etag}"))
                .then(412),
            row("PUT, If-Match where nothing stands: 412 without an ETag")
                .when(upload(path).header("If-Match", "*"))
                .then(412)
                .lacks("ETag"),
            row("PUT, If-Unmodified-Since: 412 where it was")
                .given(upload(path))
                .when(put(path, "x").header("If-Unmodified-Since", "Tue, 15 Nov 1994 12:45:26 GMT"))
                .then(412)
                .header("ETag", "{etag}"),
            row("PUT, If-Unmodified-Since: 201 where it was not")
                .given(upload(path))
                .when(put(path, "x").header("If-Unmodified-Since", "Fri, 31 Dec 9999 23:59:59 GMT"))
                .then(201),
            row("a bad ETag is 400")
                .when(upload(path).header("If-Match", "not-quoted"))
                .then(400)
                .holds("If-Match"),
            row("DELETE: 204").given(upload(path)).when(delete(path)).then(204).body(""),
            row("DELETE: 404 where nothing stands").when(delete(path)).then(404),
            row("DELETE: 404 after a delete")
                .given(upload(path))
                .given(delete(path))
                .when(delete(path))
                .then(404),
            row("DELETE, If-Match on match")
                .given(upload(path))
                .when(delete(path).header("If-Match", "{etag}"))
                .then(204),
            row("DELETE, If-Match: else 412")
                .given(upload(path))
                .when(delete(path).header("If-Match", "\"other\""))
                .then(412)
                .header("ETag", "{etag}"),
            row("DELETE, If-Unmodified-Since: 412 where it was")
                .given(upload(path))
                .when(delete(path).header("If-Unmodified-Since", "Tue, 15 Nov 1994 12:45:26 GMT"))
                .then(412),
            row("DELETE, If-Match where nothing stands: 404, conditions are ignored")
                .when(delete(path).header("If-Match", "\"other\""))
                .then(404),
            row("405 with Allow")
                .when(Request::new("POST", path))
                .then(405)
                .header("Allow", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ];
        run(Setup::default, rows).await;
    }
}

#[tokio::test]
async fn every_row_of_reading() {
    for path in PATHS {
        let stored = |name| row(name).given(upload(path));
        let rows = [
            row("GET: 404 where nothing stands").when(get(path)).then(404).lacks("ETag"),
            stored("GET: the stream and its headers")
                .when(get(path))
                .then(200)
                .header("Content-Type", "application/gzip")
                .header("Content-Length", "10")
                .header("Content-Disposition", "attachment; filename=blog-b-1.tar.gz")
                .header("ETag", "{etag}")
                .header("Accept-Ranges", "bytes")
                .header("Cache-Control", "no-cache, no-transform")
                .has("Last-Modified")
                .lacks("Content-Range")
                .lacks("Content-Encoding")
                .body(CONTENT),
            stored("HEAD: the same headers, no body")
                .when(head(path))
                .then(200)
                .header("Content-Type", "application/gzip")
                .header("Content-Length", "10")
                .header("Content-Disposition", "attachment; filename=blog-b-1.tar.gz")
                .header("ETag", "{etag}")
                .header("Accept-Ranges", "bytes")
                .has("Last-Modified")
                .body(""),
            row("HEAD: 404 where nothing stands").when(head(path)).then(404),
            row("GET of an empty archive")
                .given(put(path, ""))
                .when(get(path))
                .then(200)
                .header("Content-Length", "0")
                .body(""),
            stored("304 to a matching If-None-Match")
                .when(get(path).header("If-None-Match", "W/{etag}"))
                .then(304)
                .header("ETag", "{etag}")
                .has("Last-Modified")
                .body(""),
            stored("304 to HEAD")
                .when(head(path).header("If-None-Match", "*"))
                .then(304)
                .lacks("Content-Length"),
            stored("304 to If-Modified-Since")
                .when(get(path).header("If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT"))
                .then(304),
            stored("200 to If-Modified-Since where it was")
                .when(get(path).header("If-Modified-Since", "Tue, 15 Nov 1994 12:45:26 GMT"))
                .then(200),
            stored("412 to a failed If-Match")
                .when(get(path).header("If-Match", "\"other\""))
                .then(412)
                .header("ETag", "{etag}"),
            stored("412 to a failed If-Unmodified-Since")
                .when(get(path).header("If-Unmodified-Since", "Tue, 15 Nov 1994 12:45:26 GMT"))
                .then(412),
            row("404 comes before a failed If-Match")
                .when(get(path).header("If-Match", "\"other\""))
                .then(404),
        ];
        run(Setup::default, rows).await;
    }
}

#[tokio::test]
async fn every_row_of_ranges() {
    let path = PATHS[0];
    let ranged = |range: &str| get(path).header("Range", range);
    let part = |name, request: Request, range: &str, body: &str| {
        row(name)
            .given(upload(path))
            .when(request)
            .then(206)
            .header("Content-Range", format!("bytes {range}/10"))
            .header("Content-Length", body.len().to_string())
            .header("Content-Type", "application/gzip")
            .header("ETag", "{etag}")
            .header("Accept-Ranges", "bytes")
            .has("Last-Modified")
            .body(body)
    };
    let whole = |name, request: Request| {
        row(name).given(upload(path)).when(request).then(200).lacks("Content-Range").body(CONTENT)
    };
    let rows: Vec<Row> = vec![
        part("first and last", ranged("bytes=2-5"), "2-5", "2345"),
        part("from", ranged("bytes=7-"), "7-9", "789"),
        part("the last so many", ranged("bytes=-3"), "7-9", "789"),
        part("beyond the end", ranged("bytes=8-100"), "8-9", "89"),
        part("one byte", ranged("bytes=0-0"), "0-0", "0"),
        part("all of it", ranged("bytes=0-"), "0-9", CONTENT),
        part("of several the only one that is there", ranged("bytes=1-2,10-"), "1-2", "12"),
        whole("several: the whole", ranged("bytes=0-1,4-5")),
        whole("another unit is ignored", ranged("lines=0-1")),
        whole("a malformed range is ignored", ranged("bytes=5-2")),
        row("416 says the length")
            .given(upload(path))
            .when(ranged("bytes=10-"))
            .then(416)
            .header("Content-Range", "bytes */10")
            .holds("range_not_satisfiable"),
        row("416 of an empty archive")
            .given(put(path, ""))
            .when(ranged("bytes=0-"))
            .then(416)
            .header("Content-Range", "bytes */0"),
        row("HEAD has no ranges")
            .given(upload(path))
            .when(head(path).header("Range", "bytes=2-5"))
            .then(200)
            .header("Content-Length", "10")
            .lacks("Content-Range"),
        part(
            "If-Range with the current ETag",
            ranged("bytes=2-5").header("If-Range", "{etag}"),
            "2-5",
            "2345",
        ),
        whole("If-Range with another ETag", ranged("bytes=2-5").header("If-Range", "\"other\"")),
        whole("If-Range compares strongly", ranged("bytes=2-5").header("If-Range", "W/{etag}")),
        whole(
            "If-Range with another date",
            ranged("bytes=2-5").header("If-Range", "Tue, 15 Nov 1994 12:45:26 GMT"),
        ),
        whole(
            "If-Range also where the range is not there",
            ranged("bytes=10-").header("If-Range", "\"other\""),
        ),
        row("304 comes before the range")
            .given(upload(path))
            .when(ranged("bytes=2-5").header("If-None-Match", "{etag}"))
            .then(304),
        row("412 comes before the range")
            .given(upload(path))
            .when(ranged("bytes=2-5").header("If-Match", "\"other\""))
            .then(412),
        row("404 comes before the range").when(ranged("bytes=2-5")).then(404),
    ];
    run(Setup::default, rows).await;
}

#[tokio::test]
async fn if_range_takes_the_date_that_was_answered() {
    let server = Server::start().await;
    assert_eq!(server.send(&upload(PATHS[0])).await.status, 201);
    let date = server.send(&head(PATHS[0])).await.header("last-modified").expect("a date");
    let part = get(PATHS[0]).header("Range", "bytes=2-5").header("If-Range", &date);
    let answer = server.send(&part).await;
    assert_eq!((answer.status, answer.text().as_str()), (206, "2345"), "{date}");
}

/// A client that has the first half of one archive would join it to the second half of another.
#[tokio::test]
async fn a_date_in_if_range_never_joins_two_archives() {
    let server = Server::start().await;
    assert_eq!(server.send(&put(PATHS[0], "AAAAAAAAAA")).await.status, 201);
    let date = server.send(&head(PATHS[0])).await.header("last-modified").expect("a date");
    assert_eq!(server.send(&put(PATHS[0], "BBBBBBBBBB")).await.status, 201);
    let rest = get(PATHS[0]).header("Range", "bytes=5-").header("If-Range", &date);
    let answer = server.send(&rest).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "BBBBBBBBBB"), "{date}");
}

#[tokio::test]
async fn every_row_of_digests() {
    let path = PATHS[0];
    let with = |name: &str, value: &str| upload(path).header(name, value);
    let rows = [
        row("sha-256").when(with("Content-Digest", CONTENT_SHA256)).then(201),
        row("sha-512").when(with("Content-Digest", CONTENT_SHA512)).then(201),
        row("both, and MD5")
            .when(
                with("Content-Digest", &format!("{CONTENT_SHA256}, {CONTENT_SHA512}"))
                    .header("Content-MD5", CONTENT_MD5),
            )
            .then(201),
        row("another body's sha-256: 400")
            .when(put(path, "other").header("Content-Digest", CONTENT_SHA256))
            .then(400)
            .holds("digest_mismatch")
            .holds("sha-256"),
        row("another body's sha-512: 400")
            .when(put(path, "other").header("Content-Digest", CONTENT_SHA512))
            .then(400)
            .holds("sha-512"),
        row("another body's MD5: 400")
            .when(put(path, "other").header("Content-MD5", CONTENT_MD5))
            .then(400)
            .holds("Content-MD5"),
        row("an unknown algorithm is ignored")
            .when(with("Content-Digest", "sha-1=:AAAA:"))
            .then(201),
        row("a malformed digest: 400")
            .when(with("Content-Digest", "sha-256=abc"))
            .then(400)
            .holds("Content-Digest"),
        row("a malformed MD5: 400").when(with("Content-MD5", "abc")).then(400).holds("Content-MD5"),
    ];
    run(Setup::default, rows).await;
}

#[tokio::test]
async fn a_refused_upload_leaves_what_stands_there() {
    let server = Setup::default().config("limits: {maxArtifactBytes: 10}").start().await;
    let path = PATHS[0];
    let etag = server.send(&upload(path)).await.etag();
    let refused = [
        (put(path, "other").header("Content-Digest", CONTENT_SHA256), 400),
        (put(path, "other").header("Content-Encoding", "gzip"), 415),
        (put(path, "other").header("Content-Range", "bytes 0-4/5"), 400),
        (put(path, "other").header("Content-Type", "multipart/form-data; boundary=x"), 415),
        (put(path, "other").header("Content-Type", "Multipart/Mixed"), 415),
        (put(path, "12345678901"), 413),
        (put(path, "other").header("If-None-Match", "*"), 412),
    ];
    for (request, status) in refused {
        let answer = server.send(&request).await;
        assert_eq!(answer.status, status, "{:?}: {}", request.headers, answer.text());
        let read = server.send(&get(path)).await;
        assert_eq!((read.etag(), read.text()), (etag.clone(), CONTENT.to_owned()));
    }
}

#[tokio::test]
async fn a_form_is_told_to_send_the_archive_itself() {
    let server = Server::start().await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"artifact\"\r\n\r\n0123\r\n--x--\r\n";
    let form = put(PATHS[0], form).header("Content-Type", "multipart/form-data; boundary=x");
    let answer = server.send(&form).await;
    assert_eq!((answer.status, &answer.json()["error"]), (415, &"unsupported_media_type".into()));
    let detail = answer.json()["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.contains("archive itself"), "{detail}");
    assert!(answer.header("accept").is_some_and(|types| types.contains("application/gzip")));
    assert_eq!(server.send(&get(PATHS[0])).await.status, 404, "nothing is stored");
    let typed = upload(PATHS[0]).header("Content-Type", "application/x-tar");
    assert_eq!(server.send(&typed).await.status, 201, "any other type is taken");
}

#[tokio::test]
async fn archives_are_apart_and_every_upload_has_its_own_tag() {
    let server = Server::start().await;
    let paths = ["/artifacts/a/1", "/artifacts/a/2", "/artifacts/b/1"];
    let mut tags = Vec::new();
    for path in paths {
        tags.push(server.send(&put(path, path)).await.etag());
    }
    for (path, tag) in paths.iter().zip(&tags) {
        let read = server.send(&get(path)).await;
        assert_eq!((read.text(), read.etag()), ((*path).to_owned(), tag.clone()));
    }
    let again = server.send(&put(paths[0], paths[0])).await.etag();
    assert_ne!(again, tags[0], "the same bytes again are another upload");
}

#[tokio::test]
async fn every_row_of_names_rights_and_origins() {
    const SITE: &str = "site-0123456789abcdef";
    const READER: &str = "read-0123456789abcdef";
    const OTHER: &str = "kv-0123456789abcdef";
    let grant = |token: &str, contract: &str, access: &str| {
        format!(
            r#"{{"token":"{token}","contracts":["{contract}"],"namespaces":["blog"],"access":"{access}"}}"#
        )
    };
    let setup = || {
        Setup::default()
            .in_memory()
            .config("cors: {allowedOrigins: [https://app.example]}")
            .token("site", &grant(SITE, "artifacts", "readWrite"))
            .token("reader", &grant(READER, "artifacts", "read"))
            .token("other", &grant(OTHER, "kv", "readWrite"))
    };
    let by =
        |token: &str, request: Request| request.header("Authorization", &format!("Bearer {token}"));
    let site = |request: Request| by(SITE, request);
    let long = format!("/artifacts/blog/{}", "b".repeat(129));
    let log = |site: &str| {
        Request::new("POST", &format!("/sites/{site}/logs"))
            .body(r#"{"build_id":"b","action":"a","status":"s"}"#)
    };
    let rows = [
        row("a token of a site writes it").when(site(upload(PATHS[0]))).then(201),
        row("and reads it").given(site(upload(PATHS[0]))).when(site(get(PATHS[1]))).then(200),
        row("and logs").when(site(log("blog"))).then(201),
        row("and lists").when(site(get("/sites/blog/versions"))).then(200),
        row("403: another site").when(site(upload("/artifacts/shop/1"))).then(403),
        row("403: another site's log").when(site(log("shop"))).then(403),
        row("403: another site's versions").when(site(get("/sites/shop/versions"))).then(403),
        row("403: only the right to read: PUT").when(by(READER, upload(PATHS[0]))).then(403),
        row("403: only the right to read: POST").when(by(READER, log("blog"))).then(403),
        row("403: only the right to read: DELETE").when(by(READER, delete(PATHS[0]))).then(403),
        row("the right to read").when(by(READER, get("/sites/blog/versions"))).then(200),
        row("403: another contract").when(by(OTHER, get(PATHS[0]))).then(403),
        row("401: nobody").when(upload(PATHS[0])).then(401),
        row("401: nobody lists").when(get("/sites/blog/versions")).then(401),
        row("403 comes before the precondition")
            .given(site(upload(PATHS[0])))
            .when(by(READER, upload(PATHS[0])).header("If-None-Match", "*"))
            .then(403)
            .lacks("ETag"),
        row("400: a build that climbs").when(site(get("/artifacts/blog/%2E%2E"))).then(400),
        row("400: a build with a slash").when(site(upload("/artifacts/blog/a%2Fb"))).then(400),
        row("400: a site that climbs").when(site(get("/sites/%2e%2e/versions"))).then(400),
        row("400: a site with a NUL").when(site(log("a%00"))).then(400),
        row("400: 129 bytes").when(site(get(&long))).then(400).holds("build"),
        row("every byte of the set, quoted where it must be")
            .given(site(put("/artifacts/blog/a:@+~-_.9", CONTENT)))
            .when(site(get("/sites/blog/artifacts/a:@+~-_.9")))
            .then(200)
            .header("Content-Disposition", "attachment; filename=\"blog-a:@+~-_.9.tar.gz\""),
        row("a preflight")
            .when(
                Request::new("OPTIONS", PATHS[0])
                    .header("Origin", "https://app.example")
                    .header("Access-Control-Request-Method", "PUT")
                    .header("Access-Control-Request-Headers", "content-digest"),
            )
            .then(204)
            .header("Access-Control-Allow-Methods", "GET, HEAD, PUT, DELETE, OPTIONS"),
        row("405 of the log")
            .when(get("/sites/blog/logs"))
            .then(405)
            .header("Allow", "POST, OPTIONS"),
        row("405 of the versions")
            .when(put("/sites/blog/versions", "{}"))
            .then(405)
            .header("Allow", "GET, HEAD, OPTIONS"),
        row("404 of a site alone").when(site(get("/sites/blog"))).then(404),
    ];
    run(setup, rows).await;
    let without = || Setup::default().in_memory().config("contracts: [kv]");
    let rows = [PATHS[0], PATHS[1], "/sites/blog/versions"]
        .map(|path| row("a contract that this Store does not enable").when(get(path)).then(404));
    run(without, rows).await;
}
