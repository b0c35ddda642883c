//! The tokens that the operator makes, and how a running pod hears of new ones.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use serde_json::json;
use stowage_config::{Access, Contract, Token};
use stowage_crds::{Store, StoreNamespace};

use crate::support::{
    TestNamespace, a_store, eventually, eventually_some, secret_value, serve, wait_for_reason,
};

async fn server_tokens(ns: &TestNamespace) -> BTreeMap<String, Token> {
    let secret: Secret = ns.get("demo-server-tokens").await;
    let keys = secret.data.iter().flatten().map(|(key, _)| key.clone());
    keys.map(|key| {
        let text = secret_value(&secret, &key).unwrap();
        (key, Token::parse(&text).unwrap())
    })
    .collect()
}

async fn a_tenant(ns: &TestNamespace, name: &str) {
    let spec = json!({"storeRef": {"name": "demo"}, "contract": "kv", "access": "read"});
    ns.create::<StoreNamespace>(name, json!({"spec": spec})).await;
}

#[tokio::test]
async fn tokens_are_made_once() {
    let ns = TestNamespace::new("tokens").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let first = server_tokens(&ns).await;
    assert_eq!(first.keys().collect::<Vec<_>>(), ["stowage.admin", "stowage.sync"]);
    let sync = &first["stowage.sync"].grant;
    assert_eq!(sync.contracts, Some(vec![Contract::Runtimes]));
    assert_eq!((&sync.namespaces, sync.access), (&None, Access::ReadWrite));

    a_tenant(&ns, "cart").await;
    eventually_some("the namespace has a token", async || ns.find::<Secret>("cart-stowage").await)
        .await;
    operator.rest().await;
    let second = server_tokens(&ns).await;
    assert_eq!(second.len(), first.len(), "that of the namespace is signed and stands there alone");
    for (name, token) in &first {
        assert_eq!(second[name].value, token.value, "{name} stays the same");
    }

    // Deleting the Secret is how to have new ones; everyone who is given one gets the new.
    ns.delete::<Secret>("demo-server-tokens").await;
    eventually(
        "the sync has a new token",
        async || ns.find::<Secret>("demo-publisher").await.and_then(|s| secret_value(&s, "token")),
        |token| token.as_ref().is_some_and(|token| *token != first["stowage.sync"].value),
    )
    .await;
    let third = server_tokens(&ns).await;
    eventually(
        "the user has the new token as well",
        async || ns.find::<Secret>("demo-admin").await.and_then(|s| secret_value(&s, "token")),
        |token| token.as_ref() == Some(&third["stowage.admin"].value),
    )
    .await;
    operator.stop().await;
}

/// One value that is no token would keep every later change from the server.
#[tokio::test]
async fn what_somebody_else_puts_among_the_tokens_is_taken_out_and_told() {
    let ns = TestNamespace::new("tokens").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let before = server_tokens(&ns).await;
    let theirs = json!({"stringData": {"junk": "x", "theirs": "change-me-0123456789abcdef"}});
    ns.patch::<Secret>("demo-server-tokens", theirs).await;
    eventually(
        "the operator's own are left",
        async || ns.get::<Secret>("demo-server-tokens").await.data.unwrap_or_default(),
        |data| data.keys().eq(before.keys()),
    )
    .await;
    for (key, token) in server_tokens(&ns).await {
        assert_eq!(token.value, before[&key].value, "{key} stays the same");
    }
    operator.rest().await;
    let events = ns.events_about("Store", "demo").await;
    let told: Vec<&String> =
        events.iter().filter(|event| event.starts_with("ForeignTokens: ")).collect();
    assert_eq!(told.len(), 1, "{events:#?}");
    assert!(told[0].contains("junk, theirs") && told[0].contains("tokensSecretRef"), "{told:?}");
    assert!(!told[0].contains("change-me"), "{told:?}");
    let another = ns.operator();
    another.rest().await;
    assert_eq!(another.writes(), Vec::<String>::new(), "there is nothing left to take out");
}

#[tokio::test]
async fn the_admin_secret_is_a_binding_and_goes_when_the_user_has_tokens() {
    let ns = TestNamespace::new("tokens").await;
    let _operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let admin: Secret = ns.get("demo-admin").await;
    assert_eq!(admin.type_.as_deref(), Some("servicebinding.io/stowage"));
    let value = |key: &str| secret_value(&admin, key).unwrap();
    let host = format!("demo.{}.svc", ns.name);
    assert_eq!((value("type"), value("provider")), ("stowage".into(), "stowage".into()));
    assert_eq!((value("host"), value("port")), (host.clone(), "8080".into()));
    assert_eq!(value("uri"), format!("http://{host}:8080"));
    assert_eq!(server_tokens(&ns).await["stowage.admin"].value, value("token"));

    ns.create_secret("mine", &[("admin", "change-me-0123456789abcdef")]).await;
    ns.patch::<Store>("demo", json!({"spec": {"auth": {"tokensSecretRef": {"name": "mine"}}}}))
        .await;
    eventually(
        "nobody needs it any more",
        async || ns.find::<Secret>("demo-admin").await.is_none(),
        |gone| *gone,
    )
    .await;
    let keys: Vec<String> = server_tokens(&ns).await.into_keys().collect();
    assert_eq!(keys, ["stowage.sync"]);
}

#[tokio::test]
async fn a_running_pod_is_told_of_new_tokens_and_is_not_replaced() {
    const DIGEST: &str = "stowage.dev/files-digest";
    let ns = TestNamespace::new("tokens").await;
    ns.create_secret("mine", &[("admin", "change-me-0123456789abcdef")]).await;
    let operator = ns.operator();
    ns.create::<Store>(
        "demo",
        json!({"spec": {
            "backend": {"volume": {"size": "1Gi"}}, "auth": {"tokensSecretRef": {"name": "mine"}},
        }}),
    )
    .await;
    serve(&ns, "demo").await;
    let digest = async || ns.get::<Pod>("demo-0").await.annotations().get(DIGEST).cloned();
    let first = eventually_some("the pod has a digest of its files", digest).await;
    operator.rest().await;
    assert_eq!(digest().await.as_ref(), Some(&first), "nothing had changed");
    let template = async || {
        let set = ns.get::<k8s_openapi::api::apps::v1::StatefulSet>("demo").await;
        json!(set.spec.unwrap().template)
    };
    let before = template().await;

    ns.patch::<Secret>("mine", json!({"stringData": {"admin": "changed-0123456789abcdef"}})).await;
    let second = eventually("a rotated token", digest, |now| *now != Some(first.clone())).await;
    ns.patch::<Store>("demo", json!({"spec": {"limits": {"maxJsonBytes": "1Mi"}}})).await;
    let third = eventually("a new limit", digest, |now| *now != second).await;
    a_tenant(&ns, "cart").await;
    eventually("a new namespace's token", digest, |now| *now != third).await;
    assert_eq!(template().await, before, "none of it restarts the pod");
}
