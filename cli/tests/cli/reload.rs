//! Changed manifests are taken up while serving; what is invalid changes nothing.

use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{ADMIN, DEADLINE, OTHER, Place, client, eventually, store, store_with_token};

async fn status(url: &str, token: &str) -> Option<StatusCode> {
    client().get(url).bearer_auth(token).send().await.ok().map(|answer| answer.status())
}

async fn put(url: &str, body: &'static str) -> StatusCode {
    let request = client().put(url).bearer_auth(ADMIN).header("Content-Type", "application/json");
    request.body(body).send().await.unwrap().status()
}

/// A Secret with these tokens, and the Store `demo` that takes it.
fn demo_with(tokens: &[&str]) -> String {
    let lines: String =
        tokens.iter().enumerate().map(|(n, token)| format!("  token-{n}: {token}\n")).collect();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: t}\nstringData:\n".to_owned();
    secret + &lines + &store("demo", "  auth: {tokensSecretRef: {name: t}}\n")
}

/// Sends HEAD requests over one connection until told to stop; returns how many were answered.
/// Fails on the first that is refused or lost.
async fn load(
    mut connection: TcpStream,
    token: watch::Receiver<&'static str>,
    stop: CancellationToken,
) -> usize {
    let mut answered = 0;
    while !stop.is_cancelled() {
        let token = *token.borrow();
        let request =
            format!("HEAD / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.expect("the connection stays");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let byte = timeout(DEADLINE, connection.read_u8()).await;
            answer.push(byte.expect("in time").expect("the connection stays"));
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "request {answered}: {answer}");
        answered += 1;
    }
    answered
}

#[tokio::test]
async fn a_rotated_token_loses_no_request_and_no_connection() {
    let place = Place::new(&[("demo.yaml", &demo_with(&[ADMIN]))]);
    let up = place.ready(&["demo"]).await;
    let url = up.url("demo");
    assert_eq!(put(&url, "{}").await, StatusCode::OK);
    let connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let (token, current) = watch::channel(ADMIN);
    let stop = CancellationToken::new();
    let load = tokio::spawn(load(connection, current, stop.clone()));

    let accepted = |token, expected| {
        let url = &url;
        eventually("the change of tokens", move || async move {
            (status(url, token).await == Some(expected)).then_some(())
        })
    };
    place.write("demo.yaml", &demo_with(&[ADMIN, OTHER]));
    accepted(OTHER, StatusCode::OK).await;
    token.send(OTHER).unwrap();
    place.write("demo.yaml", &demo_with(&[OTHER]));
    accepted(ADMIN, StatusCode::UNAUTHORIZED).await;
    assert_eq!(status(&url, OTHER).await, Some(StatusCode::OK));
    assert_eq!(up.url("demo"), url, "the address stays");
    stop.cancel();
    assert!(load.await.unwrap() > 2, "requests went on all the time");
}

