//! StoreNamespaces: the credentials that an application mounts.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};
use stowage_config::SidecarConfig;
use stowage_crds::render::SigningKey;
use stowage_crds::{Store, StoreNamespace};

use crate::support::{
    TestNamespace, a_store, eventually, eventually_some, secret_value, serve, wait_for_reason,
};

async fn a_tenant(ns: &TestNamespace, name: &str, spec: Value) {
    let mut whole = json!({"storeRef": {"name": "demo"}, "contract": "kv"});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    ns.create::<StoreNamespace>(name, json!({"spec": whole})).await;
}

#[tokio::test]
async fn a_namespace_gets_credentials_of_its_own() {
    let ns = TestNamespace::new("tenant").await;
    let operator = ns.operator();
    a_tenant(&ns, "cart", json!({"quota": {"maxKeys": 10}, "name": "a+b"})).await;
    let (_, message) = wait_for_reason::<StoreNamespace>(&ns, "cart", "StoreMissing").await;
    assert!(message.contains("Store demo"), "{message}");

    a_store(&ns, "demo").await;
    wait_for_reason::<StoreNamespace>(&ns, "cart", "StoreNotReady").await;
    let secret: Secret = eventually_some("the credentials are there before the store serves", {
        async || ns.find::<Secret>("cart-stowage").await
    })
    .await;
    serve(&ns, "demo").await;
    wait_for_reason::<StoreNamespace>(&ns, "cart", "Bound").await;
    assert_eq!(secret.type_.as_deref(), Some("servicebinding.io/stowage"));
    let value = |key: &str| secret_value(&secret, key).unwrap();
    let url = format!("http://demo.{}.svc:8080", ns.name);
    assert_eq!(value("uri"), format!("{url}/api/storage?ns=a%2Bb"));
    assert_eq!(value("host"), format!("demo.{}.svc", ns.name));
    let status = ns.get::<StoreNamespace>("cart").await.status.unwrap();
    assert_eq!(status.binding.unwrap().name, "cart-stowage");
    assert!(status.observed_generation.is_some());

    let config: ConfigMap = ns.get("demo-config").await;
    let config: SidecarConfig =
        serde_saphyr::from_str(&config.data.unwrap()["sidecar.yaml"]).unwrap();
    let quota = config.namespaces.iter().find(|quota| quota.name == "a+b");
    assert_eq!(quota.and_then(|quota| quota.max_keys), Some(10), "{:?}", config.namespaces);
    operator.rest().await;
    operator.stop().await;

    let second = ns.operator();
    second.rest().await;
    assert_eq!(second.writes(), Vec::<String>::new(), "nothing had changed");
}

#[tokio::test]
async fn credentials_that_are_touched_are_put_back_and_follow_new_keys() {
    let ns = TestNamespace::new("tenant").await;
    let _operator = ns.operator();
    a_store(&ns, "demo").await;
    a_tenant(&ns, "cart", json!({})).await;
    let token = async || {
        ns.find::<Secret>("cart-stowage").await.and_then(|secret| secret_value(&secret, "token"))
    };
    eventually_some("there is a token", token).await;
    ns.patch::<Secret>("cart-stowage", json!({"stringData": {"token": "edited"}})).await;
    // The same one or another: a token stands nowhere else, but a reconcile may have seen it before.
    let is_good = |now: &Option<String>| now.as_ref().is_some_and(|now| now.contains('.'));
    eventually("there is a good one", token, is_good).await;
    ns.delete::<Secret>("cart-stowage").await;
    let third = eventually("it comes back", token, is_good).await;
    ns.delete::<Secret>("demo-signing-key").await;
    eventually("it follows a new key", token, |now| is_good(now) && *now != third).await;
}

/// A name may have more characters than a label's value, and than a Secret's name has left.
#[tokio::test]
async fn a_namespace_of_a_long_name_gets_credentials() {
    let ns = TestNamespace::new("tenant").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    serve(&ns, "demo").await;
    let ends = ["a", "b"].map(|end| "x".repeat(252) + end);
    let names = [&"y".repeat(100), &ends[0], &ends[1]];
    for name in names {
        a_tenant(&ns, name, json!({"name": "cart"})).await;
        wait_for_reason::<StoreNamespace>(&ns, name, "Bound").await;
        let binding = ns.get::<StoreNamespace>(name).await.status.unwrap().binding.unwrap().name;
        let token = secret_value(&ns.get::<Secret>(&binding).await, "token");
        assert!(token.is_some_and(|token| !token.is_empty()), "{binding} has a token");
    }
    operator.rest().await;
    operator.stop().await;
}

#[tokio::test]
async fn what_keeps_credentials_from_being_made_is_told() {
    let ns = TestNamespace::new("tenant").await;
    let _operator = ns.operator();
    let volume = json!({"volume": {"size": "1Gi"}});
    let spec = json!({"spec": {"backend": volume, "contracts": ["runStore"]}});
    ns.create::<Store>("demo", spec).await;
    a_tenant(&ns, "cart", json!({})).await;
    let (_, message) = wait_for_reason::<StoreNamespace>(&ns, "cart", "ContractNotServed").await;
    assert!(message.contains("does not serve kv"), "{message}");
    assert!(ns.find::<Secret>("cart-stowage").await.is_none());

    ns.create_secret("ci-stowage", &[("token", "theirs-0123456789abcdef")]).await;
    a_tenant(&ns, "ci", json!({"contract": "runStore"})).await;
    let (_, message) = wait_for_reason::<StoreNamespace>(&ns, "ci", "NameTaken").await;
    assert!(message.contains("Secret ci-stowage"), "{message}");
    let theirs: Secret = ns.get("ci-stowage").await;
    assert_eq!(secret_value(&theirs, "token").as_deref(), Some("theirs-0123456789abcdef"));
}

/// Another Secret of that name, which nobody made for this Store, hands out nothing.
#[tokio::test]
async fn a_key_or_token_that_the_operator_did_not_make_is_not_used() {
    let ns = TestNamespace::new("tenant").await;
    let theirs = r#"{"token":"theirs-0123456789abcdef","access":"readWrite"}"#;
    ns.create_secret("demo-server-tokens", &[("stowage.namespace.cart", theirs)]).await;
    let key = SigningKey::generate().unwrap();
    let key = json!({"data": {"current": ByteString(key.to_pkcs8().to_vec())}});
    ns.create::<Secret>("demo-signing-key", key).await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    a_tenant(&ns, "cart", json!({})).await;
    wait_for_reason::<Store>(&ns, "demo", "NameTaken").await;
    wait_for_reason::<StoreNamespace>(&ns, "cart", "StoreNotReady").await;
    operator.rest().await;
    assert!(ns.find::<Secret>("cart-stowage").await.is_none());
}
