//! `stowage up` serves what the manifests say, and keeps it.

use crate::support::{ADMIN, Place, Up, client, mode, store, store_with_token};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// The value of `STOWAGE_TOKEN` on the line to paste.
fn printed_token(up: &Up) -> String {
    let output = up.output();
    let after = output.split_once("STOWAGE_TOKEN=").unwrap_or_else(|| panic!("{output}")).1;
    after.split_whitespace().next().unwrap().to_owned()
}

async fn put(url: &str, token: &str, body: &'static str) -> StatusCode {
    let request = client().put(url).bearer_auth(token).header("Content-Type", "application/json");
    request.body(body).send().await.unwrap().status()
}

async fn patch(url: &str, token: &str, key: &str) -> StatusCode {
    let operations = json!([{"op": "set", "key": key, "value": 1}]);
    let request = client().patch(url).bearer_auth(token).json(&operations);
    let request = request.header("If-Match", "*").header("X-Thesara-App-Id", "test");
    request.send().await.unwrap().status()
}

async fn get(url: &str, token: &str) -> (StatusCode, String) {
    let answer = client().get(url).bearer_auth(token).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn the_manifests_token_opens_every_contract() {
    let place = Place::new(&[("store.yaml", &store_with_token("demo", ADMIN))]);
    let up = place.ready(&["demo"]).await;
    let url = up.url("demo");

    assert_eq!(put(&format!("{url}/"), ADMIN, "{\"a\": 1}").await, StatusCode::OK);
    assert_eq!(get(&format!("{url}/"), ADMIN).await, (StatusCode::OK, "{\"a\":1}".to_owned()));
    let kv = format!("{url}/api/storage?ns=cart");
    assert_eq!(patch(&kv, ADMIN, "apples").await, StatusCode::CREATED);
    assert_eq!(get(&kv, ADMIN).await, (StatusCode::OK, "{\"apples\":1}".to_owned()));
    assert_eq!(get(&format!("{url}/runtimes"), ADMIN).await, (StatusCode::OK, "[]".to_owned()));
    assert_eq!(get(&format!("{url}/"), "wrong-0123456789").await.0, StatusCode::UNAUTHORIZED);

    let output = up.output();
    assert!(output.contains("Secret demo-tokens"), "{output}");
    assert!(!output.contains(ADMIN), "a token of a Secret is never printed:\n{output}");
    let export = output.lines().find(|line| line.starts_with("export ")).unwrap();
    let pasted = format!("{export}; printf %s \"$STOWAGE_URL $STOWAGE_TOKEN\"");
    let shell = std::process::Command::new("sh").args(["-c", &pasted]).output().unwrap();
    let set = String::from_utf8(shell.stdout).unwrap();
    assert_eq!(set, format!("{url} {ADMIN}"), "what is printed works as it stands: {export}");
}

#[tokio::test]
async fn the_ready_file_names_every_url_and_no_secret() {
    let text = store_with_token("demo", ADMIN) + &store("lake", "  contracts: [kv]\n");
    let place = Place::new(&[("stores.yaml", &text)]);
    let up = place.ready(&["demo", "lake"]).await;

    let table = up.ready_table().unwrap();
    assert_eq!(
        table["stores"]["demo"]["contracts"],
        json!(["runStore", "kv", "jobs", "runtimes", "artifacts"])
    );
    assert_eq!(table["stores"]["lake"]["contracts"], json!(["kv"]));
    for store in ["demo", "lake"] {
        let management = table["stores"][store]["management"].as_str().unwrap();
        let ready = client().get(format!("{management}/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), StatusCode::OK, "{store}");
        let health = client().get(format!("{}/health", up.url(store))).send().await.unwrap();
        assert_eq!(health.status(), StatusCode::OK, "{store}");
    }
    let text = table.to_string();
    let made = std::fs::read_to_string(place.data().join("tokens/lake")).unwrap();
    let output = up.output();
    assert!(output.contains(made.trim()), "the made token is printed to be pasted:\n{output}");
    assert!(!text.contains(ADMIN) && !text.contains(made.trim()), "{text}");
    for line in ["STORE", "demo", "lake", "/readyz", "curl "] {
        assert!(output.contains(line), "no {line:?} in the first screen:\n{output}");
    }
}

#[tokio::test]
async fn a_store_without_tokens_gets_one_that_stays() {
    let place = Place::new(&[("store.yaml", &store("demo", ""))]);
    let up = place.ready(&["demo"]).await;
    let token = printed_token(&up);
    assert_eq!(put(&format!("{}/", up.url("demo")), &token, "{}").await, StatusCode::OK);
    let anonymous = client().get(up.url("demo")).send().await.unwrap().status();
    assert_eq!(anonymous, StatusCode::UNAUTHORIZED);
    assert_eq!(mode(&place.data().join("tokens/demo")), 0o600);
    assert!(up.stop().await.success());

    let up = place.ready(&["demo"]).await;
    assert_eq!(printed_token(&up), token, "the same after a restart");
    assert_eq!(get(&up.url("demo"), &token).await, (StatusCode::OK, "{}".to_owned()));
}

#[tokio::test]
async fn a_namespace_gets_credentials_for_itself_alone() {
    let namespace = "---\napiVersion: stowage.dev/v1alpha1\nkind: StoreNamespace\n\
        metadata: {name: shop}\nspec: {storeRef: {name: demo}, contract: kv, name: cart, \
        quota: {maxKeys: 1}}\n";
    let text = store_with_token("demo", ADMIN) + namespace;
    let place = Place::new(&[("demo.yaml", &text)]);
    let up = place.ready(&["demo"]).await;

    let binding = place.data().join("bindings/shop");
    assert_eq!(mode(&binding), 0o700);
    let entry = |name: &str| {
        assert_eq!(mode(&binding.join(name)), 0o600, "{name}");
        std::fs::read_to_string(binding.join(name)).unwrap()
    };
    let token = entry("token");
    assert_eq!((entry("type"), entry("provider")), ("stowage".into(), "stowage".into()));
    assert_eq!(format!("http://{}:{}", entry("host"), entry("port")), up.url("demo"));

    assert_eq!(patch(&entry("uri"), &token, "a").await, StatusCode::CREATED);
    let over = patch(&entry("uri"), &token, "b").await;
    assert_eq!(over, StatusCode::INSUFFICIENT_STORAGE, "the quota is one key");
    let other = format!("{}/api/storage?ns=other", up.url("demo"));
    assert_eq!(patch(&other, &token, "a").await, StatusCode::FORBIDDEN, "another namespace");
    assert_eq!(get(&up.url("demo"), &token).await.0, StatusCode::FORBIDDEN, "another contract");
    let table = up.ready_table().unwrap();
    assert_eq!(table["namespaces"]["shop"]["uri"], Value::from(entry("uri")));
    assert!(!(table.to_string() + &up.output()).contains(&token), "its token is never printed");

    assert!(up.stop().await.success());
    let _up = place.ready(&["demo"]).await;
    assert_eq!(entry("token"), token, "the same after a restart");
}

#[tokio::test]
async fn a_site_gets_credentials_for_its_archives_alone() {
    let namespace = "---\napiVersion: stowage.dev/v1alpha1\nkind: StoreNamespace\n\
        metadata: {name: blog}\nspec: {storeRef: {name: demo}, contract: artifacts}\n";
    let text = store_with_token("demo", ADMIN) + namespace;
    let place = Place::new(&[("demo.yaml", &text)]);
    let up = place.ready(&["demo"]).await;
    let entry = |name: &str| {
        std::fs::read_to_string(place.data().join("bindings/blog").join(name)).unwrap()
    };
    assert_eq!(entry("uri"), format!("{}/sites/blog", up.url("demo")));
    let archive = |site: &str| format!("{site}/artifacts/b-1");
    let token = entry("token");
    let own = archive(&entry("uri"));
    assert_eq!(put(&own, &token, "an archive").await, StatusCode::CREATED);
    assert_eq!(get(&own, &token).await, (StatusCode::OK, "an archive".to_owned()));
    let other = archive(&format!("{}/sites/shop", up.url("demo")));
    assert_eq!(put(&other, &token, "an archive").await, StatusCode::FORBIDDEN, "another site");

    up.kill().await;
    let up = place.ready(&["demo"]).await;
    let own = archive(&format!("{}/sites/blog", up.url("demo")));
    assert_eq!(get(&own, &token).await, (StatusCode::OK, "an archive".to_owned()));
}

#[tokio::test]
async fn data_outlives_a_stop_and_a_kill() {
    let place = Place::new(&[("store.yaml", &store_with_token("demo", ADMIN))]);
    let up = place.ready(&["demo"]).await;
    let document = |up: &Up| format!("{}/run-stores/a", up.url("demo"));
    let kv = |up: &Up| format!("{}/api/storage?ns=cart", up.url("demo"));
    assert_eq!(put(&document(&up), ADMIN, "{\"n\":1}").await, StatusCode::OK);
    assert!(up.stop().await.success());

    let up = place.ready(&["demo"]).await;
    assert_eq!(get(&document(&up), ADMIN).await.1, "{\"n\":1}");
    assert_eq!(put(&document(&up), ADMIN, "{\"n\":2}").await, StatusCode::OK);
    assert_eq!(patch(&kv(&up), ADMIN, "k").await, StatusCode::CREATED);
    up.kill().await;
    assert!(place.path("ready.json").exists(), "a killed process leaves its ready file");

    let up = place.ready(&["demo"]).await;
    assert_eq!(get(&document(&up), ADMIN).await.1, "{\"n\":2}");
    assert_eq!(get(&kv(&up), ADMIN).await.1, "{\"k\":1}");
    assert!(up.stop().await.success());
    assert!(!place.path("ready.json").exists(), "a stopped one removes it");
}

#[tokio::test]
async fn without_auth_only_where_it_is_said() {
    let place = Place::new(&[("store.yaml", &store("demo", ""))]);
    let mut up = place.up(&["demo"], &["--insecure-no-auth"]);
    up.wait_ready().await;
    let answer = client().put(up.url("demo")).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(up.output().contains("everyone who can reach it"), "{}", up.output());
    assert!(!place.data().join("tokens").exists(), "no token is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_taken_of_a_store_while_it_is_served() {
    use stowage_sidecar::snapshot::{Observer, Session, restore, write};

    struct Nobody;
    impl Observer for Nobody {
        fn progress(&mut self, _files: u64, _bytes: u64) {}
        fn skipped(&mut self, path: &str) {
            panic!("{path} is left out");
        }
    }

    let place = Place::new(&[("store.yaml", &store_with_token("demo", ADMIN))]);
    let up = place.ready(&["demo"]).await;
    assert_eq!(put(&format!("{}/", up.url("demo")), ADMIN, "[1]").await, StatusCode::OK);
    let copy = tempfile::tempdir().unwrap();
    let (data, copied) = (place.data().join("demo"), copy.path().join("data"));
    let taken = tokio::task::spawn_blocking(move || {
        let mut stream = Vec::new();
        let session = Session::open(&data).unwrap();
        write(session, &mut stream, (0, 0), &mut Nobody).unwrap();
        restore(&stream[..], &copied).unwrap()
    });
    assert_eq!(taken.await.unwrap().sequence, 1);
    let options = stowage_store::VolumeOptions::default();
    let store = stowage_store::VolumeStore::open(&copy.path().join("data"), &options).unwrap();
    let key = stowage_store::Key::default_run_store();
    let found = stowage_store::Store::get(&store, &key).await.unwrap().unwrap();
    assert_eq!(found.body, "[1]");
    assert_eq!(put(&format!("{}/", up.url("demo")), ADMIN, "[2]").await, StatusCode::OK);
}

/// The header fields of a collector come from a Secret of the manifests, and stand as a file only while it
/// runs.
#[tokio::test]
async fn a_collector_gets_traces_with_what_its_secret_says() {
    use std::io::{Read, Write};

    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = collector.local_addr().unwrap();
    let head = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = collector.accept().unwrap();
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        while !seen.windows(4).any(|it| it == b"\r\n\r\n") {
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "the head of a message");
            seen.extend_from_slice(&piece[..length]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&seen).into_owned()
    });
    let tracing = format!(
        "  tracing: {{otlp: {{endpoint: 'http://{address}', headersSecretRef: {{name: collector}}}}}}\n"
    );
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: collector}\n\
                  stringData: {headers: 'X-Scope: of-the-secret'}\n";
    let place = Place::new(&[("store.yaml", &(store("demo", &tracing) + secret))]);
    let up = place.ready(&["demo"]).await;
    get(&format!("{}/", up.url("demo")), &printed_token(&up)).await;
    let head = tokio::time::timeout(std::time::Duration::from_secs(20), head).await;
    let head = head.expect("a message in time").unwrap().to_lowercase();
    assert!(
        head.starts_with("post /v1/traces") && head.contains("x-scope: of-the-secret"),
        "{head}"
    );
    let file = place.data().join(".run/demo/.tracing/headers");
    assert_eq!(mode(&file), 0o600);
    assert!(up.stop().await.success());
    assert!(!file.exists(), "the Secret goes with the process");
}
