//! A real browser at pages of several origins, against the real binary: what CORS lets through is
//! decided in there, not here.

mod pages;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use pages::Pages;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};

const ADMIN: &str = "admin-0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with these origins allowed.
struct Server {
    url: String,
    _process: Child,
    _directory: TempDir,
}

impl Server {
    async fn start(origins: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let tokens = directory.path().join("tokens");
        std::fs::create_dir(&tokens).expect("a directory");
        std::fs::write(tokens.join("admin"), ADMIN).expect("a token");
        let config = directory.path().join("store.json");
        let text = json!({
            "store": "browser",
            "listen": "127.0.0.1:0",
            "managementListen": "127.0.0.1:0",
            "backend": {"volume": {"path": directory.path().join("data")}},
            "auth": {"tokensDir": tokens, "anonymous": "read"},
            "cors": {"allowedOrigins": origins},
        });
        std::fs::write(&config, text.to_string()).expect("a configuration");
        let ready = directory.path().join("ready");
        let process = Command::new(env!("CARGO_BIN_EXE_stowage-sidecar"))
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .arg("--ready-file")
            .arg(&ready)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let url = ready_url(&ready).await;
        Self { url, _process: process, _directory: directory }
    }
}

async fn ready_url(file: &Path) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Ok(ready) = serde_json::from_str::<Value>(&text) {
            return ready["url"].as_str().expect("a URL").to_owned();
        }
        assert!(Instant::now() < deadline, "the server is ready in time");
    }
}

/// Opens a page and gives what it tells at its end.
async fn told_by(url: &str, pages: &mut Pages) -> Value {
    let profile = tempfile::tempdir().expect("a directory");
    let mut browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromium is installed: `make test` does that");
    let told = timeout(PATIENCE, pages.told()).await.expect("the page tells in time");
    browser.kill().await.expect("it ends");
    told
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_reads_patches_and_is_told_of_conflicts() {
    let mut pages = Pages::start().await;
    let origin = pages.origin("127.0.0.1");
    let server = Server::start(&[&origin]).await;
    let page = format!("{origin}/shared.html#{}", server.url);
    let told = told_by(&page, &mut pages).await;
    let expected = json!({
        "origin": origin,
        "created": {"status": 201, "etag": "\"1\"", "body": {"version": "1", "snapshot": {"n": 1}}},
        "read": {"status": 200, "etag": "\"1\"", "backend": "local", "body": {"n": 1}},
        "conflict": {"status": 412, "etag": "\"1\""},
        "written": {"status": 200, "etag": "\"2\""},
        "unchanged": 304,
        "preflight_of_a_document": 200,
        "events": [["snapshot", "2", {"n": 2}], ["change", "3", {"version": "3", "ops": [{"op": "clear"}]}]],
    });
    assert_eq!(told, expected, "{told:#}");
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing_not_even_what_anyone_may_read() {
    let mut pages = Pages::start().await;
    let allowed = pages.origin("127.0.0.1");
    let server = Server::start(&[&allowed]).await;
    // Another name of the same machine is another origin.
    let other = pages.origin("localhost");
    let told = told_by(&format!("{other}/refused.html#{}", server.url), &mut pages).await;
    let expected =
        json!({"origin": other, "read": "TypeError", "patch": "TypeError", "events": "closed"});
    assert_eq!(told, expected, "{told:#}");
}

#[tokio::test]
async fn a_sandboxed_frame_is_served_where_null_is_allowed() {
    let mut pages = Pages::start().await;
    let server = Server::start(&["null"]).await;
    let page = format!("{}/frame.html#{}", pages.origin("127.0.0.1"), server.url);
    let told = told_by(&page, &mut pages).await;
    let expected = json!({"origin": "null", "created": 201, "etag": "\"1\""});
    assert_eq!(told, expected, "{told:#}");
}
