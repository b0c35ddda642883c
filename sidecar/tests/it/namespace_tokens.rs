//! Common, "Auth": the tokens of StoreNamespaces, JWTs that whoever runs the store signs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::events::Events;
use super::harness::{ADMIN, Setup, eventually};
use super::jwt_keys::{self, KEYS, SECRET, SigningKey, encoded, jwks, now};
use super::process::Place;
use super::raw::{Connection, Request, get, patch, put};
use super::rows::{row, run};

const CART: &str = "/api/storage?ns=cart";
const SET_A: &str = r#"[{"op":"set","key":"a","value":1}]"#;
const INVALID: &str = r#"Bearer error="invalid_token""#;
const TYPE: &str = "stowage-namespace+jwt";

/// The key that signs for the Store of a test.
fn key() -> &'static SigningKey {
    &KEYS.ed25519
}

fn granted(name: &str, access: &str) -> Value {
    json!({
        "token": format!("stowage.namespace.{name}"), "subject": format!("shop/{name}"),
        "grant": {
            "uid": format!("uid-of-{name}"), "generation": 0, "contract": "kv",
            "namespace": name, "access": access,
        },
    })
}

fn known(keys: &[(&str, &SigningKey)], namespaces: &[Value]) -> Value {
    let key = |(id, key): &(&str, &SigningKey)| json!({"id": id, "x": key.jwk(id)["x"]});
    let keys: Vec<Value> = keys.iter().map(key).collect();
    json!({"audience": "uid-of-store", "keys": keys, "namespaces": namespaces})
}

fn usual() -> Value {
    known(&[("k1", key())], &[granted("cart", "readWrite"), granted("menu", "read")])
}

fn setup(namespace_tokens: &Value) -> Setup {
    Setup::default()
        .in_memory()
        .config(&format!("auth: {}", json!({"namespaceTokens": namespace_tokens})))
        .token("admin", ADMIN)
}

fn claims(name: &str, access: &str) -> Value {
    json!({
        "iss": "stowage.dev", "aud": "uid-of-store", "sub": format!("shop/{name}"),
        "iat": now(), "nbf": now(), "exp": now() + 3600, "jti": "0",
        "storeNamespace": granted(name, access)["grant"],
    })
}

fn signed(key: &SigningKey, id: &str, claims: &Value) -> String {
    key.token_with(&json!({"alg": "EdDSA", "typ": TYPE, "kid": id}), claims)
}

fn token(claims: &Value) -> String {
    signed(key(), "k1", claims)
}

/// The claims with one of them changed.
fn edited(pointer: &str, value: Value) -> Value {
    let mut claims = claims("cart", "readWrite");
    *claims.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value;
    claims
}