#[tokio::test]
async fn stores_come_and_go() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    // The default port of a later Store may be in use on this machine, so it is suspended first.
    place.write("lake.yaml", &(store_with_token("lake", ADMIN) + "  suspend: true\n"));
    // An address that nobody else uses: what connects somewhere has a port of 127.0.0.1.
    let mut up = place.up(&["demo"], &["--listen", "lake=127.0.0.73:0"]);
    up.wait_ready().await;
    up.stores_are(&["demo"]).await;
    up.wait_for("suspended").await;

    place.write("lake.yaml", &store_with_token("lake", ADMIN));
    up.stores_are(&["demo", "lake"]).await;
    let lake = up.url("lake");
    up.wait_for(&format!("export STOWAGE_URL={lake} ")).await;
    assert_eq!(put(&lake, "{\"kept\":1}").await, StatusCode::OK);

    place.write("lake.yaml", &(store_with_token("lake", ADMIN) + "  suspend: true\n"));
    up.stores_are(&["demo"]).await;
    let address = lake.strip_prefix("http://").unwrap();
    drop(std::net::TcpListener::bind(address).expect("suspending frees the port"));

    place.write("lake.yaml", &store_with_token("lake", ADMIN));
    up.stores_are(&["demo", "lake"]).await;
    assert_eq!(up.url("lake"), lake, "back where it was");
    assert_eq!(status(&lake, ADMIN).await, Some(StatusCode::OK), "with its data");

    place.remove("lake.yaml");
    up.stores_are(&["demo"]).await;
    up.wait_for("its data stays in").await;
    assert!(place.data().join("lake").is_dir(), "deletionPolicy Retain is the default");
    assert_eq!(status(&up.url("demo"), ADMIN).await, Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn deletion_policy_delete_removes_the_data_of_a_store_removed_while_running() {
    let doomed = store_with_token("doomed", ADMIN) + "  deletionPolicy: Delete\n";
    let place =
        Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN)), ("doomed.yaml", &doomed)]);
    let tree = place.data().join("doomed");
    let up = place.ready(&["demo", "doomed"]).await;
    assert_eq!(put(&up.url("doomed"), "{}").await, StatusCode::OK);
    assert!(up.stop().await.success());

    place.remove("doomed.yaml");
    let up = place.ready(&["demo"]).await;
    assert!(tree.is_dir(), "a removal that was not seen deletes nothing");
    assert!(up.stop().await.success());

    place.write("doomed.yaml", &doomed);
    let up = place.ready(&["demo", "doomed"]).await;
    assert_eq!(status(&up.url("doomed"), ADMIN).await, Some(StatusCode::OK), "still there");
    place.remove("doomed.yaml");
    up.stores_are(&["demo"]).await;
    up.wait_for("removed with its data").await;
    assert!(!tree.exists());
}

#[tokio::test]
async fn a_file_that_a_command_is_still_writing_deletes_nothing() {
    let doomed = store_with_token("doomed", ADMIN) + "  deletionPolicy: Delete\n";
    let place =
        Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN)), ("doomed.yaml", &doomed)]);
    let up = place.ready(&["demo", "doomed"]).await;
    let url = up.url("doomed");
    assert_eq!(put(&url, "{\"kept\":1}").await, StatusCode::OK);

    // What a shell does first for `generate > doomed.yaml`, however long that takes.
    std::fs::write(place.manifests().join("doomed.yaml"), "").unwrap();
    up.wait_for("doomed.yaml: it is empty").await;
    up.wait_for("nothing was changed").await;
    assert_eq!(status(&url, ADMIN).await, Some(StatusCode::OK), "its data is there, and served");
}

