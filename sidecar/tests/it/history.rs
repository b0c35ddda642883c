//! Additions, "History": the last versions can be read as they were, and who wrote them is told.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stowage_store::{VolumeOptions, VolumeStore};

use super::events::Events;
use super::harness::{Server, Setup, eventually};
use super::raw::{Answer, Request, delete, get, head, patch, put};

const CART: &str = "/api/storage?ns=cart";
const SET: &str = "/runtimes/r/main";
const ADMIN: &str = "admin-0123456789abcdef";

fn with_history() -> Setup {
    let token = r#"{"token":"admin-0123456789abcdef","contracts":["runStore","kv","runtimes"],"access":"readWrite"}"#;
    Setup::default().history(3).token("ci", token)
}

fn by(request: Request) -> Request {
    request.header("Authorization", &format!("Bearer {ADMIN}"))
}

async fn done(server: &Server, request: Request) -> Answer {
    let answer = server.send(&by(request)).await;
    assert!(answer.status < 300, "{}: {}", answer.status, answer.text());
    answer
}

fn set_key(value: u64) -> String {
    format!(r#"[{{"op":"set","key":"k","value":{value}}}]"#)
}

/// Five versions of a namespace and of a document; gives the tags of the document's.
async fn written(server: &Server) -> Vec<String> {
    let mut tags = Vec::new();
    for version in 0..5 {
        done(server, patch(CART, &version.to_string(), set_key(version + 1))).await;
        tags.push(done(server, put("/run-stores/d", (version + 1).to_string())).await.etag());
    }
    tags
}

fn text(tag: &str) -> &str {
    tag.trim_matches('"')
}

/// Who asks for an old version of what has none is not given the current one, and who deletes it deletes nothing.
#[tokio::test]
async fn versions_of_what_keeps_none_are_refused() {
    let server = Setup::default().history(3).start().await;
    for (target, body) in [("/jobs/j", r#"{"id":"j"}"#), ("/artifacts/a/b", "x")] {
        assert_eq!(server.send(&put(target, body)).await.status, 201, "{target}");
        for query in ["at=1", "history=true", "at="] {
            let target = format!("{target}?{query}");
            for request in [get(&target), head(&target), put(&target, body), delete(&target)] {
                let answer = server.send(&request).await;
                assert_eq!(answer.status, 400, "{} {target}", request.method);
                assert!(
                    request.method == "HEAD" || answer.json()["error"] == "invalid_query",
                    "{answer:?}"
                );
            }
        }
        assert_eq!(server.send(&get(target)).await.text(), body, "{target}");
    }
}

#[tokio::test]
async fn every_row_of_a_namespace() {
    let server = with_history().start().await;
    written(&server).await;
    // What follows ?ns=cart, the status, a part of the body, the tag.
    let rows: &[(&str, u16, &str, &str)] = &[
        ("&at=5", 200, r#"{"k":5}"#, "\"5\""),
        ("&at=4", 200, r#"{"k":4}"#, "\"4\""),
        ("&at=%223%22", 200, r#"{"k":3}"#, "\"3\""),
        ("&at=3&key=k", 200, "3", "\"3\""),
        ("&at=3&key=x", 404, "not in the namespace", "\"3\""),
        ("&at=2", 410, "not kept", ""),
        ("&at=0", 410, "not kept", ""),
        ("&at=6", 404, "not come to this version", "\"5\""),
        ("&at=", 400, "invalid_query", ""),
        ("&at=x", 400, "whole number", ""),
        ("&at=04", 400, "whole number", ""),
        ("&at=-1", 400, "whole number", ""),
        ("&at=99999999999999999999", 404, "not come to this version", "\"5\""),
        ("&at=4&at=4", 400, "more than once", ""),
        ("&at=4&history=true", 400, "not both", ""),
        ("&history=yes", 400, "true or false", ""),
        ("&history=false", 200, r#"{"k":5}"#, "\"5\""),
        ("&history=true&key=k", 400, "leave key= out", ""),
        ("&history=true&limit=0", 400, "limit", ""),
        ("&history=true&limit=x", 400, "limit", ""),
        ("&history=true&continue=", 400, "continue", ""),
    ];
    for (query, status, part, tag) in rows {
        let target = format!("{CART}{query}");
        let answer = server.send(&by(get(&target))).await;
        let found = (answer.status, answer.text(), answer.header("ETag").unwrap_or_default());
        assert_eq!((found.0, &*found.2), (*status, *tag), "{query}: {}", found.1);
        assert!(found.1.contains(part), "{query}: {}", found.1);
        if *status == 200 {
            assert_eq!(answer.header("X-Stowage-Version").as_deref(), Some(text(tag)), "{query}");
            let same = server.send(&by(head(&target))).await;
            assert_eq!(
                (same.status, same.etag(), same.text()),
                (200, (*tag).into(), String::new())
            );
            let unchanged = by(get(&target)).header("If-None-Match", tag);
            assert_eq!(server.send(&unchanged).await.status, 304, "{query}");
            let failed = by(get(&target)).header("If-Match", "\"77\"");
            assert_eq!(server.send(&failed).await.status, 412, "{query}");
        }
    }
    let events = by(get(&format!("{CART}&at=4"))).header("Accept", "text/event-stream");
    assert_eq!(server.send(&events).await.status, 400);
    for request in [
        patch(&format!("{CART}&at=4"), "5", "[]"),
        delete(&format!("{CART}&at=4")).header("If-Match", "5"),
    ] {
        assert_eq!(server.send(&by(request)).await.status, 400, "no version is written to");
    }
    assert_eq!(server.send(&get(&format!("{CART}&at=4"))).await.status, 401);
}

#[tokio::test]
async fn every_row_of_a_document() {
    let server = with_history().start().await;
    let at = |tag: &str| get(&format!("/run-stores/d?at={tag}"));
    assert_eq!(server.send(&by(at("x"))).await.status, 404, "nothing is there");
    assert_eq!(server.send(&by(get("/run-stores/d?history=true"))).await.status, 404);
    let tags = written(&server).await;
    for (place, tag) in tags.iter().enumerate() {
        for spelled in [text(tag).to_owned(), format!("%22{}%22", text(tag))] {
            let answer = server.send(&by(at(&spelled))).await;
            if place < 2 {
                assert_eq!(answer.status, 410, "{spelled}: {}", answer.text());
                continue;
            }
            assert_eq!((answer.status, answer.text()), (200, (place + 1).to_string()));
            assert_eq!(&answer.etag(), tag);
        }
    }
    for (spelled, status) in [("", 400), ("a%20b", 400), ("W/%22x%22", 400), ("unknown", 410)] {
        assert_eq!(server.send(&by(at(spelled))).await.status, status, "{spelled}");
    }
    done(&server, delete("/run-stores/d")).await;
    for request in [at(text(&tags[4])), get("/run-stores/d?history=true")] {
        assert_eq!(server.send(&by(request)).await.status, 404, "its history is gone");
    }
    done(&server, put("/run-stores/d", "6")).await;
    assert_eq!(server.send(&by(at(text(&tags[4])))).await.status, 410);
    let default = done(&server, put("/", "1")).await.etag();
    done(&server, put("/", "2")).await;
    let answer = server.send(&by(get(&format!("/?at={}", text(&default))))).await;
    assert_eq!((answer.status, answer.text()), (200, "1".into()), "the default document");
}

#[tokio::test]
async fn a_list_tells_versions_times_and_who() {
    let server = with_history().start().await;
    assert_eq!(server.send(&by(get(&format!("{CART}&history=true")))).await.text(), "[]");
    let tags = written(&server).await;
    let list = async |target: &str| server.send(&by(get(target))).await;
    let all = list(&format!("{CART}&history=true")).await;
    let versions = |answer: &Answer| -> Vec<String> {
        let entries = answer.json().as_array().expect("a list").clone();
        entries.iter().map(|entry| entry["version"].as_str().expect("a text").into()).collect()
    };
    assert_eq!(versions(&all), ["5", "4", "3"]);
    for entry in all.json().as_array().expect("a list") {
        assert_eq!(entry["token"], "ci", "a name and no secret");
        let time = entry["time"].as_str().expect("a time");
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    assert!(!all.text().contains(ADMIN));
    let unchanged = by(get(&format!("{CART}&history=true"))).header("If-None-Match", &all.etag());
    assert_eq!(server.send(&unchanged).await.status, 304);
    // As everywhere in the KV contract; the list's own tag is none.
    let bare = by(get(&format!("{CART}&history=true"))).header("If-None-Match", "5");
    assert_eq!(server.send(&bare).await.status, 200, "a bare number is a tag, and another one");
    let bare = by(get("/run-stores/d?history=true")).header("If-None-Match", "5");
    assert_eq!(server.send(&bare).await.status, 400, "nowhere else");

    let documents = list("/run-stores/d?history=true").await;
    let expected: Vec<_> = tags.iter().rev().take(3).map(|tag| text(tag).to_owned()).collect();
    assert_eq!(versions(&documents), expected);

    for target in [format!("{CART}&history=true"), "/run-stores/d?history=true".into()] {
        let all = versions(&list(&target).await);
        let mut found = Vec::new();
        let mut next = format!("{target}&limit=2");
        loop {
            let page = list(&next).await;
            found.extend(versions(&page));
            let Some(token) = page.header("X-Stowage-Continue") else { break };
            assert!(page.header("Link").is_some_and(|link| link.contains("rel=\"next\"")));
            next = format!("{target}&limit=2&continue={token}");
        }
        assert_eq!(found, all, "the pages are the whole");
    }

    // A key that is over goes by nobody's hand.
    let ttl = r#"[{"op":"set","key":"k","value":1,"ttl":1}]"#;
    done(&server, patch(CART, "5", ttl)).await;
    let over = eventually("the key is over", async || {
        let answer = list(&format!("{CART}&history=true")).await;
        (versions(&answer)[0] == "7").then_some(answer)
    })
    .await;
    assert_eq!(over.json()[0]["token"], Value::Null);
    assert_eq!(over.json()[1]["token"], "ci");
    assert_eq!(list(&format!("{CART}&at=6")).await.text(), r#"{"k":1}"#, "as it was then");
}

#[tokio::test]
async fn a_delete_of_a_namespace_ends_its_history() {
    let server = with_history().start().await;
    written(&server).await;
    done(&server, delete(CART).header("If-Match", "5")).await;
    assert_eq!(server.send(&by(get(&format!("{CART}&at=5")))).await.status, 410);
    assert_eq!(server.send(&by(get(&format!("{CART}&at=6")))).await.text(), "{}");
    let list = server.send(&by(get(&format!("{CART}&history=true")))).await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    done(&server, patch(CART, "6", r#"[{"op":"clear"}]"#)).await;
    assert_eq!(
        server.send(&by(get(&format!("{CART}&at=6")))).await.status,
        200,
        "a clear is a patch"
    );
}

#[tokio::test]
async fn a_set_has_a_version_for_each_commit() {
    let server = with_history().start().await;
    let set = |revision: &str, x: u64| {
        let files = json!([{"filepath": "a.yaml", "config": {"x": x}}]);
        put(SET, json!({"revision": revision, "files": files}).to_string())
    };
    let first = done(&server, set("c1", 1)).await.etag();
    let second = done(&server, set("c2", 2)).await.etag();
    done(&server, set("c3", 2)).await;
    let at = |tag: &str| by(get(&format!("{SET}?at={}", text(tag))));
    let answer = server.send(&at(&first)).await;
    assert_eq!((answer.status, &answer.etag()), (200, &first), "{}", answer.text());
    assert_eq!(answer.json()[0]["config"]["x"], 1);
    assert_eq!(answer.header("X-Stowage-Revision").as_deref(), Some("c1"));
    let answer = server.send(&at(&second)).await;
    assert_eq!(answer.header("X-Stowage-Revision").as_deref(), Some("c3"), "the last that has it");
    let file = server.send(&by(get(&format!("{SET}/a.yaml?at={}", text(&first))))).await;
    assert_eq!((file.status, file.text()), (200, r#"{"x":1}"#.into()));
    let list = server.send(&by(get(&format!("{SET}?history=true")))).await.json();
    let told = |entry: &Value| (entry["version"].clone(), entry["revision"].clone());
    let told: Vec<_> = list.as_array().expect("a list").iter().map(told).collect();
    let entry = |tag: &str, revision: &str| (json!(text(tag)), json!(revision));
    assert_eq!(told, [entry(&second, "c3"), entry(&second, "c2"), entry(&first, "c1")]);
    assert_eq!(list[0]["token"], "ci");
    assert_eq!(server.send(&by(get(&format!("{SET}?at=unknown")))).await.status, 410);
    assert_eq!(server.send(&by(get(&format!("{SET}/a.yaml?history=true")))).await.status, 400);
    done(&server, delete(SET)).await;
    assert_eq!(server.send(&at(&first)).await.status, 404, "its history is gone");
}

#[tokio::test]
async fn without_a_history_it_says_so() {
    let server = Server::start().await;
    for target in [format!("{CART}&at=0"), format!("{CART}&history=true"), "/?at=x".into()] {
        let answer = server.send(&get(&target)).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.text().contains("its history is 0"), "{}", answer.text());
    }
    let answer = server.send(&get(&format!("{CART}&history=false"))).await;
    assert_eq!(answer.status, 200, "nothing was asked of it");
}

/// A server on a directory that outlives it.
async fn on(directory: &std::path::Path) -> Server {
    let options = VolumeOptions { history: 10, ..VolumeOptions::default() };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let store = loop {
        match VolumeStore::open(directory, &options) {
            Ok(store) => break store,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    Setup::default().store(Arc::new(store)).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_goes_on_over_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = on(directory.path()).await;
    let sent = async |server: &Server, request: Request| {
        let answer = server.send(&request).await;
        assert!(answer.status < 300, "{}", answer.text());
        answer
    };
    let mut tags = Vec::new();
    for version in 0..3 {
        sent(&server, patch(CART, &version.to_string(), set_key(version + 1))).await;
        tags.push(sent(&server, put("/", (version + 1).to_string())).await.etag());
    }
    server.shutdown.cancel();
    server.ended().await.expect("an end");
    let server = on(directory.path()).await;
    let open = async |target: &str, id: &str| {
        Events::open_with(&server.url(target), &[("Last-Event-ID", id)]).await
    };
    let mut cart = open(CART, "1").await;
    let mut document = open("/", text(&tags[0])).await;
    for version in [2, 3] {
        let event = cart.expect().await;
        assert_eq!((&*event.name, event.id.as_deref()), ("change", Some(&*version.to_string())));
        assert_eq!(event.json()["ops"][0]["value"], version);
        let event = document.expect().await;
        assert_eq!((&*event.name, &*event.data), ("change", &*version.to_string()));
        assert_eq!(event.id.as_deref(), Some(text(&tags[version as usize - 1])));
    }
    // And on, with what comes now.
    sent(&server, patch(CART, "3", set_key(4))).await;
    sent(&server, put("/", "4")).await;
    assert_eq!(cart.expect().await.id.as_deref(), Some("4"));
    assert_eq!(document.expect().await.data, "4");
    for (target, id) in [(CART, "9"), (CART, "x"), ("/", "unknown")] {
        assert_eq!(open(target, id).await.expect().await.name, "snapshot", "{target} {id}");
    }
}
