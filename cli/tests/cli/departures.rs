//! When what has gone from the manifests goes from the disk: not before nobody takes it any more, and
//! not at all where a start comes to nothing.

use std::net::TcpListener;
use std::path::PathBuf;

use reqwest::StatusCode;
use stowage_store::{VolumeOptions, VolumeStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::refuses::refused;
use crate::support::{ADMIN, Place, Up, client, eventually, store_with_token};

/// Both Stores, and the StoreNamespaces of the second.
fn manifests(namespaces: &[&str]) -> String {
    let tenant = |name: &&str| {
        format!(
            "---\napiVersion: stowage.dev/v1alpha1\nkind: StoreNamespace\n\
             metadata: {{name: {name}}}\nspec: {{storeRef: {{name: lake}}, contract: kv}}\n"
        )
    };
    let stores = store_with_token("demo", ADMIN) + &store_with_token("lake", ADMIN);
    stores + &namespaces.iter().map(tenant).collect::<String>()
}

/// What opens something: the token of a StoreNamespace, and what is kept of it.
fn credentials(place: &Place) -> [(PathBuf, Option<String>); 3] {
    ["bindings/cart/token", "bindings/menu/token", "tokens/lake.keys"].map(|file| {
        let path = place.data().join(file);
        let text = std::fs::read_to_string(&path).ok();
        (path, text)
    })
}

async fn status(up: &Up, token: &str) -> StatusCode {
    let url = format!("{}/api/storage?ns=cart", up.url("lake"));
    client().get(url).bearer_auth(token).send().await.unwrap().status()
}

#[tokio::test]
async fn a_start_that_fails_lets_go_of_nothing() {
    let place = Place::new(&[("all.yaml", &manifests(&["cart", "menu"]))]);
    assert!(place.ready(&["demo", "lake"]).await.stop().await.success());
    let before = credentials(&place);
    assert!(before.iter().all(|(_, text)| text.is_some()), "{before:?}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = VolumeStore::open(&place.data().join("lake"), &VolumeOptions::default()).unwrap();
    let address = format!("lake={}", taken.local_addr().unwrap());
    for (case, lake) in [("a port in use", address.as_str()), ("data in use", "lake=127.0.0.1:0")] {
        for (next, namespaces) in [("one gone", &["menu"] as &[&str]), ("all gone", &[])] {
            place.write("all.yaml", &manifests(namespaces));
            let flags = ["--listen", "demo=127.0.0.1:0", "--listen", lake];
            let (code, stderr) = refused(&place, &flags).await;
            assert_eq!(code, 1, "{case}: {stderr}");
            assert!(stderr.contains("Store lake"), "{case}: {stderr}");
            assert!(credentials(&place) == before, "{case}, {next}: all is as it was");
        }
        place.write("all.yaml", &store_with_token("demo", ADMIN));
        let demo = address.replace("lake=", "demo=");
        let (code, stderr) = refused(&place, &["--listen", &demo]).await;
        assert_eq!(code, 1, "{case}: {stderr}");
        assert!(credentials(&place) == before, "{case}, with its Store: all is as it was");
    }

    drop((taken, held));
    place.write("all.yaml", &manifests(&["cart", "menu"]));
    let up = place.ready(&["demo", "lake"]).await;
    assert!(credentials(&place) == before, "it goes on with what there was");
    let token = before[0].1.as_deref().unwrap();
    assert_eq!(status(&up, token).await, StatusCode::OK);
}

#[tokio::test]
async fn credentials_go_once_the_store_that_takes_them_has_stopped() {
    let place = Place::new(&[("all.yaml", &manifests(&["cart"]))]);
    let up = place.ready(&["demo", "lake"]).await;
    let address = up.url("lake").strip_prefix("http://").unwrap().to_owned();
    let binding = place.data().join("bindings/cart/token");
    let token = std::fs::read_to_string(&binding).unwrap();
    // A request that the Store waits for before it is stopped.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "PATCH /api/storage?ns=cart HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 34\r\nIf-Match: 0\r\n\
         X-Thesara-App-Id: test\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");

    place.write("all.yaml", &store_with_token("demo", ADMIN));
    eventually("the Store takes no more connections", || async {
        TcpStream::connect(&address).await.is_err().then_some(())
    })
    .await;
    assert!(binding.exists(), "while a request of its holder is served");
    stream.write_all(br#"[{"op":"set","key":"k","value":1}]"#).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    up.wait_for("manifests changed: taken up").await;
    assert!(!binding.exists(), "nobody takes it any more");
    assert!(!place.data().join("tokens/lake.keys").exists());
}
