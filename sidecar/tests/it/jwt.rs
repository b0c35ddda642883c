//! Common, "Auth": JWTs by keys from a file, what they allow, and what is refused.

use serde_json::{Value, json};

use super::harness::{ADMIN, Setup, eventually};
use super::jwt_keys::{KEYS, SECRET, SigningKey, claims, encoded, jwks, now};
use super::process::Place;
use super::raw::{Request, delete, get, patch, put};
use super::rows::{row, run};

const CART: &str = "/api/storage?ns=cart";
const SET_A: &str = r#"[{"op":"set","key":"a","value":1}]"#;
const INVALID: &str = r#"Bearer error="invalid_token""#;

fn by_jwks(grant: &str) -> Setup {
    let jwt = format!(
        "auth: {{jwt: {{issuer: https://issuer.example, audiences: [stowage], jwksFile: /keys, \
         grant: {grant}}}}}"
    );
    Setup::default().in_memory().config(&jwt).keys(&jwks().to_string()).token("admin", ADMIN)
}

fn by_secret() -> Setup {
    let jwt = "auth: {jwt: {issuer: https://issuer.example, audiences: [stowage], \
               hmacSecretFile: /secret}}";
    Setup::default().in_memory().config(jwt).keys(&format!("{SECRET}\n"))
}

