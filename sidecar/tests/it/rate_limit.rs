//! Limits, "requests per second": one identity over its rate is 429, and nothing of it is applied.

use super::harness::{ADMIN, Server, Setup, eventually};
use super::raw::{Answer, Connection, Request, get, put};

const OTHER: &str = "other-0123456789abcdef";
const LIMITED: &str = "limits: {requestsPerSecond: 1}\nauth: {anonymous: read}";

fn setup(config: &str) -> Setup {
    Setup::default().in_memory().config(config).token("admin", ADMIN).token("other", OTHER)
}

fn with(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

/// Sends until it is refused; that another second begins between two requests is no fault.
async fn until_refused(server: &Server, request: &Request) -> Answer {
    for _ in 0..50 {
        let answer = server.send(request).await;
        if answer.status == 429 {
            return answer;
        }
        assert!(answer.status < 300, "{} {}: {answer:?}", request.method, request.target);
    }
    panic!("expected 429 of 50 requests in a row at one a second");
}

#[tokio::test]
async fn over_the_rate_a_write_is_429_and_changes_nothing() {
    let server = setup(LIMITED).start().await;
    let answer = until_refused(&server, &with(put("/", "\"before\""), ADMIN)).await;
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(answer.json()["error"], "too_many_requests");
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");

    let refused = until_refused(&server, &with(put("/", "\"before\""), ADMIN)).await;
    assert_eq!(refused.status, 429);
    let mut connection = Connection::open(server.address).await;
    // Of the body only its length is there.
    let head = with(put("/", ""), ADMIN).header("Content-Length", "9");
    connection.send(&head.header("Expect", "100-continue").bytes()).await;
    match connection.answer(false).await.expect("an answer before the body") {
        answer if answer.status == 429 => (),
        // A second has passed.
        answer => assert_eq!(answer.status, 100, "{answer:?}"),
    }
    let read = server.send(&with(get("/"), OTHER)).await;
    assert_eq!((read.status, read.text().as_str()), (200, "\"before\""), "another one is free");
}

#[tokio::test]
async fn after_the_wait_the_next_request_is_taken() {
    let server = setup(LIMITED).start().await;
    let request = with(put("/", "1"), ADMIN);
    until_refused(&server, &request).await;
    eventually("the bucket has one again", async || {
        (server.send(&request).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_unnamed_share_a_bucket_and_health_and_preflights_have_none() {
    let server = setup(LIMITED).start().await;
    server.send(&with(put("/", "1"), ADMIN)).await;
    until_refused(&server, &get("/")).await;
    for _ in 0..20 {
        assert_eq!(server.send(&get("/health")).await.status, 200);
        assert_eq!(server.send(&Request::new("OPTIONS", "/")).await.status, 204);
        let wrong = with(get("/"), "nobody-0123456789abcdef");
        assert_eq!(server.send(&wrong).await.status, 401, "what is wrong is told as such");
    }
    assert_eq!(server.send(&with(get("/"), OTHER)).await.status, 200, "a token has its own");
}

#[tokio::test]
async fn a_rate_is_taken_up_and_taken_back_while_running() {
    let server = setup(LIMITED).start().await;
    let request = with(put("/", "1"), ADMIN);
    until_refused(&server, &request).await;
    server.reconfigure(setup("").settings());
    for _ in 0..50 {
        assert_eq!(server.send(&request).await.status, 200);
    }
    server.reconfigure(setup(LIMITED).settings());
    until_refused(&server, &request).await;
}
