//! The tokens of StoreNamespaces: signed, renewed, revoked; and the keys that sign them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use stowage_config::{Access, NamespaceClaims, NamespaceTokens, SidecarConfig};
use stowage_crds::render::SigningKey;
use stowage_crds::{Store, StoreNamespace};

use crate::support::{
    TestNamespace, a_store, eventually, eventually_some, secret_value, serve, wait_for_reason,
};

const REQUEST: &str = "stowage.dev/signing-key-requested-at";

async fn a_tenant(ns: &TestNamespace, name: &str, more: Value) -> StoreNamespace {
    let mut spec = json!({"storeRef": {"name": "demo"}, "contract": "kv"});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    ns.create(name, json!({"spec": spec})).await
}

async fn find_token(ns: &TestNamespace, tenant: &str) -> Option<String> {
    let secret = ns.find::<Secret>(&format!("{tenant}-stowage")).await?;
    secret_value(&secret, "token").filter(|token| token.contains('.'))
}

async fn token(ns: &TestNamespace, tenant: &str) -> String {
    eventually_some("there is a signed token", async || find_token(ns, tenant).await).await
}

/// Waits until a token is another one.
async fn next_token(ns: &TestNamespace, tenant: &str, before: &str, why: &str) -> String {
    let ask = async || find_token(ns, tenant).await;
    eventually(why, ask, |now| now.as_ref().is_some_and(|now| now != before)).await.unwrap()
}

fn claims(token: &str) -> NamespaceClaims {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

async fn signing_key(ns: &TestNamespace) -> SigningKey {
    let secret: Secret = ns.get("demo-signing-key").await;
    SigningKey::read(&secret.data.unwrap()["current"].0).unwrap()
}

/// What the server knows of StoreNamespaces.
async fn known(ns: &TestNamespace) -> Option<NamespaceTokens> {
    let config = ns.find::<ConfigMap>("demo-config").await?;
    let config: SidecarConfig =
        serde_saphyr::from_str(&config.data.unwrap()["sidecar.yaml"]).unwrap();
    config.auth.namespace_tokens
}

fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap()
}

#[tokio::test]
async fn a_token_is_signed_for_this_store_and_this_namespace_and_stays() {
    let ns = TestNamespace::new("signed").await;
    let operator = ns.operator();
    let store = a_store(&ns, "demo").await;
    let tenant = a_tenant(&ns, "cart", json!({"name": "a+b", "access": "read"})).await;
    let token = token(&ns, "cart").await;
    serve(&ns, "demo").await;
    wait_for_reason::<StoreNamespace>(&ns, "cart", "Bound").await;

    let key = signing_key(&ns).await;
    let claims = claims(&token);
    assert_eq!(key.sign(&claims), token, "the Store's key has signed it");
    assert_eq!((&*claims.iss, &claims.aud), ("stowage.dev", &store.uid().unwrap()));
    assert_eq!(claims.sub, format!("{}/cart", ns.name));
    assert_eq!(claims.exp - claims.iat, 30 * 24 * 3600, "thirty days where nothing is said");
    assert_eq!(claims.grant.uid, tenant.uid().unwrap());
    assert_eq!((&*claims.grant.namespace, claims.grant.access), ("a+b", Access::Read));
    let status = ns.get::<StoreNamespace>("cart").await.status.unwrap();
    assert_eq!(status.token_expires_at.map(|time| seconds(time.0)), Some(claims.exp));

    let known = eventually_some("the server knows it", async || known(&ns).await).await;
    assert_eq!(known.audience, claims.aud);
    assert_eq!(known.keys, [key.public()]);
    assert_eq!(known.namespaces[0].grant, claims.grant);
    assert_eq!(known.namespaces[0].subject, claims.sub);
    assert_eq!(known.namespaces[0].token, "stowage.namespace.cart");
    let secret: Secret = ns.get("demo-signing-key").await;
    let config: ConfigMap = ns.get("demo-config").await;
    let private = URL_SAFE_NO_PAD.encode(key.to_pkcs8());
    assert!(!json!(config).to_string().contains(&private), "the server has the public half alone");
    let template = ns.get::<k8s_openapi::api::apps::v1::StatefulSet>("demo").await;
    assert!(!json!(template).to_string().contains("signing-key"), "no pod mounts it");
    assert_eq!(secret.owner_references()[0].uid, store.uid().unwrap(), "it goes with its Store");
    let status = ns.get::<Store>("demo").await.status.unwrap();
    assert_eq!(status.signing_key.as_deref(), Some(key.id()));
    operator.rest().await;
    operator.stop().await;

    let second = ns.operator();
    second.rest().await;
    assert_eq!(second.writes(), Vec::<String>::new(), "nothing had changed");
    assert_eq!(self::token(&ns, "cart").await, token);
}

