//! Common, "Auth": JWTs by keys from a URL, of a real HTTP server that counts its fetches.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get as route;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::harness::{ADMIN, Server, Setup, eventually};
use super::jwt_keys::{KEYS, SigningKey, claims};
use super::process::Place;
use super::raw::{Request, get, put};
use super::tls;

/// An issuer's server of keys.
struct Issuer {
    url: String,
    state: Arc<Published>,
}

struct Published {
    keys: Mutex<String>,
    status: AtomicU16,
    fetches: AtomicUsize,
    delay: Mutex<Duration>,
}

async fn answer(State(state): State<Arc<Published>>) -> (StatusCode, String) {
    state.fetches.fetch_add(1, Ordering::SeqCst);
    let delay = *state.delay.lock().expect("no panic while it is held");
    tokio::time::sleep(delay).await;
    let status = StatusCode::from_u16(state.status.load(Ordering::SeqCst)).expect("a status");
    (status, state.keys.lock().expect("no panic while it is held").clone())
}

impl Issuer {
    async fn start(keys: &Value, status: u16) -> Self {
        let state = Arc::new(Published {
            keys: Mutex::new(keys.to_string()),
            status: status.into(),
            fetches: AtomicUsize::new(0),
            delay: Mutex::new(Duration::ZERO),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let app = Router::new().route("/keys", route(answer)).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, state }
    }

    fn publish(&self, keys: &Value) {
        *self.state.keys.lock().expect("no panic while it is held") = keys.to_string();
    }

    fn answer_with(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    fn answer_after(&self, delay: Duration) {
        *self.state.delay.lock().expect("no panic while it is held") = delay;
    }

    fn fetches(&self) -> usize {
        self.state.fetches.load(Ordering::SeqCst)
    }

    fn setup(&self) -> Setup {
        let jwt = format!(
            "auth: {{jwt: {{issuer: https://issuer.example, audiences: [stowage], jwksUrl: '{}'}}}}",
            self.url
        );
        Setup::default().in_memory().config(&jwt).token("admin", ADMIN)
    }
}

fn set(key: &SigningKey, id: &str) -> Value {
    json!({"keys": [key.jwk(id)]})
}

fn with(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

async fn status(server: &Server, token: &str) -> u16 {
    server.send(&with(put("/", "1"), token)).await.status
}

async fn counted(server: &Server, outcome: &str) -> u64 {
    let metrics = get("/metrics").send(server.management).await.text();
    let name = format!("stowage_jwt_key_fetches_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn a_key_that_was_added_is_fetched_by_the_first_token_that_needs_it() {
    let (old, new) = (SigningKey::ed25519(), SigningKey::p256());
    let issuer = Issuer::start(&set(&old, "old"), 200).await;
    let server = issuer.setup().start().await;
    let first = old.token("EdDSA", "old", &claims("ann"));
    for _ in 0..20 {
        assert_eq!(status(&server, &first).await, 200, "even the first request waits for the keys");
    }
    assert_eq!(issuer.fetches(), 1, "known keys make for no fetch");

    issuer.publish(&json!({"keys": [old.jwk("old"), new.jwk("new")]}));
    let second = new.token("ES256", "new", &claims("bob"));
    assert_eq!(status(&server, &second).await, 200, "the first token by the new key");
    assert_eq!(status(&server, &first).await, 200, "the old key is still there");
    assert_eq!(issuer.fetches(), 2);
    assert_eq!(counted(&server, "fetched").await, 2);

    // Anyone can make up key ids.
    for number in 0..50 {
        let made_up = old.token("EdDSA", &format!("made-up-{number}"), &claims("eve"));
        assert_eq!(status(&server, &made_up).await, 401);
    }
    assert_eq!(issuer.fetches(), 2, "they make for a fetch every ten seconds at most");
}

#[tokio::test]
async fn a_key_that_was_taken_back_does_not_hold_after_the_next_fetch() {
    let (old, new) = (SigningKey::ed25519(), SigningKey::p256());
    let issuer = Issuer::start(&set(&old, "old"), 200).await;
    let server = issuer.setup().start().await;
    let first = old.token("EdDSA", "old", &claims("ann"));
    assert_eq!(status(&server, &first).await, 200);
    issuer.publish(&set(&new, "new"));
    assert_eq!(status(&server, &new.token("ES256", "new", &claims("bob"))).await, 200);
    assert_eq!(status(&server, &first).await, 401, "though it was verified before");
}

#[tokio::test]
async fn old_keys_hold_while_the_url_fails_and_known_ones_wait_for_no_fetch() {
    let key = SigningKey::ed25519();
    let issuer = Issuer::start(&set(&key, "k"), 200).await;
    let server = issuer.setup().start().await;
    let known = key.token("EdDSA", "k", &claims("ann"));
    let unknown = key.token("EdDSA", "other", &claims("ann"));
    assert_eq!(status(&server, &known).await, 200);
    issuer.answer_with(500);
    assert_eq!(status(&server, &unknown).await, 401, "nobody knows the key");
    eventually("the failure is counted", async || {
        (counted(&server, "failed").await >= 1).then_some(())
    })
    .await;
    assert_eq!(status(&server, &known).await, 200, "what is known holds on");
    issuer.answer_with(200);
    issuer.publish(&json!({"keys": []}));
    let before = issuer.fetches();
    eventually("it is tried again", async || (issuer.fetches() > before).then_some(())).await;
    assert_eq!(status(&server, &known).await, 200, "an empty set is a fault of the issuer's");

    issuer.answer_after(Duration::from_secs(60));
    let before = issuer.fetches();
    eventually("a fetch hangs", async || (issuer.fetches() > before).then_some(())).await;
    let start = Instant::now();
    for _ in 0..10 {
        assert_eq!(status(&server, &known).await, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?} for ten requests", start.elapsed());
}

#[tokio::test]
async fn without_keys_a_jwt_is_503_and_static_tokens_go_on_until_the_url_answers() {
    let key = SigningKey::ed25519();
    let issuer = Issuer::start(&set(&key, "k"), 503).await;
    let server = issuer.setup().start().await;
    let token = key.token("EdDSA", "k", &claims("ann"));
    let refused = server.send(&with(put("/", "1"), &token)).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(refused.header("www-authenticate"), None);
    assert_eq!(status(&server, ADMIN).await, 200);
    assert_eq!(status(&server, "nobody-0123456789abcdef").await, 401);
    assert_eq!(status(&server, "a.b.c").await, 401, "what is no JWT needs no key to be refused");
    assert_eq!(server.send(&get("/health")).await.status, 200);
    assert!(counted(&server, "failed").await >= 1);
    issuer.answer_with(200);
    eventually("the keys are there", async || (status(&server, &token).await == 200).then_some(()))
        .await;
}

#[tokio::test]
async fn another_url_is_taken_up_and_its_keys_alone_hold() {
    let (one, two) = (SigningKey::ed25519(), SigningKey::ed25519());
    let first = Issuer::start(&set(&one, "k"), 200).await;
    let second = Issuer::start(&set(&two, "k"), 200).await;
    let server = first.setup().start().await;
    let (by_one, by_two) =
        (one.token("EdDSA", "k", &claims("ann")), two.token("EdDSA", "k", &claims("ann")));
    assert_eq!((status(&server, &by_one).await, status(&server, &by_two).await), (200, 401));
    server.reconfigure(second.setup().settings());
    eventually("the new keys hold", async || (status(&server, &by_two).await == 200).then_some(()))
        .await;
    assert_eq!(status(&server, &by_one).await, 401);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_a_failure() {
    let key = SigningKey::ed25519();
    let issuer =
        Issuer::start(&json!({"keys": [key.jwk("k")], "x": "x".repeat(2 << 20)}), 200).await;
    let server = issuer.setup().start().await;
    assert_eq!(status(&server, &key.token("EdDSA", "k", &claims("ann"))).await, 503);
    assert!(counted(&server, "failed").await >= 1);
}

/// By https, with the system's certificates; the real binary, for these come from its environment.
#[tokio::test]
async fn keys_come_by_https_from_a_server_that_is_trusted() {
    let key = &KEYS.ed25519;
    let (certificate, url) = serve_tls(set(key, "k").to_string()).await;
    let place = Place::new();
    let bundle = place.path("ca.pem");
    std::fs::write(&bundle, certificate).expect("a file");
    place.configure_auth(&format!(
        "jwt: {{issuer: https://issuer.example, audiences: [stowage], jwksUrl: '{url}'}}"
    ));
    let token = key.token("EdDSA", "k", &claims("ann"));
    let trusting = place.start_by_env("SSL_CERT_FILE", &bundle).await;
    let answer = with(put("/", "1"), &token).send(trusting.address).await;
    assert_eq!(answer.status, 200, "{}: {}", answer.text(), trusting.log());
    trusting.terminate().await;

    let strange = place.start().await;
    let answer = with(put("/", "1"), &token).send(strange.address).await;
    assert_eq!(answer.status, 503, "a server that nobody vouches for: {}", strange.log());
}

/// A server of one text by TLS, for as long as the test runs: its certificate, and its URL.
async fn serve_tls(text: String) -> (String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (certificate, acceptor) = tls::localhost(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust it breaks off.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
            let _ = stream.write_all((head + &text).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (certificate, format!("https://localhost:{port}/keys"))
}
