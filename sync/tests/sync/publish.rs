//! Publishing over HTTP to a store that answers as the contract says, or does not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use stowage_config::SyncTarget;
use stowage_sync::{
    ConfigFile, ConfigSet, HttpPublisher, PublishError, Published, Publisher, TargetRefused,
};
use tokio::net::TcpListener;

/// A store of one set; the statuses in the queue are answered first, one for each request.
#[derive(Default)]
struct Store {
    queue: VecDeque<(StatusCode, Option<&'static str>)>,
    body: Option<Bytes>,
    requests: Vec<String>,
}

type Shared = Arc<Mutex<Store>>;

async fn start(queue: &[(u16, Option<&'static str>)]) -> (SyncTarget, Shared) {
    let queue = queue.iter().map(|(s, r)| (StatusCode::from_u16(*s).unwrap(), *r)).collect();
    let store = Arc::new(Mutex::new(Store { queue, ..Store::default() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(store.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (SyncTarget { url, token_file: None }, store)
}

async fn answer(State(store): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut store = store.lock().unwrap();
    let authorization =
        parts.headers.get(header::AUTHORIZATION).map_or("none", |v| v.to_str().unwrap());
    store.requests.push(format!("{} {} {authorization}", parts.method, parts.uri));
    if let Some((status, retry_after)) = store.queue.pop_front() {
        let problem = json!({"status": status.as_u16(), "detail": "said by the store"});
        let retry = retry_after.map(|after| [(header::RETRY_AFTER, after)]);
        return match retry {
            Some(retry) => (status, retry, problem.to_string()).into_response(),
            None => (status, problem.to_string()).into_response(),
        };
    }
    if parts.method == Method::PUT {
        let current = store.body.as_deref().map(tag);
        let wanted = |name| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let holds = match (wanted(header::IF_MATCH), wanted(header::IF_NONE_MATCH)) {
            (Some(tag), None) => current == Some(tag),
            (None, Some(any)) => any == "*" && current.is_none(),
            _ => panic!("a set is put in place of a certain one, or of none"),
        };
        if !holds {
            return StatusCode::PRECONDITION_FAILED.into_response();
        }
        store.body = Some(body);
    }
    match &store.body {
        Some(body) => [
            (header::ETAG.as_str(), tag(body)),
            ("x-stowage-revision", serde_json::from_slice::<ConfigSet>(body).unwrap().revision),
        ]
        .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn tag(body: &[u8]) -> String {
    format!("\"{}\"", body.len())
}

fn set(repo_id: &str, branch: &str, name: &str) -> ConfigSet {
    let config = serde_json::value::RawValue::from_string(format!("{{\"n\":{name}}}")).unwrap();
    ConfigSet {
        repo_id: repo_id.to_owned(),
        branch: branch.to_owned(),
        revision: "c0ffee".to_owned(),
        files: vec![ConfigFile { filepath: "a.yaml".to_owned(), config }],
    }
}

fn publisher(target: &SyncTarget, timeout_secs: u64) -> HttpPublisher {
    HttpPublisher::new(target, Duration::from_secs(timeout_secs)).unwrap()
}

#[tokio::test]
async fn the_set_is_put_under_its_encoded_name_with_the_token() {
    let (mut target, store) = start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "t0ken\n").unwrap();
    target.token_file = Some(token);
    let publisher = publisher(&target, 20);
    let first = publisher.publish(&set("team/etl", "feature/x+y", "1.50")).await;
    assert_eq!(first, Ok(Published { changed: true, etag: "\"73\"".to_owned() }));
    let again = publisher.publish(&set("team/etl", "feature/x+y", "1.50")).await.unwrap();
    assert!(!again.changed);
    let store = store.lock().unwrap();
    assert_eq!(store.requests[1], "PUT /runtimes/team%2Fetl/feature%2Fx%2By Bearer t0ken");
    let body = store.body.as_ref().unwrap();
    assert_eq!(
        std::str::from_utf8(body).unwrap(),
        r#"{"revision":"c0ffee","files":[{"filepath":"a.yaml","config":{"n":1.50}}]}"#
    );
}

#[tokio::test]
async fn a_busy_store_is_asked_again() {
    let (target, store) = start(&[(503, None), (404, None), (429, Some("1")), (503, None)]).await;
    let started = Instant::now();
    let published = publisher(&target, 20).publish(&set("etl", "main", "1")).await.unwrap();
    assert!(published.changed);
    assert!(started.elapsed() >= Duration::from_secs(1), "Retry-After was not respected");
    let methods: Vec<_> = store
        .lock()
        .unwrap()
        .requests
        .iter()
        .map(|r| r.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(methods, ["HEAD", "HEAD", "PUT", "PUT", "PUT"]);
}

#[tokio::test]
async fn a_store_that_stays_busy_or_away_is_given_up_with_what_it_said() {
    let (target, _store) = start(&[(404, None), (503, Some("3600"))]).await;
    let started = Instant::now();
    let busy = publisher(&target, 20).publish(&set("etl", "main", "1")).await.unwrap_err();
    assert!(matches!(busy, PublishError::Unavailable(_)), "503 is not applied: {busy:?}");
    let busy = busy.to_string();
    assert!(busy.contains("503") && busy.contains("said by the store"), "{busy}");
    assert!(started.elapsed() < Duration::from_secs(10), "it waited although there is no use");

    let away = SyncTarget { url: "http://127.0.0.1:1".to_owned(), token_file: None };
    let away = publisher(&away, 1).publish(&set("etl", "main", "1")).await.unwrap_err();
    assert!(matches!(away, PublishError::Unavailable(_)), "nothing was sent: {away:?}");
    let away = away.to_string();
    assert!(away.contains("check target.url") && away.contains("refused"), "{away}");
}

#[tokio::test]
async fn any_other_answer_is_told_with_its_detail() {
    let table = [
        (400, "400 Bad Request: said by the store"),
        (401, "check the token"),
        (403, "right to write runtimes"),
        (404, "enable the runtimes contract"),
        (413, "413 Payload Too Large: said by the store"),
        (500, "500"),
        (507, "507"),
        (302, "302"),
    ];
    for (status, message) in table {
        let (target, store) = start(&[(404, None), (status, None)]).await;
        let error = publisher(&target, 20).publish(&set("etl", "main", "1")).await.unwrap_err();
        assert!(error.to_string().contains(message), "{status}: {error}");
        let unknown = matches!(error, PublishError::Unknown(_));
        assert_eq!(unknown, status == 500, "only a 500 may have been applied: {error:?}");
        assert_eq!(store.lock().unwrap().requests.len(), 2, "{status} is not asked again");
    }
}

#[tokio::test]
async fn a_store_that_comes_up_late_gets_the_set() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    let target = SyncTarget { url: format!("http://{address}"), token_file: None };
    let publisher = publisher(&target, 20);
    let set = set("etl", "main", "1");
    // A connection that is closed without an answer counts as one that failed.
    let late = async {
        let (stream, _) = reserved.accept().await.unwrap();
        drop(stream);
        let router = Router::new().fallback(answer).with_state(Shared::default());
        axum::serve(reserved, router).await.unwrap();
    };
    tokio::select! {
        published = publisher.publish(&set) => assert!(published.unwrap().changed),
        () = late => unreachable!("a server ends only with the test"),
    }
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_may_have_been_applied() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(async |request: Request| {
        if request.method() == Method::HEAD {
            return StatusCode::NOT_FOUND;
        }
        // Read and never answered, as by a store that is killed after the write.
        let _ = to_bytes(request.into_body(), 1 << 20).await;
        std::future::pending().await
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let target = SyncTarget { url, token_file: None };
    let lost = publisher(&target, 1).publish(&set("etl", "main", "1")).await.unwrap_err();
    assert!(matches!(lost, PublishError::Unknown(_)), "{lost:?}");
}

#[test]
fn a_target_that_is_no_store_address_is_refused() {
    for url in
        ["", "store:8080", "https://store", "http://store/path", "http://a:b@store", "http://"]
    {
        let target = SyncTarget { url: url.to_owned(), token_file: None };
        let refused = HttpPublisher::new(&target, Duration::from_secs(1)).unwrap_err();
        assert_eq!(refused, TargetRefused::Url, "{url}");
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_named_without_its_path() {
    let (mut target, store) = start(&[]).await;
    target.token_file = Some("/nowhere/token".into());
    let error = publisher(&target, 20).publish(&set("etl", "main", "1")).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("target.tokenFile") && !error.contains("nowhere"), "{error}");
    assert!(store.lock().unwrap().requests.is_empty());
}

#[tokio::test]
async fn of_two_syncs_at_once_the_one_that_looked_first_does_not_replace_the_other() {
    let revision = |revision: &str, name| {
        let set = set("etl", "main", name);
        ConfigSet { revision: revision.to_owned(), ..set }
    };
    let (target, store) = start(&[]).await;
    for served in [None, Some(revision("0", "1"))] {
        if let Some(set) = &served {
            publisher(&target, 20).publish(set).await.unwrap();
        } else {
            store.lock().unwrap().body = None;
        }
        let (slow, quick) = (publisher(&target, 20), publisher(&target, 20));
        slow.prepare("etl", "main").await.unwrap();
        quick.prepare("etl", "main").await.unwrap();
        quick.publish(&revision("2", "22")).await.unwrap();
        let overtaken = slow.publish(&revision("1", "333")).await;
        assert_eq!(overtaken, Err(PublishError::Overtaken), "over {served:?}");
        // As a sync does that looks at the branch anew.
        slow.prepare("etl", "main").await.unwrap();
        assert!(slow.publish(&revision("3", "333")).await.unwrap().changed);
    }
}

#[tokio::test]
async fn a_change_that_was_taken_back_in_between_counts_as_one() {
    let (target, _store) = start(&[]).await;
    let before = set("etl", "main", "1");
    publisher(&target, 20).publish(&before).await.unwrap();
    let slow = publisher(&target, 20);
    slow.prepare("etl", "main").await.unwrap();
    // The same content, and so the same tag, at a newer commit.
    let reverted = ConfigSet { revision: "c0ffed".to_owned(), ..before };
    assert!(!publisher(&target, 20).publish(&reverted).await.unwrap().changed);
    let overtaken = slow.publish(&set("etl", "main", "22")).await;
    assert_eq!(overtaken, Err(PublishError::Overtaken));
}

#[tokio::test]
async fn a_set_that_is_served_after_a_lost_answer_is_published() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let store = Shared::default();
    let state = Arc::clone(&store);
    // The first PUT is carried out, and its connection then breaks.
    let router = Router::new().fallback(async move |request: Request| {
        let first = request.method() == Method::PUT && state.lock().unwrap().body.is_none();
        let answer = answer(State(Arc::clone(&state)), request).await;
        if first { panic!("the connection breaks") } else { answer }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let target = SyncTarget { url, token_file: None };
    let published = publisher(&target, 20).publish(&set("etl", "main", "1")).await.unwrap();
    assert!(published.changed);
    let puts = store.lock().unwrap().requests.iter().filter(|r| r.starts_with("PUT")).count();
    assert_eq!(puts, 2, "the request is repeated");
}