#[tokio::test]
async fn an_invalid_change_is_reported_and_changes_nothing() {
    let good = store_with_token("demo", ADMIN);
    let place = Place::new(&[("demo.yaml", &good)]);
    let up = place.ready(&["demo"]).await;
    let url = up.url("demo");
    assert_eq!(put(&url, "{}").await, StatusCode::OK);

    let table: &[(&str, String, &str)] = &[
        ("an unknown field", good.clone() + "  replicaz: 1\n", "demo.yaml:14"),
        ("broken YAML", "a: [".to_owned(), "demo.yaml:2"),
        ("an emptied file", String::new(), "demo.yaml: it is empty"),
        ("a Secret gone", store("demo", "  auth: {tokensSecretRef: {name: x}}\n"), "demo.yaml:7"),
        ("a bad origin", good.clone() + "  cors: {allowedOrigins: [nowhere]}\n", "demo.yaml:14"),
    ];
    for (case, text, position) in table {
        let before = up.output();
        place.write("demo.yaml", text);
        up.wait_for_another("nothing was changed", &before).await;
        let said = up.output()[before.len()..].to_owned();
        assert!(said.contains(position), "{case}: no {position} in {said}");
        assert_eq!(status(&url, ADMIN).await, Some(StatusCode::OK), "{case}: still served");
    }
    place.remove("demo.yaml");
    let before = up.output();
    up.wait_for_another("nothing was changed", &before).await;
    assert_eq!(status(&url, ADMIN).await, Some(StatusCode::OK), "an empty directory is a mistake");

    place.write("demo.yaml", &store_with_token("demo", OTHER));
    eventually("the mended manifest", || async {
        (status(&url, OTHER).await == Some(StatusCode::OK)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn limits_contracts_and_tenants_change_live() {
    let good = store_with_token("demo", ADMIN);
    let place = Place::new(&[("demo.yaml", &good)]);
    let up = place.ready(&["demo"]).await;
    let url = up.url("demo");
    assert_eq!(put(&url, "{\"long\":\"0123456789\"}").await, StatusCode::OK);

    place.write("demo.yaml", &(good.clone() + "  limits: {maxJsonBytes: 8}\n"));
    eventually("the lower limit", || async {
        let status = put(&url, "{\"long\":\"0123456789\"}").await;
        (status == StatusCode::PAYLOAD_TOO_LARGE).then_some(())
    })
    .await;

    place.write("demo.yaml", &(good.clone() + "  contracts: [kv]\n"));
    let kv = format!("{url}/api/storage?ns=cart");
    eventually("the run store off", || async {
        (status(&url, ADMIN).await == Some(StatusCode::NOT_FOUND)).then_some(())
    })
    .await;
    assert_eq!(status(&kv, ADMIN).await, Some(StatusCode::OK));

    let tenant = "---\napiVersion: stowage.dev/v1alpha1\nkind: StoreNamespace\n\
        metadata: {name: cart}\nspec: {storeRef: {name: demo}, contract: kv, access: read}\n";
    place.write("tenant.yaml", tenant);
    let token = eventually("the tenant's token", || async {
        let token = std::fs::read_to_string(place.data().join("bindings/cart/token")).ok()?;
        (status(&kv, &token).await == Some(StatusCode::OK)).then_some(token)
    })
    .await;
    place.remove("tenant.yaml");
    eventually("the tenant's token refused", || async {
        (status(&kv, &token).await == Some(StatusCode::UNAUTHORIZED)).then_some(())
    })
    .await;
    eventually("the tenant's credentials removed", || async {
        (!place.data().join("bindings/cart").exists()).then_some(())
    })
    .await;
}

/// A token of the issuer of the test, signed with a shared secret.
fn jwt(secret: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let encoded = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    let claims = br#"{"iss":"https://issuer","aud":"shop","sub":"ann","exp":9999999999}"#;
    let message = format!("{}.{}", encoded(br#"{"alg":"HS256"}"#), encoded(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encoded(signature.as_ref()))
}

#[tokio::test]
async fn jwts_are_taken_by_the_secret_of_the_manifests_and_by_a_new_one_after_it_changed() {
    let manifest = |secret: &str| {
        let auth = "  auth:\n    jwt: {issuer: https://issuer, audiences: [shop], \
                    hmacSecretRef: {name: issuer}}\n";
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: issuer}}\nstringData: {{secret: {secret}}}\n"
        );
        secret + &store("demo", auth)
    };
    let (old, new) =
        ("old-0123456789-0123456789-0123456789", "new-0123456789-0123456789-0123456789");
    let place = Place::new(&[("demo.yaml", &manifest(old))]);
    let up = place.ready(&["demo"]).await;
    let url = up.url("demo");
    assert_eq!(status(&url, &jwt(old)).await, Some(StatusCode::NOT_FOUND), "an empty store");
    assert_eq!(status(&url, &jwt(new)).await, Some(StatusCode::UNAUTHORIZED));
    place.write("demo.yaml", &manifest(new));
    eventually("the new secret holds", || {
        let answer = {
            let (url, token) = (url.clone(), jwt(new));
            async move { status(&url, &token).await }
        };
        async move { (answer.await? == StatusCode::NOT_FOUND).then_some(()) }
    })
    .await;
    assert_eq!(status(&url, &jwt(old)).await, Some(StatusCode::UNAUTHORIZED));
    assert!(!up.output().contains(new), "a secret is never printed");
}