/// Nothing changes but the time.
#[tokio::test]
async fn a_token_is_renewed_when_it_is_time() {
    const LIFE: u64 = 600;
    let ns = TestNamespace::new("renewed").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    a_tenant(&ns, "cart", json!({"tokenTTL": "10m"})).await;
    serve(&ns, "demo").await;
    wait_for_reason::<StoreNamespace>(&ns, "cart", "Bound").await;
    let first = token(&ns, "cart").await;
    operator.rest().await;

    // The same one, issued so long ago that it is due in some seconds, or was a moment ago.
    let mut aged = claims(&first);
    assert_eq!(aged.exp - aged.iat, LIFE);
    aged.iat = seconds(Timestamp::now()) - LIFE * 2 / 3 + 6;
    (aged.nbf, aged.exp) = (aged.iat, aged.iat + LIFE);
    let due_at_latest = aged.iat + LIFE * 2 / 3;
    let aged = signing_key(&ns).await.sign(&aged);
    ns.patch::<Secret>("cart-stowage", json!({"stringData": {"token": aged}})).await;
    let renewed = next_token(&ns, "cart", &aged, "it is renewed").await;
    let now = seconds(Timestamp::now());
    let renewed = claims(&renewed);
    assert!(renewed.iat > claims(&aged).iat + LIFE / 2, "{renewed:?} is new");
    assert!(now <= due_at_latest + 20, "due at {due_at_latest}, renewed at {now}");
    assert_ne!(renewed.jti, claims(&aged).jti);
    eventually(
        "the status tells the new expiry",
        async || ns.get::<StoreNamespace>("cart").await.status.unwrap().token_expires_at,
        |time| time.as_ref().is_some_and(|time| seconds(time.0) == renewed.exp),
    )
    .await;
    operator.rest().await;
    let known = known(&ns).await.unwrap();
    assert_eq!(known.namespaces[0].grant, claims(&aged).grant, "the one before is still granted");
}

#[tokio::test]
async fn a_token_is_issued_anew_when_what_it_claims_changes_and_revoked_at_once() {
    let ns = TestNamespace::new("revoked").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    a_tenant(&ns, "cart", json!({})).await;
    let first = token(&ns, "cart").await;
    let change = async |spec: Value| {
        ns.patch::<StoreNamespace>("cart", json!({"spec": spec})).await;
    };
    change(json!({"access": "read"})).await;
    let reading = next_token(&ns, "cart", &first, "its access was narrowed").await;
    assert_eq!(claims(&reading).grant.access, Access::Read);
    change(json!({"tokenGeneration": 1})).await;
    let second = next_token(&ns, "cart", &reading, "all before were revoked").await;
    assert_eq!(claims(&second).grant.generation, 1);
    let granted = async || known(&ns).await.map(|known| known.namespaces);
    eventually("the server refuses what was before", granted, |granted| {
        granted.as_ref().is_some_and(|granted| granted[0].grant == claims(&second).grant)
    })
    .await;
    change(json!({"tokenTTL": "10m"})).await;
    let short = next_token(&ns, "cart", &second, "its life was shortened").await;
    assert_eq!(claims(&short).exp - claims(&short).iat, 600);
    let refused = ns
        .api::<StoreNamespace>()
        .patch(
            "cart",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(json!({"spec": {"tokenGeneration": 0}})),
        )
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("tokenGeneration only grows"), "{refused}");

    ns.delete::<StoreNamespace>("cart").await;
    eventually("nothing is granted any more", granted, Option::is_none).await;
    // One of the same name is another one.
    ns.delete::<Secret>("cart-stowage").await;
    a_tenant(&ns, "cart", json!({"tokenTTL": "10m", "tokenGeneration": 1})).await;
    let anew = next_token(&ns, "cart", &short, "one of the same name has another").await;
    assert_ne!(claims(&anew).grant.uid, claims(&short).grant.uid);
    operator.rest().await;
}

