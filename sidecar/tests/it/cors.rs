//! Common, "CORS".

use super::harness::{ADMIN, Setup};
use super::raw::{Request, get, put};
use super::rows::{row, run};

const APP: &str = "https://app.example";

fn setup() -> Setup {
    Setup::default()
        .in_memory()
        .token("admin", ADMIN)
        .config("cors: {allowedOrigins: [\"https://app.example\", \"null\"]}")
}

fn preflight(path: &str, origin: &str, method: &str) -> Request {
    Request::new("OPTIONS", path)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
}

#[tokio::test]
async fn every_row_of_preflights() {
    let rows = [
        row("204 without credentials, every method of the route, the fixed headers")
            .when(preflight("/api/storage?ns=a", APP, "PATCH"))
            .then(204)
            .header("Access-Control-Allow-Origin", APP)
            .header("Access-Control-Allow-Credentials", "true")
            .header("Access-Control-Allow-Methods", "GET, HEAD, PATCH, DELETE, OPTIONS")
            .header(
                "Access-Control-Allow-Headers",
                "Authorization, If-Match, If-None-Match, Content-Type, Prefer, \
                 X-Thesara-App-Id, X-Thesara-Scope, X-Thesara-Room-Token",
            )
            .has("Access-Control-Max-Age")
            .header("Vary", "Origin, Accept-Encoding")
            .body(""),
        row("those that the preflight names")
            .when(
                preflight("/", APP, "PUT")
                    .header("Access-Control-Request-Headers", "if-match, x-custom, bad name,x-b"),
            )
            .then(204)
            .header(
                "Access-Control-Allow-Headers",
                "Authorization, If-Match, If-None-Match, Content-Type, Prefer, \
                 X-Thesara-App-Id, X-Thesara-Scope, X-Thesara-Room-Token, x-custom, x-b",
            ),
        row("also for unknown credentials")
            .when(preflight("/", APP, "PUT").header("Authorization", "Bearer nobody"))
            .then(204)
            .header("Access-Control-Allow-Origin", APP),
        row("a sandboxed frame's null")
            .when(preflight("/", "null", "PUT"))
            .then(204)
            .header("Access-Control-Allow-Origin", "null")
            .header("Access-Control-Allow-Credentials", "true"),
        row("an origin that is not named gets nothing")
            .when(preflight("/", "https://evil.example", "PUT"))
            .then(204)
            .lacks("Access-Control-Allow-Origin")
            .lacks("Access-Control-Allow-Credentials")
            .lacks("Access-Control-Allow-Methods")
            .header("Vary", "Origin, Accept-Encoding"),
        row("of a set of runtime configs")
            .when(preflight("/runtimes/a/b", APP, "PUT"))
            .then(204)
            .header("Access-Control-Allow-Methods", "GET, HEAD, PUT, DELETE, OPTIONS"),
        row("of a path that is not there").when(preflight("/nowhere", APP, "PUT")).then(404),
        row("OPTIONS that is no preflight: 204 with Allow")
            .when(Request::new("OPTIONS", "/"))
            .then(204)
            .header("Allow", "GET, HEAD, PUT, DELETE, OPTIONS")
            .lacks("Access-Control-Allow-Origin"),
    ];
    run(setup, rows).await;
}

#[tokio::test]
async fn every_row_of_answers() {
    let admin = |request: Request| {
        request.header("Authorization", &format!("Bearer {ADMIN}")).header("Origin", APP)
    };
    let exposed = "ETag, X-Storage-Backend, Location, Retry-After";
    let rows = [
        row("a named origin is echoed with credentials")
            .when(admin(put("/", "1")))
            .then(200)
            .header("Access-Control-Allow-Origin", APP)
            .header("Access-Control-Allow-Credentials", "true")
            .header("Access-Control-Expose-Headers", exposed)
            .header("Vary", "Origin, Accept-Encoding"),
        row("errors too: 401")
            .when(get("/").header("Origin", APP))
            .then(401)
            .header("Access-Control-Allow-Origin", APP)
            .header("Access-Control-Expose-Headers", exposed),
        row("errors too: 412")
            .given(admin(put("/", "1")))
            .when(admin(put("/", "2")).header("If-Match", "\"x\""))
            .then(412)
            .header("Access-Control-Allow-Origin", APP),
        row("errors too: 404 of the router")
            .when(admin(get("/nowhere")))
            .then(404)
            .header("Access-Control-Allow-Origin", APP),
        row("304 too")
            .given(admin(put("/", "1")))
            .when(admin(get("/")).header("If-None-Match", "*"))
            .then(304)
            .header("Access-Control-Allow-Origin", APP),
        row("no Origin, nothing to allow")
            .when(get("/health"))
            .then(200)
            .lacks("Access-Control-Allow-Origin"),
        row("another origin gets the answer without leave to read it")
            .when(get("/health").header("Origin", "https://evil.example"))
            .then(200)
            .lacks("Access-Control-Allow-Origin"),
    ];
    run(setup, rows).await;
}

#[tokio::test]
async fn a_star_stays_a_star_without_credentials() {
    let star = || setup_with("[\"*\"]");
    let both = || setup_with("[\"*\", \"https://app.example\"]");
    let other = "https://other.example";
    let row_of = |name, origin: &str| row(name).when(get("/health").header("Origin", origin));
    run(
        star,
        [
            row_of("* stays *", other)
                .header("Access-Control-Allow-Origin", "*")
                .lacks("Access-Control-Allow-Credentials"),
            row("a preflight too")
                .when(preflight("/", other, "PUT"))
                .then(204)
                .header("Access-Control-Allow-Origin", "*")
                .lacks("Access-Control-Allow-Credentials")
                .has("Access-Control-Allow-Methods"),
        ],
    )
    .await;
    run(
        both,
        [
            row_of("named beside *", APP)
                .header("Access-Control-Allow-Origin", APP)
                .header("Access-Control-Allow-Credentials", "true"),
            row_of("not named beside *", other)
                .header("Access-Control-Allow-Origin", "*")
                .lacks("Access-Control-Allow-Credentials"),
        ],
    )
    .await;
}

fn setup_with(origins: &str) -> Setup {
    Setup::default().in_memory().config(&format!("cors: {{allowedOrigins: {origins}}}"))
}