fn with(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

fn edited(name: &str, value: Value) -> Value {
    let mut claims = claims("user-1");
    claims[name] = value;
    claims
}

#[tokio::test]
async fn every_algorithm_is_taken_by_its_own_kind_of_key() {
    let server = by_jwks("{}").start().await;
    let keys = &*KEYS;
    let table = [
        ("RS256", "rsa", &keys.rsa),
        ("RS384", "rsa", &keys.rsa),
        ("RS512", "rsa", &keys.rsa),
        ("PS256", "rsa", &keys.rsa),
        ("PS384", "rsa", &keys.rsa),
        ("PS512", "rsa", &keys.rsa),
        ("ES256", "p256", &keys.p256),
        ("ES384", "p384", &keys.p384),
        ("EdDSA", "ed", &keys.ed25519),
    ];
    for (algorithm, id, key) in table {
        let token = key.token(algorithm, id, &claims("user-1"));
        for _ in 0..2 {
            let answer = server.send(&with(put("/", "1"), &token)).await;
            assert_eq!(answer.status, 200, "{algorithm}: {}", answer.text());
        }
        let without_id = key.token_with(&json!({"alg": algorithm}), &claims("user-1"));
        let answer = server.send(&with(put("/", "1"), &without_id)).await;
        assert_eq!(answer.status, 200, "{algorithm} without kid: {}", answer.text());
    }
    assert_eq!(server.send(&with(put("/", "1"), ADMIN)).await.status, 200, "and static tokens");

    let server = by_secret().start().await;
    for algorithm in ["HS256", "HS384", "HS512"] {
        let token = SigningKey::secret(SECRET).token(algorithm, "any", &claims("user-1"));
        let answer = server.send(&with(put("/", "1"), &token)).await;
        assert_eq!(answer.status, 200, "{algorithm}: {}", answer.text());
    }
}

#[tokio::test]
async fn every_refusal_of_a_jwt() {
    let keys = &*KEYS;
    let rsa = |claims: &Value| keys.rsa.token("RS256", "rsa", claims);
    let with_header = |key: &SigningKey, header: Value| key.token_with(&header, &claims("user-1"));
    let good = rsa(&claims("user-1"));
    let parts: Vec<&str> = good.split('.').collect();
    let forged = encoded(edited("sub", json!("root")).to_string());
    let modulus = keys.rsa.jwk("rsa")["n"].as_str().expect("a modulus").to_owned();
    let by_modulus = SigningKey::secret(&modulus);
    let by_set = SigningKey::secret(&jwks().to_string());
    let none = format!("{}.{}.", encoded(r#"{"alg":"none"}"#), parts[1]);
    let strange = SigningKey::ed25519();
    let hour = 3600;
    let table = [
        ("expired", rsa(&edited("exp", json!(now() - hour))), "expired"),
        ("not yet", rsa(&edited("nbf", json!(now() + hour))), "does not hold yet"),
        ("no expiry", rsa(&edited("exp", Value::Null)), "no expiry"),
        ("another issuer", rsa(&edited("iss", json!("https://evil.example"))), "issuer"),
        ("another audience", rsa(&edited("aud", json!(["elsewhere"]))), "audience"),
        ("malformed rights", rsa(&edited("stowage", json!({"access": "all"}))), "claim stowage"),
        ("malformed claims", rsa(&edited("aud", json!(1))), "claims"),
        ("none", none, "algorithm"),
        ("HMAC by the RSA modulus", by_modulus.token("HS256", "rsa", &claims("u")), "no key"),
        ("HMAC by the key's own text", by_set.token("HS256", "rsa", &claims("u")), "no key"),
        ("another key id", keys.rsa.token("RS256", "p256", &claims("u")), "no key"),
        ("an unknown key id", keys.rsa.token("RS256", "gone", &claims("u")), "no key"),
        ("a key of another algorithm", keys.p256.token("ES384", "p256", &claims("u")), "no key"),
        ("another key of the kind", strange.token("EdDSA", "ed", &claims("u")), "signature"),
        ("tampered claims", format!("{}.{forged}.{}", parts[0], parts[2]), "signature"),
        (
            "tampered signature",
            format!("{}.{}.{}", parts[0], parts[1], encoded([0; 256])),
            "signature",
        ),
        ("crit", with_header(&keys.rsa, json!({"alg": "RS256", "crit": ["exp"]})), "crit"),
        ("another type", with_header(&keys.rsa, json!({"alg": "RS256", "typ": "dpop+jwt"})), "typ"),
        ("not a JWT", "a.b.c".to_owned(), "not a JWT"),
        ("no dots", "nobody-0123456789abcdef".to_owned(), "not one of this store"),
        ("oversized", rsa(&edited("x", json!("x".repeat(9000)))), "larger than 8192"),
        (
            "a key within the header",
            with_header(&strange, json!({"alg": "EdDSA", "jwk": strange.jwk("k"), "kid": "k"})),
            "no key",
        ),
    ];
    // Also where those without credentials may read.
    let server = by_jwks("{}").config("").start().await;
    for (name, token, detail) in table {
        for request in [get("/"), put("/", "1"), get("/jobs"), patch(CART, "0", SET_A)] {
            let answer = server.send(&with(request, &token)).await;
            assert_eq!(answer.status, 401, "{name}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate").as_deref(), Some(INVALID), "{name}");
            let problem = answer.json();
            assert_eq!(problem["error"], "unauthorized", "{name}");
            let said = problem["detail"].as_str().unwrap_or_default();
            assert!(said.contains(detail), "{name}: {said:?} lacks {detail:?}");
        }
    }
    let twice = server.send(&with(with(get("/"), &good), &good)).await;
    assert_eq!((twice.status, twice.header("www-authenticate").as_deref()), (401, Some(INVALID)));
    let absent = server.send(&get("/")).await;
    assert_eq!(
        (absent.status, absent.header("www-authenticate").as_deref()),
        (401, Some("Bearer"))
    );
    assert_eq!(server.send(&with(get("/health"), "a.b.c")).await.status, 200, "health needs none");
    assert_eq!(server.send(&with(put("/", "1"), &good)).await.status, 200, "a good one is taken");
}

#[tokio::test]
async fn a_jwt_for_secrets_is_not_taken_by_public_keys_nor_the_other_way_round() {
    let by_secret = by_secret().start().await;
    let rsa = KEYS.rsa.token("RS256", "rsa", &claims("user-1"));
    assert_eq!(by_secret.send(&with(get("/"), &rsa)).await.status, 401);
    let without = Setup::default().in_memory().token("admin", ADMIN).start().await;
    assert_eq!(without.send(&with(get("/"), &rsa)).await.status, 401, "no JWT is configured");
}

#[tokio::test]
async fn every_row_of_a_jwts_rights() {
    let of = |stowage: Value| KEYS.p256.token("ES256", "p256", &edited("stowage", stowage));
    let plain = KEYS.p256.token("ES256", "p256", &claims("user-1"));
    let reader = of(json!({"contracts": ["kv"], "namespaces": ["cart"], "access": "read"}));
    let writer = of(json!({"contracts": ["kv"], "namespaces": ["cart"]}));
    let all = of(json!({}));
    let nothing = of(json!({"contracts": []}));
    let rows = [
        row("a claim: read").when(with(get(CART), &reader)).then(200),
        row("a claim: no write").when(with(patch(CART, "0", SET_A), &reader)).then(403),
        row("a claim: another namespace").when(with(get("/storage?ns=b"), &reader)).then(403),
        row("a claim: another contract").when(with(get("/"), &reader)).then(403),
        row("a claim: write").when(with(patch(CART, "0", SET_A), &writer)).then(201),
        row("a claim of all is more than the grant").when(with(put("/", "1"), &all)).then(200),
        row("a claim of nothing").when(with(get(CART), &nothing)).then(403),
        row("no claim: what the grant says").when(with(get(CART), &plain)).then(200),
        row("no claim: not more").when(with(patch(CART, "0", SET_A), &plain)).then(403),
    ];
    run(|| by_jwks("{contracts: [kv], access: read}"), rows).await;
    let rows = [row("without a grant: everything").when(with(put("/", "1"), &plain)).then(200)];
    run(|| by_jwks("{}"), rows).await;
}

#[tokio::test]
async fn a_namespace_of_a_user_is_theirs_alone() {
    let of = |subject: &str| KEYS.ed25519.token("EdDSA", "ed", &claims(subject));
    let own =
        |request: Request, token: &str| with(request, token).header("X-Thesara-Scope", "user");
    let (ann, bob) = (of("ann"), of("bob"));
    let mut nameless = claims("x");
    nameless.as_object_mut().expect("an object").remove("sub");
    let nameless = KEYS.ed25519.token("EdDSA", "ed", &nameless);
    let limited = edited("stowage", json!({"namespaces": ["cart"]}));
    let limited = KEYS.ed25519.token("EdDSA", "ed", &limited);
    let written = || own(patch(CART, "0", SET_A), &ann);
    let whole = r#"{"a":1}"#;
    let rows = [
        row("what one writes one reads")
            .given(written())
            .when(own(get(CART), &ann))
            .then(200)
            .header("Vary", "Accept, Authorization, X-Thesara-Scope, Origin, Accept-Encoding")
            .body(whole),
        row("a cache tells users apart by 304 as well")
            .given(written())
            .when(own(get(CART), &ann).header("If-None-Match", "\"1\""))
            .then(304)
            .header("Vary", "Accept, Authorization, X-Thesara-Scope, Origin, Accept-Encoding"),
        row("by key too").given(written()).when(own(get(&format!("{CART}&key=a")), &ann)).body("1"),
        row("another user has nothing")
            .given(written())
            .when(own(get(CART), &bob))
            .then(200)
            .body("{}"),
        row("the common one has nothing").given(written()).when(with(get(CART), &ann)).body("{}"),
        row("another user begins at 0")
            .given(written())
            .when(own(patch(CART, "0", SET_A), &bob))
            .then(201),
        row("a user's version is their own")
            .given(written())
            .when(own(patch(CART, "0", SET_A), &ann))
            .then(412)
            .header("ETag", "\"1\""),
        row("DELETE is of one's own")
            .given(written())
            .given(own(delete(CART).header("If-Match", "1"), &ann))
            .when(own(get(CART), &ann))
            .body("{}"),
        row("another's DELETE does nothing to it")
            .given(written())
            .given(own(delete(CART).header("If-Match", "0"), &bob))
            .when(own(get(CART), &ann))
            .body(whole),
        row("shared, in so many words")
            .given(written())
            .when(with(get(CART), &ann).header("X-Thesara-Scope", "shared"))
            .body("{}"),
        row("401 for a static token")
            .when(own(get(CART), ADMIN))
            .then(401)
            .holds("that name a user")
            .header("WWW-Authenticate", "Bearer"),
        row("401 for a JWT without a subject").when(own(get(CART), &nameless)).then(401),
        row("a JWT without a subject reads what is shared")
            .when(with(get(CART), &nameless))
            .then(200),
        row("401 without credentials").when(get(CART).header("X-Thesara-Scope", "user")).then(401),
        row("400 for another scope")
            .when(with(get(CART), &ann).header("X-Thesara-Scope", "me"))
            .then(400),
        row("rights name the namespace").when(own(get(CART), &limited)).then(200),
        row("rights do not reach others").when(own(get("/storage?ns=b"), &limited)).then(403),
        row("the limit of bytes holds")
            .when(own(
                patch(
                    CART,
                    "0",
                    json!([{"op": "set", "key": "a", "value": "x".repeat(99)}]).to_string(),
                ),
                &ann,
            ))
            .then(507),
    ];
    run(|| by_jwks("{}").config("limits: {maxNamespaceBytes: 64}"), rows).await;
}

#[tokio::test]
async fn subjects_of_any_text_stay_apart_and_below_their_folder() {
    let jwt =
        "auth: {jwt: {issuer: https://issuer.example, audiences: [stowage], jwksFile: /keys}}";
    let server = Setup::default().config(jwt).keys(&jwks().to_string()).start().await;
    let long = "x".repeat(201);
    let subjects = ["ann", "auth0|1", "../../escape", "..", "Ann", "ann ", &long];
    for (number, subject) in subjects.iter().enumerate() {
        let token = KEYS.ed25519.token("EdDSA", "ed", &claims(subject));
        let set = json!([{"op": "set", "key": "n", "value": number}]).to_string();
        let request = with(patch(CART, "0", set), &token).header("X-Thesara-Scope", "user");
        let answer = server.send(&request).await;
        assert_eq!(answer.status, 201, "{subject:?}: {}", answer.text());
        assert_eq!(answer.json()["snapshot"]["n"], number, "{subject:?}");
    }
    // An empty one is nobody's: many may have it.
    let nobody = with(patch(CART, "0", "[]"), &KEYS.ed25519.token("EdDSA", "ed", &claims("")));
    let answer = server.send(&nobody.header("X-Thesara-Scope", "user")).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    // The tree follows the journal.
    let folder = server.data().join("kv/users");
    let found = eventually("every namespace is in the tree", async || {
        let found: Vec<_> = folder.read_dir().ok()?.flatten().collect();
        let whole = found.iter().filter(|entry| entry.path().join("cart.json").is_file()).count();
        (whole == subjects.len()).then_some(found)
    })
    .await;
    let found: Vec<_> =
        found.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    for name in ["ann", "auth0%7C1", "..%2F..%2Fescape", "%2E%2E", "Ann", "ann%20"] {
        assert!(found.iter().any(|found| found == name), "{name} of {found:?}");
    }
}

#[tokio::test]
async fn each_subject_has_a_rate_of_its_own() {
    let server = by_jwks("{}").config("limits: {requestsPerSecond: 1}").start().await;
    let of = |subject: &str| KEYS.ed25519.token("EdDSA", "ed", &claims(subject));
    let (ann, bob) = (of("ann"), of("bob"));
    // Another token of the same user changes nothing.
    let ann_again = KEYS.p256.token("ES256", "p256", &claims("ann"));
    let mut refused = 0;
    for _ in 0..25 {
        for token in [&ann, &ann_again] {
            refused += u32::from(server.send(&with(put("/", "1"), token)).await.status == 429);
        }
    }
    assert!(refused >= 25, "{refused} of 50 requests at one a second were refused");
    assert_eq!(server.send(&with(put("/", "1"), &bob)).await.status, 200);
}

#[tokio::test]
async fn rules_are_taken_up_while_running() {
    let server = by_jwks("{}").start().await;
    let token = KEYS.ed25519.token("EdDSA", "ed", &claims("ann"));
    assert_eq!(server.send(&with(put("/", "1"), &token)).await.status, 200);
    server.reconfigure(by_jwks("{access: read}").settings());
    assert_eq!(server.send(&with(put("/", "1"), &token)).await.status, 403);
    let without = Setup::default().token("admin", ADMIN);
    server.reconfigure(without.settings());
    assert_eq!(server.send(&with(put("/", "1"), &token)).await.status, 401);
}

/// The real binary: keys are files as a mounted Secret has them.
#[tokio::test]
async fn keys_are_read_again_as_their_file_changes_and_names_are_logged() {
    let place = Place::new();
    let file = place.path("jwks.json");
    let keys = |key: &SigningKey, id: &str| json!({"keys": [key.jwk(id)]}).to_string();
    std::fs::write(&file, keys(&KEYS.ed25519, "one")).expect("a file");
    place.configure_auth(&format!(
        "jwt: {{issuer: https://issuer.example, audiences: [stowage], jwksFile: {}}}",
        file.display()
    ));
    let process = place.start_with(&["--log-format", "json"]).await;
    let subject = "auth0|ann\n{\"level\":\"forged\"}";
    let one = KEYS.ed25519.token("EdDSA", "one", &claims(subject));
    let two = KEYS.p256.token("ES256", "two", &claims("bob"));
    let status = async |token: &str| with(put("/", "1"), token).send(process.address).await.status;
    assert_eq!((status(&one).await, status(&two).await), (200, 401));

    std::fs::write(&file, keys(&KEYS.p256, "two")).expect("a file");
    eventually("the new key holds", async || (status(&two).await == 200).then_some(())).await;
    assert_eq!(status(&one).await, 401, "the old one does not, though it was verified before");

    std::fs::write(&file, r#"{"keys":[]}"#).expect("a file");
    eventually("what is wrong is logged", async || {
        process.log().contains("auth.jwt.jwksFile").then_some(())
    })
    .await;
    assert_eq!(status(&two).await, 200, "and changes nothing");

    let own = with(patch(CART, "0", SET_A), &two).header("X-Thesara-Scope", "user");
    assert_eq!(own.send(process.address).await.status, 201);
    let (_, log) = process.terminate().await;
    assert!(log.contains(r#""name":"users/bob/cart""#), "whose namespace is told: {log}");
    let named = log.lines().filter(|line| line.contains(r#""token":"jwt:auth0|ann{\"level\":"#));
    assert_eq!(named.count(), 2, "an access and an audit line: {log}");
    for token in [&one, &two] {
        assert!(!log.contains(token.as_str()), "tokens are not logged");
    }
}

#[tokio::test]
async fn wrong_keys_end_with_64_and_a_sentence() {
    let table = [
        ("jwksFile", Some("[]"), "auth.jwt.jwksFile: it is not a JWK Set"),
        ("jwksFile", Some(r#"{"keys":[{"kty":"oct"}]}"#), "none of its 1 keys is"),
        ("jwksFile", None, "auth.jwt.jwksFile: cannot read"),
        ("hmacSecretFile", Some("hunter2"), "auth.jwt.hmacSecretFile: the secret has less than 32"),
    ];
    for (field, content, expected) in table {
        let place = Place::new();
        let file = place.path("keys");
        if let Some(content) = content {
            std::fs::write(&file, content).expect("a file");
        }
        place.configure_auth(&format!(
            "jwt: {{issuer: i, audiences: [a], {field}: {}}}",
            file.display()
        ));
        let output = place.serve_refused().await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(
            text.contains(expected) && !text.contains("hunter2"),
            "{text:?} lacks {expected:?}"
        );
    }
    for (url, expected) in [
        ("ftp://issuer/keys", "auth.jwt.jwksUrl"),
        ("https://user:hunter2@issuer/keys", "auth.jwt.jwksUrl"),
        ("/keys", "auth.jwt.jwksUrl"),
    ] {
        let place = Place::new();
        place.configure_auth(&format!("jwt: {{issuer: i, audiences: [a], jwksUrl: '{url}'}}"));
        let output = place.serve_refused().await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(
            text.contains(expected) && !text.contains("hunter2"),
            "{text:?} lacks {expected:?}"
        );
    }
}