fn with(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn every_row_of_a_namespaces_rights() {
    let cart = token(&claims("cart", "readWrite"));
    let reading = token(&claims("cart", "read"));
    let menu = token(&claims("menu", "readWrite"));
    let other = "/api/storage?ns=other";
    let rows = [
        row("its namespace").when(with(get(CART), &cart)).then(200),
        row("a write to it").when(with(patch(CART, "0", SET_A), &cart)).then(201),
        row("another namespace").when(with(get(other), &cart)).then(403),
        row("a write to another").when(with(patch(other, "0", SET_A), &cart)).then(403),
        row("another contract").when(with(get("/"), &cart)).then(403),
        row("a document of the same name").when(with(get("/run-stores/cart"), &cart)).then(403),
        row("a token to read").when(with(get(CART), &reading)).then(200),
        row("a token to read, a write").when(with(patch(CART, "0", SET_A), &reading)).then(403),
        row("a claim of more than is granted")
            .when(with(patch("/api/storage?ns=menu", "0", SET_A), &menu))
            .then(403),
        row("what is granted of it").when(with(get("/api/storage?ns=menu"), &menu)).then(200),
        row("it names no user")
            .when(with(get(CART), &cart).header("X-Thesara-Scope", "user"))
            .then(401)
            .holds("that name a user"),
        row("static tokens beside them").when(with(put("/", "1"), ADMIN)).then(200),
        row("no credentials").when(get(CART)).then(401),
    ];
    run(|| setup(&usual()), rows).await;
}

#[tokio::test]
async fn a_token_that_is_known_is_not_held_off_with_those_that_are_no_good() {
    let good = token(&claims("cart", "readWrite"));
    let forged = signed(&SigningKey::ed25519(), "k1", &claims("cart", "readWrite"));
    let limits = "limits: {refusalsPerSecond: 1}";
    let server = setup(&usual()).config(limits).start().await;
    let next = SigningKey::ed25519();
    let both = [("k2", &next), ("k1", key())];
    let with_another_key = known(&both, &[granted("cart", "readWrite")]);
    assert_eq!(server.send(&with(get(CART), &good)).await.status, 200);
    let until_held_off = async || {
        let mut refusals = 0;
        while server.send(&with(get(CART), &forged)).await.status != 429 {
            refusals += 1;
            assert!(refusals < 1000, "expected 429 of so many refusals in a row");
        }
    };
    until_held_off().await;
    assert_eq!(server.send(&with(get(CART), &good)).await.status, 200, "it is known to be good");
    server.reconfigure(setup(&with_another_key).config(limits).settings());
    until_held_off().await;
    assert_eq!(server.send(&with(get(CART), &good)).await.status, 200, "its key is still known");
}

#[tokio::test]
async fn every_refusal_of_a_namespaces_token() {
    let good = token(&claims("cart", "readWrite"));
    let parts: Vec<&str> = good.split('.').collect();
    let forged = encoded(edited("/storeNamespace/namespace", json!("other")).to_string());
    let strange = SigningKey::ed25519();
    let with_header =
        |key: &SigningKey, header: Value| key.token_with(&header, &claims("cart", "readWrite"));
    let x = key().jwk("k1")["x"].as_str().expect("a key").to_owned();
    let mut endless = claims("cart", "readWrite");
    endless.as_object_mut().expect("an object").remove("exp");
    let hour = 3600;
    let table = [
        ("another Store", token(&edited("/aud", json!("uid-of-another"))), "audience"),
        ("several audiences", token(&edited("/aud", json!(["uid-of-store"]))), "claims"),
        ("another issuer", token(&edited("/iss", json!(jwt_keys::ISSUER))), "issuer"),
        ("expired", token(&edited("/exp", json!(now() - hour))), "expired"),
        ("not yet", token(&edited("/nbf", json!(now() + hour))), "does not hold yet"),
        ("no expiry", token(&endless), "claims"),
        ("made anew", token(&edited("/storeNamespace/uid", json!("uid-before"))), "revoked"),
        ("revoked", token(&edited("/storeNamespace/generation", json!(1))), "revoked"),
        ("a resource", token(&edited("/sub", json!("shop/menu"))), "revoked"),
        ("a contract", token(&edited("/storeNamespace/contract", json!("jobs"))), "revoked"),
        ("a namespace", token(&edited("/storeNamespace/namespace", json!("menu"))), "revoked"),
        ("no such contract", token(&edited("/storeNamespace/contract", json!("all"))), "claims"),
        ("tampered claims", format!("{}.{forged}.{}", parts[0], parts[2]), "signature"),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "signature"),
        (
            "none",
            format!("{}.{}.", encoded(json!({"alg": "none", "typ": TYPE}).to_string()), parts[1]),
            "algorithm",
        ),
        (
            "HMAC by the public key",
            with_header(&SigningKey::secret(&x), json!({"alg": "HS256", "typ": TYPE, "kid": "k1"})),
            "no key",
        ),
        (
            "another algorithm",
            with_header(&KEYS.p256, json!({"alg": "ES256", "typ": TYPE, "kid": "k1"})),
            "no key",
        ),
        ("another key", signed(&strange, "k1", &claims("cart", "readWrite")), "signature"),
        ("an unknown key id", signed(&strange, "k2", &claims("cart", "readWrite")), "no key"),
        (
            "a key within the header",
            with_header(
                &strange,
                json!({"alg": "EdDSA", "typ": TYPE, "kid": "k2", "jwk": strange.jwk("k2")}),
            ),
            "no key",
        ),
        (
            "crit",
            with_header(key(), json!({"alg": "EdDSA", "typ": TYPE, "kid": "k1", "crit": ["exp"]})),
            "crit",
        ),
        ("oversized", token(&edited("/jti", json!("x".repeat(9000)))), "not one of this store"),
    ];
    let server = setup(&usual()).start().await;
    for (name, token, detail) in table {
        for request in [get(CART), patch(CART, "0", SET_A), get("/")] {
            let answer = server.send(&with(request, &token)).await;
            assert_eq!(answer.status, 401, "{name}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate").as_deref(), Some(INVALID), "{name}");
            let said = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
            assert!(said.contains(detail), "{name}: {said:?} lacks {detail:?}");
        }
    }
    assert_eq!(server.send(&with(get(CART), &good)).await.status, 200, "a good one is taken");
    let without = Setup::default().in_memory().token("admin", ADMIN).start().await;
    assert_eq!(without.send(&with(get(CART), &good)).await.status, 401, "nothing is granted");
}

