//! What happens in the server's own time: comments of a stream that has nothing to say (contract 6), and the end of a
//! body that stalls (408).

use std::time::Duration;

use stowage_sidecar::settings::Pace;

use super::events::Events;
use super::harness::Setup;
use super::raw::{Connection, Request, get};

#[test]
fn a_comment_comes_every_15_seconds_and_a_body_may_stall_for_30() {
    let pace = Pace::default();
    assert_eq!(pace.comment_every, Duration::from_secs(15));
    assert_eq!(pace.body_idle, Duration::from_secs(30));
}

#[tokio::test]
async fn a_stream_with_nothing_to_say_says_comments() {
    let pace = Pace { comment_every: Duration::from_millis(50), ..Pace::default() };
    let server = Setup::default().in_memory().pace(pace).start().await;
    for path in ["/run-stores/d", "/api/storage?ns=cart", "/runtimes/etl/main"] {
        let mut events = Events::open(&server.url(path)).await;
        let first = events.next_or_comment().await.expect("a snapshot");
        assert_eq!(first.name, "snapshot", "{path}: {first:?}");
        for number in 1..=3 {
            let next = events.next_or_comment().await.expect("the stream goes on");
            assert_eq!(next.name, "comment", "{path}: comment {number}, not {next:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_408_and_nothing_is_applied() {
    let pace = Pace { body_idle: Duration::from_millis(100), ..Pace::default() };
    let server = Setup::default().pace(pace).start().await;
    for (path, method) in [("/run-stores/d", "PUT"), ("/artifacts/s/b", "PUT"), ("/jobs/j", "PUT")]
    {
        let request = Request::new(method, path).header("Content-Length", "10").body("[1");
        let mut connection = Connection::open(server.address).await;
        connection.send(&request.bytes()).await;
        let answer = connection.answer(false).await.expect("an answer");
        assert_eq!(answer.status, 408, "{path}: {}", answer.text());
        super::described::verify(&request, &answer);
        let kind = answer.header("content-type");
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{path}");
        assert_eq!(answer.json()["error"], "request_timeout", "{path}");
        assert_eq!(answer.json()["status"], 408, "{path}");
        assert_eq!(answer.header("x-storage-backend").as_deref(), Some("local"), "{path}");
        assert_eq!(answer.header("connection").as_deref(), Some("close"), "{path}");
        assert!(connection.ends().await, "{path}: the connection ends");
        assert_eq!(server.send(&get(path)).await.status, 404, "{path}: nothing is applied");
    }
}
