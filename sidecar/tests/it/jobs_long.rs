//! Contract 3, lists that are too long to be sent at once: they stream, under a tag like any other.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use stowage_store::{EventId, Key, Name, NameKind, Preconditions, Store};

use super::failing::Failing;
use super::harness::{ADMIN, Server, Setup};
use super::jobs::{EVENTS, post};
use super::raw::{Request, delete, put};
use super::stalled::Peer;

/// Of one document; a list is long above four of them.
const BYTES: usize = 300 << 10;
const COUNT: usize = 8;

/// How a document of a list is written.
type Write = fn(usize, &str) -> Request;

/// Every list of documents.
const LISTS: [(&str, Write); 4] = [
    ("/jobs", job),
    ("/runs", run),
    ("/jobs/j/checkpoints", checkpoint),
    ("/jobs/j/runs/r/events?contents=true", event),
];

fn job(number: usize, text: &str) -> Request {
    put(&format!("/jobs/{number}"), format!(r#"{{"id":"{number}","text":"{text}"}}"#))
}

/// There is one of each job: what is written again is not replaced.
fn run(number: usize, text: &str) -> Request {
    put(&format!("/jobs/{number}/runs/r"), format!(r#"{{"updatedAt":{number},"text":"{text}"}}"#))
}

fn checkpoint(number: usize, text: &str) -> Request {
    let body = format!(r#"{{"stepNumber":{number},"text":"{text}"}}"#);
    put(&format!("/jobs/j/checkpoints/{number}"), body)
}

fn event(number: usize, text: &str) -> Request {
    let named = format!(r#""timestamp":{number},"stepNumber":1,"type":"a""#);
    post(EVENTS, format!(r#"{{{named},"text":"{text}"}}"#))
}

fn admin(request: Request) -> Request {
    request.header("Authorization", &format!("Bearer {ADMIN}"))
}

async fn served() -> Server {
    let server = Setup::default().in_memory().token("admin", ADMIN).start().await;
    for (list, write) in LISTS {
        for number in 0..COUNT {
            let answer = server.send(&admin(write(number, &"x".repeat(BYTES)))).await;
            assert_eq!(answer.status, 201, "{list}: {answer:?}");
        }
    }
    server
}

struct Asking(Client);

impl Asking {
    fn new() -> Self {
        Self(Client::builder().no_proxy().build().expect("a client"))
    }

    async fn send(&self, method: Method, url: &str, fields: &[(&str, &str)]) -> Response {
        let mut request = self.0.request(method, url).bearer_auth(ADMIN);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    async fn get(&self, url: &str, fields: &[(&str, &str)]) -> Response {
        self.send(Method::GET, url, fields).await
    }

    /// The tag of a list; what follows is not waited for.
    async fn tag(&self, url: &str) -> String {
        tag(&self.get(url, &[]).await).unwrap_or_else(|| panic!("expected an ETag of {url}"))
    }
}

fn tag(answer: &Response) -> Option<String> {
    answer.headers().get("etag").map(|tag| tag.to_str().expect("text").to_owned())
}

#[tokio::test]
async fn a_long_list_has_a_tag_and_conditions_are_decided_before_it_streams() {
    let server = served().await;
    let asking = Asking::new();
    for (list, _) in LISTS {
        let url = server.url(list);
        let answer = asking.get(&url, &[]).await;
        assert_eq!(answer.content_length(), None, "{list} streams");
        let current = tag(&answer).unwrap_or_else(|| panic!("expected an ETag of {list}"));
        let version = answer.headers()["x-stowage-version"].to_str().expect("text");
        assert_eq!(format!("\"{version}\""), current, "{list}");
        let entries: Value = answer.json().await.expect("JSON");
        let entries = entries.as_array().expect("a list").len();
        assert!(entries >= COUNT, "{list} is sent whole, not {entries} entries");
        assert_eq!(asking.tag(&url).await, current, "nothing has changed in {list}");
        let head = asking.send(Method::HEAD, &url, &[]).await;
        assert_eq!((head.status().as_u16(), tag(&head)), (200, Some(current.clone())), "{list}");
        let lines = asking.get(&url, &[("Accept", "application/x-ndjson")]).await;
        let other = tag(&lines).unwrap_or_else(|| panic!("expected an ETag of {list} in lines"));
        assert_ne!(other, current, "{list} in lines is other bytes");

        for (field, condition, status) in [
            ("If-None-Match", current.as_str(), 304),
            ("If-None-Match", "*", 304),
            ("If-None-Match", "\"x\"", 200),
            ("If-None-Match", other.as_str(), 200),
            ("If-Match", current.as_str(), 200),
            ("If-Match", "*", 200),
            ("If-Match", "\"x\"", 412),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let said = format!("{method} {list}, {field}: {condition}");
                let answer = asking.send(method, &url, &[(field, condition)]).await;
                assert_eq!(answer.status().as_u16(), status, "{said}");
                assert_eq!(tag(&answer).as_ref(), Some(&current), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn the_tag_of_a_long_list_changes_with_every_document_of_it() {
    let server = served().await;
    let asking = Asking::new();
    for (list, write) in LISTS {
        let url = server.url(list);
        let mut tags = vec![asking.tag(&url).await];
        // One that is sent at once and one that is sent later, the same bytes again, and one more.
        for (number, fill) in [(0, "y"), (COUNT - 1, "y"), (COUNT - 1, "y"), (COUNT, "x")] {
            let answer = server.send(&admin(write(number, &fill.repeat(BYTES)))).await;
            assert!(matches!(answer.status, 200 | 201), "{list}: {answer:?}");
            tags.push(asking.tag(&url).await);
        }
        let query = if list.contains('?') { "&limit=7" } else { "?limit=7" };
        tags.push(asking.tag(&format!("{url}{query}")).await);
        let different: HashSet<_> = tags.iter().collect();
        assert_eq!(different.len(), tags.len(), "{list}: {tags:?}");
    }
}

/// A document of another write is not sent under the tag that was told. The window is smaller than what is
/// left, so the last documents are read only when the client has taken what comes before them.
#[tokio::test]
async fn a_long_list_breaks_off_where_a_document_is_another_by_then() {
    let changes: [(&str, Option<Request>); 4] = [
        ("nothing", None),
        ("another text", Some(job(COUNT - 1, &"y".repeat(BYTES)))),
        ("the same text again", Some(job(COUNT - 1, &"x".repeat(BYTES)))),
        ("none any more", Some(delete(&format!("/jobs/{}", COUNT - 1)))),
    ];
    for (what, change) in changes {
        let server = served().await;
        let mut peer = Peer::connect(server.address, 64 << 10).await;
        let answer = peer.ask("/jobs", ADMIN, ("Accept", "application/json")).await;
        assert_eq!(answer.status(), 200, "{what}");
        assert!(answer.headers().contains_key("etag"), "{what}: {:?}", answer.headers());
        if let Some(change) = &change {
            let changed = server.send(&admin(change.clone())).await;
            assert!(changed.status < 300, "{what}: {changed:?}");
        }
        let body = answer.into_body().collect().await;
        match change {
            None => assert!(body.is_ok_and(|body| body.to_bytes().len() > COUNT * BYTES)),
            Some(_) => assert!(body.is_err(), "{what}: expected the stream to break off"),
        }
    }
}

/// They say what the names say, and so does their tag.
#[tokio::test]
async fn a_long_list_of_names_and_its_tag_read_no_document() {
    let store = Arc::new(Failing::default());
    let name = |kind, text: &str| Name::parse(kind, text).expect("a name");
    let (job, run) = (name(NameKind::Job, "j"), name(NameKind::Run, "r"));
    let named = async |number: u64| {
        let id = EventId::new(number, 1, name(NameKind::EventType, &"a".repeat(120)));
        let key = Key::event(&(&job).into(), &(&run).into(), &id.expect("an id"));
        store.put(&key, "{}".into(), Preconditions::none()).await.expect("it is stored");
    };
    for number in 0..8_000 {
        named(number).await;
    }
    store.panics.store(true, Ordering::Relaxed);
    let server = Setup::default().store(store.clone()).start().await;
    let (asking, url) = (Asking::new(), server.url(EVENTS));
    let answer = asking.get(&url, &[]).await;
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, None), "it streams");
    let current = tag(&answer).expect("an ETag");
    let entries: Value = answer.json().await.expect("JSON");
    assert_eq!(entries.as_array().map(Vec::len), Some(8_000));
    let again = asking.get(&url, &[("If-None-Match", &current)]).await;
    assert_eq!((again.status().as_u16(), tag(&again)), (304, Some(current.clone())));
    named(8_000).await;
    assert_ne!(asking.tag(&url).await, current, "there is one more");
}