/// Both have the same keys here, which is the worst case: what tells them apart is what they say to
/// be, and that is signed.
#[tokio::test]
async fn neither_issuer_can_make_a_token_of_the_other() {
    let auth = json!({
        "namespaceTokens": usual(),
        "jwt": {"issuer": "stowage.dev", "audiences": ["uid-of-store"], "jwksFile": "/keys"},
    });
    let keys = json!({"keys": [key().jwk("k1"), KEYS.rsa.jwk("rsa")]});
    let both =
        || Setup::default().in_memory().config(&format!("auth: {auth}")).keys(&keys.to_string());
    let mut all = claims("cart", "readWrite");
    all["stowage"] = json!({});
    // A namespace's claims, signed by the user's issuer as a JWT of theirs.
    let of_user = key().token_with(&json!({"alg": "EdDSA", "typ": "JWT", "kid": "k1"}), &all);
    let untyped = key().token_with(&json!({"alg": "EdDSA", "kid": "k1"}), &all);
    let mut none = all.clone();
    none["stowage"] = json!({"contracts": []});
    let of_user_for_nothing = key().token_with(&json!({"alg": "EdDSA", "kid": "k1"}), &none);
    // Rights as a user's JWT has them, in a token of a namespace.
    let of_namespace = token(&all);
    let rsa = KEYS.rsa.token_with(&json!({"alg": "RS256", "typ": TYPE, "kid": "rsa"}), &all);
    let rows = [
        row("a user's JWT has the rights that it claims")
            .when(with(put("/", "1"), &of_user))
            .then(200),
        row("without a type as well").when(with(put("/", "1"), &untyped)).then(200),
        row("and not those of a namespace").when(with(get(CART), &of_user_for_nothing)).then(403),
        row("a namespace's token has its own").when(with(get(CART), &of_namespace)).then(200),
        row("and not those of a user").when(with(put("/", "1"), &of_namespace)).then(403),
        row("the user's keys sign none of a namespace").when(with(get(CART), &rsa)).then(401),
    ];
    run(both, rows).await;

    // Where only one of them is known, the other is nobody.
    let jwt = json!({"issuer": "stowage.dev", "audiences": ["uid-of-store"], "jwksFile": "/keys"});
    let users = Setup::default().in_memory().config(&format!("auth: {}", json!({"jwt": jwt})));
    let users = users.keys(&keys.to_string()).start().await;
    let answer = users.send(&with(get(CART), &of_namespace)).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(answer.text().contains("another type"), "{}", answer.text());
    let own = setup(&usual()).start().await;
    assert_eq!(own.send(&with(get(CART), &of_user)).await.status, 401);
}

