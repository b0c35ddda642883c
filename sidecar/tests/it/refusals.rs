//! Limits, "refusals": who keeps sending credentials that are no good costs no signatures, and holds back
//! nobody whose credentials are known to be good.

use super::harness::{ADMIN, Server, Setup, eventually};
use super::jwt_keys::{KEYS, SigningKey, claims, jwks};
use super::raw::{Answer, Connection, Request, get};

fn setup(limits: &str) -> Setup {
    let config = format!(
        "auth: {{jwt: {{issuer: https://issuer.example, audiences: [stowage], jwksFile: /keys}}}}\n\
         limits: {limits}"
    );
    let keys = jwks().to_string();
    Setup::default().in_memory().config(&config).keys(&keys).token("admin", ADMIN)
}

async fn start(limits: &str) -> Server {
    setup(limits).start().await
}

fn with(token: &str) -> Request {
    get("/run-stores/none").header("Authorization", &format!("Bearer {token}"))
}

fn good(subject: &str) -> String {
    KEYS.rsa.token("RS256", "rsa", &claims(subject))
}

/// Sends until it is held off; that another second begins between two requests is no fault.
async fn until_held_off(server: &Server, request: &Request) -> Answer {
    for _ in 0..1000 {
        let answer = server.send(request).await;
        if answer.status == 429 {
            return answer;
        }
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    panic!("expected 429 of 1000 refusals in a row");
}

#[tokio::test]
async fn refused_credentials_are_held_off_and_good_ones_are_not() {
    let server = start("{refusalsPerSecond: 1}").await;
    let known = good("known");
    assert_eq!(server.send(&with(&known)).await.status, 404);
    let forged = SigningKey::ed25519().token("EdDSA", "ed", &claims("user-1"));
    let answer = until_held_off(&server, &with(&forged)).await;
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    assert_eq!(answer.json()["error"], "too_many_refusals");
    assert_eq!(answer.header("www-authenticate"), None, "it may be good");
    for known in [ADMIN, &known] {
        until_held_off(&server, &with(&forged)).await;
        assert_eq!(server.send(&with(known)).await.status, 404, "{known} is known to be good");
    }
    until_held_off(&server, &with(&forged)).await;
    assert_eq!(server.send(&get("/run-stores/none")).await.status, 401, "there is none to look at");
    let health = get("/health").header("Authorization", &format!("Bearer {forged}"));
    assert_eq!(server.send(&health).await.status, 200, "nobody asks who calls");

    // Another address has refusals of its own.
    until_held_off(&server, &with(&forged)).await;
    let mut elsewhere = Connection::open_from([127, 0, 0, 9], server.address).await;
    elsewhere.send(&with(&forged).bytes()).await;
    assert_eq!(elsewhere.answer(false).await.expect("an answer").status, 401);

    let text = get("/metrics").send(server.management).await.text();
    let line = text.lines().find_map(|line| line.strip_prefix("stowage_auth_held_off_total "));
    let held_off: u64 = line.expect("the metric").parse().expect("a number");
    assert!(held_off >= 5, "{held_off}");

    // One that is new waits its turn, and then is known.
    let new = good("new");
    eventually("it is looked at", async || {
        let answer = server.send(&with(&new)).await;
        assert!(matches!(answer.status, 404 | 429), "{answer:?}");
        (answer.status == 404).then_some(())
    })
    .await;
    until_held_off(&server, &with(&forged)).await;
    assert_eq!(server.send(&with(&new)).await.status, 404);
}

#[tokio::test]
async fn what_is_known_to_be_good_stays_so_when_the_settings_change() {
    let limits = "{refusalsPerSecond: 1}";
    let server = start(limits).await;
    let known = good("known");
    assert_eq!(server.send(&with(&known)).await.status, 404);
    let forged = SigningKey::ed25519().token("EdDSA", "ed", &claims("user-1"));
    until_held_off(&server, &with(&forged)).await;
    server.reconfigure(setup(limits).token("ci", "ci-0123456789abcdef").settings());
    until_held_off(&server, &with(&forged)).await;
    assert_eq!(server.send(&with(&known)).await.status, 404, "nothing was said of its key");
}

#[tokio::test]
async fn what_costs_no_signature_holds_nobody_off() {
    let server = start("{refusalsPerSecond: 1}").await;
    for _ in 0..200 {
        for wrong in ["a.b.c", "nobody-0123456789abcdef"] {
            assert_eq!(server.send(&with(wrong)).await.status, 401, "{wrong}");
        }
    }
    assert_eq!(server.send(&with(&good("new"))).await.status, 404, "it is looked at at once");
}
