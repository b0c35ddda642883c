//! The tokens of StoreNamespaces: signed by a key that is kept, renewed while it runs, revoked.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::Value;
use stowage_config::NamespaceClaims;
use stowage_crds::render::SigningKey;

use super::support::{ADMIN, Place, Up, eventually, store_with_token};

fn manifests(more: &str) -> String {
    let tenant = format!(
        "---\napiVersion: stowage.dev/v1alpha1\nkind: StoreNamespace\nmetadata: {{name: cart}}\n\
         spec: {{storeRef: {{name: demo}}, contract: kv, tokenTTL: 10m{more}}}\n"
    );
    store_with_token("demo", ADMIN) + &tenant
}

fn file(place: &Place) -> PathBuf {
    place.data().join("bindings/cart/token")
}

fn token(place: &Place) -> String {
    std::fs::read_to_string(file(place)).unwrap()
}

fn claims(token: &str) -> NamespaceClaims {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

async fn status(up: &Up, token: &str) -> StatusCode {
    let url = format!("{}/api/storage?ns=cart", up.url("demo"));
    let request = reqwest::Client::new().get(url).bearer_auth(token);
    request.send().await.unwrap().status()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_token_is_renewed_while_it_runs_and_the_one_before_stays_good() {
    const LIFE: u64 = 600;
    let place = Place::new(&[("demo.yaml", &manifests(""))]);
    let up = place.ready(&["demo"]).await;
    let first = token(&place);
    assert_eq!(status(&up, &first).await, StatusCode::OK);
    assert!(up.stop().await.success());

    let kept = std::fs::read(place.data().join("tokens/demo.keys")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    let key = SigningKey::read(&URL_SAFE_NO_PAD.decode(kept["key"].as_str().unwrap()).unwrap());
    // The same one, issued so long ago that it is due in some seconds, or was a moment ago.
    let mut aged = claims(&first);
    aged.iat = now() - LIFE * 2 / 3 + 5;
    (aged.nbf, aged.exp) = (aged.iat, aged.iat + LIFE);
    let aged = key.unwrap().sign(&aged);
    std::fs::write(file(&place), &aged).unwrap();
    let up = place.ready(&["demo"]).await;
    let renewed = eventually("the token is renewed", || async {
        Some(token(&place)).filter(|now| *now != aged)
    })
    .await;
    assert!(claims(&renewed).iat > claims(&aged).iat + LIFE / 2, "it is new");
    assert_eq!(status(&up, &renewed).await, StatusCode::OK);
    assert_eq!(status(&up, &aged).await, StatusCode::OK, "until it expires");
    assert!(!up.output().contains(&renewed), "it is never printed");
}

#[tokio::test]
async fn a_static_token_of_an_earlier_version_stays_good_until_it_is_revoked() {
    const STATIC: &str = "static-0123456789abcdef";
    let place = Place::new(&[("demo.yaml", &manifests(""))]);
    std::fs::create_dir_all(place.data().join("bindings/cart")).unwrap();
    std::fs::write(file(&place), STATIC).unwrap();
    let up = place.ready(&["demo"]).await;
    let signed = token(&place);
    assert_ne!(signed, STATIC);
    for (name, token) in [("the static one", STATIC), ("the next one", &signed)] {
        assert_eq!(status(&up, token).await, StatusCode::OK, "{name}");
    }
    place.write("demo.yaml", &manifests(", tokenGeneration: 1"));
    for (name, token) in [("the static one", STATIC), ("the next one", &signed)] {
        eventually(&format!("{name} is refused"), || async {
            (status(&up, token).await == StatusCode::UNAUTHORIZED).then_some(())
        })
        .await;
    }
    eventually("another one is there, and good", || async {
        (status(&up, &token(&place)).await == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_namespace_that_comes_back_does_not_bring_its_tokens_back() {
    let place = Place::new(&[("demo.yaml", &manifests(""))]);
    let up = place.ready(&["demo"]).await;
    let first = token(&place);
    place.write("demo.yaml", &store_with_token("demo", ADMIN));
    eventually("its token is refused", || async {
        (status(&up, &first).await == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    place.write("demo.yaml", &manifests(""));
    let second = eventually("there is another one", || async {
        std::fs::read_to_string(file(&place)).ok().filter(|now| *now != first)
    })
    .await;
    eventually("that is good", || async {
        (status(&up, &second).await == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(status(&up, &first).await, StatusCode::UNAUTHORIZED);
}

/// What is kept can differ from what a server has without a change of its Store: where keys were
/// lost, or a change was kept in part and taken back.
#[tokio::test]
async fn a_token_that_is_issued_anew_is_taken_at_once() {
    let place = Place::new(&[("demo.yaml", &manifests(""))]);
    let up = place.ready(&["demo"]).await;
    let first = token(&place);
    std::fs::remove_file(place.data().join("tokens/demo.keys")).unwrap();
    place.write("rests.yaml", &(store_with_token("rests", ADMIN) + "  suspend: true\n"));
    up.wait_for("manifests changed: taken up").await;
    let second = token(&place);
    assert_ne!(second, first);
    assert_eq!(status(&up, &second).await, StatusCode::OK);
    assert_eq!(status(&up, &first).await, StatusCode::UNAUTHORIZED, "of a key that is gone");
}