#[tokio::test]
async fn a_shared_secret_of_a_user_signs_no_token_of_a_namespace() {
    let auth = json!({
        "namespaceTokens": usual(),
        "jwt": {
            "issuer": "stowage.dev", "audiences": ["uid-of-store"], "hmacSecretFile": "/secret",
        },
    });
    let setup = Setup::default().in_memory().config(&format!("auth: {auth}")).keys(SECRET);
    let server = setup.start().await;
    for typ in [TYPE, "application/Stowage-Namespace+JWT"] {
        let header = json!({"alg": "HS256", "typ": typ, "kid": "k1"});
        let forged = SigningKey::secret(SECRET).token_with(&header, &claims("cart", "readWrite"));
        let answer = server.send(&with(get(CART), &forged)).await;
        assert_eq!(answer.status, 401, "{typ}: {}", answer.text());
        assert!(answer.text().contains("no key"), "{typ}: {}", answer.text());
    }
}

#[tokio::test]
async fn keys_and_what_is_granted_are_taken_up_while_running() {
    let cart = token(&claims("cart", "readWrite"));
    let server = setup(&usual()).start().await;
    let status = async |request: Request| server.send(&request).await.status;
    let now_known = |tokens: Value| {
        server.reconfigure(setup(&tokens).settings());
    };
    let write = || with(patch(CART, "0", "[]"), &cart).header("If-Match", "*");
    assert_eq!(status(with(patch(CART, "0", SET_A), &cart)).await, 201);

    now_known(known(&[("k1", key())], &[granted("cart", "read")]));
    assert_eq!(status(write()).await, 403, "its access was narrowed");
    assert_eq!(status(with(get(CART), &cart)).await, 200, "what is left goes on");

    let next = SigningKey::ed25519();
    let both: &[(&str, &SigningKey)] = &[("k2", &next), ("k1", key())];
    now_known(known(both, &[granted("cart", "readWrite")]));
    let renewed = signed(&next, "k2", &claims("cart", "readWrite"));
    assert_eq!(status(with(get(CART), &renewed)).await, 200, "of the new key");
    assert_eq!(status(with(get(CART), &cart)).await, 200, "of the one before, until it is over");

    now_known(known(&[("k2", &next)], &[granted("cart", "readWrite")]));
    assert_eq!(status(with(get(CART), &cart)).await, 401, "the old key is taken out");
    assert_eq!(status(with(get(CART), &renewed)).await, 200);

    let mut revoked = granted("cart", "readWrite");
    revoked["grant"]["generation"] = json!(1);
    now_known(known(&[("k2", &next)], &[revoked]));
    assert_eq!(status(with(get(CART), &renewed)).await, 401, "all of them were revoked");

    now_known(known(&[("k2", &next)], &[granted("menu", "read")]));
    assert_eq!(status(with(get(CART), &renewed)).await, 401, "the namespace is gone");
}

#[tokio::test]
async fn a_revoked_token_ends_its_watch() {
    let cart = token(&claims("cart", "readWrite"));
    let server = setup(&usual()).start().await;
    let authorization = format!("Bearer {cart}");
    let mut events =
        Events::open_with(&server.url(CART), &[("Authorization", &authorization)]).await;
    events.expect().await;
    let without = known(&[("k1", key())], &[granted("menu", "read")]);
    server.reconfigure(setup(&without).settings());
    assert_eq!(events.next().await, None, "the end of a whole answer");
}

