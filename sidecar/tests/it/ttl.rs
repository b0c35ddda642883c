//! Additions, "TTL": keys that are over after a while.

use std::time::{Duration, Instant};

use super::events::Events;
use super::harness::{Server, Setup, eventually};
use super::raw::{get, patch};
use super::rows::{row, run};

const CART: &str = "/api/storage?ns=cart";

#[tokio::test]
async fn every_row_of_ttl() {
    let with = |ttl: &str| {
        let set = format!(r#"{{"op":"set","key":"k","value":1,"ttl":{ttl}}}"#);
        patch(CART, "0", format!(r#"[{{"op":"clear"}},{set}]"#))
    };
    let refused = |name, ttl: &str| {
        row(name).when(with(ttl)).then(400).holds("invalid_operation").holds("operation 1: ttl")
    };
    let rows = [
        row("seconds").when(with("30")).then(201).holds(r#""snapshot":{"k":1}"#),
        row("seconds, as text").when(with(r#""30s""#)).then(201),
        row("minutes").when(with(r#""15m""#)).then(201),
        row("hours").when(with(r#""24h""#)).then(201),
        row("ten years").when(with("315360000")).then(201),
        refused("more than ten years", "315360001"),
        refused("days", r#""7d""#),
        refused("milliseconds", r#""30ms""#),
        refused("no time at all", "0"),
        refused("a past", "-1"),
        refused("a part of a second", "0.5"),
        refused("null", "null"),
        refused("an object", "{}"),
        row("of a del it is another member, and ignored")
            .when(patch(CART, "0", r#"[{"op":"del","key":"k","ttl":"soon"}]"#))
            .then(201),
    ];
    run(|| Setup::default().in_memory(), rows).await;
}

#[tokio::test]
async fn a_key_is_gone_when_its_time_is_over_and_the_version_grows() {
    let server = Server::start().await;
    let begun = Instant::now();
    let two = r#"[{"op":"set","key":"short","value":1,"ttl":"1s"},{"op":"set","key":"long","value":2,"ttl":60}]"#;
    assert_eq!(server.send(&patch(CART, "0", two)).await.status, 201);
    let key = get("/api/storage?ns=cart&key=short");
    let gone = eventually("the key is gone", async || {
        let answer = server.send(&key).await;
        (answer.status == 404).then_some(answer)
    })
    .await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1), "it was gone after {took:?}");
    assert_eq!(gone.etag(), "\"2\"");
    let read = server.send(&get(CART)).await;
    assert_eq!((read.text().as_str(), read.etag().as_str()), (r#"{"long":2}"#, "\"2\""));
    assert_eq!(server.send(&patch(CART, "1", "[]")).await.status, 412);
    assert_eq!(server.send(&patch(CART, "2", "[]")).await.status, 200);
}

#[tokio::test]
async fn who_watches_is_told_although_nobody_reads() {
    let server = Server::start().await;
    let mut events = Events::open(&server.url(CART)).await;
    events.expect().await;
    let set = r#"[{"op":"set","key":"k","value":1,"ttl":1},{"op":"set","key":"l","value":1}]"#;
    server.send(&patch(CART, "0", set)).await;
    let told = events.expect().await.json();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    let expires = told["ops"][0]["expires"].as_u64().expect("a time in milliseconds");
    let now = u64::try_from(now.as_millis()).expect("the present");
    assert!(expires + 20_000 > now && expires <= now + 1_000, "{expires} at {now}");
    assert_eq!(told["ops"][1].get("expires"), None);
    let told = events.expect().await;
    assert_eq!(told.data, r#"{"version":"2","ops":[{"op":"del","key":"k"}]}"#);
}