#[tokio::test]
async fn a_key_is_made_once_and_changed_on_request_alone() {
    let ns = TestNamespace::new("keys").await;
    let operator = ns.operator();
    let store = a_store(&ns, "demo").await;
    a_tenant(&ns, "cart", json!({})).await;
    let first_token = token(&ns, "cart").await;
    let first = signing_key(&ns).await;
    operator.kill();
    let operator = ns.operator();
    ns.patch::<Store>("demo", json!({"spec": {"limits": {"maxJsonBytes": "1Mi"}}})).await;
    operator.rest().await;
    assert_eq!(signing_key(&ns).await.id(), first.id(), "another operator keeps it");
    assert_eq!(token(&ns, "cart").await, first_token);

    let known_ids = async || {
        let keys = known(&ns).await.map(|known| known.keys).unwrap_or_default();
        keys.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    let request = json!({"metadata": {"annotations": {REQUEST: "2026-01-01"}}});
    ns.patch::<Store>("demo", request).await;
    let shown = eventually("the server is shown both", known_ids, |ids| ids.len() == 2).await;
    operator.rest().await;
    assert_eq!(shown[0], first.id(), "the one before signs on");
    assert_eq!(token(&ns, "cart").await, first_token);
    // Two minutes later.
    let due = json!({"stringData": {"next-signs-from": Timestamp::now().to_string()}});
    ns.patch::<Secret>("demo-signing-key", due).await;
    let second_token = next_token(&ns, "cart", &first_token, "it is signed anew").await;
    operator.rest().await;
    let second = signing_key(&ns).await;
    assert_eq!(second.sign(&claims(&second_token)), second_token);
    assert_eq!(second.id(), shown[1], "the server has known it before it signed");
    let both = [second.id().to_owned(), first.id().to_owned()];
    eventually("the one before is still known", known_ids, |ids| *ids == both).await;
    let events = ns.events_about("Store", "demo").await;
    for reason in ["SigningKeyMade: ", "SigningKeyRotated: "] {
        let told = events.iter().filter(|event| event.starts_with(reason)).count();
        assert_eq!(told, 1, "{reason}{events:#?}");
    }
    let third = ns.operator();
    third.rest().await;
    assert_eq!(third.writes(), Vec::<String>::new(), "a request is honoured once");
    third.stop().await;

    // Who fears that it is known: nothing that it signed is good any more.
    ns.delete::<Secret>("demo-signing-key").await;
    let third_token = next_token(&ns, "cart", &second_token, "there is another key").await;
    let third = signing_key(&ns).await;
    assert_eq!(third.sign(&claims(&third_token)), third_token);
    let alone = [third.id().to_owned()];
    eventually("it alone is known", known_ids, |ids| *ids == alone).await;

    ns.patch::<Secret>("demo-signing-key", json!({"data": {"current": "aHVudGVyMg=="}})).await;
    let fourth_token = next_token(&ns, "cart", &third_token, "what is no key is replaced").await;
    operator.rest().await;
    let fourth = signing_key(&ns).await;
    assert_eq!(fourth.sign(&claims(&fourth_token)), fourth_token);
    assert_eq!(claims(&fourth_token).aud, store.uid().unwrap());
    let events = ns.events_about("Store", "demo").await;
    let told = events.iter().filter(|event| event.starts_with("SigningKeyReplaced: ")).count();
    assert_eq!(told, 1, "{events:#?}");
}

/// As an operator before tokens were signed has left it.
#[tokio::test]
async fn static_tokens_of_an_earlier_version_stay_good_and_are_replaced() {
    const STATIC: &str = "static-0123456789abcdef";
    let ns = TestNamespace::new("earlier").await;
    let store = a_store(&ns, "demo").await;
    let tenant = a_tenant(&ns, "cart", json!({})).await;
    let document = json!({
        "token": STATIC, "access": "readWrite", "contracts": ["kv"], "namespaces": ["cart"],
    });
    let labels = |component: &str, instance: &str| {
        json!({
            "app.kubernetes.io/name": "stowage", "app.kubernetes.io/component": component,
            "app.kubernetes.io/instance": instance,
            "app.kubernetes.io/managed-by": "stowage-operator",
        })
    };
    let owned = |owner: Value, labels: Value, data: Value| {
        json!({
            "metadata": {"ownerReferences": [owner], "labels": labels}, "stringData": data,
        })
    };
    let tokens = owned(
        json!(store.controller_owner_ref(&())),
        labels("store", "demo"),
        json!({"stowage.namespace.cart": document.to_string()}),
    );
    ns.create::<Secret>("demo-server-tokens", tokens).await;
    let mut binding = owned(
        json!(tenant.controller_owner_ref(&())),
        labels("namespace", "cart"),
        json!({"token": STATIC}),
    );
    binding["type"] = json!("servicebinding.io/stowage");
    ns.create::<Secret>("cart-stowage", binding).await;

    let operator = ns.operator();
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    operator.rest().await;
    let secret: Secret = ns.get("cart-stowage").await;
    let has = secret_value(&secret, "token");
    assert_eq!(has.as_deref(), Some(STATIC), "no server is there that takes another");
    serve(&ns, "demo").await;
    let signed = token(&ns, "cart").await;
    wait_for_reason::<StoreNamespace>(&ns, "cart", "Bound").await;
    operator.rest().await;
    let left = async || secret_value(&ns.get("demo-server-tokens").await, "stowage.namespace.cart");
    let before: Value = serde_json::from_str(&left().await.unwrap()).unwrap();
    assert_eq!(before, document, "who has the old one goes on");
    let second = ns.operator();
    second.rest().await;
    assert_eq!(second.writes(), Vec::<String>::new(), "nothing had changed");
    second.stop().await;

    ns.patch::<StoreNamespace>("cart", json!({"spec": {"access": "read"}})).await;
    let reading = next_token(&ns, "cart", &signed, "its access was narrowed").await;
    eventually("so was that of the old one", left, |left| {
        left.as_ref().is_some_and(|left| left.contains(r#""access":"read""#))
    })
    .await;
    ns.patch::<StoreNamespace>("cart", json!({"spec": {"tokenGeneration": 1}})).await;
    next_token(&ns, "cart", &reading, "all before were revoked").await;
    eventually("the old one as well", left, Option::is_none).await;
}

/// What a StoreNamespace was granted stays while nobody can read what it is to be granted.
#[tokio::test]
async fn a_namespace_that_does_not_parse_keeps_its_token() {
    // The definition is loosened, so this API server is nobody else's.
    let ns = TestNamespace::alone("odd").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    a_tenant(&ns, "cart", json!({})).await;
    a_tenant(&ns, "menu", json!({})).await;
    let first = token(&ns, "cart").await;
    let names = async || {
        let namespaces = known(&ns).await.map(|known| known.namespaces).unwrap_or_default();
        namespaces.into_iter().map(|granted| granted.grant.namespace).collect::<Vec<_>>()
    };
    eventually("both are granted", names, |names| *names == ["cart", "menu"]).await;
    ns.loosen::<StoreNamespace>("storenamespaces.stowage.dev").await;
    ns.patch_loose::<StoreNamespace>("cart", json!({"contract": 7})).await;
    ns.delete::<StoreNamespace>("menu").await;
    eventually("the other one is gone", names, |names| *names == ["cart"]).await;
    operator.rest().await;
    assert_eq!(names().await, ["cart"]);
    assert_eq!(token(&ns, "cart").await, first);
}
