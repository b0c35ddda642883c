//! Additions, "Watch": answers that are held until something changes.

use std::time::{Duration, Instant};

use super::harness::{ADMIN, Server, Setup, eventually};
use super::raw::{Answer, Connection, Request, delete, get, patch, put};
use super::watch::watchers;

const CART: &str = "/api/storage?ns=cart";
const SET: &str = "/runtimes/etl/main";

/// A GET that waits where the tag is still the current one.
fn held(path: &str, tag: &str, wait: &str) -> Request {
    get(path).header("If-None-Match", tag).header("Prefer", &format!("wait={wait}"))
}

/// Sends it, and comes back once the server holds it.
async fn sent(server: &Server, request: &Request) -> Connection {
    let before = watchers(server).await;
    let mut connection = Connection::open(server.address).await;
    connection.send(&request.bytes()).await;
    eventually("the answer is held", async || (watchers(server).await > before).then_some(()))
        .await;
    connection
}

async fn answer(mut connection: Connection) -> Answer {
    connection.answer(false).await.expect("an answer")
}

#[tokio::test]
async fn an_answer_comes_with_the_change_that_it_waits_for() {
    let set = |config: &str| {
        put(SET, format!(r#"{{"revision":"c","files":[{{"filepath":"a","config":{config}}}]}}"#))
    };
    let table = [
        ("/", put("/", "1"), put("/", "2")),
        ("/run-stores/a", put("/run-stores/a", "1"), put("/run-stores/a", "2")),
        (CART, patch(CART, "*", "[]"), patch(CART, "*", r#"[{"op":"set","key":"k","value":1}]"#)),
        (SET, set("1"), set("2")),
    ];
    let server = Server::start().await;
    for (path, first, second) in table {
        let tag = server.send(&first).await.etag();
        let waiting = sent(&server, &held(path, &tag, "60")).await;
        let new = server.send(&second).await.etag();
        let got = answer(waiting).await;
        assert_eq!((got.status, got.etag()), (200, new), "{path}");
        assert_eq!(got.header("preference-applied").as_deref(), Some("wait=60"), "{path}");
        assert_eq!(got.text(), server.send(&get(path)).await.text(), "{path}");
    }
    assert_eq!(watchers(&server).await, 0, "nobody waits any more");
}

#[tokio::test]
async fn one_identity_leaves_places_to_the_others() {
    let other = "other-0123456789abcdef";
    let with =
        |request: Request, token| request.header("Authorization", &format!("Bearer {token}"));
    let server = Setup::default()
        .in_memory()
        .config("limits: {maxWatchesPerIdentity: 3}")
        .token("admin", ADMIN)
        .token("other", other)
        .start()
        .await;
    let tag = server.send(&with(put("/", "1"), ADMIN)).await.etag();
    let stream = with(get("/").header("Accept", "text/event-stream"), ADMIN);
    let hold = with(held("/", &tag, "60"), ADMIN);
    let mut open = Vec::new();
    for request in [&stream, &hold, &stream] {
        open.push(sent(&server, request).await);
    }
    for request in [&stream, &hold] {
        let refused = server.send(request).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10".into())));
        assert_eq!(refused.json()["error"], "too_many_watches", "{}", refused.text());
    }
    assert_eq!(server.send(&with(get("/"), ADMIN)).await.status, 200, "reads are not counted");
    let others = sent(&server, &with(held("/", &tag, "60"), other)).await;
    // One that goes makes room.
    open.pop();
    eventually("the place is free", async || (watchers(&server).await == 3).then_some(())).await;
    open.push(sent(&server, &stream).await);
    drop((open, others));
    eventually("nobody waits any more", async || (watchers(&server).await == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn an_answer_is_held_for_as_long_as_was_asked_for() {
    let server = Server::start().await;
    let tag = server.send(&put("/", "1")).await.etag();
    let begun = Instant::now();
    let waiting = sent(&server, &held("/", &tag, "1")).await;
    // Another document's change is none of it.
    server.send(&put("/run-stores/other", "1")).await;
    let got = answer(waiting).await;
    assert_eq!((got.status, got.etag()), (304, tag));
    assert!(got.body.is_empty());
    assert_eq!(got.header("preference-applied").as_deref(), Some("wait=1"));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1), "it came after {took:?}");
}

#[tokio::test]
async fn what_need_not_wait_does_not() {
    let server = Server::start().await;
    let tag = server.send(&put("/", "1")).await.etag();
    let table = [
        ("another state", held("/", "\"other\"", "60"), 200),
        ("no condition", get("/").header("Prefer", "wait=60"), 200),
        ("nothing there", held("/run-stores/none", "\"other\"", "60"), 404),
        ("nothing there, any state", held("/run-stores/none", "*", "60"), 404),
        ("no time", held("/", &tag, "0"), 304),
        ("no number", held("/", &tag, "soon"), 304),
        ("a failed condition", held("/", &tag, "60").header("If-Match", "\"other\""), 412),
        ("a bad condition", held("/", "nonsense", "60"), 400),
    ];
    for (name, request, status) in table {
        let got = server.send(&request).await;
        assert_eq!(got.status, status, "{name}");
        assert_eq!(got.header("preference-applied"), None, "{name}");
    }
}

#[tokio::test]
async fn an_answer_to_a_key_waits_for_the_namespace() {
    let server = Server::start().await;
    let path = "/api/storage?ns=cart&key=k";
    let tag = server.send(&patch(CART, "0", r#"[{"op":"set","key":"k","value":1}]"#)).await.etag();
    let waiting = sent(&server, &held(path, &tag, "60")).await;
    server.send(&patch(CART, "1", r#"[{"op":"del","key":"k"}]"#)).await;
    let got = answer(waiting).await;
    assert_eq!((got.status, got.etag()), (404, "\"2\"".to_owned()));
}

#[tokio::test]
async fn a_delete_is_an_end_of_waiting() {
    let server = Server::start().await;
    let tag = server.send(&put("/", "1")).await.etag();
    let waiting = sent(&server, &held("/", &tag, "99")).await;
    assert_eq!(server.send(&delete("/")).await.status, 204);
    assert_eq!(answer(waiting).await.status, 404);
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    let server = Server::start().await;
    let tag = server.send(&put("/", "1")).await.etag();
    let waiting = sent(&server, &held("/", &tag, "60")).await;
    drop(waiting);
    eventually("nobody waits", async || (watchers(&server).await == 0).then_some(())).await;
}

#[tokio::test]
async fn a_token_that_is_revoked_waits_no_longer() {
    let server = Setup::default().in_memory().token("admin", ADMIN).start().await;
    let admin = |request: Request| request.header("Authorization", &format!("Bearer {ADMIN}"));
    let tag = server.send(&admin(put("/", "1"))).await.etag();
    let waiting = sent(&server, &admin(held("/", &tag, "60"))).await;
    let others = Setup::default().token("other", "other-0123456789abcdef").settings();
    server.reconfigure(others);
    assert_eq!(answer(waiting).await.status, 401);
}

#[tokio::test]
async fn a_shutdown_answers_at_once() {
    let server = Setup::default().grace(Duration::from_secs(60)).start().await;
    let tag = server.send(&put("/", "1")).await.etag();
    let waiting = sent(&server, &held("/", &tag, "60")).await;
    let begun = Instant::now();
    server.shutdown.cancel();
    let got = answer(waiting).await;
    assert_eq!((got.status, got.header("connection").as_deref()), (304, Some("close")));
    server.ended().await.expect("a clean end");
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
}
