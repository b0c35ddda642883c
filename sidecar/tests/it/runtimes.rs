//! Contract 4: a Git branch's files, replaced as one.

use super::harness::{Server, Setup};
use super::raw::{Answer, delete, get, head, put};
use super::rows::{row, run};

const SET: &str = "/runtimes/etl/main";
const TWO: &str = r#"{"revision":"c1","files":[{"filepath":"b/x.yaml","config":{"z":1.0,"a":2}},{"filepath":"a.json","config":[1]}]}"#;

fn set(revision: &str, files: &[(&str, &str)]) -> String {
    let files: Vec<String> = files
        .iter()
        .map(|(path, config)| format!(r#"{{"filepath":"{path}","config":{config}}}"#))
        .collect();
    format!(r#"{{"revision":"{revision}","files":[{}]}}"#, files.join(","))
}

#[tokio::test]
async fn every_row_of_the_contract() {
    let rows = [
        row("GET file: the config as JSON")
            .given(put(SET, TWO))
            .when(get("/runtimes/etl/main/b/x.yaml"))
            .then(200)
            .header("Content-Type", "application/json")
            .header("X-Stowage-Revision", "c1")
            .header("Cache-Control", "no-cache, no-transform")
            .has("ETag")
            .body(r#"{"z":1.0,"a":2}"#),
        row("HEAD file")
            .given(put(SET, TWO))
            .when(head("/runtimes/etl/main/b/x.yaml"))
            .then(200)
            .header("Content-Length", "15"),
        row("GET file: 404 for one that is not in the set")
            .given(put(SET, TWO))
            .when(get("/runtimes/etl/main/nope.yaml"))
            .then(404),
        row("GET file: a path of ..: 400")
            .given(put(SET, TWO))
            .when(get("/runtimes/etl/main/a/../a.json"))
            .then(400),
        row("GET file: %2F is no separator there: 400")
            .given(put(SET, TWO))
            .when(get("/runtimes/etl/main/b%2Fx.yaml"))
            .then(400),
        row("GET set: an array by filepath, with the set's ETag and the commit")
            .given(put(SET, TWO))
            .when(get(SET))
            .then(200)
            .header("ETag", "{etag}")
            .header("X-Stowage-Revision", "c1")
            .header("Vary", "Accept, Origin, Accept-Encoding")
            .holds(r#"[{"repo_id":"etl","branch":"main","filepath":"a.json","config":[1],"created_at":"2"#)
            .holds(r#""filepath":"b/x.yaml","config":{"z":1.0,"a":2},"created_at":"2"#),
        row("GET set: 304")
            .given(put(SET, TWO))
            .when(get(SET).header("If-None-Match", "{etag}"))
            .then(304)
            .header("X-Stowage-Revision", "c1"),
        row("an unknown set is 404").when(get(SET)).then(404),
        row("a file of an unknown set is 404").when(get("/runtimes/etl/main/a.json")).then(404),
        row("an empty set is 404, the revision is kept")
            .given(put(SET, TWO))
            .given(put(SET, set("c2", &[])))
            .when(get(SET))
            .then(404)
            .header("X-Stowage-Revision", "c2"),
        row("GET /runtimes: the sets")
            .given(put(SET, TWO))
            .when(get("/runtimes"))
            .then(200)
            .has("ETag")
            .holds(r#"[{"repo_id":"etl","branch":"main","revision":"c1","etag":"\""#)
            .holds(r#""files":2,"updated_at":"2"#),
        row("GET /runtimes: none is an empty list").when(get("/runtimes")).then(200).body("[]"),
        row("GET /runtimes: an empty set is not listed")
            .given(put(SET, set("c2", &[])))
            .when(get("/runtimes"))
            .then(200)
            .body("[]"),
        row("PUT: 201 for the first set, which RFC 9110 asks for")
            .when(put(SET, TWO))
            .then(201)
            .has("ETag")
            .header("X-Stowage-Revision", "c1"),
        row("PUT: 200 for the next").given(put(SET, TWO)).when(put(SET, TWO)).then(200),
        row("PUT: the same content again keeps the ETag")
            .given(put(SET, TWO))
            .when(put(SET, TWO))
            .then(200)
            .header("ETag", "{etag}"),
        row("a commit that changes no file moves the revision and keeps the ETag")
            .given(put(SET, TWO))
            .when(put(SET, TWO.replace("c1", "c2")))
            .then(200)
            .header("ETag", "{etag}")
            .header("X-Stowage-Revision", "c2"),
        row("PUT, If-Match on match")
            .given(put(SET, TWO))
            .when(put(SET, set("c2", &[("a.json", "1")])).header("If-Match", "{etag}"))
            .then(200),
        row("PUT, If-Match: else 412 with the set's ETag")
            .given(put(SET, TWO))
            .when(put(SET, set("c2", &[("a.json", "1")])).header("If-Match", "\"x\""))
            .then(412)
            .header("ETag", "{etag}"),
        row("PUT, If-None-Match: *: 412 when it exists")
            .given(put(SET, TWO))
            .when(put(SET, TWO).header("If-None-Match", "*"))
            .then(412),
        row("PUT, If-None-Match: *: an empty set is not there")
            .given(put(SET, set("c1", &[])))
            .when(put(SET, TWO).header("If-None-Match", "*"))
            .then(201),
        row("DELETE removes the set").given(put(SET, TWO)).when(delete(SET)).then(204),
        row("DELETE: 404 afterwards")
            .given(put(SET, TWO))
            .given(delete(SET))
            .when(get(SET))
            .then(404),
        row("DELETE: 404 where there is none").when(delete(SET)).then(404),
        row("DELETE of an emptied set: 404, for none is served")
            .given(put(SET, TWO))
            .given(put(SET, set("c2", &[])))
            .when(delete(SET))
            .then(404),
        row("DELETE, If-Match: else 412")
            .given(put(SET, TWO))
            .when(delete(SET).header("If-Match", "\"x\""))
            .then(412)
            .header("ETag", "{etag}"),
        row("DELETE, If-Match on match")
            .given(put(SET, TWO))
            .when(delete(SET).header("If-Match", "{etag}"))
            .then(204),
        row("a repository id and a branch may hold / as %2F")
            .given(put("/runtimes/team%2Fetl/feature%2fx", TWO))
            .when(get("/runtimes/team%2Fetl/feature%2Fx/a.json"))
            .then(200)
            .body("[1]"),
        row("duplicate filepaths are 400 with the index")
            .when(put(SET, set("c", &[("a", "1"), ("a", "2")])))
            .then(400)
            .holds("files[1]"),
        row("a bad filepath is 400 with the index")
            .when(put(SET, set("c", &[("a", "1"), ("a/../b", "2")])))
            .then(400)
            .holds("files[1]"),
        row("a file without config is 400 with the index")
            .when(put(SET, r#"{"revision":"c","files":[{"filepath":"a"}]}"#))
            .then(400)
            .holds("files[0]"),
        row("a config that is no JSON is 400")
            .when(put(SET, r#"{"revision":"c","files":[{"filepath":"a","config":x}]}"#))
            .then(400)
            .holds("line 1"),
        row("an array in the place of a set is 400")
            .when(put(SET, r#"["c",[{"filepath":"a","config":1}]]"#))
            .then(400)
            .holds("it must be an object"),
        row("an array in the place of a file is 400 with the index")
            .when(put(SET, r#"{"revision":"c","files":[["a",1]]}"#))
            .then(400)
            .holds("files[0]"),
        row("no files is 400").when(put(SET, r#"{"revision":"c"}"#)).then(400).holds("files"),
        row("no revision is 400").when(put(SET, r#"{"files":[]}"#)).then(400).holds("revision"),
        row("a revision that is no header value is 400")
            .when(put(SET, set("c\\n", &[])))
            .then(400)
            .holds("revision"),
        row("415").when(put(SET, TWO).header("Content-Type", "text/yaml")).then(415),
        row("405 of a set")
            .when(super::raw::Request::new("PATCH", SET))
            .then(405)
            .header("Allow", "GET, HEAD, PUT, DELETE, OPTIONS"),
        row("405 of a file")
            .when(put("/runtimes/etl/main/a.json", "1"))
            .then(405)
            .header("Allow", "GET, HEAD, OPTIONS"),
    ];
    run(Setup::default, rows).await;
}

/// `(filepath, created_at, updated_at)` of each file, and the set's own `updated_at`.
async fn times(server: &Server) -> (Vec<(String, String, String)>, String) {
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let files = server.send(&get(SET)).await.json();
    let files = files.as_array().expect("an array").iter();
    let files = files
        .map(|f| (text(&f["filepath"]), text(&f["created_at"]), text(&f["updated_at"])))
        .collect();
    let list = server.send(&get("/runtimes")).await.json();
    (files, text(&list[0]["updated_at"]))
}

#[tokio::test]
async fn times_move_only_with_content() {
    let server = Server::start().await;
    let tag = |answer: &Answer| answer.etag();
    let first = server.send(&put(SET, set("c1", &[("a", "1"), ("b", "1")]))).await;
    let at_first = times(&server).await;
    for (path, created, updated) in &at_first.0 {
        assert_eq!(created, updated, "{path}: new");
        assert!(created.ends_with('Z'), "{path}: {created} is RFC 3339 in UTC");
    }

    let same = server.send(&put(SET, set("c2", &[("b", "1"), ("a", "1")]))).await;
    assert_eq!(tag(&same), tag(&first), "a commit that changes none of the files");
    assert_eq!(times(&server).await, at_first, "no time moves");

    let changed = server.send(&put(SET, set("c3", &[("a", "1"), ("b", "2"), ("c", "1")]))).await;
    assert_ne!(tag(&changed), tag(&first));
    let (files, set_updated) = times(&server).await;
    assert_eq!(files[0], at_first.0[0], "a did not change");
    assert_eq!(files[1].1, at_first.0[1].1, "b was created when it was");
    assert!(files[1].2 > at_first.0[1].2, "b was updated");
    assert!(files[2].1 > at_first.0[0].1, "c is new");
    assert!(set_updated > at_first.1, "the set was updated");

    let removed = server.send(&put(SET, set("c4", &[("a", "1")]))).await;
    assert_ne!(tag(&removed), tag(&changed));
    assert_eq!(times(&server).await.0, [at_first.0[0].clone()], "a is what it was");
    let back = server.send(&put(SET, set("c5", &[("a", "1"), ("b", "1")]))).await;
    assert_ne!(tag(&back), tag(&first), "the same files with other times are another list");
}

#[tokio::test]
async fn a_files_tag_changes_with_that_file_only() {
    let server = Server::start().await;
    server.send(&put(SET, set("c1", &[("a", "1"), ("b", "1")]))).await;
    let a = server.send(&get("/runtimes/etl/main/a")).await.etag();
    let b = server.send(&get("/runtimes/etl/main/b")).await.etag();
    server.send(&put(SET, set("c2", &[("a", "1"), ("b", "2")]))).await;
    let again = server.send(&get("/runtimes/etl/main/a").header("If-None-Match", &a)).await;
    assert_eq!(again.status, 304);
    assert_eq!(again.header("x-stowage-revision").as_deref(), Some("c2"));
    assert_ne!(server.send(&get("/runtimes/etl/main/b")).await.etag(), b);
}

#[tokio::test]
async fn files_and_sets_are_sorted_bytewise() {
    let server = Server::start().await;
    let files = [("b", "1"), ("a/z", "1"), ("a-b", "1"), ("B", "1"), ("a", "1")];
    server.send(&put(SET, set("c", &files))).await;
    let list = server.send(&get(SET)).await.json();
    let paths: Vec<_> =
        list.as_array().expect("an array").iter().map(|f| f["filepath"].clone()).collect();
    assert_eq!(paths, ["B", "a", "a-b", "a/z", "b"]);

    for path in ["/runtimes/z/a", "/runtimes/a%2Fb/x", "/runtimes/a/y", "/runtimes/a/b"] {
        assert_eq!(server.send(&put(path, set("c", &[("f", "1")]))).await.status, 201, "{path}");
    }
    let list = server.send(&get("/runtimes")).await.json();
    let names: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|s| format!("{} {}", s["repo_id"], s["branch"]).replace('"', ""))
        .collect();
    assert_eq!(names, ["a b", "a y", "a/b x", "etl main", "z a"]);
}

#[tokio::test]
async fn the_list_shows_what_the_grant_allows() {
    let reader = r#"{"token":"reader-0123456789abcd","namespaces":["etl"],"access":"read"}"#;
    let admin = |request: super::raw::Request| {
        request.header("Authorization", &format!("Bearer {}", super::harness::ADMIN))
    };
    let server = Setup::default()
        .token("admin", super::harness::ADMIN)
        .token("reader", reader)
        .start()
        .await;
    for path in [SET, "/runtimes/secret/main"] {
        assert_eq!(server.send(&admin(put(path, TWO))).await.status, 201);
    }
    let list = |token: &str| get("/runtimes").header("Authorization", &format!("Bearer {token}"));
    let seen = server.send(&list("reader-0123456789abcd")).await;
    assert_eq!(seen.json().as_array().map(Vec::len), Some(1), "{}", seen.text());
    assert!(!seen.text().contains("secret"), "{}", seen.text());
    let all = server.send(&list(super::harness::ADMIN)).await;
    assert_eq!(all.json().as_array().map(Vec::len), Some(2), "{}", all.text());
}

#[tokio::test]
async fn sets_survive_a_restart_with_their_tags_and_times() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || -> std::sync::Arc<dyn stowage_store::Store> {
        let options = stowage_store::VolumeOptions::default();
        std::sync::Arc::new(
            stowage_store::VolumeStore::open(&dir.path().join("d"), &options).expect("a store"),
        )
    };
    let server = Setup::default().store(open()).start().await;
    server.send(&put(SET, TWO)).await;
    let before = server.send(&get(SET)).await;
    server.shutdown.cancel();
    server.ended().await.expect("a clean end");
    let server = Setup::default().store(open()).start().await;
    let after = server.send(&get(SET)).await;
    assert_eq!((after.text(), after.etag()), (before.text(), before.etag()));
}

#[tokio::test]
async fn deleting_an_emptied_set_removes_what_is_stored_of_it() {
    let server = Setup::default().history(5).start().await;
    server.send(&put(SET, TWO)).await;
    server.send(&put(SET, set("c2", &[]))).await;
    let revision = async || server.send(&get(SET)).await.header("x-stowage-revision");
    assert_eq!(revision().await.as_deref(), Some("c2"), "the emptied set is stored");

    // The answer is 404 whatever the condition; but who names a set does not mean what is none.
    let under = delete(SET).header("If-Match", "\"x\"");
    assert_eq!(server.send(&under).await.status, 404);
    assert_eq!(revision().await.as_deref(), Some("c2"), "nothing of it was removed");

    assert_eq!(server.send(&delete(SET)).await.status, 404);
    assert_eq!(revision().await, None, "nothing is left");
    let history = server.send(&get(&format!("{SET}?history=true"))).await;
    assert_eq!(history.status, 404, "its history has ended: {}", history.text());
}

#[tokio::test]
async fn the_list_of_sets_says_the_tag_of_each() {
    let server = Server::start().await;
    for path in [SET, "/runtimes/other/main"] {
        server.send(&put(path, TWO)).await;
        server.send(&put(path, set("c2", &[("a", "1")]))).await;
    }
    let list = server.send(&get("/runtimes")).await.json();
    for entry in list.as_array().expect("an array") {
        let path = format!("/runtimes/{}/main", entry["repo_id"].as_str().expect("a text"));
        let tag = server.send(&get(&path)).await.etag();
        assert_eq!(entry["etag"], tag, "{path}: what its own answer says");
        let unchanged = get(&path).header("If-None-Match", entry["etag"].as_str().expect("text"));
        assert_eq!(server.send(&unchanged).await.status, 304, "{path}");
    }
}
