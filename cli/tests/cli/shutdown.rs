//! How `stowage up` ends.

use crate::support::{ADMIN, DEADLINE, Place, Up, store_with_token};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A PUT of which the server has seen everything but the body, and waits for that.
async fn half_a_put(up: &Up) -> TcpStream {
    let url = up.url("demo");
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT /run-stores/a HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Type: application/json\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn sigterm_finishes_the_request_under_way() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new(&[("a.yaml", &store_with_token("demo", ADMIN))]);
        let mut up = place.ready(&["demo"]).await;
        let mut stream = half_a_put(&up).await;
        up.signal(signal);
        up.wait_for("ending").await;
        assert!(!place.path("ready.json").exists(), "not ready any more");
        stream.write_all(b"{\"n\":1}").await.unwrap();
        let mut answer = String::new();
        timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{signal:?}: {answer}");
        let status = up.ended().await;
        assert_eq!(status.code(), Some(0), "{signal:?}: {}", up.output());
        let document = std::fs::read_to_string(place.data().join("demo/run-stores/a.json"));
        assert_eq!(document.unwrap(), "{\"n\":1}", "what was acknowledged is there");
    }
}

#[tokio::test]
async fn a_second_sigint_ends_at_once() {
    let place = Place::new(&[("a.yaml", &store_with_token("demo", ADMIN))]);
    let mut up = place.ready(&["demo"]).await;
    let _stream = half_a_put(&up).await;
    up.signal(Signal::INT);
    up.wait_for("ending").await;
    up.signal(Signal::INT);
    assert_eq!(up.ended().await.code(), Some(130), "{}", up.output());
    up.wait_for("ended at once").await;
    assert!(!place.data().join(".run").exists(), "no Secrets stay behind");
}

#[tokio::test]
async fn logs_can_be_json() {
    let place = Place::new(&[("a.yaml", &store_with_token("demo", ADMIN))]);
    let mut up = place.up(&["demo"], &["--log-format", "json"]);
    up.wait_ready().await;
    up.signal(Signal::TERM);
    assert!(up.ended().await.success());
    up.wait_for("ending").await;
    let output = up.output();
    let line = output.lines().find(|line| line.contains("ending")).unwrap();
    let event: serde_json::Value = serde_json::from_str(line).expect("one JSON object a line");
    assert_eq!(event["level"], "INFO", "{event}");
}