/// Of either kind; what is over is seen when the watch next shows that it is alive.
#[tokio::test]
async fn a_jwt_that_expires_ends_its_watch() {
    const LIFE_SECONDS: i64 = 3;
    // More than the time between two signs of life.
    const LATEST: Duration = Duration::from_secs(25);
    const SKEW_SECONDS: i64 = 60;
    let auth = json!({
        "namespaceTokens": usual(),
        "jwt": {
            "issuer": jwt_keys::ISSUER, "audiences": [jwt_keys::AUDIENCE], "jwksFile": "/keys",
            "clockSkew": "0s",
        },
    });
    let setup = Setup::default().in_memory().config(&format!("auth: {auth}"));
    let server = setup.keys(&jwks().to_string()).start().await;
    let mut of_user = jwt_keys::claims("ann");
    of_user["exp"] = json!(now() + LIFE_SECONDS);
    let of_user = KEYS.p256.token("ES256", "p256", &of_user);
    let of_namespace = token(&edited("/exp", json!(now() + LIFE_SECONDS - SKEW_SECONDS)));
    let lasting = token(&claims("cart", "read"));
    let begun = Instant::now();
    let ended = async |name: &str, token: &str| {
        let authorization = format!("Bearer {token}");
        let mut events =
            Events::open_with(&server.url(CART), &[("Authorization", &authorization)]).await;
        assert_eq!(events.expect().await.name, "snapshot", "{name}");
        while let Some(event) = events.next().await {
            assert_eq!(event.name, "comment", "{name}");
            assert!(begun.elapsed() < LATEST, "{name} goes on after {:?}", begun.elapsed());
        }
        // The last second of a time in whole seconds may be cut.
        let least = Duration::from_secs(LIFE_SECONDS.unsigned_abs() - 1);
        assert!(begun.elapsed() >= least, "{name} ended after {:?}", begun.elapsed());
        assert_eq!(server.send(&with(get(CART), token)).await.status, 401, "{name} is over");
    };
    let mut waits = Connection::open(server.address).await;
    let waiting = get(CART).header("If-None-Match", "\"0\"").header("Prefer", "wait=60");
    waits.send(&with(waiting, &of_user).bytes()).await;
    let authorization = format!("Bearer {lasting}");
    let mut goes_on =
        Events::open_with(&server.url(CART), &[("Authorization", &authorization)]).await;
    assert_eq!(goes_on.expect().await.name, "snapshot");
    tokio::join!(ended("a user's", &of_user), ended("a namespace's", &of_namespace));
    let change = with(patch(CART, "0", SET_A), &token(&claims("cart", "readWrite")));
    assert_eq!(server.send(&change).await.status, 201);
    let held = waits.answer(false).await.expect("an answer");
    assert_eq!(held.status, 401, "what was written after its time is not told: {held:?}");
    loop {
        let event = goes_on.expect().await;
        if event.name == "change" {
            break;
        }
        assert_eq!(event.name, "comment", "one whose token holds goes on");
    }
}

/// The real binary: what is granted stands in its configuration, and logs name the StoreNamespace.
#[tokio::test]
async fn a_changed_configuration_revokes_and_logs_name_the_namespace() {
    let place = Place::new();
    let grant = |tokens: Value| place.configure_auth(&format!("namespaceTokens: {tokens}"));
    grant(usual());
    let process = place.start_with(&["--log-format", "json"]).await;
    let cart = token(&claims("cart", "readWrite"));
    let write = with(patch(CART, "0", SET_A), &cart);
    assert_eq!(write.send(process.address).await.status, 201);
    grant(known(&[("k1", key())], &[granted("menu", "read")]));
    eventually("the token is refused", async || {
        let status = with(get(CART), &cart).send(process.address).await.status;
        (status == 401).then_some(())
    })
    .await;
    let (_, log) = process.terminate().await;
    let named = log.lines().filter(|line| {
        line.contains(r#""token":"stowage.namespace.cart""#) && line.contains("\"PATCH\"")
    });
    assert_eq!(named.count(), 2, "an access and an audit line: {log}");
    assert!(!log.contains(&cart), "tokens are not logged");
}

#[tokio::test]
async fn wrong_settings_end_with_64_and_a_sentence() {
    let mut twice = usual();
    twice["namespaces"][1]["grant"]["uid"] = twice["namespaces"][0]["grant"]["uid"].clone();
    let mut no_key = usual();
    no_key["keys"][0]["x"] = json!("AA");
    for (tokens, expected) in
        [(twice, "namespaces[1].grant.uid"), (no_key, "auth.namespaceTokens.keys")]
    {
        let place = Place::new();
        place.configure_auth(&format!("namespaceTokens: {tokens}"));
        let output = place.serve_refused().await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains(expected), "{text:?} lacks {expected:?}");
    }
}
